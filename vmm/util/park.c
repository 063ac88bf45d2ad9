/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/park.h"

#include <stddef.h>

/* How many changes in a row may find a member still held by the one before. */
#define HELD_MAX 8u

void park_init(struct park *p)
{
	*p = (struct park){ 0 };
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
}

void park_destroy(struct park *p)
{
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
}

void park_join(struct park *p, struct park_member *m, void (*kick)(void *), void *arg)
{
	*m = (struct park_member){ .park = p, .kick = kick, .arg = arg };
	pthread_mutex_lock(&p->lock);
	m->next = p->members;
	p->members = m;
	pthread_mutex_unlock(&p->lock);
}

void park_quit(struct park_member *m)
{
	struct park *p = m->park;
	struct park_member **link;

	if (!p)
		return;
	if (m->running)
		park_leave(m);
	pthread_mutex_lock(&p->lock);
	for (link = &p->members; *link; link = &(*link)->next) {
		if (*link == m) {
			*link = m->next;
			break;
		}
	}
	pthread_mutex_unlock(&p->lock);
	m->park = NULL;
}

static void enter_locked(struct park *p, struct park_member *m)
{
	p->waiting++;
	while (p->stopped)
		pthread_cond_wait(&p->changed, &p->lock);
	p->waiting--;
	p->running++;
	m->running = true;
	if (p->waiting == 0)
		pthread_cond_broadcast(&p->changed); /* for wait_for_turn */
}

static void leave_locked(struct park *p, struct park_member *m)
{
	p->running--;
	m->running = false;
	if (p->stopped && p->running == 0)
		pthread_cond_broadcast(&p->changed);
}

void park_enter(struct park_member *m)
{
	struct park *p = m->park;

	pthread_mutex_lock(&p->lock);
	enter_locked(p, m);
	pthread_mutex_unlock(&p->lock);
}

void park_leave(struct park_member *m)
{
	struct park *p = m->park;

	pthread_mutex_lock(&p->lock);
	leave_locked(p, m);
	pthread_mutex_unlock(&p->lock);
}

void park_yield(struct park_member *m)
{
	struct park *p = m->park;

	pthread_mutex_lock(&p->lock);
	leave_locked(p, m);
	enter_locked(p, m);
	pthread_mutex_unlock(&p->lock);
}

/*
 * Waits for other changers, in the order in which they came: who has just changed the world must
 * not take it again before those who wait have woken up. A guest that converts in a tight loop must
 * not starve its other vCPUs either, whose waking up may take longer than a conversion: so now and
 * then a changer also waits until whoever is held got back in. Not each time, for that would be
 * most of what a conversion costs.
 */
static void wait_for_turn(struct park *p)
{
	unsigned int turn = p->next_turn++;
	bool patient;

	p->held = p->waiting ? p->held + 1 : 0;
	patient = p->held >= HELD_MAX;
	while (p->stopped || p->turn != turn || (patient && p->waiting))
		pthread_cond_wait(&p->changed, &p->lock);
	p->turn++;
	if (patient)
		p->held = 0;
}

void park_stop(struct park *p, struct park_member *self)
{
	struct park_member *m;

	pthread_mutex_lock(&p->lock);
	if (self)
		leave_locked(p, self);
	wait_for_turn(p);
	atomic_store_explicit(&p->stopped, true, memory_order_release);
	for (m = p->members; m; m = m->next)
		if (m->running && m->kick)
			m->kick(m->arg);
	while (p->running)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void park_start(struct park *p, struct park_member *self)
{
	pthread_mutex_lock(&p->lock);
	atomic_store_explicit(&p->stopped, false, memory_order_release);
	pthread_cond_broadcast(&p->changed);
	if (self)
		enter_locked(p, self);
	pthread_mutex_unlock(&p->lock);
}
