/* SPDX-License-Identifier: Apache-2.0 */

/* From the descriptor to the device: keys for us, and bytes that the device has yet to take. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "devices/term.h"
#include "devices/tty_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

#define READ_SIZE 1024u
#define CTRL_A	  0x01

/* ---- input ---- */

static void print_help(void)
{
	static const char help[] =
		"\nnacre: Ctrl-A x quits, Ctrl-A a sends Ctrl-A, Ctrl-A h is this\n";

	log_raw(help, sizeof(help) - 1);
}

/* One key after Ctrl-A. Returns whether the guest shall have it. */
static bool escaped_key(struct tty *t, uint8_t key)
{
	switch (key) {
	case CTRL_A:
	case 'a':
		return true;
	case 'x':
		if (t->quit)
			t->quit(t->ctx);
		return false;
	case 'h':
		print_help();
		return false;
	default:
		return false;
	}
}

/* Appends what is for the guest to the held bytes; there is room for n. */
static void filter(struct tty *t, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t key = data[i];

		if (t->escape) {
			t->escape = false;
			if (!escaped_key(t, key))
				continue;
			key = CTRL_A;
		} else if (t->terminal && key == CTRL_A) {
			t->escape = true;
			continue;
		}
		t->held[t->held_count++] = key;
	}
}

void tty_input_deliver(struct tty *t)
{
	size_t took;

	if (!t->held_count)
		return;
	took = t->user->input(t->dev, t->held, t->held_count);
	t->held_count -= took;
	memmove(t->held, t->held + took, t->held_count);
}

/*
 * From a terminal we read ahead of the guest so that Ctrl-A x works while the guest hangs; anything
 * else waits in its pipe or file until the guest wants it.
 */
static bool input_wanted(const struct tty *t)
{
	size_t limit = t->terminal ? TTY_HELD_SIZE : 1;

	return t->in >= 0 && !t->in_ended && t->held_count < limit;
}

void tty_input_read(struct tty *t)
{
	uint8_t buf[READ_SIZE];
	ssize_t n;

	if (!input_wanted(t))
		return;
	/* seccomp console: read -- what is typed */
	n = read(t->in, buf, min_u64(sizeof(buf), TTY_HELD_SIZE - t->held_count));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		/* The end, or a terminal that refuses because we are in the background by now. */
		t->in_ended = true;
		return;
	}
	filter(t, buf, (size_t)n);
	tty_input_deliver(t);
}

/* Reads on, or not. */
void tty_input_update(struct tty *t)
{
	bool active = input_wanted(t);

	if (t->in_waits && active != t->in_active)
		tty_event_enable(t, &t->in_ev, active);
	else if (!t->in_waits && active)
		tty_wake(t);
	t->in_active = active;
}

void tty_input_resume(struct tty *t)
{
	pthread_mutex_lock(&t->lock);
	if (!t->resume) {
		pthread_mutex_unlock(&t->lock);
		return;
	}
	t->resume = false;
	pthread_mutex_unlock(&t->lock);
	if (t->terminal && term_may_read(t->in)) {
		term_raw(t->in);
		t->in_ended = false;
	}
}
