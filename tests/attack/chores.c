/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-chores: nacre, whose threads do what they else do by chance
 *
 * Which thread makes a heap grow, and whether one ever crashes, no test can choose from outside; but the
 * filters of system calls must be ready for it in each. Linked from all of nacre's objects, with some
 * functions wrapped: each thread, behind its filter and before its work, does the chore that NACRE_CHORE
 * names. tests/e2e/chores looks at what becomes of it.
 *
 *   calm		every role: memory, time, waiting; and the end of a run meets the one who told of it
 *   stopped		control and a vCPU wait, with a limit of time, and are stopped meanwhile
 *   ending		requests to a disk are under way when the machine ends
 *   ROLE:segv, ROLE:bus, ROLE:smash, ROLE:refused
 *			this role crashes, fails a check of the C library's, or makes a call that it may not
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "devices/blkfile.h"
#include "devices/term.h"
#include "mem/mem.h"
#include "vmm/sandbox/seccomp_impl.h"
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
static _Thread_local enum thread_role own_role = THREAD_CONTROL;

/* Each is waited for once for each time that it is posted. */
static sem_t wanted, given, done, armed, yielded;

/* A page where there is no memory, and one of a file that is too short for it. */
static volatile uint8_t *no_page, *no_file;

static void tell(const char *what)
{
	struct line l = { .n = 0 };

	line_put(&l, "chore: ");
	line_put(&l, seccomp_role_names[own_role]);
	line_put(&l, what);
	line_put(&l, "\n");
	line_write(&l, STDERR_FILENO);
}

static void wait_for(sem_t *s)
{
	while (sem_wait(s) && errno == EINTR)
		;
}

/* Until it is posted or a signal is handled, but with a limit, as those have that the kernel restarts. */
static void wait_a_while(sem_t *s)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	sem_timedwait(s, &end);
}

/* ---- calm: memory ---- */

/*
 * Pieces in the first thread's heap and in that of another one; below the size from which malloc maps
 * each by itself, which large is above. Half of them stay, so that either heap grows each time.
 */
#define PIECES	   32
#define PIECE_SIZE 100000u
#define LARGE_SIZE ((size_t)64 << 20)

static struct pieces {
	void *first[PIECES], *other[PIECES];
	void *large;
} pieces;

/* Of one thread, so that all are of one heap; each role takes its own. */
static void *others[THREAD_ROLES * PIECES];
static unsigned int others_used;

static void *plant_others(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = malloc(16);
	return NULL;
}

static bool allocates(enum thread_role role)
{
	return role == THREAD_CONTROL || role == THREAD_CONSOLE || role == THREAD_IO ||
	       role == THREAD_VCPU;
}

/* realloc stays in the heap that a piece is from. So any thread makes either heap grow. */
static void grow(void)
{
	unsigned int i;

	for (i = 0; i < PIECES; i++) {
		pieces.first[i] = realloc(pieces.first[i], PIECE_SIZE);
		pieces.other[i] = realloc(pieces.other[i], PIECE_SIZE);
	}
	pieces.large = malloc(LARGE_SIZE);
}

static void give_back(void)
{
	unsigned int i;

	if (allocates(own_role))
		free(pieces.large);
	for (i = PIECES; i-- > PIECES / 2;) {
		free(pieces.first[i]);
		free(pieces.other[i]);
	}
}

/* Before any filter: seeds of what will grow. */
static void plant(void)
{
	pthread_t thread;
	unsigned int i;

	if (!others_used && !pthread_create(&thread, NULL, plant_others, NULL))
		pthread_join(thread, NULL);
	for (i = 0; i < PIECES && others_used < ARRAY_SIZE(others); i++) {
		pieces.first[i] = malloc(16);
		pieces.other[i] = others[others_used++];
	}
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* As the balloon, for whose lists some C libraries ask how much memory there is. */
static void sort(void)
{
	static int numbers[4096];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		numbers[i] = (int)(i * 40503u % 4096u);
	qsort(numbers, ARRAY_SIZE(numbers), sizeof(numbers[0]), compare);
}

/* What the C library does by itself where the host's clock cannot be read without the kernel. */
static void read_clocks(void)
{
	struct timespec t;
	struct timeval v;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	syscall(SYS_gettimeofday, &v, NULL);
}

/* Whoever starts us waits meanwhile, and makes for us what we only give back, as a thread's end does. */
static void be_calm(void)
{
	if (own_role != THREAD_CONTROL) {
		sem_post(&wanted);
		wait_for(&given);
	}
	if (allocates(own_role)) {
		grow();
		pieces.large = realloc(pieces.large, 2 * LARGE_SIZE);
		read_clocks();
	}
	if (own_role == THREAD_IO)
		sort();
	give_back();
	tell(" is done");
	if (own_role != THREAD_CONTROL)
		sem_post(&done);
}

static void serve_calm(enum thread_role role)
{
	wait_for(&wanted);
	plant();
	if (!allocates(role))
		grow();
	sem_post(&given);
	wait_for(&done);
}

/* ---- stopped ---- */

/* One that waits for a moment, and what its stopper knows of it; shared with that process. */
static struct sleeper {
	sem_t waits, goes_on;
	pid_t thread;
} * sleepers;
enum { SLEEPERS = 2, TRIES = 1000 };

static void nap(void)
{
	usleep(10000);
}

/* Whether the thread is in that system call. */
static bool is_in(pid_t process, pid_t thread, long nr)
{
	char path[80], text[24] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", process, thread);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return strtol(text, NULL, 10) == nr && text[0] != 'r';
}

/*
 * As a debugger does it, or a control group that is frozen: without a signal. For SIGCONT the first thread
 * has a handler, and no wait goes on behind one.
 */
static void stop_once(pid_t thread)
{
	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL))
		return;
	if (!ptrace(PTRACE_INTERRUPT, thread, NULL, NULL))
		waitpid(thread, NULL, __WALL);
	ptrace(PTRACE_DETACH, thread, NULL, NULL);
}

/* In a process of its own, outside of all walls. */
static void stop_sleepers(pid_t process)
{
	int i, tries;

	for (i = 0; i < SLEEPERS; i++) {
		struct sleeper *s = &sleepers[i];

		sem_wait(&s->waits);
		for (tries = 0; tries < TRIES && !is_in(process, s->thread, SYS_restart_syscall);
			tries++) {
			nap();
			stop_once(s->thread);
		}
		dprintf(STDERR_FILENO, "chore: sleeper %d %s\n", i,
			tries < TRIES ? "waits on" : "was not stopped");
		sem_post(&s->goes_on);
	}
}

static int start_stopper(struct err *e)
{
	pid_t own = getpid(), pid;
	int i;

	sleepers = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < SLEEPERS; i++) {
		sem_init(&sleepers[i].waits, 1, 0);
		sem_init(&sleepers[i].goes_on, 1, 0);
	}
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		stop_sleepers(own);
		_exit(0);
	}
	/* Where a child may not trace its parent unless that says so. */
	prctl(PR_SET_PTRACER, pid);
	return pid < 0 ? err_sys(e, "fork") : 0;
}

static void be_stopped(void)
{
	struct sleeper *s = &sleepers[own_role == THREAD_VCPU];

	s->thread = (pid_t)syscall(SYS_gettid);
	sem_post(&s->waits);
	wait_a_while(&s->goes_on);
	tell(" went on");
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
		be_calm();
	else if (!strcmp(chore, "stopped") &&
		 (own_role == THREAD_CONTROL || own_role == THREAD_VCPU))
		be_stopped();
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
		serve_calm(role);
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
			r = start_stopper(e);
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
		plant();
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
