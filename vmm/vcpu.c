/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/exits.h"
#include "vmm/fault.h"
#include "vmm/kvm.h"
#include "vmm/util/fd.h"
#include "vmm/util/thread.h"
#include "vmm/vm.h"

#define KICK_SIGNAL SIGRTMIN

static _Thread_local struct vcpu *current;

static void on_kick(int signo)
{
	/* Empty: its arrival ends KVM_RUN. Other calls begin anew, as SECCOMP_RET_USER_NOTIF needs it. */
	(void)signo;
}

int vcpu_init_signal(struct err *e)
{
	struct sigaction sa = { .sa_handler = on_kick, .sa_flags = SA_RESTART };

	sigemptyset(&sa.sa_mask);
	return sigaction(KICK_SIGNAL, &sa, NULL) ? err_sys(e, "install the kick signal") : 0;
}

struct vcpu *vcpu_current(void)
{
	return current;
}

int vcpu_new(struct vcpu *v, struct vm *vm, uint32_t index, struct err *e)
{
	int size;
	void *p;

	*v = (struct vcpu){ .vm = vm, .index = index, .fd = -1 };
	size = kvm_run_size(vm->kvm, e);
	if (size < 0)
		return size;
	v->fd = kvm_create_vcpu(vm->fd, index, e);
	if (v->fd < 0)
		return v->fd;
	p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "map the run block of vCPU %u", index);
	v->run = p;
	v->run_size = (size_t)size;
	return 0;
}

/* seccomp control: munmap -- the run blocks of vCPUs */
void vcpu_free(struct vcpu *v)
{
	if (v->run)
		munmap(v->run, v->run_size);
	if (v->vm)
		fd_close(&v->fd);
	v->run = NULL;
}

/* seccomp control console vcpu: tgkill[0=OWN_PID] getpid -- pthread_kill, and gettid for the own thread
 * seccomp vcpu: gettid -- the same, when a vCPU ends the run */
void vcpu_kick(struct vcpu *v)
{
	if (!atomic_load(&v->listens))
		return;
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(v->thread, KICK_SIGNAL);
}

static void kick_member(void *arg)
{
	vcpu_kick(arg);
}

static void run_failed(struct vcpu *v, int code)
{
	const struct kvm_run *run = v->run;
	/* With any other error the exit's reason may be that of an earlier stay. */
	bool fault = run->exit_reason == ABI_EXIT_MEMORY_FAULT &&
		     (code == -EFAULT || code == -EHWPOISON);

	if (fault &&
		(vm_fault_shared(v->vm, v, gpa(fault_gpa(run))) || fault_is_conversion(v, code)))
		return;
	stats_count(&v->stats.failures);
	if (fault)
		vm_end(v->vm, VM_FAILED,
			"vCPU %u: KVM_RUN: %s at gpa 0x%llx (the host could not provide that page: "
			"it is out of memory, over a memory limit, or the page is broken; the host "
			"kernel's log may tell)",
			v->index, strerror(-code), fault_gpa(run));
	else if (code == -ENOMEM && v->vm->config.protection == PROTECTION_PKVM)
		vm_end(v->vm, VM_FAILED,
			"vCPU %u: KVM_RUN: %s (pinning the guest's memory: raise the memlock "
			"limit, or give the process CAP_IPC_LOCK)",
			v->index, strerror(-code));
	else
		vm_end(v->vm, VM_FAILED, "vCPU %u: KVM_RUN: %s", v->index, strerror(-code));
}

/* One stay in the guest and what came of it. */
static void vcpu_step(struct vcpu *v)
{
	int r;

	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (park_wanted(&v->vm->park)) {
		park_yield(&v->member);
		return;
	}
	if (vm_ended(v->vm))
		return;
	r = kvm_run(v->fd);
	if (r == 0) {
		v->refaults = 0;
		exit_handle(v);
	} else if (r != -EINTR && r != -EAGAIN) {
		run_failed(v, r);
	}
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	sigset_t kick;

	current = v;
	v->thread = pthread_self();
	atomic_store(&v->listens, true);
	sigemptyset(&kick);
	sigaddset(&kick, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	park_enter(&v->member);
	while (!vm_ended(v->vm))
		vcpu_step(v);
	park_quit(&v->member);
	return NULL;
}

int vcpu_start(struct vcpu *v, struct err *e)
{
	char name[16];
	int r;

	snprintf(name, sizeof(name), "vcpu%u", v->index);
	park_join(&v->vm->park, &v->member, kick_member, v);
	/* Started with the kick blocked: it opens that itself. */
	r = thread_start(&v->joinable, THREAD_VCPU, name, vcpu_main, v, e);
	if (r) {
		park_quit(&v->member);
		return r;
	}
	v->threaded = true;
	return 0;
}
