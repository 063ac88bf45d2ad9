# SPDX-License-Identifier: Apache-2.0
#
# collect.awk FILE... - gathers what stands beside the code about the system calls that it makes
#
# A line of a comment that begins so is a rule:
#
#	seccomp ROLE[+RIGHT]...: CALL... -- why
#
# ROLE is one of enum thread_role in small letters, or all; RIGHT a field of struct seccomp_plan
# without which the role does not have the calls (files, api, sockets). CALL is
#
#	name		by whatever arguments
#	name@ARCH	only where the architecture has it: x86 or arm64
#	name[N=V]	when argument N, from 0, is V; [N&M=V]: when its bits M are V
#	ioctl:V		ioctl[1=V]
#	name!ERRNO	refused by that error, without ending the machine
#
# V and M are expressions of C without blanks; what they mean is for the compiler of the target
# (constants.h). Printed is one line each: role, right or -, call, place. With -v constants=1, a C
# file that makes the compiler print the value of each expression.

function fail(why) {
	printf "%s:%d: %s\n", FILENAME, FNR, why >"/dev/stderr"
	bad = 1
}

function constant(v) {
	if (v != "" && !(v in known)) {
		known[v] = 1
		order[++count] = v
	}
}

# The expressions of one call.
function constants_of(call,	cond, part, n, i, pair) {
	sub(/!.*$/, "", call)
	if (call ~ /^ioctl:/) {
		constant(substr(call, 7))
		return
	}
	while (match(call, /\[[^]]*\]/)) {
		cond = substr(call, RSTART + 1, RLENGTH - 2)
		call = substr(call, RSTART + RLENGTH)
		sub(/^[0-9]/, "", cond)
		n = split(cond, part, /[&=]/)
		for (i = 2; i <= n; i++)
			constant(part[i])
	}
}

BEGIN { all = "control console io vcpu disk log fill" }

/^[[:blank:]]*(\/\*|\*) seccomp [a-z+ ]+: / {
	line = $0
	sub(/^[[:blank:]]*(\/\*|\*) seccomp /, "", line)
	at = index(line, ": ")
	end = index(line, " -- ")
	if (!end) {
		fail("a rule without its reason (-- why)")
		next
	}
	roles = substr(line, 1, at - 1)
	if (roles == "all")
		roles = all
	n = split(roles, role, " ")
	m = split(substr(line, at + 2, end - at - 2), call, " ")
	for (i = 1; i <= n; i++) {
		right = "-"
		if (split(role[i], pair, "+") > 1)
			right = pair[2]
		if (!index(" " all " ", " " pair[1] " ") || right !~ /^(-|files|api|sockets)$/)
			fail("no such role or right: " role[i])
		for (j = 1; j <= m; j++) {
			constants_of(call[j])
			if (!constants)
				print pair[1], right, call[j], FILENAME ":" FNR
		}
	}
}

END {
	if (constants) {
		print "#include \"vmm/sandbox/rules/constants.h\""
		print "void constants(void);"
		print "void constants(void)\n{"
		for (i = 1; i <= count; i++)
			printf "\t__asm__ volatile(\"\\n.ascii \\\"->%s %%0\\\"\" : : \"i\"((unsigned long)(%s)));\n",
				order[i], order[i]
		print "}"
	}
	exit bad
}
