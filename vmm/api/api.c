/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/api/api.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/api_impl.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/log.h"

const char *api_state(const struct api *a)
{
	if (!a->machine)
		return "Not started";
	return a->is_paused ? "Paused" : "Running";
}

/* With a machine they are its own business (machine.c). */
static void on_signal(void *arg, int signo, short events)
{
	struct api *a = arg;

	(void)events;
	if (a->machine)
		return;
	a->signo = signo;
	loop_stop(a->loop);
}

/* There are no numbers before the start, and no button; but it must not end us either. */
static void on_asked(void *arg, int signo, short events)
{
	(void)arg;
	(void)signo;
	(void)events;
}

/* For as long as we live: the socket is removed whichever of them ends us. */
static int catch_signals(struct api *a, struct err *e)
{
	sigset_t set;
	int r = loop_add_end_signals(a->loop, on_signal, a, a->signals, e);

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	if (!r)
		r = loop_add_signal(a->loop, SIGUSR1, on_asked, a, &a->asked, e);
	if (!r)
		r = loop_add_signal(a->loop, SIGUSR2, on_asked, a, &a->pressed, e);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return r;
}

static int make_server(struct api *a, struct err *e)
{
	const struct server_config cfg = {
		.path = a->options->sock,
		.loop = a->loop,
		.max_body = a->options->max_payload,
		.handle = route_request,
		.ctx = a,
	};
	int r = server_new(&a->server, &cfg, e);

	return r ? err_prefix(e, r, "--api-sock") : 0;
}

int api_new(struct api **out, const struct api_options *o, struct config *c, struct err *e)
{
	struct api *a = calloc(1, sizeof(*a));
	uint64_t begun = clock_ns();
	int r;

	if (!a)
		return err_set(e, -ENOMEM, "API: out of memory");
	a->options = o;
	a->config = *c;
	*c = (struct config){ 0 };
	r = loop_new(&a->loop, NULL, e);
	if (!r)
		r = watch_new(a, begun, e);
	if (!r)
		r = catch_signals(a, e);
	if (!r && !o->no_api)
		r = make_server(a, e);
	/* Its guest writes to an address that holds other things here, and would wait for a line. */
	if (!r && o->boot_timer)
		log_warn("--boot-timer: this machine has no boot timer, and logs no boot time (the "
			 "guest's console tells when it is up)");
	if (r) {
		api_free(a);
		return r;
	}
	*out = a;
	return 0;
}

void api_free(struct api *a)
{
	unsigned int i;

	if (!a)
		return;
	server_free(a->server);
	/* The last line says what the machine has done. */
	if (a->metrics)
		metrics_set_source(a->metrics, NULL, NULL);
	machine_free(a->machine);
	metrics_free(a->metrics);
	for (i = 0; i < ARRAY_SIZE(a->signals); i++)
		loop_event_free(a->signals[i]);
	loop_event_free(a->asked);
	loop_event_free(a->pressed);
	loop_free(a->loop);
	config_free(&a->config);
	free(a);
}

/*
 * The host's kernel would be quicker with the queues of an interface; but it knows no limits, which a
 * request may set at any time, and does not stop when the machine is paused.
 */
static void serve_nets_here(struct config *c)
{
	struct net_config *nets = c->nets.items;
	uint32_t i;

	for (i = 0; i < c->nets.count; i++)
		if (nets[i].id && nets[i].vhost == NET_VHOST_AUTO)
			nets[i].vhost = NET_VHOST_OFF;
}

int api_start(struct api *a, struct err *e)
{
	struct machine *m;
	int r = 0;

	/* config_check would speak of options. */
	if (!a->config.kernel && !a->config.firmware)
		r = err_set(e, -EINVAL,
			"Nothing to start: there is no kernel (PUT /boot-source first, or give "
			"\"boot-source\" in the config file).");
	if (!r)
		r = config_check(&a->config, e);
	/* It stands although the threads behind it could not be started. */
	if (!r && sandbox_is_raised())
		r = err_set(e, -EPERM,
			"A start has failed, and its sandbox stands: this process cannot open what "
			"another start needs (end it, and start nacre api anew).");
	serve_nets_here(&a->config);
	if (!r)
		r = machine_build(&m, &a->config, a->loop, e);
	if (r)
		return r;
	machine_set_api(m, a->options->no_api ? NULL : a->options->sock);
	r = machine_start(m, e);
	if (r) {
		machine_free(m);
		return r;
	}
	a->machine = m;
	watch_machine(a);
	return 0;
}

static bool is_ended(const struct api *a)
{
	return a->machine && machine_end(a->machine, NULL, NULL) != VM_RUNNING;
}

void api_run(struct api *a)
{
	/* It also returns for the end of a guest that could not be started. */
	while (!a->signo && !is_ended(a))
		loop_run(a->loop);
	if (!a->machine)
		return;
	a->is_over = true;
	/* An answer may be on its way: of the start itself, where the guest ends at once. */
	loop_turn(a->loop);
	machine_finish(a->machine);
}

enum vm_end api_end(const struct api *a, const char **text, int *signo)
{
	if (a->machine)
		return machine_end(a->machine, text, signo);
	*text = "stopped before a guest was started";
	*signo = a->signo;
	return VM_STOPPED;
}
