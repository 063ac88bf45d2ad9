# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# What the end-to-end scripts share. They run under busybox sh inside the emulated hosts as well as
# under any sh on a machine with KVM: POSIX only. A script calls pass, fail or skip once per claim
# and ends with summary.

passed=0 failed=0 skipped=0

pass() {
	passed=$((passed + 1))
	echo "ok    $*"
}

# fail NAME [FILE]...: the end of each file tells why.
fail() {
	failed=$((failed + 1))
	echo "FAIL  $1"
	shift
	for f; do
		[ -s "$f" ] && tail -n 20 "$f" | sed 's/^/      | /'
	done
	return 0
}

# skip NAME CAPABILITY. A failure where NACRE_NO_SKIP says that the host has everything.
skip() {
	[ -z "${NACRE_NO_SKIP:-}" ] || { fail "$1: $2"; return; }
	skipped=$((skipped + 1))
	echo "skip  $1: $2"
}

summary() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}

work=$(mktemp -d)
[ -z "${NACRE_AS:-}" ] || chmod 777 "$work" # nacre is another user (asuser.c)

# load MODULE: its device is for whom it is on Debian.
load() {
	modprobe "$1" 2>/dev/null
	case $1 in
	tun) chmod 666 /dev/net/tun ;;
	vhost_net) chgrp kvm /dev/vhost-net && chmod 660 /dev/vhost-net ;;
	vhost_vsock) chgrp kvm /dev/vhost-vsock && chmod 660 /dev/vhost-vsock ;;
	esac
}

# tap NAME: an interface for nacre's user.
tap() {
	if [ -n "${NACRE_AS:-}" ]; then asuser tap "$1"; else tunctl -t "$1" >/dev/null; fi
}
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# can MODE: whether this host can run the mode, as nacre doctor sees it.
can() {
	nacre doctor | grep -qE "^(ok|warn) +mode $1 "
}

# nobody_left: no process of ours survives. busybox has no pgrep.
nobody_left() {
	for p in /proc/[0-9]*; do
		case $(readlink "$p/exe" 2>/dev/null) in
		*/nacre) return 1 ;;
		esac
	done
	return 0
}

# guest NAME SCRIPT OPTION...: boots $kernel with $initrd (tests/rig/guest-initrd), runs the script in
# the guest; its output is in $work/out. $guest_limit seconds, or 120.
guest() {
	name=$1 script=$(printf '%s\n' "$2" | base64 | tr -d '\n')
	shift 2
	timeout "${guest_limit:-120}" nacre run --kernel "${kernel:?}" --initrd "${initrd:?}" --mem 256 "$@" \
		--params "console=ttyS0 quiet panic=-1 nacre.run=$script" \
		</dev/null >"$work/out" 2>"$work/err"
	status=$?
}

# expect PATTERN...: status 0, and a line of the output for each.
expect() {
	[ "$status" = 0 ] || { fail "$name (status $status)" "$work/out" "$work/err"; return; }
	for pattern; do
		grep -qE "$pattern" "$work/out" ||
			{ fail "$name: no line like $pattern" "$work/out" "$work/err"; return; }
	done
	pass "$name"
}
