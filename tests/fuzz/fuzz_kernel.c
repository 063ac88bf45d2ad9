/* SPDX-License-Identifier: Apache-2.0 */

/* Kernel files of both architectures: any bytes give pieces inside the file or a sentence. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "arch/arm64/image.h"
#include "arch/x86/kernel.h"
#include "vmm/util/bits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_x86(const struct blob *b)
{
	struct x86_kernel k;
	struct err e = { "" };
	unsigned int i;

	if (x86_kernel_parse(b, "k", &k, &e)) {
		if (!e.msg[0])
			abort();
		return;
	}
	for (i = 0; i < k.count; i++)
		if (k.pieces[i].data < b->data || k.pieces[i].len > b->len ||
			k.pieces[i].data + k.pieces[i].len > b->data + b->len)
			abort();
	if (k.start >= k.end || (k.entry && (k.entry < k.start || k.entry >= k.end)) ||
		(k.pvh && (k.pvh < k.start || k.pvh >= k.end)) || !(k.entry || k.pvh))
		abort();
	if (k.has_setup && k.setup + k.setup_len > b->data + b->len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blob b = { malloc(size ? size : 1), size };
	struct arm64_image img;
	struct err e = { "" };
	size_t i;

	for (i = 0; i < size; i++)
		b.data[i] = data[i];
	check_x86(&b);
	if (!arm64_image_parse(&b, "k", GIB(1), &img, &e))
		free(img.owned);
	else if (!e.msg[0])
		abort();
	free(b.data);
	return 0;
}
