# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# What the scripts of the attack suite share beside lib.sh: they run a guest under nacre-attack, give
# orders to the attacker in it, and judge what came of them, lines as tests/attack/search.h has them.
# All of it happens in $work.
# shellcheck disable=SC2034,SC2154 # for those who read this file; from lib.sh

pid=
trap '[ -z "$pid" ] || kill -9 $pid; rm -rf "$work"' EXIT
cd "$work" || exit 1

# until_seen FILE PATTERN COUNT: waits for so many lines; not longer than nacre lives.
until_seen() {
	for _ in $(seq 1200); do
		[ "$(grep -c "$2" "$1")" -ge "$3" ] && return
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	[ "$(grep -c "$2" "$1")" -ge "$3" ]
}

# start OPTION...: until the guest holds the marker. Descriptor 3 is its console, 4 takes orders.
start() {
	rm -f in orders facts core seen
	mkfifo in orders
	: >facts
	: >out
	exec 3<>in 4<>orders
	ATTACK_ORDERS=$work/orders ATTACK_FACTS=$work/facts nacre-attack run "$@" <in >out 2>err &
	pid=$!
	orders=0 looks=0
	until_seen out '^holds' 1 || { fail "attack/$mode: no guest" err out; return 1; }
}

# order NAME...: what nacre-attack is to do, one after the other.
order() {
	for what; do
		echo "$what" >&4
		orders=$((orders + 1))
		until_seen facts '^done' $orders ||
			{ fail "attack/$mode $what: no answer" facts err out; return 1; }
	done
}

kill_guest() {
	kill -9 "$pid" 2>/dev/null
	{ wait "$pid"; } 2>/dev/null
	pid=
}

# ---- verdicts ----
# Of pages, those that came, and with the marker: $asked $through $marked. The guest has it in $held
# pages; what it found changed there is in the file seen.

reached() {
	case $kind in
	read) [ "$through" = "$asked" ] && [ "$marked" -ge "$held" ] ;;
	write) [ "$through" = "$asked" ] && grep -q "^changed: word $marked of $held pages" seen ;;
	search) [ "$marked" -ge "$held" ] ;;
	*) [ "$through" = "$asked" ] ;;
	esac
}

refused() {
	case $kind in
	read | write) [ "$asked" -ge "$held" ] && [ "$through" = 0 ] ;;
	search) [ "$marked" = 0 ] ;;
	*) [ "$through" = 0 ] ;;
	esac
}

nowhere() {
	if [ "$why" = - ]; then
		pass "$title: no marker in $through pages"
	elif [ "$through" != 0 ]; then
		pass "$title: no marker in $through pages, $((asked - through)) refused ($why)"
	else
		pass "$title: refused ($why)"
	fi
}

# Nothing is protected: what goes through shows that a refusal means something.
judge_open() {
	case "$name $kind" in
	# No such call is for a guest_memfd, whatever it holds; and what was written is none of it.
	*file-* | second-vm* | file:/* | file:out* | file:err*) ;;
	# To a copy of the child's own.
	child:*write) ;;
	*)
		reached && pass "$title: goes through" ||
			fail "$title: should go through ($asked $through $marked, $why)"
		;;
	esac
}

judge_closed() {
	if ! refused; then
		fail "$title: NOT REFUSED ($through of $asked pages, marker or word $marked, $why)"
	elif [ "$kind" = search ]; then
		nowhere
	else
		pass "$title: refused ($why)"
	fi
}

judge() { # open or closed
	while read -r name kind asked through marked why; do
		title="attack $mode $name $kind"
		case $kind in
		'') ;;
		broken) fail "$title: the attack could not be made ($why)" ;;
		*) "judge_$1" ;;
		esac
	done <facts
	: >facts
	orders=0
}
