/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_PROTECTION_H
#define NACRE_PROTECTION_H

#include <stdbool.h>

/*
 * How the guest's memory is kept from the host. Machine, memory and architecture code all ask, so
 * the names live on the lowest floor. PROTECTION_AUTO is only ever a wish: the machine layer
 * replaces it by one of the others before anything is built.
 */
enum protection {
	PROTECTION_NONE,    /* an ordinary VM */
	PROTECTION_PRIVATE, /* guest_memfd that this process cannot read, enforced by the kernel */
	PROTECTION_SOFT_REALM, /* the same, the guest sees the interface of an Arm CCA realm */
	PROTECTION_SOFT_SEV,   /* the same, the guest sees that of AMD SEV */
	PROTECTION_PKVM,       /* enforced against the host kernel too, by the hypervisor at EL2 */
	PROTECTION_AUTO,
	PROTECTION_MODES
};

/* How pages of mode private change sides. CONVERSION_AUTO is a wish, as PROTECTION_AUTO is. */
enum conversion {
	CONVERSION_AUTO,
	CONVERSION_SWAP,       /* memory slots are replaced (mem/slots.h) */
	CONVERSION_ATTRIBUTES, /* KVM's memory attributes (mem/attributes.h) */
	CONVERSION_KINDS
};

/* What becomes of a page that the guest uses as private or shared without having asked for it. */
enum implicit { IMPLICIT_DENY, IMPLICIT_ALLOW, IMPLICIT_KINDS };

extern const char *const conversion_names[CONVERSION_KINDS];
extern const char *const implicit_names[IMPLICIT_KINDS];

/* Indexed by enum protection: the names that the command line and the config file use. */
extern const char *const protection_names[PROTECTION_MODES];

/* The name of a mode; "unknown" for a value outside the enum. */
const char *protection_name(enum protection mode);

/* Private pages live in a guest_memfd, shared ones in a memfd. */
bool protection_has_gmem(enum protection mode);
/* Private and shared memory at two addresses of the guest that differ in one bit. */
bool protection_is_alias(enum protection mode);

#endif
