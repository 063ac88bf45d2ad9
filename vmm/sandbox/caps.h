/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SANDBOX_CAPS_H
#define NACRE_SANDBOX_CAPS_H

#include <stdbool.h>

#include "vmm/util/err.h"

/*
 * Takes all capabilities from the calling thread, and whatever could bring them back: the bounding and
 * the ambient set, and by no_new_privs what a program's file would give. keep_ipc_lock: that one stays,
 * where the thread has it. The bounding set is only for those to shrink who have CAP_SETPCAP; with
 * others no_new_privs does its work. Each thread has its own; one that it starts later inherits them.
 * 0, or -errno with a sentence.
 */
int caps_drop(bool keep_ipc_lock, struct err *e);

#endif
