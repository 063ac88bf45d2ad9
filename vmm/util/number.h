/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_NUMBER_H
#define NACRE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A whole number that somebody wrote, in len bytes of text: decimal, or hexadecimal behind 0x. False
 * for all else, signs, blanks and what does not fit into 64 bits among it. Pure.
 */
bool number_parse(const char *text, size_t len, uint64_t *out);

/* One hexadecimal digit of either case, or -1. */
int number_hex_digit(char c);

#endif
