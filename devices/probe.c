/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem/probe.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"
#include "vmm/util/resident.h"

struct probe_dev {
	pthread_mutex_t lock;
	const struct mem *mem;
	int resident_fd;
	uint64_t gpa, len, value;
	uint32_t result, readable, refused;
	char story[512]; /* what the last command found, as a sentence */
};

static const char *result_text(enum probe_result r)
{
	switch (r) {
	case PROBE_OK:
		return "went through";
	case PROBE_SIGBUS:
		return "refused by the host kernel (SIGBUS)";
	case PROBE_SIGSEGV:
		return "refused: not mapped, or taken by the hypervisor (SIGSEGV)";
	case PROBE_NOT_MEMORY:
		return "not guest memory";
	case PROBE_GATE:
		return "refused by the gate";
	}
	return "unknown";
}

static uint32_t saturate(uint64_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static void tell(const struct probe_dev *p)
{
	if (p->story[0])
		log_limited(LOG_INFO, "probe: %s", p->story);
}

static void raw_access(struct probe_dev *p, bool is_write)
{
	enum probe_result r;

	if (is_write)
		r = probe_poke(p->mem, gpa(p->gpa), p->value);
	else
		r = probe_peek(p->mem, gpa(p->gpa), &p->value);
	p->result = r;
	snprintf(p->story, sizeof(p->story),
		"guest asked to %s gpa 0x%" PRIx64 " past the gate: %s",
		is_write ? "write" : "read", p->gpa, result_text(r));
	tell(p);
}

static void gated_access(struct probe_dev *p, bool is_write)
{
	const char *what = is_write ? "write" : "read";
	struct err e = { "" };
	int r;

	if (is_write) {
		r = mem_write(p->mem, gpa(p->gpa), &p->value, sizeof(p->value), &e);
	} else {
		p->value = 0;
		r = mem_read(p->mem, gpa(p->gpa), &p->value, sizeof(p->value), &e);
	}
	p->result = r ? PROBE_GATE : PROBE_OK;
	if (r)
		snprintf(p->story, sizeof(p->story),
			"guest asked for a device's %s of gpa 0x%" PRIx64 ": %s (%.300s)", what,
			p->gpa, result_text(PROBE_GATE), e.msg);
	else
		snprintf(p->story, sizeof(p->story),
			"guest asked for a device's %s of gpa 0x%" PRIx64 ": %s", what, p->gpa,
			result_text(PROBE_OK));
	tell(p);
}

static void scan(struct probe_dev *p)
{
	struct probe_count c = { 0 };
	bool sane = p->len && p->len <= PROBE_SCAN_MAX && p->gpa <= UINT64_MAX - (p->len - 1);

	if (sane)
		c = probe_scan(p->mem, gpa(p->gpa), p->len);
	p->readable = saturate(c.readable);
	p->refused = saturate(c.refused);
	p->result = sane ? PROBE_OK : PROBE_NOT_MEMORY;
	if (sane)
		snprintf(p->story, sizeof(p->story),
			"guest asked to read a byte of each page of 0x%" PRIx64
			" bytes at gpa 0x%" PRIx64 ": %" PRIu64 " pages readable, %" PRIu64
			" refused",
			p->len, p->gpa, c.readable, c.refused);
	else
		snprintf(p->story, sizeof(p->story),
			"guest asked to scan 0x%" PRIx64 " bytes at gpa 0x%" PRIx64
			": empty, too long or past the end",
			p->len, p->gpa);
	tell(p);
}

static void resident(struct probe_dev *p)
{
	p->value = 0;
	p->result = resident_read(p->resident_fd, &p->value) ? PROBE_OK : PROBE_NOT_MEMORY;
}

static void command(struct probe_dev *p, uint32_t cmd)
{
	switch (cmd) {
	case PROBE_CMD_PEEK:
	case PROBE_CMD_POKE:
		raw_access(p, cmd == PROBE_CMD_POKE);
		break;
	case PROBE_CMD_READ:
	case PROBE_CMD_WRITE:
		gated_access(p, cmd == PROBE_CMD_WRITE);
		break;
	case PROBE_CMD_SCAN:
		scan(p);
		break;
	case PROBE_CMD_RSS:
		resident(p);
		break;
	case PROBE_CMD_REPORT:
		tell(p);
		break;
	default:
		log_limited(LOG_WARN, "probe: guest wrote unknown command 0x%x", cmd);
		break;
	}
}

/* The 64-bit register that off is a half of, or NULL. */
static uint64_t *wide_reg(struct probe_dev *p, uint64_t off)
{
	switch (off) {
	case PROBE_GPA_LO:
	case PROBE_GPA_HI:
		return &p->gpa;
	case PROBE_LEN_LO:
	case PROBE_LEN_HI:
		return &p->len;
	case PROBE_VALUE_LO:
	case PROBE_VALUE_HI:
		return &p->value;
	default:
		return NULL;
	}
}

static unsigned int half_shift(uint64_t off)
{
	return off & 4 ? 32 : 0;
}

static void probe_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct probe_dev *p = dev;
	const uint64_t *wide = wide_reg(p, off);
	uint32_t v = 0;

	if (wide)
		v = (uint32_t)(*wide >> half_shift(off));
	else if (off == PROBE_RESULT)
		v = p->result;
	else if (off == PROBE_READABLE)
		v = p->readable;
	else if (off == PROBE_REFUSED)
		v = p->refused;
	memset(data, 0, len);
	if (len == sizeof(v))
		memcpy(data, &v, sizeof(v));
}

static void probe_write(void *dev, uint64_t off, const void *data, unsigned int len)
{
	struct probe_dev *p = dev;
	uint64_t *wide = wide_reg(p, off);
	uint32_t v;

	if (len != sizeof(v))
		return;
	memcpy(&v, data, sizeof(v));
	if (wide) {
		*wide &= ~((uint64_t)UINT32_MAX << half_shift(off));
		*wide |= (uint64_t)v << half_shift(off);
	} else if (off == PROBE_CMD) {
		command(p, v);
	}
}

const struct bus_ops probe_dev_ops = { .read = probe_read, .write = probe_write };

int probe_dev_new(struct probe_dev **out, const struct mem *mem, struct err *e)
{
	struct probe_dev *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, -ENOMEM, "probe: out of memory");
	pthread_mutex_init(&p->lock, NULL);
	p->mem = mem;
	p->resident_fd = resident_open();
	*out = p;
	return 0;
}

void probe_dev_free(struct probe_dev *p)
{
	if (!p)
		return;
	fd_close(&p->resident_fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

pthread_mutex_t *probe_dev_lock(struct probe_dev *p)
{
	return &p->lock;
}
