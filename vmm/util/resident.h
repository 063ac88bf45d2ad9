/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_RESIDENT_H
#define NACRE_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How much memory this process has right now, in bytes, as /proc/self/statm says. That file is opened
 * before the sandbox stands, behind which there is no /proc, and read as often as needed, by any thread.
 */
int resident_open(void); /* to be closed; -1: there is none */
bool resident_read(int fd, uint64_t *bytes);

#endif
