/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TTY_H
#define NACRE_TTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/ratelimit.h"
#include "vmm/util/err.h"
#include "vmm/util/loop.h"

/*
 * The host end of a console: usually our standard input and output.
 *
 *   output  device -> tty_write -> ring (64 KiB) -> loop -> descriptor
 *   input   descriptor -> loop -> keys for us taken out -> held bytes -> device
 *
 * Nothing here waits for the other side. A full ring refuses bytes until the reader takes some; a
 * device that takes no more input makes us stop reading. When the reader of the output is gone,
 * output is thrown away from then on. The program must ignore SIGPIPE. Two kinds of output are dropped
 * and counted instead: what exceeds the limit, and, if that was asked for, what a reader is too slow for.
 *
 * On a terminal, Ctrl-A is a key for us: x asks to quit, a sends one Ctrl-A, h prints help. It works
 * even when the guest reads nothing, until about 4 KiB of typing ahead.
 *
 * Threads: input state belongs to the loop's thread, the ring to the tty's mutex. The mutex is never
 * held while the device is called, so a device may call us with its own mutex held.
 */
struct tty;

struct tty_config {
	/*
	 * No member of a park: a write to a file takes as long as its disk does, and the world cannot
	 * stop meanwhile. Nothing here touches guest memory.
	 */
	struct loop *loop;
	int in_fd;		    /* borrowed, -1 for none */
	int out_fd;		    /* borrowed, -1 for none (output is thrown away) */
	bool drop_late;		    /* what a reader is too slow for is dropped; files have none */
	struct bucket_config limit; /* of the bytes of output; what exceeds it is dropped */
	void (*quit)(void *ctx);    /* Ctrl-A x; on the loop's thread; may be NULL */
	void *ctx;
};

/* The device at the other end. Both are called without any lock of the tty. */
struct tty_user {
	/* Takes up to n bytes and says how many. Less than n: it calls tty_input_ready later. */
	size_t (*input)(void *dev, const uint8_t *data, size_t n);
	/*
	 * After tty_can_take said no: half of the ring is free again. With a second device it may
	 * have been the other one that asked.
	 */
	void (*drained)(void *dev);
};

/*
 * Opens both descriptors anew, so that we can make them non-blocking. A descriptor that is closed or
 * open for the wrong direction counts as none. Returns 0 or -errno.
 */
int tty_new(struct tty **out, const struct tty_config *cfg, struct err *e);

/*
 * Joins the device to the tty, puts a terminal into raw mode and begins to read. One device at a
 * time; dev must live until tty_detach, which waits for a callback that is running.
 */
int tty_attach(struct tty *t, const struct tty_user *user, void *dev, struct err *e);
void tty_detach(struct tty *t);

/*
 * A second device that only writes: its user's drained() is called, input() never. Not while the
 * first one is attached, neither the joining nor the leaving.
 */
void tty_join_output(struct tty *t, const struct tty_user *user, void *dev);
void tty_leave_output(struct tty *t);

/*
 * Restores the terminal and closes. Accepts NULL. Output still in the ring is lost: call tty_drain
 * before. The loop must still exist; detach (serial_free) comes first.
 */
void tty_free(struct tty *t);

/* Any thread. Puts bytes into the ring and returns how many fitted; dropped ones count as such. */
size_t tty_write(struct tty *t, const void *data, size_t n);
/* Any thread. Whether n bytes would fit now; if not, the user's drained() comes later. */
bool tty_can_take(struct tty *t, size_t n);

/* Any thread. Bytes of output that were dropped: beyond the limit; for want of a reader (drop_late). */
struct tty_dropped {
	uint64_t limited, late;
};
struct tty_dropped tty_read_dropped(struct tty *t);

/* Any thread. The size of the terminal that is written to; false if it is none, or has no size. */
bool tty_size(const struct tty *t, uint16_t *cols, uint16_t *rows);

/* Any thread. The device can take input again. */
void tty_input_ready(struct tty *t);

/*
 * After SIGCONT, from a normal thread (not the signal handler): raw mode and reading start again
 * when we are in the foreground now.
 */
void tty_resume(struct tty *t);

/*
 * At the end of the run, when nobody calls tty_write any more: writes what is left of the output
 * from the calling thread, whether or not the loop still runs. Waits up to timeout_ms for a
 * descriptor that takes nothing (0: writes what goes at once; -1: waits for ever). Returns 0 when
 * nothing is left, else -ETIMEDOUT; with drop_late, what is left then is dropped.
 */
int tty_drain(struct tty *t, int timeout_ms);

/* Restores all terminals of the process. Async-signal-safe, for fatal signals and crash hooks. */
void tty_crash_restore(void);

#endif
