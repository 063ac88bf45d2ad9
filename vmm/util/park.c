/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/park.h"

#include <stddef.h>

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
	/* A changer holds back until those whom it stopped are on their way again (park_start). */
	pthread_cond_broadcast(&p->changed);
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

void park_stop(struct park *p, struct park_member *self)
{
	struct park_member *m;

	pthread_mutex_lock(&p->lock);
	if (self)
		leave_locked(p, self);
	while (p->stopped)
		pthread_cond_wait(&p->changed, &p->lock);
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
	/*
	 * A guest that converts in a tight loop must not starve its other vCPUs: whoever was held
	 * gets back in before this member runs on, unless the next changer came first.
	 */
	while (self && p->waiting && !p->stopped)
		pthread_cond_wait(&p->changed, &p->lock);
	if (self)
		enter_locked(p, self);
	pthread_mutex_unlock(&p->lock);
}
