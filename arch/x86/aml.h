/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_AML_H
#define NACRE_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A growing buffer, and the few words of ACPI's machine language that our DSDT needs (ACPI 6.4,
 * chapters 6.4 and 20.2). Once memory has run out everything is dropped and `failed` is set, so
 * that callers look once, at the end.
 */
struct aml {
	uint8_t *data; /* free() it */
	size_t len;
	size_t room;
	bool failed;
};

void aml_bytes(struct aml *a, const void *data, size_t len);
/* The n low bytes of v, the least significant one first. */
void aml_int(struct aml *a, uint64_t v, unsigned int n);
/* Overwrites n bytes at `at`, which have been written before. */
void aml_patch(struct aml *a, size_t at, uint64_t v, unsigned int n);

/*
 * Terms that hold others. Each returns where it began, for aml_close. Names are of four characters,
 * with a leading \\ where they count from the root.
 */
size_t aml_scope(struct aml *a, const char *name);
size_t aml_device(struct aml *a, const char *name);
size_t aml_method(struct aml *a, const char *name, unsigned int args);
void aml_close(struct aml *a, size_t begin);

/* Name (name, value) */
void aml_name_string(struct aml *a, const char *name, const char *value);
void aml_name_int(struct aml *a, const char *name, uint32_t value);
/* Name (name, Package () { value, value, 0, 0 }), the form of _S5. */
void aml_name_sleep(struct aml *a, const char *name, uint8_t value);

/* Name (_CRS, ResourceTemplate () { ... }), ended by aml_close_resources. */
size_t aml_resources(struct aml *a);
void aml_io(struct aml *a, uint16_t port, uint8_t size);
void aml_memory(struct aml *a, uint32_t base, uint32_t size);
void aml_irq(struct aml *a, uint32_t gsi); /* edge, active high, not shared */
void aml_close_resources(struct aml *a, size_t begin);

/* Notify (object, value): object is a path from the root, two names. */
void aml_notify(struct aml *a, const char *first, const char *second, uint8_t value);

#endif
