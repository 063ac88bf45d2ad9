/* SPDX-License-Identifier: Apache-2.0 */

/*
 * timer ROUNDS NAME COMMAND [ARGUMENT]... [-- NAME COMMAND [ARGUMENT]...]...
 *
 * Runs the commands in turn, ROUNDS times each, so that whatever the machine does meanwhile meets
 * all of them alike. Prints a line for each: name, exit status, median, 10th and 90th percentile of
 * the wall-clock time from before the spawn to after the wait, and the median of the CPU time, in
 * microseconds. A command whose status changes between rounds is reported with status -1.
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

static void run_once(struct command *c, unsigned int round, posix_spawn_file_actions_t *quiet)
{
	double start = now_us();
	struct rusage use;
	int r, status;
	pid_t pid;

	r = posix_spawnp(&pid, c->argv[0], quiet, NULL, c->argv, environ);
	if (r) {
		fprintf(stderr, "timer: start %s: %s\n", c->argv[0], strerror(r));
		exit(1);
	}
	while (wait4(pid, &status, 0, &use) < 0 && errno == EINTR)
		continue;
	c->wall[round] = now_us() - start;
	c->cpu[round] = cpu_us(&use);
	if (round == 0)
		c->status = exit_status(status);
	else if (c->status != exit_status(status))
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
	unsigned int i, round, n, rounds = argc > 3 ? (unsigned int)atoi(argv[1]) : 0;
	struct command commands[COMMANDS_MAX];
	posix_spawn_file_actions_t quiet;

	n = rounds ? parse(argv + 2, rounds, commands) : 0;
	if (!n) {
		fprintf(stderr, "usage: timer ROUNDS NAME COMMAND... [-- NAME COMMAND...]...\n");
		return 2;
	}
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
	/* The first time costs what later ones do not: files come from the disk. */
	for (i = 0; i < n; i++)
		run_once(&commands[i], 0, &quiet);
	for (round = 0; round < rounds; round++)
		for (i = 0; i < n; i++)
			run_once(&commands[i], round, &quiet);
	for (i = 0; i < n; i++)
		print_result(&commands[i], rounds);
	return 0;
}
