# SPDX-License-Identifier: Apache-2.0
#
# The results of tests/bench/inside as JSON. Times in microseconds (start-up) and nanoseconds
# (conversions, tags of memory), memory in KiB, disk reads a second, network
# in megabits a second.

function quoted(s) { gsub(/["\\]/, "\\\\&", s); gsub(/[\t\r]/, " ", s); return "\"" s "\"" }

function row(kind, text) { rows[kind] = rows[kind] (rows[kind] ? ",\n" : "") "    {" text "}" }

function place() { return "\"where\": " quoted($2) ", " }

$1 == "startup" {
	row("startup", place() "\"mode\": " quoted($3) ", \"program\": " quoted($4) ", \"status\": " $5 \
		", \"median\": " $6 ", \"p10\": " $7 ", \"p90\": " $8 ", \"cpu\": " $9)
}
$1 == "sandbox" {
	row("sandbox", place() "\"mode\": " quoted($3) ", \"program\": " quoted($4) ", \"median\": " $5)
}
$1 == "walls" {
	row("walls", place() "\"mode\": " quoted($3) ", \"all\": " $4 ", \"none\": " $5 \
		", \"cpu_all\": " $6 ", \"cpu_none\": " $7)
}
$1 == "memory" {
	row("memory", place() "\"mode\": " quoted($3) ", \"program\": " quoted($4) ", \"anonymous\": " $5 \
		", \"resident\": " $6)
}
$1 == "convert" {
	text = place() "\"program\": " quoted($3) ", \"pages\": " $5 ", \"history\": " $7 ", \"cpus\": " $9 \
		", \"ram\": " $11 ", \"calls\": " $13 ", \"share\": " $15 ", \"unshare\": " $16
	if ($17 == "plan")
		text = text ", \"plan_share\": " $18 ", \"plan_unshare\": " $19 ", \"deleted\": " $21 \
			", \"created\": " $22
	row("convert", text)
}
$1 == "boot" {
	row("boot", place() "\"mode\": " quoted($3) ", \"program\": " quoted($4) ", \"status\": " $5 ", \"median\": " $6 \
		", \"p10\": " $7 ", \"p90\": " $8)
}
$1 == "guestdisk" {
	row("guest-disk", place() "\"program\": " quoted($3) ", \"what\": " quoted($4) ", \"ms\": " $5)
}
$1 == "guestnet" {
	row("guest-net", place() "\"program\": " quoted($3) ", \"guest\": " quoted($4) ", \"mbit\": " $5)
}
$1 == "disk" {
	row("disk", place() "\"cache\": " quoted($3) ", \"model\": " $4 ", \"io_uring\": " $5)
}
$1 == "tags" {
	row("tags", place() "\"what\": " quoted($3) ", \"ioctls\": " $4 ", \"ours\": " $5)
}
$1 == "busyapi" {
	row("busy-api", place() "\"program\": " quoted($3) ", \"reads\": " $5 ", \"reads_busy\": " $6 \
		", \"ratio_permille\": " $8 ", \"io\": " $10 ", \"io_busy\": " $11 ", \"vcpu\": " $13 \
		", \"vcpu_busy\": " $14 ", \"request\": " $16 ", \"sent\": " $20 ", \"right\": " $22)
}
$1 == "note" {
	where = $2
	sub(/^note [^ ]* /, "")
	row("notes", "\"where\": " quoted(where) ", \"text\": " quoted($0))
}
END {
	printf "{\n  \"startup\": [\n%s\n  ],\n  \"memory\": [\n%s\n  ],\n", rows["startup"], rows["memory"]
	printf "  \"boot\": [\n%s\n  ],\n  \"guest-disk\": [\n%s\n  ],\n", rows["boot"], rows["guest-disk"]
	printf "  \"guest-net\": [\n%s\n  ],\n", rows["guest-net"]
	printf "  \"sandbox\": [\n%s\n  ],\n  \"walls\": [\n%s\n  ],\n", rows["sandbox"], rows["walls"]
	printf "  \"tags\": [\n%s\n  ],\n", rows["tags"]
	printf "  \"disk\": [\n%s\n  ],\n", rows["disk"]
	printf "  \"busy-api\": [\n%s\n  ],\n", rows["busy-api"]
	printf "  \"convert\": [\n%s\n  ],\n  \"notes\": [\n%s\n  ]\n}\n", rows["convert"], rows["notes"]
}
