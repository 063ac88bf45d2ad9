/* SPDX-License-Identifier: Apache-2.0 */

/* The console and the verdicts. */
#include <stdarg.h>

#include "guest.h"

#define LINE_MAX  256
#define FIFO_SIZE 16

struct line {
	char text[LINE_MAX];
	unsigned int used;
};

static struct lock console;

static void put(struct line *l, char c)
{
	if (l->used < LINE_MAX)
		l->text[l->used++] = c;
}

static void put_string(struct line *l, const char *s)
{
	while (*s)
		put(l, *s++);
}

static void put_number(struct line *l, uint64_t v, unsigned int base)
{
	char digits[20];
	unsigned int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		put(l, digits[--n]);
}

static void put_signed(struct line *l, int64_t v)
{
	if (v < 0)
		put(l, '-');
	put_number(l, v < 0 ? -(uint64_t)v : (uint64_t)v, 10);
}

static void put_formatted(struct line *l, const char *fmt, va_list *ap)
{
	bool wide;

	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(l, *fmt);
			continue;
		}
		wide = *++fmt == 'l';
		fmt += wide;
		if (*fmt == 's')
			put_string(l, va_arg(*ap, const char *));
		else if (*fmt == 'c')
			put(l, (char)va_arg(*ap, int));
		else if (*fmt == 'd')
			put_signed(l, wide ? va_arg(*ap, int64_t) : va_arg(*ap, int));
		else if (*fmt == 'u' || *fmt == 'x')
			put_number(l, wide ? va_arg(*ap, uint64_t) : va_arg(*ap, uint32_t),
				*fmt == 'u' ? 10 : 16);
		else
			put(l, *fmt);
	}
}

/* An idle transmitter promises room for a whole FIFO. */
static void send(const struct line *l)
{
	unsigned int i;

	for (i = 0; i < l->used; i++) {
		while (i % FIFO_SIZE == 0 &&
			!(dev_read8(boot->serial_base + SERIAL_LSR) & SERIAL_LSR_THRE))
			cpu_relax();
		dev_write8(boot->serial_base + SERIAL_DATA, (uint8_t)l->text[i]);
	}
}

void print(const char *fmt, ...)
{
	struct line l = { .used = 0 };
	va_list ap;

	va_start(ap, fmt);
	put_formatted(&l, fmt, &ap);
	va_end(ap);
	lock(&console);
	send(&l);
	unlock(&console);
}

void power(uint32_t command)
{
	dev_write32(boot->power_base + POWER_COMMAND, command);
}

void success(void)
{
	static const char *const modes[] = {
		[BOOT_NONE] = "none",
		[BOOT_PRIVATE] = "private",
		[BOOT_PKVM] = "pkvm",
		[BOOT_SOFT_REALM] = "soft-realm",
		[BOOT_SOFT_SEV] = "soft-sev",
	};
	uint32_t mode = boot->protection;

	print("SUCCESS in mode %s\n", mode < ARRAY_SIZE(modes) ? modes[mode] : "unknown");
	power(POWER_OFF);
	halt();
}

/* The first failure is the one to tell. Also comes from exceptions inside print: the lock is not
 * waited for without end. */
void fail(const char *fmt, ...)
{
	struct line l = { .used = 0 };
	static uint32_t failing;
	unsigned int tries = 100000;
	va_list ap;

	if (__atomic_exchange_n(&failing, 1, __ATOMIC_ACQ_REL))
		halt();
	put_string(&l, "FAIL: ");
	va_start(ap, fmt);
	put_formatted(&l, fmt, &ap);
	va_end(ap);
	put(&l, '\n');
	while (tries-- && __atomic_exchange_n(&console.taken, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
	send(&l);
	power(POWER_CRASH);
	halt();
}
