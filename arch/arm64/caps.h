/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ARM64_CAPS_H
#define NACRE_ARM64_CAPS_H

/* Why KVM here has no memory tags for guests, when it has none. A string of ours. */
const char *arm64_no_mte(void);

#endif
