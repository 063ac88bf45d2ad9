/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine_impl.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "devices/tty.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

/* What the process is told from outside. */

static void on_signal(void *arg, int signo, short events)
{
	struct machine *m = arg;

	(void)events;
	/* The second one means it; so does the first when only the console's reader is waited for. */
	if (atomic_exchange(&m->signo, signo) || vm_ended(m->vm))
		atomic_store(&m->cancel, true);
	vm_end(m->vm, VM_STOPPED, "stopped by %s", strsignal(signo));
}

static void on_resumed(void *arg, int signo, short events)
{
	struct machine *m = arg;

	(void)signo;
	(void)events;
	tty_resume(m->tty);
}

/* Who sends the signal wants to see it, whatever the log level. */
static void on_stats(void *arg, int signo, short events)
{
	struct stats_report report;
	_free char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)signo;
	(void)events;
	if (!out)
		return;
	machine_stats(arg, &report);
	stats_print(&report, out);
	if (!fclose(out))
		log_raw(text, len);
}

static void on_press(void *arg, int signo, short events)
{
	(void)signo;
	(void)events;
	if (!machine_press_button(arg))
		log_warn("this machine has no power button (only those of x86-64 have one)");
}

/* A failed check of a library's, or a supervisor that wants a core: the terminal comes first. */
static void on_abort(int signo)
{
	tty_crash_restore();
	/* Pending until we return, and then with the default action (SA_RESETHAND). */
	raise(signo);
}

static int catch_abort(struct err *e)
{
	struct sigaction sa = { .sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND };

	sigemptyset(&sa.sa_mask);
	return sigaction(SIGABRT, &sa, NULL) ? err_sys(e, "catch SIGABRT") : 0;
}

int machine_catch_signals(struct machine *m, struct err *e)
{
	sigset_t set;
	int r = catch_abort(e);

	/* Whoever starts us may have blocked them. */
	sigemptyset(&set);
	sigaddset(&set, SIGABRT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	if (!r)
		r = loop_add_end_signals(m->control, on_signal, m, m->signals, e);
	if (!r)
		r = loop_add_signal(m->control, SIGUSR1, on_stats, m, &m->asked, e);
	if (!r)
		r = loop_add_signal(m->control, SIGUSR2, on_press, m, &m->pressed, e);
	return r ? r : loop_add_signal(m->control, SIGCONT, on_resumed, m, &m->resumed, e);
}

void machine_forget_signals(struct machine *m)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(m->signals); i++)
		loop_event_free(m->signals[i]);
	loop_event_free(m->asked);
	loop_event_free(m->pressed);
	loop_event_free(m->resumed);
}
