/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/aml.h"

#include <stdlib.h>
#include <string.h>

/* Opcodes (ACPI 6.4, table 20.1). */
#define OP_NAME	      0x08
#define OP_BYTE	      0x0a
#define OP_DWORD      0x0c
#define OP_STRING     0x0d
#define OP_SCOPE      0x10
#define OP_BUFFER     0x11
#define OP_PACKAGE    0x12
#define OP_METHOD     0x14
#define OP_DUAL_NAME  0x2e
#define OP_EXTENDED   0x5b
#define OP_NOTIFY     0x86
#define EXT_DEVICE    0x82
#define LENGTH_BYTES  3u
#define LENGTH_FORM   (2u << 6) /* two bytes follow the first */
#define BUFFER_HEADER (LENGTH_BYTES + 5u)

/* Resource descriptors (6.4.2 and 6.4.3). */
#define RES_IO		  0x47
#define RES_IO_DECODE_16  1
#define RES_MEMORY	  0x86
#define RES_MEMORY_WRITE  1
#define RES_IRQ		  0x89
#define RES_IRQ_EDGE_CONS 3 /* the device consumes it; edge, active high, exclusive */
#define RES_END		  0x79

void aml_bytes(struct aml *a, const void *data, size_t len)
{
	if (a->len + len > a->room && !a->failed) {
		size_t room = (a->len + len) * 2;
		uint8_t *p = realloc(a->data, room);

		a->failed = !p;
		a->data = p ? p : a->data;
		a->room = p ? room : a->room;
	}
	if (a->failed)
		return;
	memcpy(a->data + a->len, data, len);
	a->len += len;
}

static void byte(struct aml *a, unsigned int v)
{
	uint8_t b = (uint8_t)v;

	aml_bytes(a, &b, 1);
}

void aml_int(struct aml *a, uint64_t v, unsigned int n)
{
	for (; n; n--, v >>= 8)
		byte(a, (unsigned int)(v & 0xff));
}

void aml_patch(struct aml *a, size_t at, uint64_t v, unsigned int n)
{
	for (; n && !a->failed; n--, v >>= 8)
		a->data[at++] = (uint8_t)v;
}

static void name(struct aml *a, const char *s)
{
	aml_bytes(a, s, strlen(s));
}

/* A package length counts itself, so it is written when the term ends. */
static size_t open(struct aml *a)
{
	aml_int(a, 0, LENGTH_BYTES);
	return a->len - (a->failed ? 0 : LENGTH_BYTES);
}

void aml_close(struct aml *a, size_t begin)
{
	size_t len = a->len - begin;

	aml_patch(a, begin, LENGTH_FORM | (len & 0xf), 1);
	aml_patch(a, begin + 1, len >> 4, 2);
}

size_t aml_scope(struct aml *a, const char *n)
{
	size_t at;

	byte(a, OP_SCOPE);
	at = open(a);
	name(a, n);
	return at;
}

size_t aml_device(struct aml *a, const char *n)
{
	size_t at;

	byte(a, OP_EXTENDED);
	byte(a, EXT_DEVICE);
	at = open(a);
	name(a, n);
	return at;
}

size_t aml_method(struct aml *a, const char *n, unsigned int args)
{
	size_t at;

	byte(a, OP_METHOD);
	at = open(a);
	name(a, n);
	byte(a, args);
	return at;
}

void aml_name_string(struct aml *a, const char *n, const char *value)
{
	byte(a, OP_NAME);
	name(a, n);
	byte(a, OP_STRING);
	aml_bytes(a, value, strlen(value) + 1);
}

void aml_name_int(struct aml *a, const char *n, uint32_t value)
{
	byte(a, OP_NAME);
	name(a, n);
	byte(a, OP_DWORD);
	aml_int(a, value, 4);
}

void aml_name_sleep(struct aml *a, const char *n, uint8_t value)
{
	const uint8_t elements[] = { value, value, 0, 0 };
	unsigned int i;
	size_t at;

	byte(a, OP_NAME);
	name(a, n);
	byte(a, OP_PACKAGE);
	at = open(a);
	byte(a, sizeof(elements));
	for (i = 0; i < sizeof(elements); i++) {
		byte(a, OP_BYTE);
		byte(a, elements[i]);
	}
	aml_close(a, at);
}

/* A buffer's length stands before its size, which is that of the template. */
size_t aml_resources(struct aml *a)
{
	size_t at;

	byte(a, OP_NAME);
	name(a, "_CRS");
	byte(a, OP_BUFFER);
	at = open(a);
	byte(a, OP_DWORD);
	aml_int(a, 0, 4);
	return at;
}

void aml_io(struct aml *a, uint16_t port, uint8_t size)
{
	byte(a, RES_IO);
	byte(a, RES_IO_DECODE_16);
	aml_int(a, port, 2);
	aml_int(a, port, 2);
	byte(a, 1);
	byte(a, size);
}

void aml_memory(struct aml *a, uint32_t base, uint32_t size)
{
	byte(a, RES_MEMORY);
	aml_int(a, 9, 2);
	byte(a, RES_MEMORY_WRITE);
	aml_int(a, base, 4);
	aml_int(a, size, 4);
}

void aml_irq(struct aml *a, uint32_t gsi)
{
	byte(a, RES_IRQ);
	aml_int(a, 6, 2);
	byte(a, RES_IRQ_EDGE_CONS);
	byte(a, 1);
	aml_int(a, gsi, 4);
}

void aml_close_resources(struct aml *a, size_t begin)
{
	/* A checksum of zero counts as right (6.4.2.9). */
	byte(a, RES_END);
	byte(a, 0);
	aml_patch(a, begin + LENGTH_BYTES + 1, a->len - begin - BUFFER_HEADER, 4);
	aml_close(a, begin);
}

void aml_notify(struct aml *a, const char *first, const char *second, uint8_t value)
{
	byte(a, OP_NOTIFY);
	byte(a, '\\');
	byte(a, OP_DUAL_NAME);
	name(a, first);
	name(a, second);
	byte(a, OP_BYTE);
	byte(a, value);
}
