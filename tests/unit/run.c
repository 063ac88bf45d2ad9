/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs all unit tests; with arguments, the suites named; with one argument K/N, the K-th of N parts
 * of them. Ends with the line that tests/check sums up.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

static const struct {
	const char *name;
	Suite *(*make)(void);
} suites[] = {
	{ "acpi", acpi_suite },
	{ "alias", alias_suite },
	{ "api", api_suite },
	{ "api-stream", api_stream_suite },
	{ "arm64_boot", arm64_boot_suite },
	{ "arm64_image", arm64_image_suite },
	{ "backing", backing_suite },
	{ "bounce", bounce_suite },
	{ "bus", bus_suite },
	{ "config", config_suite },
	{ "convert", convert_suite },
	{ "convert-cost", convert_cost_suite },
	{ "attributes", attributes_suite },
	{ "fault", fault_suite },
	{ "ctl", ctl_suite },
	{ "doctor", doctor_suite },
	{ "dump", dump_suite },
	{ "hold", hold_suite },
	{ "inspect", inspect_suite },
	{ "landlock", landlock_suite },
	{ "log", log_suite },
	{ "machine", machine_suite },
	{ "measure", measure_suite },
	{ "mem", mem_suite },
	{ "memlock", memlock_suite },
	{ "metrics", metrics_suite },
	{ "mte", mte_suite },
	{ "netio", netio_suite },
	{ "park", park_suite },
	{ "passt", passt_suite },
	{ "pl031", pl031_suite },
	{ "power", power_suite },
	{ "probe", probe_suite },
	{ "protect", protect_suite },
	{ "ratelimit", ratelimit_suite },
	{ "resource", resource_suite },
	{ "rsi", rsi_suite },
	{ "sandbox", sandbox_suite },
	{ "seccomp", seccomp_suite },
	{ "serial", serial_suite },
	{ "stage", stage_suite },
	{ "stats", stats_suite },
	{ "tty", tty_suite },
	{ "util", util_suite },
	{ "virtio_balloon", virtio_balloon_suite },
	{ "virtio_blk", virtio_blk_suite },
	{ "virtio_console", virtio_console_suite },
	{ "virtio_mmio", virtio_mmio_suite },
	{ "virtio_net", virtio_net_suite },
	{ "virtio_rng", virtio_rng_suite },
	{ "vhost", vhost_suite },
	{ "virtio_vsock", virtio_vsock_suite },
	{ "virtq", virtq_suite },
	{ "x86_boot", x86_boot_suite },
	{ "x86_elf", x86_elf_suite },
	{ "x86_features", x86_features_suite },
	{ "x86_sev", x86_sev_suite },
};

static int wanted(int argc, char **argv, size_t suite)
{
	unsigned int part, parts;
	int i;

	if (argc == 2 && sscanf(argv[1], "%u/%u", &part, &parts) == 2)
		return parts && suite % parts + 1 == part;
	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], suites[suite].name))
			return 1;
	return argc == 1;
}

int main(int argc, char **argv)
{
	SRunner *runner = srunner_create(NULL);
	int run, failed;
	size_t i;

	/* Ignored where a script starts us in its background; tests send it. */
	signal(SIGQUIT, SIG_DFL);
	/* Where a suite sets no limit: a machine that is busy needs more than Check's four seconds. */
	setenv("CK_DEFAULT_TIMEOUT", "60", 0);
	if (scratch_begin())
		return 2;
	for (i = 0; i < ARRAY_SIZE(suites); i++)
		if (wanted(argc, argv, i))
			srunner_add_suite(runner, suites[i].make());
	srunner_run_all(runner, CK_ENV);
	run = srunner_ntests_run(runner);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	printf("%d passed, %d failed, 0 skipped\n", run - failed, failed);
	/* A run of nothing is no success. */
	return failed || !run;
}
