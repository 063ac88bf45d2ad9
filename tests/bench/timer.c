/* SPDX-License-Identifier: Apache-2.0 */

/*
 * timer [--until TEXT] ROUNDS NAME COMMAND [ARGUMENT]... [-- NAME COMMAND [ARGUMENT]...]...
 *
 * Runs the commands in turn, ROUNDS times each, so that whatever the machine does meanwhile meets
 * all of them alike. Prints a line for each: name, exit status, median, 10th and 90th percentile of
 * the wall-clock time from before the spawn to after the wait, and the median of the CPU time, in
 * microseconds. A command whose status changes between rounds is reported with status -1. With
 * --until the wall-clock time ends when a line of the command's output holds the text; a command that
 * never says it is reported with status -1.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 16

extern char **environ;

struct command {
	const char *name;
	char **argv;
	double *wall, *cpu;
	int status;
};

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static double cpu_us(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e6 +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Everything the command says goes by here; the time of the first line with the text, or 0. */
static double said_at(FILE *out, const char *until)
{
	double when = 0;
	char line[1024];

	while (fgets(line, sizeof(line), out))
		if (when == 0 && strstr(line, until))
			when = now_us();
	return when;
}

static pid_t start(const struct command *c, int out)
{
	posix_spawn_file_actions_t quiet;
	pid_t pid;
	int r;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&quiet, out, 1);
	r = posix_spawnp(&pid, c->argv[0], &quiet, NULL, c->argv, environ);
	posix_spawn_file_actions_destroy(&quiet);
	if (r) {
		fprintf(stderr, "timer: start %s: %s\n", c->argv[0], strerror(r));
		exit(1);
	}
	return pid;
}

static void pipe_or_exit(int p[2])
{
	if (pipe2(p, O_CLOEXEC) == 0)
		return;
	perror("timer: pipe");
	exit(1);
}

/* Without a text to wait for, nobody reads what is said: that would take time itself. */
static void run_once(struct command *c, unsigned int round, const char *until)
{
	double began = now_us(), said = 0;
	struct rusage use;
	int status, p[2];
	pid_t pid;

	if (until) {
		FILE *out;

		pipe_or_exit(p);
		pid = start(c, p[1]);
		close(p[1]);
		out = fdopen(p[0], "r");
		said = said_at(out, until);
		fclose(out);
	} else {
		p[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
		pid = start(c, p[1]);
		close(p[1]);
	}
	while (wait4(pid, &status, 0, &use) < 0 && errno == EINTR)
		continue;
	c->wall[round] = (until ? said : now_us()) - began;
	c->cpu[round] = cpu_us(&use);
	if (round == 0)
		c->status = exit_status(status);
	if (c->status != exit_status(status) || (until && said == 0))
		c->status = -1;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(const double *sorted, unsigned int n, unsigned int p)
{
	return sorted[(n - 1) * p / 100];
}

static void print_result(struct command *c, unsigned int rounds)
{
	qsort(c->wall, rounds, sizeof(*c->wall), compare);
	qsort(c->cpu, rounds, sizeof(*c->cpu), compare);
	printf("%s %d %.0f %.0f %.0f %.0f\n", c->name, c->status, percentile(c->wall, rounds, 50),
		percentile(c->wall, rounds, 10), percentile(c->wall, rounds, 90),
		percentile(c->cpu, rounds, 50));
}

/* Cuts the arguments at "--". Returns the number of commands. */
static unsigned int parse(char **argv, unsigned int rounds, struct command *commands)
{
	unsigned int n = 0;

	while (*argv && n < COMMANDS_MAX) {
		struct command *c = &commands[n++];

		c->name = *argv++;
		c->argv = argv;
		c->wall = calloc(rounds, sizeof(*c->wall));
		c->cpu = calloc(rounds, sizeof(*c->cpu));
		while (*argv && strcmp(*argv, "--") != 0)
			argv++;
		if (c->argv == argv || !c->wall || !c->cpu)
			return 0;
		if (*argv)
			*argv++ = NULL;
	}
	return *argv ? 0 : n;
}

int main(int argc, char **argv)
{
	unsigned int i, round, n, rounds;
	struct command commands[COMMANDS_MAX];
	const char *until = NULL;

	if (argc > 2 && strcmp(argv[1], "--until") == 0) {
		until = argv[2];
		argc -= 2;
		argv += 2;
	}
	rounds = argc > 3 ? (unsigned int)atoi(argv[1]) : 0;
	n = rounds ? parse(argv + 2, rounds, commands) : 0;
	if (!n) {
		fprintf(stderr, "usage: timer [--until TEXT] ROUNDS NAME COMMAND... "
				"[-- NAME COMMAND...]...\n");
		return 2;
	}
	/* The first time costs what later ones do not: files come from the disk. */
	for (i = 0; i < n; i++)
		run_once(&commands[i], 0, until);
	for (round = 0; round < rounds; round++)
		for (i = 0; i < n; i++)
			run_once(&commands[i], round, until);
	for (i = 0; i < n; i++)
		print_result(&commands[i], rounds);
	return 0;
}
