/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_LOG_SINK_H
#define NACRE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/util/err.h"

/*
 * Where lines go without anybody waiting for it; for the log and for metrics. A FIFO, terminal or
 * socket takes a line at once or not at all. A regular file has a thread of its own that writes what
 * others leave in a buffer, since a slow disk makes write() wait whatever the flags. What finds no
 * room is lost, whole lines at a time, and counted.
 */
struct sink;

/*
 * Opens the path for appending: a FIFO or device that is there, or a file, which is made (0600) where
 * it is missing. Symbolic links are refused but under /dev. The descriptor, which does not block where
 * that means anything, or -errno with a sentence.
 */
int sink_open_path(const char *path, struct err *e);

/* The same, for lines. 0, or -errno with a sentence. */
int sink_open(struct sink **out, const char *path, struct err *e);

/* One line or several, with their line ends. Any thread; false when they are lost. */
bool sink_write(struct sink *s, const char *text, size_t len);

/* Waits at most that long until all is written. */
void sink_flush(struct sink *s, unsigned int timeout_ms);

/* Lines that were lost, those included that the thread could not write. Any thread. */
uint64_t sink_lost(const struct sink *s);

/* After a sink_flush of a second. Nobody uses it any more. Accepts NULL. */
void sink_free(struct sink *s);

#endif
