# SPDX-License-Identifier: Apache-2.0
#
# The results of tests/bench/inside as tables with ratios.

function ratio(a, b) { return b > 0 ? sprintf("%.2f", a / b) : "-" }

{ line[NR] = $0 }
$1 == "startup" && $4 == "floor" { start[$2, $3] = $6; start10[$2, $3] = $7; cpu[$2, $3] = $9 }
$1 == "boot" && $4 == "qemu" { boot[$2] = $6 }
$1 == "boot" && $3 == "none" { open_boot[$2, $4] = $6 }
$1 == "guestdisk" && $3 == "qemu" { disk[$2, $4] = $5 }
$1 == "guestnet" { net[$2, $3, $4] = $5 }
$1 == "memory" && $4 == "qemu" { qemu[$2] = $5 }

# Fields of a convert line: where name, then pages P history H cpus C ram MIB calls N ns S U. The floor goes
# on: plan PS PU slots D C. What it had planned by Nacre's code is taken off; a call that changes nothing
# plans nothing.
$1 == "convert" {
	past = ($7 > 0)
	key = $2 SUBSEP $5 SUBSEP past SUBSEP $9 SUBSEP $11
	if ($3 == "floor") {
		floor_share[key] = $15 - ($5 ? $18 : 0)
		floor_unshare[key] = $16 - ($5 ? $19 : 0)
		deleted[key] = $21
		created[key] = $22
	} else if ($11 == 256 && $9 == 1) {
		small_share[$2, $5, past] = $15
		small_unshare[$2, $5, past] = $16
	}
	if ($3 != "floor" && $9 == 1 && !past) {
		fresh_share[$2, $5, $11] = $15
		fresh_unshare[$2, $5, $11] = $16
	}
}

END {
	print "Start-up: exec to exit of a guest that powers off at once, 1 vCPU, 128 MiB; milliseconds"
	printf "%-22s %-8s %-13s %8s %8s %8s %8s %8s %8s %8s\n", "where", "mode", "program", "median",
		"p10", "p90", "CPU", "x floor", "p10 x", "CPU x"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] != "startup") continue
		if (f[5] != 0 && f[4] != "qemu") f[4] = f[4] "(status " f[5] ")"
		k = f[2] SUBSEP f[3]
		printf "%-22s %-8s %-13s %8.2f %8.2f %8.2f %8.2f %8s %8s %8s\n", f[2], f[3], f[4],
			f[6] / 1000, f[7] / 1000, f[8] / 1000, f[9] / 1000, ratio(f[6], start[k]),
			ratio(f[7], start10[k]), ratio(f[9], cpu[k])
	}
	print "\nSandbox: what of a start raising it takes, as the log has it; milliseconds"
	printf "%-22s %-8s %-13s %8s\n", "where", "mode", "program", "median"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] == "sandbox")
			printf "%-22s %-8s %-13s %8.3f\n", f[2], f[3], f[4], f[5] / 1000
	}
	print "\nWalls: such a start with all of them and with none, and the processor time of all its threads; milliseconds"
	printf "%-22s %-8s %8s %8s %8s %8s %8s %8s\n", "where", "mode", "all", "none", "more", "CPU",
		"none", "more"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] == "walls")
			printf "%-22s %-8s %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f\n", f[2], f[3], f[4] / 1000,
				f[5] / 1000, (f[4] - f[5]) / 1000, f[6] / 1000, f[7] / 1000, (f[6] - f[7]) / 1000
	}
	print "\nMemory beside the guest's own, while it spins, 1 vCPU, 128 MiB; KiB"
	printf "%-22s %-8s %-13s %14s %10s %10s\n", "where", "mode", "program", "anonymous",
		"resident", "of QEMU's"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] != "memory") continue
		printf "%-22s %-8s %-13s %14d %10d %10s\n", f[2], f[3], f[4], f[5], f[6],
			ratio(f[5], qemu[f[2]])
	}
	print "\nMemory tags of 64 MiB, beside the bare ioctl in a loop; milliseconds"
	printf "%-22s %-8s %10s %10s %10s\n", "where", "what", "bare", "nacre", "speed"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] == "tags")
			printf "%-22s %-8s %10.2f %10.2f %10s\n", f[2], f[3], f[4] / 1e6, f[5] / 1e6,
				ratio(f[4], f[5])
	}
	print "\nConversions, to shared and back; microseconds a call, timed by the guest"
	print "(x floor: against the same ioctls with the same vCPUs parked; x 256: against the guest of 256 MiB"
	print "and one vCPU; x fresh: against the same before 5,000 conversions; own: microseconds of the first beside its"
	print "floor; slots: deleted, created)"
	printf "%-20s %4s %5s %9s %7s %9s %9s %7s %7s %6s %6s %6s %6s %7s %13s\n", "where", "cpus",
		"MiB", "range", "history", "share", "unshare", "x floor", "x floor", "x 256", "x 256",
		"xfresh", "xfresh", "own", "slots"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] != "convert" || f[3] == "floor") continue
		past = (f[7] > 0)
		key = f[2] SUBSEP f[5] SUBSEP past SUBSEP f[9] SUBSEP f[11]
		printf "%-20s %4d %5d %9s %7d %9.0f %9.0f %7s %7s %6s %6s %6s %6s %7s %13s\n", f[2], f[9],
			f[11], f[5] ? f[5] * 4 " KiB" : "nothing", f[7], f[15] / 1000, f[16] / 1000,
			ratio(f[15], floor_share[key]), ratio(f[16], floor_unshare[key]),
			ratio(f[15], small_share[f[2], f[5], past]),
			ratio(f[16], small_unshare[f[2], f[5], past]),
			f[7] ? ratio(f[15], fresh_share[f[2], f[5], f[11]]) : "-",
			f[7] ? ratio(f[16], fresh_unshare[f[2], f[5], f[11]]) : "-",
			key in floor_share ? sprintf("%.1f", (f[15] - floor_share[key]) / 1000) : "-",
			f[5] ? deleted[key] "," created[key] : "-"
	}
	print "\nLinux, the same kernel and initramfs: exec to power-off, 1 vCPU, 512 MiB; milliseconds"
	printf "%-22s %-10s %-13s %8s %8s %8s %10s %9s\n", "where", "mode", "program", "median", "p10", "p90",
		"of QEMU's", "of none's"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] != "boot") continue
		name = f[4]
		if (f[5] != 0) name = name "(status " f[5] ")"
		printf "%-22s %-10s %-13s %8.0f %8.0f %8.0f %10s %9s\n", f[2], f[3], name, f[6] / 1000,
			f[7] / 1000, f[8] / 1000, ratio(f[6], boot[f[2]]), ratio(f[6], open_boot[f[2], f[4]])
	}
	print "\nLinux reads and writes its disk, a file on tmpfs, past its own cache; milliseconds"
	printf "%-22s %-13s %-10s %8s %10s\n", "where", "program", "what", "median", "of QEMU's"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] == "guestdisk")
			printf "%-22s %-13s %-10s %8d %10s\n", f[2], f[3], f[4], f[5],
				ratio(f[5], disk[f[2], f[4]])
	}
	print "\nLinux and its host by iperf3 over a tap; Mbit/s"
	printf "%-22s %-24s %-10s %8s %10s\n", "where", "program", "guest", "Mbit/s", "of QEMU's"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] != "guestnet") continue
		split(f[3], program, "/")
		printf "%-22s %-24s %-10s %8d %10s\n", f[2], f[3], f[4], f[5],
			ratio(f[5], net[f[2], "qemu/" program[2], f[4]])
	}
	print "\nDisk: 4 KiB random reads at depth 32, through the device model and straight to io_uring; a second"
	printf "%-22s %-10s %10s %10s %8s\n", "where", "cache", "model", "io_uring", "ratio"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] == "disk")
			printf "%-22s %-10s %10d %10d %8s\n", f[2], f[3], f[4], f[5], ratio(f[4], f[5])
	}
	print "\nA guest reads its disk, 4 KiB at a time; its API is silent, and has 1,000 requests a second"
	print "(reads a second; median of the pairs' ratios; processor time of the device's thread and of the"
	print "virtual processor's for a read, and of the control thread for a request, in microseconds;"
	print "apart: the guest has one processor of the host, requests and their sender another)"
	printf "%-22s %-21s %7s %7s %6s %7s %7s %6s %7s %7s %6s %8s %12s\n", "where", "program", "silent",
		"busy", "ratio", "io", "busy", "x", "vcpu", "busy", "x", "request", "answers"
	for (i = 1; i <= NR; i++) {
		n = split(line[i], f)
		if (f[1] == "busyapi")
			printf "%-22s %-21s %7d %7d %6.2f %7.1f %7.1f %6s %7.1f %7.1f %6s %8.1f %12s\n", f[2],
				f[3], f[5], f[6], f[8] / 1000, f[10] / 1000, f[11] / 1000,
				ratio(f[11], f[10]), f[13] / 1000, f[14] / 1000, ratio(f[14], f[13]),
				f[16] / 1000, f[22] "/" f[20]
	}
	print ""
	for (i = 1; i <= NR; i++)
		if (line[i] ~ /^note /) {
			sub(/^note /, "", line[i])
			print "not measured: " line[i]
		}
}
