/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ARM64_RSI_H
#define NACRE_ARM64_RSI_H

#include <pthread.h>
#include <stdint.h>

#include "arch/arch.h"
#include "mem/mem.h"

/*
 * The calls of a `soft-realm` guest: the Realm Services Interface 1.0 (Arm DEN0137, Realm Management
 * Monitor), by SMC. Here we are both the monitor and the host that the specification speaks of.
 * Pure functions: registers in; registers, a conversion or bytes for the guest's memory out.
 *
 * What the specification calls RIPAS is our share map: RAM is a private page, EMPTY a shared one or
 * a protected address with no RAM. Pages are never destroyed behind the guest's back, so the state
 * DESTROYED does not occur and the flag that allows a change from it has no effect.
 */
#define RSI_VERSION	       0xC4000190u
#define RSI_FEATURES	       0xC4000191u
#define RSI_MEASUREMENT_READ   0xC4000192u
#define RSI_MEASUREMENT_EXTEND 0xC4000193u
#define RSI_TOKEN_INIT	       0xC4000194u
#define RSI_TOKEN_CONTINUE     0xC4000195u
#define RSI_REALM_CONFIG       0xC4000196u
#define RSI_IPA_STATE_SET      0xC4000197u
#define RSI_IPA_STATE_GET      0xC4000198u
#define RSI_HOST_CALL	       0xC4000199u
/* The numbers set aside for the interface. We use the last one ourselves: copier.h. */
#define RSI_FIRST	0xC4000190u
#define RSI_COUNT	32u
#define RSI_COPIER_DONE (RSI_FIRST + RSI_COUNT - 1)

#define RSI_SUCCESS	  UINT64_C(0)
#define RSI_ERROR_INPUT	  UINT64_C(1)
#define RSI_ERROR_STATE	  UINT64_C(2)
#define RSI_ERROR_UNKNOWN UINT64_C(4)
#define RSI_NOT_SUPPORTED ((uint64_t)-1) /* as the calling convention says, for any number */

#define RSI_RIPAS_EMPTY UINT64_C(0)
#define RSI_RIPAS_RAM	UINT64_C(1)
#define RSI_ACCEPT	UINT64_C(0)
#define RSI_REJECT	UINT64_C(1)

#define RSI_ABI_1_0 UINT64_C(0x10000)

/* One conversion at most: others wait for it. The guest asks again for the rest. */
#define RSI_CONVERT_MAX (UINT64_C(64) << 20)

/* Index 0 is the initial measurement, which is ours to set; the guest extends the others. */
#define RSI_MEASUREMENTS     5u
#define RSI_MEASUREMENT_SIZE 64u
#define RSI_HASH_SHA_256     UINT64_C(0) /* the one algorithm that we offer */

/*
 * What belongs to the realm and not to one of its vCPUs. Two of these may extend a measurement at
 * the same time: hence a lock of its own. Nothing is called with it held but the hash.
 */
struct rsi_realm {
	pthread_mutex_t lock;
	uint8_t measurement[RSI_MEASUREMENTS][RSI_MEASUREMENT_SIZE];
};

/* All measurements zero. */
void rsi_realm_init(struct rsi_realm *r);
void rsi_realm_destroy(struct rsi_realm *r);
/* The initial measurement, at most 64 bytes, before the first vCPU runs. */
void rsi_realm_measure(struct rsi_realm *r, const uint8_t *digest, size_t len);

/* The structure that REALM_CONFIG fills in: a page, zero but for these. */
struct rsi_config {
	uint64_t ipa_bits;
	uint64_t hash;
	uint8_t zero1[0x200 - 16];
	uint8_t personalisation[64]; /* told apart by nothing but the measurement: all zero */
	uint8_t zero2[0x1000 - 0x240];
};
_Static_assert(sizeof(struct rsi_config) == 4096, "RsiRealmConfig is one granule");

/* The part of the structure of HOST_CALL that we answer in: the first of its registers. */
#define RSI_HOST_CALL_SIZE 0x100u
#define RSI_HOST_CALL_GPR0 8u

struct rsi_regs {
	uint64_t x[11];
};

/* How many registers a call reads, from x1 on, and how many its answer writes, from x0 on. */
struct rsi_shape {
	unsigned int args, results;
};
struct rsi_shape rsi_shape(uint64_t id);

struct rsi_context {
	const struct arch_layout *layout;
	const struct mem *mem; /* RAM regions with a share map */
	struct rsi_realm *realm;
};

enum rsi_action {
	RSI_ANSWERED,	    /* regs hold the answer */
	RSI_CONVERT,	    /* carry out *c, then rsi_converted */
	RSI_COPY_CONFIG,    /* put the realm's rsi_config at x1, then answer RSI_SUCCESS */
	RSI_COPY_HOST_CALL, /* put RSI_NOT_SUPPORTED at x1 + RSI_HOST_CALL_GPR0, then the same */
};

/*
 * Decodes call `id` with arguments in regs; where it is answered, regs hold the results.
 * Called by a running member (mem is read without a lock).
 */
enum rsi_action rsi_decode(
	const struct rsi_context *ctx, uint64_t id, struct rsi_regs *regs, struct arch_convert *c);

/* The answer to a conversion that came from rsi_decode; result is 0 or -errno. */
void rsi_converted(const struct arch_convert *c, int result, struct rsi_regs *regs);

#endif
