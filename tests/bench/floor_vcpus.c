/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/floor_vcpus.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vmm/kvm.h"

#define KICK SIGUSR1

static void on_kick(int signo)
{
	/* Its arrival ends KVM_RUN. */
	(void)signo;
}

int floor_vcpus_make(struct floor_vcpus *s, int kvm, int vm, unsigned int count, struct err *e)
{
	int size = kvm_run_size(kvm, e);
	struct floor_vcpu *v;

	if (!count || count > FLOOR_VCPUS_MAX)
		return err_set(
			e, -EINVAL, "%u vCPUs: 1 to %u are possible", count, FLOOR_VCPUS_MAX);
	*s = (struct floor_vcpus){ .count = count };
	park_init(&s->park);
	for (v = s->vcpu; v < s->vcpu + count && size >= 0; v++) {
		v->all = s;
		v->fd = kvm_create_vcpu(vm, (unsigned int)(v - s->vcpu), e);
		if (v->fd < 0)
			return v->fd;
		v->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
		if (v->run == MAP_FAILED)
			return err_sys(e, "map the run block");
	}
	return size < 0 ? size : 0;
}

static void kick(void *arg)
{
	struct floor_vcpu *v = arg;

	if (!v->listens)
		return;
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(v->thread, KICK);
}

static void *run(void *arg)
{
	struct floor_vcpu *v = arg;
	struct floor_vcpus *s = v->all;

	park_enter(&v->member);
	while (!s->ended) {
		int r;

		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (park_wanted(&s->park))
			park_yield(&v->member);
		r = kvm_run(v->fd);
		if (r && r != -EINTR && r != -EAGAIN) {
			fprintf(stderr, "floor_convert: KVM_RUN: error %d\n", -r);
			exit(77);
		}
		if (!r)
			s->on_exit(s->ctx, v->fd, v->run);
	}
	return NULL;
}

int floor_vcpus_run(struct floor_vcpus *s, void (*on_exit)(void *, int, struct kvm_run *),
	void *ctx, struct err *e)
{
	struct sigaction sa = { .sa_handler = on_kick };
	unsigned int i;
	int r;

	s->on_exit = on_exit;
	s->ctx = ctx;
	sigaction(KICK, &sa, NULL);
	for (i = s->count; i-- > 0;) {
		park_join(&s->park, &s->vcpu[i].member, kick, &s->vcpu[i]);
		r = pthread_create(&s->vcpu[i].thread, NULL, run, &s->vcpu[i]);
		if (r)
			return err_set(e, -r, "start the thread of vCPU %u: error %d", i, r);
		s->vcpu[i].listens = true;
	}
	pthread_join(s->vcpu[0].thread, NULL);
	return 0;
}

void floor_end(struct floor_vcpus *s)
{
	s->ended = true;
}

void floor_park(struct floor_vcpus *s)
{
	park_stop(&s->park, &s->vcpu[0].member);
}

void floor_release(struct floor_vcpus *s)
{
	park_start(&s->park, &s->vcpu[0].member);
}
