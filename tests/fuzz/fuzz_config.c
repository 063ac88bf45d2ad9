/* SPDX-License-Identifier: Apache-2.0 */

/* The JSON configuration: any bytes give a config or a sentence. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "vmm/config.h"
#include "vmm/config_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c;
	struct err e = { "" };

	config_init(&c);
	if (config_parse(&c, "fuzz.json", (const char *)data, size, &e) && !e.msg[0])
		abort();
	config_free(&c);
	return 0;
}
