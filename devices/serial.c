/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/serial.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/log.h"

/* Registers; the first two are the divisor latch while LCR.DLAB is set. */
enum { RBR_THR_DLL, IER_DLM, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RX	  0x01
#define IER_TX	  0x02
#define IER_LINE  0x04
#define IER_MODEM 0x08
#define IER_ALL	  0x0f

#define IIR_MODEM   0x00
#define IIR_NONE    0x01
#define IIR_TX	    0x02
#define IIR_RX	    0x04
#define IIR_LINE    0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO    0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_TRIGGER  0xc0

#define LCR_DLAB 0x80

#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_ALL	 0x1f

#define LSR_DATA    0x01
#define LSR_OVERRUN 0x02
#define LSR_THRE    0x20
#define LSR_TEMT    0x40

#define MSR_CTS	   0x10
#define MSR_DSR	   0x20
#define MSR_RI	   0x40
#define MSR_DCD	   0x80
#define MSR_STATUS 0xf0
#define MSR_DELTA  0x0f
#define MSR_TERI   0x04

#define FIFO_SIZE 16u

/* Everything the guest can see or cause: what a snapshot will hold. */
struct regs {
	uint8_t dll, dlm, ier, fcr, lcr, mcr, scr;
	uint8_t line_errors; /* error bits of LSR; reading LSR clears them */
	uint8_t msr;
	uint8_t pending;  /* interrupt conditions that are up and enabled, in the bits of IER */
	bool tx_pending;  /* "transmitter empty" is to be reported; not the same as being empty */
	uint8_t rx_first; /* index of the oldest byte */
	uint8_t rx_count;
	uint8_t rx[FIFO_SIZE];
};

struct serial {
	pthread_mutex_t lock;
	struct irq_line irq;
	struct tty *tty;
	bool output_only;
	struct regs r;
	bool tx_busy;	 /* the ring has no room for a full transmit FIFO; drained() ends it */
	bool rx_starved; /* the tty has input that found no room here */
	uint64_t received, sent; /* bytes, by the guest */
	uint64_t dropped;
};

static unsigned int rx_size(const struct regs *r)
{
	return r->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

/* The line is an edge: raised whenever a condition comes up, also beside others that already are. */
static void update_irq(struct serial *s)
{
	struct regs *r = &s->r;
	uint8_t up = 0;

	if (r->rx_count)
		up |= IER_RX;
	if (r->tx_pending)
		up |= IER_TX;
	if (r->line_errors)
		up |= IER_LINE;
	if (r->msr & MSR_DELTA)
		up |= IER_MODEM;
	up &= r->ier;
	if (up & ~r->pending)
		irq_raise(&s->irq);
	r->pending = up;
}

/* ---- receiver ---- */

/* Asks the tty for more once there is room worth a round through its loop. */
static void rx_more(struct serial *s)
{
	if (!s->rx_starved || s->r.mcr & MCR_LOOP || s->r.rx_count > rx_size(&s->r) / 2)
		return;
	s->rx_starved = false;
	tty_input_ready(s->tty);
}

static void rx_clear(struct serial *s)
{
	s->r.rx_count = 0;
	s->r.rx_first = 0;
	rx_more(s);
}

/* A byte from the line. With FIFOs it is lost when there is no room, without it replaces the old. */
static void rx_put(struct regs *r, uint8_t byte)
{
	if (r->rx_count < rx_size(r)) {
		r->rx[(r->rx_first + r->rx_count) % FIFO_SIZE] = byte;
		r->rx_count++;
		return;
	}
	r->line_errors |= LSR_OVERRUN;
	if (!(r->fcr & FCR_ENABLE))
		r->rx[r->rx_first % FIFO_SIZE] = byte;
}

static uint8_t rx_get(struct serial *s)
{
	struct regs *r = &s->r;
	uint8_t byte;

	if (!r->rx_count)
		return 0;
	byte = r->rx[r->rx_first % FIFO_SIZE];
	r->rx_first = (uint8_t)((r->rx_first + 1) % FIFO_SIZE);
	r->rx_count--;
	s->received++;
	rx_more(s);
	return byte;
}

/* From the tty, on its loop. */
static size_t tty_has_input(void *dev, const uint8_t *data, size_t n)
{
	struct serial *s = dev;
	size_t took = 0;

	pthread_mutex_lock(&s->lock);
	while (took < n && !(s->r.mcr & MCR_LOOP) && s->r.rx_count < rx_size(&s->r))
		rx_put(&s->r, data[took++]);
	s->rx_starved = took < n;
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return took;
}

/* ---- transmitter ---- */

static void tty_has_room(void *dev)
{
	struct serial *s = dev;

	pthread_mutex_lock(&s->lock);
	if (s->tx_busy) {
		s->tx_busy = false;
		s->r.tx_pending = true;
		update_irq(s);
	}
	pthread_mutex_unlock(&s->lock);
}

static const struct tty_user tty_user = { .input = tty_has_input, .drained = tty_has_room };

static void tx_put(struct serial *s, uint8_t byte)
{
	struct regs *r = &s->r;

	/* Full and empty again in an instant: that is one more edge for a guest that waits for it. */
	r->tx_pending = false;
	r->pending &= (uint8_t)~IER_TX;
	if (r->mcr & MCR_LOOP) {
		rx_put(r, byte);
	} else if (s->tty) {
		s->sent++;
		if (!tty_write(s->tty, &byte, 1) && !s->dropped++)
			log_warn("serial: the console's reader is too slow and the guest does not "
				 "wait for it; output is lost");
		/* An idle transmitter promises its driver room for a whole FIFO. */
		s->tx_busy = !tty_can_take(s->tty, FIFO_SIZE);
	}
	r->tx_pending = !s->tx_busy;
}

/* ---- registers ---- */

static uint8_t iir_value(const struct regs *r)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };

	if (r->pending & IER_LINE)
		return IIR_LINE;
	/* Below the trigger level the real chip waits for four characters' time; we do not. */
	if (r->pending & IER_RX && r->fcr & FCR_ENABLE && r->rx_count < triggers[r->fcr >> 6])
		return IIR_TIMEOUT;
	if (r->pending & IER_RX)
		return IIR_RX;
	if (r->pending & IER_TX)
		return IIR_TX;
	if (r->pending & IER_MODEM)
		return IIR_MODEM;
	return IIR_NONE;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t v = iir_value(&s->r);

	if (v == IIR_TX)
		s->r.tx_pending = false;
	return v | (s->r.fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *s)
{
	uint8_t v = s->r.line_errors;

	s->r.line_errors = 0;
	if (s->r.rx_count)
		v |= LSR_DATA;
	if (!s->tx_busy)
		v |= LSR_THRE | LSR_TEMT;
	return v;
}

static uint8_t read_msr(struct serial *s)
{
	uint8_t v = s->r.msr;

	s->r.msr &= MSR_STATUS;
	return v;
}

static void write_ier(struct serial *s, uint8_t v)
{
	/* Enabling the interrupt of an empty transmitter raises it; Linux tests for this. */
	if (v & ~s->r.ier & IER_TX && !s->tx_busy)
		s->r.tx_pending = true;
	s->r.ier = v & IER_ALL;
}

static void write_fcr(struct serial *s, uint8_t v)
{
	bool toggled = (v ^ s->r.fcr) & FCR_ENABLE;
	bool clear;

	/* The other bits count only together with this one. Our transmit FIFO is always empty. */
	if (!(v & FCR_ENABLE))
		v = 0;
	clear = toggled || v & FCR_CLEAR_RX;
	s->r.fcr = v & (FCR_ENABLE | FCR_TRIGGER);
	if (clear)
		rx_clear(s);
}

/* The modem's side: a line that is always up, or in loopback mode our own outputs. */
static uint8_t modem_status(uint8_t mcr)
{
	if (!(mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
			 (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void write_mcr(struct serial *s, uint8_t v)
{
	uint8_t old = s->r.msr, now;

	s->r.mcr = v & MCR_ALL;
	now = modem_status(v);
	s->r.msr = now | (old & MSR_DELTA) | (uint8_t)((old ^ now) >> 4);
	/* The ring indicator counts only when it ends. */
	if (!(old & MSR_TERI) && !(old & MSR_RI && !(now & MSR_RI)))
		s->r.msr &= (uint8_t)~MSR_TERI;
	rx_more(s);
}

static uint8_t reg_read(struct serial *s, uint64_t reg)
{
	const struct regs *r = &s->r;

	switch (reg) {
	case RBR_THR_DLL:
		return r->lcr & LCR_DLAB ? r->dll : rx_get(s);
	case IER_DLM:
		return r->lcr & LCR_DLAB ? r->dlm : r->ier;
	case IIR_FCR:
		return read_iir(s);
	case LCR:
		return r->lcr;
	case MCR:
		return r->mcr;
	case LSR:
		return read_lsr(s);
	case MSR:
		return read_msr(s);
	case SCR:
		return r->scr;
	default:
		return 0;
	}
}

static void reg_write(struct serial *s, uint64_t reg, uint8_t v)
{
	struct regs *r = &s->r;

	switch (reg) {
	case RBR_THR_DLL:
		if (r->lcr & LCR_DLAB)
			r->dll = v;
		else
			tx_put(s, v);
		break;
	case IER_DLM:
		if (r->lcr & LCR_DLAB)
			r->dlm = v;
		else
			write_ier(s, v);
		break;
	case IIR_FCR:
		write_fcr(s, v);
		break;
	case LCR:
		r->lcr = v;
		break;
	case MCR:
		write_mcr(s, v);
		break;
	case SCR:
		r->scr = v;
		break;
	default: /* LSR and MSR are the chip's to write */
		break;
	}
}

/* A wide access reaches one register, in its lowest byte; the rest of a read is zero. */
static void serial_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct serial *s = dev;
	uint8_t v = reg_read(s, off);

	memset(data, 0, len);
	memcpy(data, &v, len ? 1 : 0);
	update_irq(s);
}

static void serial_write(void *dev, uint64_t off, const void *data, unsigned int len)
{
	struct serial *s = dev;

	if (len == 0)
		return;
	reg_write(s, off, *(const uint8_t *)data);
	update_irq(s);
}

const struct bus_ops serial_ops = { .read = serial_read, .write = serial_write };

/* ---- life ---- */

int serial_new(struct serial **out, const struct serial_config *cfg, struct err *e)
{
	struct serial *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "serial: out of memory");
	pthread_mutex_init(&s->lock, NULL);
	s->irq = cfg->irq;
	s->tty = cfg->tty;
	s->r.dll = 1; /* 115200 bits per second, should anyone ask */
	s->r.msr = modem_status(0);
	s->output_only = cfg->output_only;
	if (s->tty && s->output_only)
		tty_join_output(s->tty, &tty_user, s);
	else if (s->tty) {
		r = tty_attach(s->tty, &tty_user, s, e);
		if (r) {
			s->tty = NULL;
			serial_free(s);
			return err_prefix(e, r, "serial");
		}
	}
	*out = s;
	return 0;
}

void serial_free(struct serial *s)
{
	if (!s)
		return;
	if (s->tty && s->output_only)
		tty_leave_output(s->tty);
	else if (s->tty)
		tty_detach(s->tty);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

pthread_mutex_t *serial_lock(struct serial *s)
{
	return &s->lock;
}

uint64_t serial_dropped(struct serial *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	n = s->dropped;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void serial_read_counts(struct serial *s, struct serial_counts *out)
{
	pthread_mutex_lock(&s->lock);
	*out = (struct serial_counts){
		.reads = s->received, .writes = s->sent, .dropped = s->dropped
	};
	pthread_mutex_unlock(&s->lock);
}
