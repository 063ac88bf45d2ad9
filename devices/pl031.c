/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/pl031.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/util/fd.h"

#define BIT_ALARM 1u

/* DDI 0224, 3.3: part 0x031, designer Arm, revision 1; then the mark of all PrimeCells. */
static const uint8_t ids[] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

struct pl031 {
	pthread_mutex_t lock; /* vCPUs against the loop */
	struct irq_line irq;
	struct loop_event *event;
	int timer;	 /* a timerfd on the host's clock: it follows when that is set */
	uint32_t offset; /* what the counter is ahead of the host's clock */
	uint32_t match, load, mask, raw;
};

static time_t host_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

static uint32_t counter(const struct pl031 *p)
{
	return (uint32_t)host_seconds() + p->offset;
}

/* Applies a change of RIS or IMSC. */
static void set_state(struct pl031 *p, uint32_t raw, uint32_t mask)
{
	bool was = p->raw & p->mask;

	p->raw = raw;
	p->mask = mask;
	if (!was && (raw & mask))
		irq_raise(&p->irq);
}

/* seccomp vcpu: timerfd_settime@arm64 -- the alarm of the guest's clock */
/*
 * Sets the timer to the moment at which the counter becomes equal to MR. A time that has gone by
 * comes again in 136 years, as in the hardware.
 */
static void arm(struct pl031 *p)
{
	time_t now = host_seconds();
	uint32_t away = p->match - ((uint32_t)now + p->offset);
	struct itimerspec at = { .it_value = { .tv_sec = now + away } };

	if (!away) {
		at.it_value.tv_sec = 0; /* none: it is now */
		set_state(p, BIT_ALARM, p->mask);
	}
	timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* seccomp control: read -- the alarm of the guest's clock */
static void on_timer(void *arg, int fd, short events)
{
	struct pl031 *p = arg;
	uint64_t times;

	(void)events;
	pthread_mutex_lock(&p->lock);
	/* Nothing to read: the guest has set another alarm since. */
	if (read(fd, &times, sizeof(times)) == (ssize_t)sizeof(times))
		set_state(p, BIT_ALARM, p->mask);
	pthread_mutex_unlock(&p->lock);
}

static uint32_t get(const struct pl031 *p, uint64_t off)
{
	switch (off) {
	case PL031_DR:
		return counter(p);
	case PL031_MR:
		return p->match;
	case PL031_LR:
		return p->load;
	case PL031_CR:
		return 1;
	case PL031_IMSC:
		return p->mask;
	case PL031_RIS:
		return p->raw;
	case PL031_MIS:
		return p->raw & p->mask;
	default:
		return off >= PL031_ID ? ids[(off - PL031_ID) / 4] : 0;
	}
}

static void pl031_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	uint32_t v;

	memset(data, 0, len);
	if (len != sizeof(v) || off % sizeof(v))
		return;
	v = get(dev, off);
	memcpy(data, &v, sizeof(v));
}

static void pl031_write(void *dev, uint64_t off, const void *data, unsigned int len)
{
	struct pl031 *p = dev;
	uint32_t v;

	if (len != sizeof(v))
		return;
	memcpy(&v, data, sizeof(v));
	switch (off) {
	case PL031_MR:
		p->match = v;
		arm(p);
		break;
	case PL031_LR:
		p->load = v;
		p->offset = v - (uint32_t)host_seconds();
		arm(p);
		break;
	case PL031_IMSC:
		set_state(p, p->raw, v & BIT_ALARM);
		break;
	case PL031_ICR:
		set_state(p, p->raw & ~v, p->mask);
		break;
	default:
		break;
	}
}

const struct bus_ops pl031_ops = { .read = pl031_read, .write = pl031_write };

pthread_mutex_t *pl031_lock(struct pl031 *p)
{
	return &p->lock;
}

int pl031_new(struct pl031 **out, const struct pl031_config *cfg, struct err *e)
{
	struct pl031 *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(e, -ENOMEM, "real time clock: out of memory");
	pthread_mutex_init(&p->lock, NULL);
	p->irq = cfg->irq;
	p->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	r = p->timer < 0 ? err_sys(e, "real time clock: timerfd_create")
			 : loop_add_fd(cfg->loop, p->timer, LOOP_READ, on_timer, p, &p->event, e);
	if (r) {
		pl031_free(p);
		return r;
	}
	*out = p;
	return 0;
}

void pl031_free(struct pl031 *p)
{
	if (!p)
		return;
	loop_event_free(p->event);
	fd_close(&p->timer);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
