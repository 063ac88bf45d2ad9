# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# lib.sh - what run and guest-initrd share: building initramfs archives
#
# An initramfs is a concatenation of cpio archives; the kernel unpacks them in order, and a later
# file replaces an earlier one. Both scripts stage a directory tree and pack it, owned by root
# whoever packs it. Modules are stored unpacked, since an emulated machine is slow to decompress
# them, and come with the parts of modules.dep and modules.alias that concern them.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# arch_name NAME: our spelling of an architecture
arch_name() {
	case $1 in
	x86_64 | amd64) echo x86_64 ;;
	arm64 | aarch64) echo arm64 ;;
	*) say "unknown architecture $1 (x86_64 or arm64)"; return 1 ;;
	esac
}

# pack DIR: the tree as a cpio archive on stdout
pack() { (cd "$1" && find . -mindepth 1 -print0 | cpio --null -o -H newc -R +0:+0 --quiet); }

# file_spec WORD: is it SRC:DST? The path outside may have colons of its own, the one inside not.
file_spec() { case $1 in ?*:?*) ;; *) say "$1 is not SRC:DST"; return 1 ;; esac; }

# stage_file ROOT SRC:DST: copy SRC to DST under ROOT; DST/ means into that directory
stage_file() {
	local from=${2%:*} to=$1/${2##*:}
	[ -e "$from" ] || { say "no such file: $from"; return 1; }
	case $to in */) to=$to${from##*/} ;; esac
	mkdir -p "${to%/*}" && cp -aHT "$from" "$to"
}

# stage_base ROOT KERNEL: directories and a shell. busybox's shell finds its applets without links.
stage_base() {
	mkdir -p "$1"/{bin,dev,etc,proc,root,run,sys,tmp}
	chmod 1777 "$1/tmp"
	install -m 755 "$2/busybox" "$1/bin/busybox"
	ln -s busybox "$1/bin/sh"
}

# stage_modules ROOT KERNEL NAME...: the modules of these names, and all that they need. A name that
# the kernel has built in, or does not know, is passed over.
stage_modules() {
	local root=$1 kernel=$2 from to file
	shift 2
	from=$kernel/modules/usr/lib/modules/$(cat "$kernel/version")
	to=$root/lib/modules/$(cat "$kernel/version")
	mkdir -p "$to"
	# Each line of modules.dep is a file, a colon, and every file it needs.
	awk -v names="$*" '
		function name(path) {
			sub(".*/", "", path)
			sub("[.]ko.*", "", path)
			gsub("-", "_", path)
			return path
		}
		BEGIN {
			split(names, list, " ")
			for (i in list) wanted[name(list[i])]
		}
		{ line[$1] = $0 }
		name($1) in wanted {
			files[$1]
			for (i = 2; i <= NF; i++) files[$i ":"]
		}
		END { for (file in files) print line[file] }
	' "$from/modules.dep" >"$to/modules.dep"

	sed 's/:.*//' "$to/modules.dep" | while read -r file; do
		mkdir -p "$to/${file%/*}"
		case $file in
		*.xz) xz -dc "$from/$file" >"$to/${file%.xz}" ;;
		*.zst) zstd -dqc "$from/$file" >"$to/${file%.zst}" ;;
		*.gz) gzip -dc "$from/$file" >"$to/${file%.gz}" ;;
		*) cp "$from/$file" "$to/$file" ;;
		esac
	done
	sed -i -E 's/[.]ko[.](xz|zst|gz)/.ko/g' "$to/modules.dep"

	# A line of modules.alias ends with the module that answers to the alias.
	awk '
		NR == FNR { sub("[.]ko:.*", ""); sub(".*/", ""); gsub("-", "_"); have[$0]; next }
		$NF in have
	' "$to/modules.dep" "$from/modules.alias" >"$to/modules.alias"
	: >"$to/modules.symbols"
	cp "$from/modules.builtin" "$to" 2>/dev/null || true
}
