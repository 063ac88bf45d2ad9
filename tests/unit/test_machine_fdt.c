/* SPDX-License-Identifier: Apache-2.0 */

/* What the arm64 device tree owes to the kernel's bindings, seen with dtc's own checks too. */
#include <check.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arm64/fdt.h"
#include "arch/arm64/layout.h"
#include "tests/unit/scratch.h"
#include "tests/unit/test_machine.h"
#include "vmm/util/bits.h"

/* Of one CPU, of several, and of two clusters. */
static const uint32_t cpu_counts[] = { 1, 4, 17 };

static void *build_tree(uint32_t cpus, size_t *size)
{
	static const struct platform_dev rows[] = {
		{ PLATFORM_SERIAL, false, ARM64_SERIAL, 8, ARM64_SERIAL_SPI },
		{ PLATFORM_RTC, false, ARM64_RTC, 0x1000, ARM64_RTC_SPI },
	};
	struct arch_config config = { .cpus = cpus, .ram_bytes = MIB(64) };
	struct arch_layout layout = {
		.ram = { { { ARM64_RAM }, MIB(64) } },
		.ram_count = 1,
		.platform = { rows, ARRAY_SIZE(rows) },
	};
	struct fdt_params p = { .config = &config, .layout = &layout, .bootargs = "" };
	struct err e = { "" };
	void *fdt;

	ck_assert_msg(arm64_fdt_build(&p, &fdt, size, &e) == 0, "%s", e.msg);
	return fdt;
}

static const char *string_at(const void *fdt, int node, const char *name)
{
	const char *s = fdt_getprop(fdt, node, name, NULL);

	return s ? s : "";
}

START_TEST(every_cpu_is_started_by_psci)
{
	size_t size;
	void *fdt = build_tree(cpu_counts[_i], &size);
	int node, cpus = fdt_path_offset(fdt, "/cpus");
	uint32_t seen = 0;

	ck_assert_int_ge(fdt_path_offset(fdt, "/psci"), 0);
	fdt_for_each_subnode(node, fdt, cpus)
	{
		ck_assert_str_eq(string_at(fdt, node, "enable-method"), "psci");
		seen++;
	}
	ck_assert_uint_eq(seen, cpu_counts[_i]);
	free(fdt);
}
END_TEST

START_TEST(interrupt_controller_has_its_generic_name)
{
	size_t size;
	void *fdt = build_tree(1, &size);
	int node = fdt_path_offset(fdt, "/interrupt-controller@8000000");

	ck_assert_int_ge(node, 0);
	ck_assert_str_eq(string_at(fdt, node, "compatible"), "arm,gic-v3");
	ck_assert_uint_eq(fdt_get_phandle(fdt, node),
		fdt32_to_cpu(*(const fdt32_t *)fdt_getprop(fdt, 0, "interrupt-parent", NULL)));
	free(fdt);
}
END_TEST

/* Linux asks the bus clock for its rate before it looks at the identification registers. */
START_TEST(clock_has_a_clock)
{
	size_t size;
	void *fdt = build_tree(1, &size);
	int node = fdt_path_offset(fdt, "/rtc@1003000"), clock;
	const fdt32_t *cell;

	ck_assert_int_ge(node, 0);
	ck_assert_int_eq(fdt_node_check_compatible(fdt, node, "arm,pl031"), 0);
	ck_assert_int_eq(fdt_node_check_compatible(fdt, node, "arm,primecell"), 0);
	ck_assert_str_eq(string_at(fdt, node, "clock-names"), "apb_pclk");
	cell = fdt_getprop(fdt, node, "clocks", NULL);
	clock = fdt_node_offset_by_phandle(fdt, fdt32_to_cpu(*cell));
	ck_assert_str_eq(string_at(fdt, clock, "compatible"), "fixed-clock");
	cell = fdt_getprop(fdt, node, "interrupts", NULL);
	ck_assert_uint_eq(fdt32_to_cpu(cell[1]), ARM64_RTC_SPI);
	free(fdt);
}
END_TEST

/* dtc knows rules of the specification that we did not think of. Where it is installed. */
START_TEST(dtc_finds_nothing_to_complain_about)
{
	char name[SCRATCH_PATH], command[160], said[400] = "";
	size_t size;
	void *fdt = build_tree(cpu_counts[_i], &size);
	int fd = scratch_file(name);
	FILE *out;

	ck_assert_int_eq(write(fd, fdt, size), (ssize_t)size);
	close(fd);
	snprintf(command, sizeof(command),
		"! command -v dtc >/dev/null || dtc -I dtb -O dtb -o /dev/null %s 2>&1", name);
	out = popen(command, "r");
	ck_assert_ptr_nonnull(out);
	said[fread(said, 1, sizeof(said) - 1, out)] = '\0';
	ck_assert_int_eq(pclose(out), 0);
	ck_assert_str_eq(said, "");
	free(fdt);
}
END_TEST

TCase *machine_fdt_case(void)
{
	TCase *t = tcase_create("device tree");
	int n = (int)ARRAY_SIZE(cpu_counts);

	tcase_add_loop_test(t, every_cpu_is_started_by_psci, 0, n);
	tcase_add_test(t, interrupt_controller_has_its_generic_name);
	tcase_add_test(t, clock_has_a_clock);
	tcase_add_loop_test(t, dtc_finds_nothing_to_complain_about, 0, n);
	return t;
}
