/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_RATELIMIT_H
#define NACRE_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/util/err.h"
#include "vmm/util/loop.h"

/*
 * A rate limiter of two token buckets, one for bytes and one for operations, with the parameters
 * that Firecracker's users know: a bucket holds `size` tokens, starts full, and fills from empty in
 * `refill_ms`. `one_time_burst` tokens come on top, are spent first and never come back. A bucket
 * whose size or refill time is 0 does not limit.
 *
 * A request larger than the whole bucket passes, and what it took too much is waited for after it.
 * Other than there, a wait is as long as the missing tokens take, not a fixed 100 ms.
 */
struct bucket_config {
	uint64_t size;
	uint64_t one_time_burst;
	uint64_t refill_ms;
};

struct ratelimit_config {
	struct bucket_config bandwidth; /* bytes */
	struct bucket_config ops;
};

struct bucket {
	uint64_t size; /* 0: no limit */
	uint64_t refill_ns;
	uint64_t burst; /* what is left of one_time_burst */
	uint64_t budget;
	uint64_t filled_ns; /* up to when budget was filled; ahead of now while a debt is paid */
};

struct ratelimit {
	struct bucket bandwidth, ops;
	uint64_t blocked_until_ns;
	uint64_t refused; /* how often a take had to wait, for metrics */
	struct loop_event *timer;
};

/* ---- the pure part: the caller says what time it is, in nanoseconds that never go back ---- */

/* Whether either bucket limits anything. */
bool ratelimit_limits(const struct ratelimit_config *cfg);

/* 0, or -EINVAL with a sentence: refill time or tokens too large to count. */
int ratelimit_check(const struct ratelimit_config *cfg, struct err *e);

/* Starts anew, full. The timer is not touched. */
void ratelimit_set_at(struct ratelimit *rl, const struct ratelimit_config *cfg, uint64_t now_ns);

/*
 * Takes tokens from both buckets, or from none. True: go ahead. False: ask again in *wait_ns; until
 * then everything is refused, so that a small request does not overtake a large one.
 */
bool ratelimit_take_at(
	struct ratelimit *rl, uint64_t ops, uint64_t bytes, uint64_t now_ns, uint64_t *wait_ns);

/* ---- with the clock and a timer on a loop ---- */

/*
 * ready(arg) is called on the loop, without any lock, when a take that was refused may work. A
 * limiter needs the owner's lock around all calls but ratelimit_free.
 */
int ratelimit_init(struct ratelimit *rl, const struct ratelimit_config *cfg, struct loop *loop,
	loop_fn ready, void *arg, struct err *e);
/* Accepts a zeroed one. Waits for a ready() that is running: call it without the owner's lock. */
void ratelimit_free(struct ratelimit *rl);
/* New limits while it is in use. 0 or -EINVAL, and nothing changed. */
int ratelimit_set(struct ratelimit *rl, const struct ratelimit_config *cfg, struct err *e);

bool ratelimit_take(struct ratelimit *rl, uint64_t ops, uint64_t bytes);
/* Gives tokens back that a take got and that were not used. */
void ratelimit_give(struct ratelimit *rl, uint64_t ops, uint64_t bytes);

#endif
