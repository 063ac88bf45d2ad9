/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "vmm/sandbox/seccomp_impl.h"

void line_put(struct line *l, const char *s)
{
	while (*s && l->n < sizeof(l->text))
		l->text[l->n++] = *s++;
}

static void put_number(struct line *l, unsigned long v, unsigned int base)
{
	char digits[24];
	size_t n = sizeof(digits) - 1;

	digits[n] = '\0';
	do {
		digits[--n] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	line_put(l, base == 16 ? "0x" : "");
	line_put(l, digits + n);
}

void line_put_call(struct line *l, long nr, const unsigned long args[6])
{
	const char *name = seccomp_call_name(nr), *request = NULL;
	unsigned int i;

	line_put(l, name ? name : "unknown");
	line_put(l, " (number ");
	put_number(l, (unsigned long)nr, 10);
	line_put(l, ", arguments");
	for (i = 0; i < 6; i++) {
		line_put(l, i ? ", " : " ");
		put_number(l, args[i], 16);
		if (i == 1 && name && !strcmp(name, "ioctl"))
			request = seccomp_ioctl_name(args[1]);
		if (i == 1 && request) {
			line_put(l, " ");
			line_put(l, request);
		}
	}
	line_put(l, ")");
}

void line_write(const struct line *l, int fd)
{
	size_t done = 0;
	ssize_t n;

	while (done < l->n) {
		n = write(fd, l->text + done, l->n - done);
		if (n <= 0)
			return;
		done += (size_t)n;
	}
}
