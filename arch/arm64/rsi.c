/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arm64/rsi.h"

#include <nettle/sha2.h>
#include <string.h>

#include "vmm/util/bits.h"

/* ---- the realm ---- */

void rsi_realm_init(struct rsi_realm *r)
{
	memset(r->measurement, 0, sizeof(r->measurement));
	pthread_mutex_init(&r->lock, NULL);
}

void rsi_realm_destroy(struct rsi_realm *r)
{
	pthread_mutex_destroy(&r->lock);
}

void rsi_realm_measure(struct rsi_realm *r, const uint8_t *digest, size_t len)
{
	len = min_u64(len, RSI_MEASUREMENT_SIZE);
	memset(r->measurement[0], 0, RSI_MEASUREMENT_SIZE);
	memcpy(r->measurement[0], digest, len);
}

/* The new value is the hash of the old one, as long as a hash is, and of what the guest gave. */
static void extend(struct rsi_realm *r, unsigned int index, const void *value, size_t len)
{
	uint8_t *m = r->measurement[index];
	struct sha256_ctx hash;

	pthread_mutex_lock(&r->lock);
	sha256_init(&hash);
	sha256_update(&hash, SHA256_DIGEST_SIZE, m);
	sha256_update(&hash, len, value);
	sha256_digest(&hash, SHA256_DIGEST_SIZE, m);
	pthread_mutex_unlock(&r->lock);
}

/* ---- addresses ---- */

/* Of the protected half, whose addresses have the top bit clear. */
static bool is_protected(const struct rsi_context *ctx, uint64_t at, uint64_t len)
{
	uint64_t end = ctx->layout->alias_bit;

	return at < end && len <= end - at;
}

/* The region of RAM that holds the address; NULL, and where the next one starts, if none does. */
static const struct mem_region *find_ram(const struct rsi_context *ctx, uint64_t at, uint64_t *next)
{
	const struct arch_layout *l = ctx->layout;
	unsigned int i;

	*next = UINT64_MAX;
	for (i = 0; i < l->ram_count; i++) {
		if (at - l->ram[i].base.v < l->ram[i].size)
			return mem_find(ctx->mem, gpa(at), 1);
		if (at < l->ram[i].base.v)
			*next = min_u64(*next, l->ram[i].base.v);
	}
	return NULL;
}

/* The state of the address, and up to where in front of top it is the same. */
static uint64_t ripas(const struct rsi_context *ctx, uint64_t at, uint64_t top, uint64_t *same)
{
	uint64_t next, pages;
	const struct mem_region *r = find_ram(ctx, at, &next);
	bool shared;

	if (!r) {
		*same = min_u64(next, top);
		return RSI_RIPAS_EMPTY;
	}
	pages = (min_u64(top, r->base.v + r->size) - at) / PAGE_SIZE;
	pages = share_run(r->share, (at - r->base.v) / PAGE_SIZE, pages, &shared);
	*same = at + pages * PAGE_SIZE;
	return shared ? RSI_RIPAS_EMPTY : RSI_RIPAS_RAM;
}

/* Can the guest be given len bytes at that address of its private memory? They lie in one page. */
static bool is_private_ram(const struct rsi_context *ctx, uint64_t at, uint64_t align)
{
	uint64_t page = align_down(at, PAGE_SIZE), same;

	return is_aligned(at, align) && is_protected(ctx, at, align) &&
	       ripas(ctx, page, page + PAGE_SIZE, &same) == RSI_RIPAS_RAM;
}

/* ---- the calls ---- */

struct rsi_shape rsi_shape(uint64_t id)
{
	switch (id) {
	case RSI_VERSION:
		return (struct rsi_shape){ 1, 3 };
	case RSI_FEATURES:
		return (struct rsi_shape){ 1, 2 };
	case RSI_MEASUREMENT_READ:
		return (struct rsi_shape){ 1, 9 };
	case RSI_MEASUREMENT_EXTEND:
		return (struct rsi_shape){ 10, 1 };
	case RSI_TOKEN_INIT:
		return (struct rsi_shape){ 8, 2 };
	case RSI_TOKEN_CONTINUE:
		return (struct rsi_shape){ 3, 2 };
	case RSI_IPA_STATE_SET: /* x4, the flags, has no effect here */
		return (struct rsi_shape){ 3, 3 };
	case RSI_IPA_STATE_GET:
		return (struct rsi_shape){ 2, 3 };
	default:
		return (struct rsi_shape){ 1, 1 };
	}
}

static enum rsi_action answer(struct rsi_regs *r, uint64_t status)
{
	r->x[0] = status;
	return RSI_ANSWERED;
}

/* We know one revision: it is both the lower and the higher one of what we could offer. */
static enum rsi_action version(struct rsi_regs *r)
{
	uint64_t wanted = r->x[1];

	r->x[1] = r->x[2] = RSI_ABI_1_0;
	return answer(r, wanted == RSI_ABI_1_0 ? RSI_SUCCESS : RSI_ERROR_INPUT);
}

/* Revision 1.0 has no optional features: all registers read as zero. */
static enum rsi_action features(struct rsi_regs *r)
{
	r->x[1] = 0;
	return answer(r, RSI_SUCCESS);
}

static enum rsi_action measurement_read(struct rsi_realm *realm, struct rsi_regs *r)
{
	uint64_t index = r->x[1];

	if (index >= RSI_MEASUREMENTS)
		return answer(r, RSI_ERROR_INPUT);
	pthread_mutex_lock(&realm->lock);
	memcpy(&r->x[1], realm->measurement[index], RSI_MEASUREMENT_SIZE);
	pthread_mutex_unlock(&realm->lock);
	return answer(r, RSI_SUCCESS);
}

static enum rsi_action measurement_extend(struct rsi_realm *realm, struct rsi_regs *r)
{
	if (r->x[1] == 0 || r->x[1] >= RSI_MEASUREMENTS || r->x[2] > RSI_MEASUREMENT_SIZE)
		return answer(r, RSI_ERROR_INPUT);
	extend(realm, (unsigned int)r->x[1], &r->x[3], r->x[2]);
	return answer(r, RSI_SUCCESS);
}

/*
 * A token would say that hardware vouches for this realm, and none does. The specification's answer
 * when one cannot be made is ERROR_UNKNOWN; Linux hands that on as EINVAL to who asked for a report.
 */
static enum rsi_action token_init(struct rsi_regs *r)
{
	r->x[1] = 0;
	return answer(r, RSI_ERROR_UNKNOWN);
}

/* No token is ever under way. Wrong arguments are told first. */
static enum rsi_action token_continue(const struct rsi_context *ctx, struct rsi_regs *r)
{
	uint64_t offset = r->x[2], size = r->x[3];
	bool fits = offset < PAGE_SIZE && size <= PAGE_SIZE - offset;
	bool ok = fits && is_private_ram(ctx, r->x[1], PAGE_SIZE);

	r->x[1] = 0;
	return answer(r, ok ? RSI_ERROR_STATE : RSI_ERROR_INPUT);
}

static enum rsi_action state_set_answer(struct rsi_regs *r, uint64_t top, uint64_t response)
{
	r->x[1] = top;
	r->x[2] = response;
	return answer(r, RSI_SUCCESS);
}

/*
 * Progress is told by the top: a call ends where RAM does, and after RSI_CONVERT_MAX. Where there is no
 * RAM nothing changes; as the host may do, we refuse by the response, and the top stays.
 */
static enum rsi_action state_set(
	const struct rsi_context *ctx, struct rsi_regs *r, struct arch_convert *c)
{
	uint64_t base = r->x[1], top = r->x[2], state = r->x[3], next;
	const struct mem_region *ram;

	if (!is_aligned(base | top, PAGE_SIZE) || top <= base ||
		!is_protected(ctx, base, top - base) || state > RSI_RIPAS_RAM)
		return answer(r, RSI_ERROR_INPUT);
	ram = find_ram(ctx, base, &next);
	if (!ram)
		return state_set_answer(r, base, RSI_REJECT);
	top = min_u64(top, ram->base.v + ram->size);
	*c = (struct arch_convert){ gpa(base), min_u64(top - base, RSI_CONVERT_MAX),
		state == RSI_RIPAS_RAM };
	return RSI_CONVERT;
}

void rsi_converted(const struct arch_convert *c, int result, struct rsi_regs *r)
{
	if (result)
		state_set_answer(r, c->gpa.v, RSI_REJECT);
	else
		state_set_answer(r, c->gpa.v + c->len, RSI_ACCEPT);
}

static enum rsi_action state_get(const struct rsi_context *ctx, struct rsi_regs *r)
{
	uint64_t base = r->x[1], top = r->x[2];

	if (!is_aligned(base | top, PAGE_SIZE) || top <= base ||
		!is_protected(ctx, base, top - base))
		return answer(r, RSI_ERROR_INPUT);
	r->x[2] = ripas(ctx, base, top, &r->x[1]);
	return answer(r, RSI_SUCCESS);
}

/* Of the guest's structures: aligned, in the protected half, and RAM. */
static enum rsi_action copy(
	const struct rsi_context *ctx, struct rsi_regs *r, uint64_t align, enum rsi_action action)
{
	return is_private_ram(ctx, r->x[1], align) ? action : answer(r, RSI_ERROR_INPUT);
}

enum rsi_action rsi_decode(
	const struct rsi_context *ctx, uint64_t id, struct rsi_regs *r, struct arch_convert *c)
{
	switch (id) {
	case RSI_VERSION:
		return version(r);
	case RSI_FEATURES:
		return features(r);
	case RSI_MEASUREMENT_READ:
		return measurement_read(ctx->realm, r);
	case RSI_MEASUREMENT_EXTEND:
		return measurement_extend(ctx->realm, r);
	case RSI_TOKEN_INIT:
		return token_init(r);
	case RSI_TOKEN_CONTINUE:
		return token_continue(ctx, r);
	case RSI_REALM_CONFIG:
		return copy(ctx, r, PAGE_SIZE, RSI_COPY_CONFIG);
	case RSI_IPA_STATE_SET:
		return state_set(ctx, r, c);
	case RSI_IPA_STATE_GET:
		return state_get(ctx, r);
	case RSI_HOST_CALL:
		/*
		 * The host that is called for knows no function, whichever the structure names (which
		 * we cannot read, nor need to): its answer goes to the first register there.
		 */
		return copy(ctx, r, RSI_HOST_CALL_SIZE, RSI_COPY_HOST_CALL);
	default:
		return answer(r, RSI_NOT_SUPPORTED);
	}
}
