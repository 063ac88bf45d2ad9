/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-chores: nacre, whose threads do what they else do by chance
 *
 * Which thread makes a heap grow, and whether one ever crashes, no test can choose from outside; but the
 * filters of system calls must be ready for it in each. Linked from all of nacre's objects, with some
 * functions wrapped: each thread, behind its filter and before its work, does the chore that NACRE_CHORE
 * names. tests/e2e/chores looks at what becomes of it.
 *
 *   calm		every role gives memory back; who does many things makes heaps grow and reads clocks; and
 *			the end of a run meets the one who told of it
 *   stopped		who does many things waits, with a limit of time, and is stopped meanwhile
 *   ending		requests to a disk are under way when the machine ends
 *   ROLE:segv, ROLE:bus, ROLE:smash, ROLE:refused
 *			this role crashes, fails a check of the C library's, or makes a call that it may not
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "devices/blkfile.h"
#include "devices/term.h"
#include "mem/mem.h"
#include "tests/attack/chores.h"
#include "vmm/util/bits.h"
#include "vmm/util/loop.h"

struct io_uring;

int __real_thread_start(pthread_t *out, enum thread_role role, const char *name,
	void *(*fn)(void *), void *arg, struct err *e);
int __wrap_thread_start(pthread_t *out, enum thread_role role, const char *name,
	void *(*fn)(void *), void *arg, struct err *e);
int __real_seccomp_prepare(const struct seccomp_plan *plan, struct err *e);
int __wrap_seccomp_prepare(const struct seccomp_plan *plan, struct err *e);
int __real_seccomp_seal(struct err *e);
int __wrap_seccomp_seal(struct err *e);
int __real_mem_new(struct mem **out, struct slot_table *table, struct err *e);
int __wrap_mem_new(struct mem **out, struct slot_table *table, struct err *e);
void __real_loop_stop(struct loop *l);
void __wrap_loop_stop(struct loop *l);
int __real_sched_yield(void);
int __wrap_sched_yield(void);
int __real_blkfile_fd(
	const struct blkfile *f, uint64_t off, const struct iovec *iov, unsigned int count);
int __wrap_blkfile_fd(
	const struct blkfile *f, uint64_t off, const struct iovec *iov, unsigned int count);
int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned int count);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int count);
void __stack_chk_fail(void);

static const char *chore;
static bool is_sealed;
_Thread_local enum thread_role own_role = THREAD_CONTROL;

/* Each is waited for once for each time that it is posted. */
static sem_t armed, yielded;

/* A page where there is no memory, and one of a file that is too short for it. */
static volatile uint8_t *no_page, *no_file;

void tell(const char *what)
{
	struct line l = { .n = 0 };

	line_put(&l, "chore: ");
	line_put(&l, seccomp_role_names[own_role]);
	line_put(&l, what);
	line_put(&l, "\n");
	line_write(&l, STDERR_FILENO);
}

void wait_for(sem_t *s)
{
	while (sem_wait(s) && errno == EINTR)
		;
}

void wait_a_while(sem_t *s)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	sem_timedwait(s, &end);
}

/* ---- ending ---- */

/* What comes from it comes when we say so. */
static int late[2] = { -1, -1 };

int __wrap_blkfile_fd(
	const struct blkfile *f, uint64_t off, const struct iovec *iov, unsigned int count)
{
	if (strcmp(chore, "ending") != 0)
		return __real_blkfile_fd(f, off, iov, count);
	tell(" asks");
	return late[0];
}

/* The one that waits for what is under way at the end; and an engine's trial, before it has begun. */
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int count)
{
	if (is_sealed && !strcmp(chore, "ending")) {
		tell(" waits for what was asked");
		if (write(late[1], "late", 4) != 4)
			tell(" cannot answer");
	}
	return __real_io_uring_submit_and_wait(ring, count);
}

/* ---- the deadly ones ---- */

static void be_deadly(const char *how)
{
	/* When all threads run, and the terminal is the guest's. */
	if (own_role != THREAD_CONTROL)
		wait_for(&armed);
	if (!strcmp(how, "segv"))
		(void)*no_page;
	else if (!strcmp(how, "bus"))
		(void)*no_file;
	else if (!strcmp(how, "smash"))
		__stack_chk_fail();
	else
		syscall(SYS_getppid);
	tell(" lives on");
}

/* In runs that record which rules are used nothing is refused: then by a filter of our own. */
static int refuse(struct err *e)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };
	int r = seccomp_report_init(e);

	if (!r && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog)))
		r = err_sys(e, "a filter of the test's");
	return r;
}

/* ---- where they are done ---- */

static void do_chore(void)
{
	const char *name = seccomp_role_names[own_role];
	size_t n = strlen(name);

	if (!strcmp(chore, "calm"))
		calm_do();
	else if (!strcmp(chore, "stopped") && does_many_things(own_role))
		stopped_do();
	else if (!strncmp(chore, name, n) && chore[n] == ':')
		be_deadly(chore + n + 1);
}

struct work {
	enum thread_role role;
	void *(*fn)(void *);
	void *arg;
};

static void *chore_first(void *arg)
{
	struct work w = *(struct work *)arg;

	own_role = w.role;
	do_chore();
	return w.fn ? w.fn(w.arg) : NULL;
}

int __wrap_thread_start(pthread_t *out, enum thread_role role, const char *name,
	void *(*fn)(void *), void *arg, struct err *e)
{
	struct work *w = malloc(sizeof(*w)); /* for good: to free it would be a chore */
	int r;

	if (role == THREAD_WATCH || !w)
		return __real_thread_start(out, role, name, fn, arg, e);
	*w = (struct work){ role, fn, arg };
	r = __real_thread_start(out, role, name, chore_first, w, e);
	if (!r && !strcmp(chore, "calm"))
		calm_serve(role);
	return r;
}

static void *page_of(int fd, int prot)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	return mmap(NULL, PAGE_SIZE, prot, flags, fd, 0);
}

/* The first of all, of which there may be two. */
int __wrap_seccomp_prepare(const struct seccomp_plan *plan, struct err *e)
{
	int ends[2], r = 0;

	if (!chore) {
		chore = getenv("NACRE_CHORE");
		chore = chore ? chore : "none";
		no_page = page_of(-1, PROT_NONE);
		no_file = page_of(memfd_create("chore", MFD_CLOEXEC), PROT_READ);
		/* Something that a crash puts back, beside the terminal. */
		if (pipe(ends) || pipe(late) || term_nonblock(ends[0]))
			r = err_sys(e, "a pipe of the test's");
		if (!r && !strcmp(chore, "stopped"))
			r = stopped_start(e);
		if (!r && plan->mode == SECCOMP_AUDIT && strstr(chore, ":refused"))
			r = refuse(e);
	}
	return r ? r : __real_seccomp_prepare(plan, e);
}

/* As a thread that fills memory, which only large machines have. */
int __wrap_mem_new(struct mem **out, struct slot_table *table, struct err *e)
{
	pthread_t thread;
	int r = __wrap_thread_start(&thread, THREAD_FILL, "nacre-fill", NULL, NULL, e);

	if (r)
		return r;
	pthread_detach(thread);
	return __real_mem_new(out, table, e);
}

int __wrap_seccomp_seal(struct err *e)
{
	int r;

	if (!strcmp(chore, "calm"))
		calm_plant();
	r = __real_seccomp_seal(e);
	is_sealed = !r;
	if (!r && strchr(chore, ':'))
		sem_post(&armed);
	if (!r)
		do_chore();
	return r;
}

/* A vCPU that ends the run is not yet through with telling when control looks. */
void __wrap_loop_stop(struct loop *l)
{
	__real_loop_stop(l);
	if (own_role == THREAD_VCPU && !strcmp(chore, "calm"))
		wait_a_while(&yielded);
}

int __wrap_sched_yield(void)
{
	int r = __real_sched_yield();

	sem_post(&yielded);
	return r;
}
