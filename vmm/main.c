/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/api.h"
#include "vmm/cli.h"
#include "vmm/completion.h"
#include "vmm/config_json.h"
#include "vmm/doctor.h"
#include "vmm/machine.h"
#include "vmm/measure_print.h"
#include "vmm/nofile.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/util/log.h"
#include "vmm/util/text.h"

/* Places for malloc to take memory from; threads share them. None of ours allocates much. */
#define ARENAS 4

/* The edge: here alone errors are printed and become an exit status. */
static int complain(struct err *e, enum exit_status status)
{
	/* Names come from files and guests; a terminal must not obey them. */
	text_defuse(e->msg, strlen(e->msg));
	fprintf(stderr, "nacre: %s\n", e->msg);
	/* Who reads only the log wants to know too. */
	if (log_has_file())
		log_error("%s", e->msg);
	log_finish();
	return (int)status;
}

/* seccomp control: rt_sigprocmask tgkill[0=OWN_PID] getpid gettid -- ending by a signal */
/* After cleaning up, die of the signal that asked for it, as a shell expects. */
static int die_of(int signo)
{
	signal(signo, SIG_DFL);
	raise(signo);
	return EXIT_GUEST;
}

static int report_end(enum vm_end end, const char *text, int signo)
{
	int status = EXIT_OK;

	if (end == VM_POWEROFF || end == VM_RESET || end == VM_STOPPED) {
		log_info("%s", text);
	} else {
		fprintf(stderr, "nacre: %s\n", text);
		if (log_has_file())
			log_error("%s", text);
		status = EXIT_GUEST;
	}
	log_finish();
	/* Also when the guest had ended and a signal cut short the wait for its last output. */
	return signo ? die_of(signo) : status;
}

/* id: of the machine, for the log; or NULL. */
static int prepare(const struct config *config, const char *id, struct err *e)
{
	struct seccomp_plan plan = { .mode = config->seccomp, .kernel_logs = SECCOMP_SANITIZED };
	struct log_config log = config_log(config, id);
	int r;

	signal(SIGPIPE, SIG_IGN);
	nofile_raise();
	sandbox_begin();
	/* Ignored, as some launchers leave it, children would end without being waited for. */
	signal(SIGCHLD, SIG_DFL);
	r = seccomp_prepare(&plan, e);
	return r ? r : log_setup(&log, e);
}

/*
 * Open and validate everything, then run. machine_build does all that needs privilege; nothing of
 * the guest runs before machine_run.
 */
static int run(const struct config *config)
{
	struct machine *machine;
	struct err e = { "" };
	enum vm_end end;
	const char *text;
	char copy[512];
	int signo;

	if (prepare(config, NULL, &e) || machine_build(&machine, config, NULL, &e))
		return complain(&e, EXIT_NO_START);
	if ((config->metrics_path && machine_write_metrics(machine, config->metrics_path, &e)) ||
		machine_run(machine, &e)) {
		machine_free(machine);
		return complain(&e, EXIT_NO_START);
	}
	end = machine_end(machine, &text, &signo);
	snprintf(copy, sizeof(copy), "%s", text);
	machine_free(machine);
	return report_end(end, copy, signo);
}

/* The same for a machine that requests describe; it starts at once if a config file does. */
static int serve(struct cli *cli)
{
	struct api *api;
	struct err e = { "" };
	enum vm_end end;
	const char *text;
	char copy[512];
	int signo;

	if (prepare(&cli->config, cli->api.id, &e) || api_new(&api, &cli->api, &cli->config, &e))
		return complain(&e, EXIT_NO_START);
	if (cli->api.config_file && api_start(api, &e)) {
		api_free(api);
		return complain(&e, EXIT_NO_START);
	}
	api_run(api);
	end = api_end(api, &text, &signo);
	snprintf(copy, sizeof(copy), "%s", text);
	api_free(api);
	return report_end(end, copy, signo);
}

/* A closed standard descriptor would be given to the next file we open, /dev/kvm for one. */
static void settle_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	fd_remember_given();
}

/* An answer that nobody got is none, whatever the status would have been. */
static int check_printed(int status)
{
	int code = errno; /* of the write that failed while printing, if one did */
	struct err e = { "" };

	if (!ferror(stdout)) {
		if (!fflush(stdout))
			return status;
		code = errno;
	}
	errno = code;
	err_sys(&e, "write to standard output");
	return complain(&e, EXIT_NO_START);
}

static int dump(const struct config *config)
{
	struct err e = { "" };

	return config_dump(config, stdout, &e) ? complain(&e, EXIT_NO_START) : EXIT_OK;
}

static int print_measurement(const struct cli *cli)
{
	struct err e = { "" };

	if (cli->config.dump_config)
		return dump(&cli->config);
	log_set_level(cli->config.log_level);
	if (measure_print(cli, stdout, &e))
		return complain(&e, EXIT_NO_START);
	return check_printed(EXIT_OK);
}

static int control(const struct cli *cli)
{
	struct err e = { "" };
	int r = ctl_run(&cli->ctl, cli->words, cli->word_count, stdout, &e);

	if (r)
		return complain(&e, r == -EREMOTEIO ? EXIT_GUEST : EXIT_NO_START);
	return check_printed(EXIT_OK);
}

static int inspect(const struct cli *cli)
{
	struct err e = { "" };

	if (inspect_run(&cli->inspect, cli->words[0], stdout, &e))
		return complain(&e, EXIT_NO_START);
	return check_printed(EXIT_OK);
}

/*
 * Who starts us by Firecracker's name, as a link of that name has it, reads its version from the first
 * line, and wants one that is new enough: Kata Containers is such a one.
 */
static void print_version(const char *program)
{
	const char *slash = program ? strrchr(program, '/') : NULL;
	const char *name = slash ? slash + 1 : program;

	if (name && strncmp(name, "firecracker", strlen("firecracker")) == 0)
		printf("Firecracker v%s\n", API_INTERFACE_VERSION);
	printf("nacre %s\n", NACRE_VERSION);
}

static int execute(struct cli *cli, const char *program)
{
	switch (cli->command) {
	case CMD_RUN:
		return cli->config.dump_config ? dump(&cli->config) : run(&cli->config);
	case CMD_MEASURE:
		return print_measurement(cli);
	case CMD_API:
		return serve(cli);
	case CMD_CTL:
		return control(cli);
	case CMD_INSPECT:
		return inspect(cli);
	case CMD_COMPLETION:
		completion_print(cli->topic, stdout);
		break;
	case CMD_DOCTOR:
		return check_printed(doctor_run(cli->json, stdout));
	case CMD_VERSION:
		print_version(program);
		break;
	default:
		cli_print_help(stdout, cli->topic);
	}
	return check_printed(EXIT_OK);
}

int main(int argc, char **argv)
{
	struct err e = { "" };
	struct cli cli;
	int status;

	settle_fds();
	/* Without a limit the C library counts the host's CPUs when there are many threads: by files. */
	mallopt(M_ARENA_MAX, ARENAS);
	/* A heap that shrinks has it look, by a file, whether it may; what is large is no part of a heap. */
	mallopt(M_TRIM_THRESHOLD, -1);
	/* A file that may not grow further, a disk or a log, is a failed write: EFBIG. */
	signal(SIGXFSZ, SIG_IGN);
	status = cli_parse(argc, argv, &cli, &e);
	if (status)
		return complain(&e, status == -ENOTSUP ? EXIT_NO_START : EXIT_USAGE);
	status = execute(&cli, argv[0]);
	cli_free(&cli);
	return status;
}
