# Completion for bash; made by: nacre completion bash
_nacre()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local kind= words=

	# --option=value comes as three words.
	if [ "$cur" = = ]; then
		cur=
	elif [ "$prev" = = ]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	case "${COMP_WORDS[1]} $prev" in
	'run --kernel' | 'run -k') kind=file ;;
	'run --initrd' | 'run -i') kind=file ;;
	'run --params' | 'run -p') kind=word words='' ;;
	'run --firmware' | 'run -f') kind=file ;;
	'run --cpus' | 'run -c') kind=word words='' ;;
	'run --mem' | 'run -m') kind=word words='' ;;
	'run --hugepages') kind=word words='auto off thp 2M 1G' ;;
	'run --protection') kind=word words='none private soft-realm soft-sev pkvm auto' ;;
	'run --private-memory') kind=word words='strict open' ;;
	'run --swiotlb') kind=word words='' ;;
	'run --shared-limit') kind=word words='' ;;
	'run --conversion') kind=word words='auto swap attributes' ;;
	'run --implicit-conversion') kind=word words='deny allow' ;;
	'run --console') kind=word words='serial virtio' ;;
	'run --disk') kind=file ;;
	'run --vsock') kind=word words='' ;;
	'run --net') kind=word words='' ;;
	'run --entropy-bandwidth') kind=word words='' ;;
	'run --entropy-ops') kind=word words='' ;;
	'run --hide-cpu-features') kind=word words='' ;;
	'run --balloon') kind=word words='' ;;
	'run --allow-path') kind=file ;;
	'run --seccomp') kind=word words='on audit off' ;;
	'run --log-level') kind=word words='off error warn info debug' ;;
	'run --log-format') kind=word words='text json' ;;
	'run --log-path') kind=file ;;
	'run --module') kind=word words='' ;;
	'run --metrics-path') kind=file ;;
	'run --serial-path') kind=file ;;
	'run --serial-bandwidth') kind=word words='' ;;
	'run --config-file') kind=file ;;
	'measure --kernel' | 'measure -k') kind=file ;;
	'measure --initrd' | 'measure -i') kind=file ;;
	'measure --params' | 'measure -p') kind=word words='' ;;
	'measure --firmware' | 'measure -f') kind=file ;;
	'measure --cpus' | 'measure -c') kind=word words='' ;;
	'measure --mem' | 'measure -m') kind=word words='' ;;
	'measure --hugepages') kind=word words='auto off thp 2M 1G' ;;
	'measure --protection') kind=word words='none private soft-realm soft-sev pkvm auto' ;;
	'measure --private-memory') kind=word words='strict open' ;;
	'measure --swiotlb') kind=word words='' ;;
	'measure --shared-limit') kind=word words='' ;;
	'measure --conversion') kind=word words='auto swap attributes' ;;
	'measure --implicit-conversion') kind=word words='deny allow' ;;
	'measure --console') kind=word words='serial virtio' ;;
	'measure --disk') kind=file ;;
	'measure --vsock') kind=word words='' ;;
	'measure --net') kind=word words='' ;;
	'measure --entropy-bandwidth') kind=word words='' ;;
	'measure --entropy-ops') kind=word words='' ;;
	'measure --hide-cpu-features') kind=word words='' ;;
	'measure --balloon') kind=word words='' ;;
	'measure --allow-path') kind=file ;;
	'measure --seccomp') kind=word words='on audit off' ;;
	'measure --log-level') kind=word words='off error warn info debug' ;;
	'measure --log-format') kind=word words='text json' ;;
	'measure --log-path') kind=file ;;
	'measure --module') kind=word words='' ;;
	'measure --metrics-path') kind=file ;;
	'measure --serial-path') kind=file ;;
	'measure --serial-bandwidth') kind=word words='' ;;
	'measure --config-file') kind=file ;;
	'api --api-sock') kind=file ;;
	'api --config-file') kind=file ;;
	'api --id') kind=word words='' ;;
	'api --http-api-max-payload-size') kind=word words='' ;;
	'api --log-path') kind=file ;;
	'api --level') kind=word words='Off Error Warning Info Debug Trace' ;;
	'api --log-format') kind=word words='text json' ;;
	'api --module') kind=word words='' ;;
	'api --metrics-path') kind=file ;;
	'api --allow-path') kind=file ;;
	'api --start-time-us') kind=word words='' ;;
	'api --start-time-cpu-us') kind=word words='' ;;
	'api --parent-cpu-time-us') kind=word words='' ;;
	'api --seccomp-filter') kind=file ;;
	'api --metadata') kind=file ;;
	'api --mmds-size-limit') kind=word words='' ;;
	'ctl --api-sock') kind=file ;;
	'inspect --gpa') kind=word words='' ;;
	'inspect --len') kind=word words='' ;;
	esac
	if [ "$COMP_CWORD" -eq 1 ]; then
		words='run measure api ctl inspect doctor help completion --version'
	elif [ -z "$kind" ]; then
		case ${COMP_WORDS[1]} in
		run) words='--help --kernel --initrd --params --firmware --cpus --smt --mem --hugepages --prefault --mergeable --mte --protection --private-memory --swiotlb --shared-limit --conversion --implicit-conversion --console --disk --vsock --net --entropy --entropy-bandwidth --entropy-ops --hide-cpu-features --balloon --allow-path --probe --seccomp --log-level --log-format --log-path --show-level --show-log-origin --module --metrics-path --serial-path --serial-bandwidth --config-file --dump-config' ;;
		measure) words='--help --json --text --kernel --initrd --params --firmware --cpus --smt --mem --hugepages --prefault --mergeable --mte --protection --private-memory --swiotlb --shared-limit --conversion --implicit-conversion --console --disk --vsock --net --entropy --entropy-bandwidth --entropy-ops --hide-cpu-features --balloon --allow-path --probe --seccomp --log-level --log-format --log-path --show-level --show-log-origin --module --metrics-path --serial-path --serial-bandwidth --config-file --dump-config' ;;
		api) words='--help --api-sock --config-file --no-api --id --http-api-max-payload-size --log-path --level --log-format --show-level --show-log-origin --module --metrics-path --allow-path --boot-timer --start-time-us --start-time-cpu-us --parent-cpu-time-us --no-seccomp --seccomp-filter --metadata --mmds-size-limit --enable-pci' ;;
		ctl) words='--help --api-sock --json start pause resume stop info metrics balloon mte-tags set-mte-tags dump-memory get put patch' ;;
		inspect) words='--help --json --gpa --len' ;;
		doctor) words='--help --json' ;;
		help) words='--help run measure api ctl inspect doctor help completion --version' ;;
		completion) words='--help bash zsh' ;;
		--version) words='--help' ;;
		esac
	fi
	if [ "$kind" = file ]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	fi
}
complete -F _nacre nacre
