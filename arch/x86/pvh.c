/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/pvh.h"

#include <string.h>

#define MAGIC	0x336ec578u
#define VERSION 1u

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t modules;
	uint64_t module_list;
	uint64_t cmdline;
	uint64_t acpi_root;
	uint64_t map;
	uint32_t map_rows;
	uint32_t reserved;
};

struct module {
	uint64_t at, size, cmdline, reserved;
};

struct map_row {
	uint64_t base, size;
	uint32_t type, reserved;
};

_Static_assert(sizeof(struct start_info) == 56, "as Xen lays it out");
_Static_assert(sizeof(struct module) == 32, "as Xen lays it out");
_Static_assert(sizeof(struct map_row) == 24, "as Xen lays it out");

#define OFF_MODULE 64u
#define OFF_MAP	   128u

_Static_assert(OFF_MODULE >= sizeof(struct start_info) &&
		       OFF_MAP >= OFF_MODULE + sizeof(struct module) &&
		       X86_PVH_SIZE >= OFF_MAP + X86_PVH_MAP_ROWS * sizeof(struct map_row),
	"the parts lie side by side");

void x86_pvh_page(const struct x86_pvh *p, uint8_t page[X86_PVH_SIZE])
{
	struct start_info info = {
		.magic = MAGIC,
		.version = VERSION,
		.cmdline = p->cmdline,
		.acpi_root = p->acpi_root,
		.map = p->at + OFF_MAP,
		.map_rows = p->map_rows,
	};
	struct module initrd = { .at = p->initrd, .size = p->initrd_len };
	unsigned int i;

	memset(page, 0, X86_PVH_SIZE);
	if (p->initrd_len) {
		info.modules = 1;
		info.module_list = p->at + OFF_MODULE;
		memcpy(page + OFF_MODULE, &initrd, sizeof(initrd));
	}
	for (i = 0; i < p->map_rows; i++) {
		struct map_row row = { p->map[i].base, p->map[i].size, p->map[i].type, 0 };

		memcpy(page + OFF_MAP + i * sizeof(row), &row, sizeof(row));
	}
	memcpy(page, &info, sizeof(info));
}
