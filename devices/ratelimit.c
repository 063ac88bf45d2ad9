/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/ratelimit.h"

#include <errno.h>
#include <inttypes.h>

#include "vmm/util/bits.h"
#include "vmm/util/clock.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

/* Shorter waits would cost more in wake-ups than they are worth; see shortest_wait. */
#define WAIT_MIN_NS (10 * NS_PER_MS)
/* Sums of times and tokens stay far from 64 bits: 2^56 ns are more than two years. */
#define REFILL_MAX_MS (BIT(56) / NS_PER_MS)
#define TOKENS_MAX    BIT(62)

/* a * b / c without overflow between, cut off at 2^62. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c, bool up)
{
	unsigned __int128 v = ((unsigned __int128)a * b + (up ? c - 1 : 0)) / c;

	return v > TOKENS_MAX ? TOKENS_MAX : (uint64_t)v;
}

/* ---- one bucket ---- */

static int bucket_check(const struct bucket_config *cfg, const char *name, struct err *e)
{
	if (cfg->refill_ms > REFILL_MAX_MS)
		return err_set(e, -EINVAL,
			"rate limit for %s: refill time %" PRIu64 " ms is more than %" PRIu64, name,
			cfg->refill_ms, (uint64_t)REFILL_MAX_MS);
	if (cfg->size > TOKENS_MAX || cfg->one_time_burst > TOKENS_MAX)
		return err_set(e, -EINVAL, "rate limit for %s: more than %" PRIu64, name,
			(uint64_t)TOKENS_MAX);
	return 0;
}

static void bucket_set(struct bucket *b, const struct bucket_config *cfg, uint64_t now)
{
	*b = (struct bucket){ 0 };
	if (!cfg->size || !cfg->refill_ms)
		return;
	b->size = cfg->size;
	b->refill_ns = cfg->refill_ms * NS_PER_MS;
	b->burst = cfg->one_time_burst;
	b->budget = cfg->size;
	b->filled_ns = now;
}

/* Counts only the time that made whole tokens, so that many short looks lose nothing. */
static void bucket_fill(struct bucket *b, uint64_t now)
{
	uint64_t tokens;

	if (!b->size || now <= b->filled_ns)
		return;
	tokens = scale(now - b->filled_ns, b->size, b->refill_ns, false);
	if (tokens >= b->size - b->budget) {
		b->budget = b->size;
		b->filled_ns = now;
		return;
	}
	b->budget += tokens;
	b->filled_ns += scale(tokens, b->refill_ns, b->size, true);
}

/* 0: there is enough for n tokens. Else so many nanoseconds until there is. After bucket_fill. */
static uint64_t bucket_wait(const struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t need, until;

	if (!b->size || n <= b->burst || n - b->burst <= b->budget)
		return 0;
	/* More than it can ever hold is let through when it is full, and paid for later. */
	need = min_u64(n - b->burst, b->size);
	if (need <= b->budget)
		return 0;
	until = b->filled_ns + scale(need - b->budget, b->refill_ns, b->size, true);
	return until > now ? until - now : 0;
}

/* Takes n tokens that bucket_wait said are there; returns the time to pay for what is missing. */
static uint64_t bucket_spend(struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t debt, from_burst = min_u64(n, b->burst), from_budget;

	if (!b->size)
		return 0;
	b->burst -= from_burst;
	n -= from_burst;
	from_budget = min_u64(n, b->budget);
	b->budget -= from_budget;
	n -= from_budget;
	if (!n)
		return 0;
	debt = scale(n, b->refill_ns, b->size, true);
	/* Filling starts again when the debt is paid. */
	b->filled_ns = max_u64(b->filled_ns, now) + debt;
	return b->filled_ns - now;
}

static void bucket_give(struct bucket *b, uint64_t n)
{
	/* What came from the burst goes back to the budget, which holds no more than its size. */
	b->budget += min_u64(n, b->size - b->budget);
}

/* A bucket that fills faster than the shortest wait must be looked at more often. */
static uint64_t shortest_wait(const struct ratelimit *rl)
{
	uint64_t ns = WAIT_MIN_NS;

	if (rl->bandwidth.size)
		ns = min_u64(ns, rl->bandwidth.refill_ns);
	if (rl->ops.size)
		ns = min_u64(ns, rl->ops.refill_ns);
	return ns;
}

/* ---- both ---- */

bool ratelimit_limits(const struct ratelimit_config *cfg)
{
	return (cfg->bandwidth.size && cfg->bandwidth.refill_ms) ||
	       (cfg->ops.size && cfg->ops.refill_ms);
}

int ratelimit_check(const struct ratelimit_config *cfg, struct err *e)
{
	int r = bucket_check(&cfg->bandwidth, "bandwidth", e);

	return r ? r : bucket_check(&cfg->ops, "operations", e);
}

void ratelimit_set_at(struct ratelimit *rl, const struct ratelimit_config *cfg, uint64_t now_ns)
{
	bucket_set(&rl->bandwidth, &cfg->bandwidth, now_ns);
	bucket_set(&rl->ops, &cfg->ops, now_ns);
	rl->blocked_until_ns = 0;
}

bool ratelimit_take_at(
	struct ratelimit *rl, uint64_t ops, uint64_t bytes, uint64_t now_ns, uint64_t *wait_ns)
{
	uint64_t wait, debt;

	if (now_ns < rl->blocked_until_ns) {
		*wait_ns = rl->blocked_until_ns - now_ns;
		return false;
	}
	bucket_fill(&rl->ops, now_ns);
	bucket_fill(&rl->bandwidth, now_ns);
	wait = max_u64(
		bucket_wait(&rl->ops, ops, now_ns), bucket_wait(&rl->bandwidth, bytes, now_ns));
	if (wait) {
		*wait_ns = max_u64(wait, shortest_wait(rl));
		rl->blocked_until_ns = now_ns + *wait_ns;
		return false;
	}
	debt = max_u64(
		bucket_spend(&rl->ops, ops, now_ns), bucket_spend(&rl->bandwidth, bytes, now_ns));
	if (debt)
		rl->blocked_until_ns = now_ns + debt;
	return true;
}

void ratelimit_give(struct ratelimit *rl, uint64_t ops, uint64_t bytes)
{
	bucket_give(&rl->ops, ops);
	bucket_give(&rl->bandwidth, bytes);
}

/* ---- with clock and timer ---- */

int ratelimit_set(struct ratelimit *rl, const struct ratelimit_config *cfg, struct err *e)
{
	int r = ratelimit_check(cfg, e);

	if (r)
		return r;
	ratelimit_set_at(rl, cfg, clock_ns());
	/* Who waits for the old limits asks again, and waits for the new ones. */
	loop_timer_set(rl->timer, 0);
	return 0;
}

int ratelimit_init(struct ratelimit *rl, const struct ratelimit_config *cfg, struct loop *loop,
	loop_fn ready, void *arg, struct err *e)
{
	int r = ratelimit_check(cfg, e);

	*rl = (struct ratelimit){ 0 };
	if (r)
		return r;
	ratelimit_set_at(rl, cfg, clock_ns());
	return loop_add_timer(loop, ready, arg, &rl->timer, e);
}

void ratelimit_free(struct ratelimit *rl)
{
	loop_event_free(rl->timer);
	rl->timer = NULL;
}

bool ratelimit_take(struct ratelimit *rl, uint64_t ops, uint64_t bytes)
{
	uint64_t wait;

	if (ratelimit_take_at(rl, ops, bytes, clock_ns(), &wait))
		return true;
	rl->refused++;
	/*
	 * Always anew, also for a wait that goes on: the loop's clock is coarse, and its timer may
	 * have rung a little early. A microsecond more, because it cuts off what is below.
	 */
	loop_timer_set(rl->timer, wait / 1000 + 1);
	return false;
}
