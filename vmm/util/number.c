/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/number.h"

int number_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool number_parse(const char *text, size_t len, uint64_t *out)
{
	unsigned int base = 10;
	uint64_t v = 0;
	size_t i = 0;
	int digit;

	if (len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		i = 2;
	}
	if (i == len)
		return false;
	for (; i < len; i++) {
		digit = number_hex_digit(text[i]);
		if (digit < 0 || (unsigned int)digit >= base ||
			v > (UINT64_MAX - (unsigned int)digit) / base)
			return false;
		v = v * base + (unsigned int)digit;
	}
	*out = v;
	return true;
}
