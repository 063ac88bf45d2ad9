/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Trial runs: what the filters would refuse is told, once for each call of a role, and goes on.
 *
 * The kernel can ask a descriptor what shall become of a call (seccomp_unotify(2), Linux 5.5). Each
 * thread's filter has such a descriptor, and one thread without filter reads them all and says: go on.
 * It must take no lock and no memory: who is asked about may hold any lock at that moment. So it
 * writes to standard error itself, and looks for new descriptors now and then instead of being woken,
 * which would be a system call of a thread that has entered its filter already.
 *
 * Built with RECORD=1, calls that are allowed are asked about too, and the rules that were used are
 * written to the file that NACRE_SECCOMP_RECORD names: tests/e2e/seccomp-rules finds those that
 * nobody needs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/seccomp_impl.h"
#include "vmm/util/bits.h"

#define THREADS_MAX 1024
#define LOOK_MS	    5
#define SEEN_MAX    256

#ifdef NACRE_RECORD
#define RECORD 1
#else
#define RECORD 0
#endif

struct watched {
	int fd;
	enum thread_role role;
	char name[16];
	atomic_bool ready;
};

struct seen {
	enum thread_role role;
	int nr;
	unsigned long request;
};

static struct watched watched[THREADS_MAX];
static atomic_uint watched_count;
/* Of the watching thread alone. */
static struct pollfd polled[THREADS_MAX];
static struct seen seen[SEEN_MAX];
static unsigned int seen_count;
static int record_fd = -1;

static bool is_new(const struct watched *w, const struct seccomp_data *d)
{
	struct seen s = { w->role, d->nr, d->nr == SYS_ioctl ? (unsigned long)d->args[1] : 0 };
	unsigned int i;

	for (i = 0; i < seen_count; i++)
		if (seen[i].role == s.role && seen[i].nr == s.nr && seen[i].request == s.request)
			return false;
	if (seen_count < SEEN_MAX)
		seen[seen_count++] = s;
	return true;
}

static void tell(const struct watched *w, const struct seccomp_data *d)
{
	struct line l = { .n = 0 };
	unsigned long args[6];
	unsigned int i;

	if (!is_new(w, d))
		return;
	for (i = 0; i < 6; i++)
		args[i] = (unsigned long)d->args[i];
	line_put(&l, "nacre: audit: thread ");
	line_put(&l, w->name);
	line_put(&l, " (role ");
	line_put(&l, seccomp_role_names[w->role]);
	line_put(&l, ") would be refused the system call ");
	line_put_call(&l, d->nr, args);
	line_put(&l, "\n");
	line_write(&l, record_fd >= 0 ? record_fd : STDERR_FILENO);
}

#if RECORD
static bool used[4096];

static void tell_rule(const struct rule *r)
{
	struct line l = { .n = 0 };

	line_put(&l, r->text);
	line_put(&l, "\n");
	line_write(&l, record_fd);
}

static bool is_match(const struct rule *r, const struct watched *w, const struct seccomp_data *d)
{
	unsigned int i;

	if (r->role != w->role || r->nr != d->nr || (r->rights & ~seccomp_rights()))
		return false;
	for (i = 0; i < RULE_CONDS; i++)
		if (r->conds[i].mask &&
			(d->args[r->conds[i].arg] & r->conds[i].mask) !=
				(r->conds[i].value == OWN_PID ? (unsigned long)getpid()
							      : r->conds[i].value))
			return false;
	return true;
}

/* Whether a rule allows it, or is there for it; *error is what it shall answer. */
static bool record(const struct watched *w, const struct seccomp_data *d, int *error)
{
	bool found = false;
	unsigned int i;

	for (i = 0; seccomp_rules[i].text; i++) {
		if (!is_match(&seccomp_rules[i], w, d))
			continue;
		found = true;
		*error = -seccomp_rules[i].error;
		if (!used[i])
			tell_rule(&seccomp_rules[i]);
		used[i] = true;
	}
	return found;
}

/*
 * vCPUs are not asked about KVM_RUN, which is most of what they call, and which each of them does: guests
 * would take too long. Returns the filter with that in front, or NULL.
 */
static struct sock_filter *let_run(const struct sock_filter *code, unsigned short *len)
{
	const struct sock_filter front[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_filter *both = malloc(sizeof(front) + *len * sizeof(*code));
	unsigned int i;

	if (!both)
		return NULL;
	memcpy(both, front, sizeof(front));
	memcpy(both + ARRAY_SIZE(front), code, *len * sizeof(*code));
	*len = (unsigned short)(*len + ARRAY_SIZE(front));
	for (i = 0; seccomp_rules[i].text; i++)
		if (seccomp_rules[i].role == THREAD_VCPU &&
			strstr(seccomp_rules[i].text, ":KVM_RUN "))
			tell_rule(&seccomp_rules[i]);
	return both;
}
#else
static struct sock_filter *let_run(struct sock_filter *code, unsigned short *len)
{
	(void)len;
	return code;
}

static bool record(const struct watched *w, const struct seccomp_data *d, int *error)
{
	(void)w;
	(void)d;
	(void)error;
	return false;
}
#endif

static void answer(const struct watched *w)
{
	struct seccomp_notif ask = { 0 };
	struct seccomp_notif_resp say = { 0 };
	bool known;

	/* ENOENT: it was interrupted or killed meanwhile. */
	if (ioctl(w->fd, SECCOMP_IOCTL_NOTIF_RECV, &ask))
		return;
	known = record(w, &ask.data, &say.error);
	say.id = ask.id;
	say.flags = say.error ? 0 : (uint32_t)SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (ioctl(w->fd, SECCOMP_IOCTL_NOTIF_SEND, &say))
		return;
	if (!known)
		tell(w, &ask.data);
}

static void *watch(void *arg)
{
	unsigned int i, n;

	(void)arg;
	for (;;) {
		/* It counts those, too, that found no room. */
		n = atomic_load(&watched_count);
		n = n < THREADS_MAX ? n : THREADS_MAX;
		for (i = 0; i < n; i++) {
			bool gone = polled[i].revents & (POLLHUP | POLLERR | POLLNVAL);

			if (polled[i].revents & POLLIN)
				answer(&watched[i]);
			polled[i].events = POLLIN;
			polled[i].revents = 0;
			/* Nobody has that filter any more: leave it out. */
			if (gone || !atomic_load(&watched[i].ready))
				polled[i].fd = -1;
			else if (polled[i].fd != -2)
				polled[i].fd = watched[i].fd;
			if (gone)
				polled[i].fd = -2;
		}
		poll(polled, n, LOOK_MS);
	}
	return NULL;
}

int seccomp_watch_start(struct err *e)
{
	uint32_t action = SECCOMP_RET_USER_NOTIF;
	pthread_t thread;
	int r;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		return err_set(e, -ENOTSUP,
			"this kernel cannot tell of refused calls (Linux 5.5 can): take --seccomp "
			"on or off");
	if (RECORD && getenv("NACRE_SECCOMP_RECORD")) {
		record_fd = open(getenv("NACRE_SECCOMP_RECORD"),
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
		if (record_fd < 0)
			return err_sys(e, "open $NACRE_SECCOMP_RECORD");
	}
	r = thread_start(&thread, THREAD_WATCH, "nacre-watch", watch, NULL, e);
	if (!r)
		pthread_detach(thread);
	return r;
}

static int install(struct sock_filter *code, unsigned short len)
{
	struct sock_fprog prog = { .len = len, .filter = code };
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	/* Linux 5.19. Without it a signal makes the call begin anew: no harm. */
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &prog);

	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	return fd < 0 ? -errno : (int)fd;
}

/* Asked about: what the filter traps, and when recording all that it does not kill for. */
static void make_ask(struct sock_filter *code, unsigned short len)
{
	unsigned short i;

	for (i = 0; i < len; i++) {
		uint32_t action = code[i].k & (uint32_t)SECCOMP_RET_ACTION_FULL;

		if (code[i].code != (BPF_RET | BPF_K))
			continue;
		if (action == SECCOMP_RET_TRAP ||
			(RECORD && record_fd >= 0 &&
				(action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_ERRNO)))
			code[i].k = SECCOMP_RET_USER_NOTIF;
	}
}

int seccomp_watch_enter(enum thread_role role, struct sock_filter *code, unsigned short len)
{
	unsigned int i = atomic_fetch_add(&watched_count, 1);
	struct watched *w = &watched[i];
	sigset_t all, old;

	if (i >= THREADS_MAX) {
		free(code);
		return -ENOMEM;
	}
	make_ask(code, len);
	if (role == THREAD_VCPU && record_fd >= 0)
		code = let_run(code, &len);
	if (!code)
		return -ENOMEM;
	w->role = role;
	memcpy(w->name, thread_name(), sizeof(w->name));
	/* A handler that ran behind the one and before the other would wait for an answer for ever. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	w->fd = install(code, len);
	/* `code` stays: giving it back could be a system call, and nobody is there to answer yet. */
	if (w->fd >= 0)
		atomic_store(&w->ready, true);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return w->fd < 0 ? w->fd : 0;
}
