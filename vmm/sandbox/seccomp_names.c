/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/sandbox/seccomp.h"

/* Apart from the filters, since whoever reads options wants these alone. */
const char *const seccomp_mode_names[SECCOMP_MODES] = { "on", "audit", "off" };
