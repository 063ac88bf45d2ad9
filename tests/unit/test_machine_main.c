/* SPDX-License-Identifier: Apache-2.0 */

/* What main makes of an answer that cannot be printed, and of the ways in which a run ends. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define main	      nacre_main
#define machine_build fake_build
#define machine_run   fake_run
#define machine_free  fake_free
#define machine_end   fake_end
#define api_new	      fake_api_new
#define api_start     fake_api_start
#define api_run	      fake_api_run
#define api_end	      fake_api_end
#define api_free      fake_api_free
#define doctor_run    fake_doctor_run
#define measure_print fake_measure_print
int main(int argc, char **argv);
#include "tests/unit/scratch.h"
#include "vmm/main.c"
#undef main

#include "tests/unit/test_machine.h"
#include "vmm/util/bits.h"

static struct {
	enum vm_end end;
	int signo;
	bool forgets;	/* doctor, why its output failed */
	bool no_growth; /* of files */
} fake;

int fake_build(struct machine **out, const struct config *c, struct loop *control, struct err *e)
{
	(void)c;
	(void)control;
	(void)e;
	*out = NULL;
	return 0;
}

int fake_run(struct machine *m, struct err *e)
{
	(void)m;
	(void)e;
	return 0;
}

void fake_free(struct machine *m)
{
	(void)m;
}

enum vm_end fake_end(const struct machine *m, const char **text, int *signo)
{
	(void)m;
	*text = "the end";
	*signo = fake.signo;
	return fake.end;
}

int fake_api_new(struct api **out, const struct api_options *o, struct config *c, struct err *e)
{
	(void)c;
	*out = NULL;
	return strcmp(o->sock, "taken") == 0 ? err_set(e, -EADDRINUSE, "taken: exists") : 0;
}

int fake_api_start(struct api *a, struct err *e)
{
	(void)a;
	return err_set(e, -ENOENT, "no such kernel");
}

void fake_api_run(struct api *a)
{
	(void)a;
}

enum vm_end fake_api_end(const struct api *a, const char **text, int *signo)
{
	(void)a;
	return fake_end(NULL, text, signo);
}

void fake_api_free(struct api *a)
{
	(void)a;
}

/* The real one flushes too, and has its own status. */
int fake_doctor_run(bool json, FILE *out)
{
	fputs(json ? "{}" : "ok\n", out);
	fflush(out);
	if (fake.forgets)
		errno = 0;
	return 0;
}

int fake_measure_print(const struct cli *cli, FILE *out, struct err *e)
{
	if (cli->text)
		return err_set(e, -ENOENT, "no such kernel");
	fputs("sha256:00\n", out);
	return 0;
}

/* Runs main in a child; returns how it ended, and its standard error. */
static int run_main(const char *const *args, const char *out, char *err, size_t size)
{
	char *argv[8] = { (char *)"nacre" };
	int argc = 1, p[2], status;
	ssize_t n;
	pid_t pid;

	while (args[argc - 1] && argc < 7) {
		argv[argc] = (char *)args[argc - 1];
		argc++;
	}
	ck_assert_int_eq(pipe(p), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		if (fake.no_growth)
			setrlimit(RLIMIT_FSIZE, &none);
		dup2(open(out, O_WRONLY), STDOUT_FILENO);
		dup2(p[1], STDERR_FILENO);
		_exit(nacre_main(argc, argv));
	}
	close(p[1]);
	n = read(p[0], err, size - 1);
	err[n > 0 ? n : 0] = '\0';
	close(p[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static const char *const answers[][4] = {
	{ "--version" },
	{ "help" },
	{ "help", "run" },
	{ "run", "--help" },
	{ "doctor" },
	{ "doctor", "--json" },
	{ "measure", "-k", "kernel" },
};

START_TEST(unprinted_answer_is_an_error)
{
	char err[200];
	int status = run_main(answers[_i], "/dev/full", err, sizeof(err));

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_NO_START);
	ck_assert_str_eq(err, "nacre: write to standard output: No space left on device\n");
}
END_TEST

/* A library's error that left no number behind is an error still, and not "Success". */
START_TEST(error_without_a_number_is_told)
{
	char err[200];
	int status;

	fake.forgets = true;
	status = run_main(answers[4], "/dev/full", err, sizeof(err));
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_NO_START);
	ck_assert_str_eq(err, "nacre: write to standard output: Input/output error\n");
}
END_TEST

/* ulimit -f, or LimitFSIZE=: a write that fails, not a signal that ends us. */
START_TEST(file_too_large_is_an_error)
{
	char path[SCRATCH_PATH], err[200];
	int fd = scratch_file(path), status;

	fake.no_growth = true;
	status = run_main(answers[_i], path, err, sizeof(err));
	close(fd);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_NO_START);
	ck_assert_str_eq(err, "nacre: write to standard output: File too large\n");
}
END_TEST

START_TEST(printed_answer_is_none)
{
	char err[200];
	int status = run_main(answers[_i], "/dev/null", err, sizeof(err));

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_OK);
	ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(what_cannot_be_measured_is_told)
{
	static const char *const text[5] = { "measure", "-k", "kernel", "--text" };
	char err[200];
	int status = run_main(text, "/dev/null", err, sizeof(err));

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_NO_START);
	ck_assert_str_eq(err, "nacre: no such kernel\n");
}
END_TEST

static const struct {
	enum vm_end end;
	int signo;
	int status; /* when no signal ends us */
	const char *err;
} ends[] = {
	{ VM_POWEROFF, 0, EXIT_OK, "" },
	{ VM_RESET, 0, EXIT_OK, "" },
	{ VM_STOPPED, 0, EXIT_OK, "" },
	{ VM_CRASHED, 0, EXIT_GUEST, "nacre: the end\n" },
	{ VM_FAILED, 0, EXIT_GUEST, "nacre: the end\n" },
	{ VM_STOPPED, SIGTERM, 0, "" },
	{ VM_STOPPED, SIGQUIT, 0, "" },
	/* The guest had ended, and its output had no reader. */
	{ VM_POWEROFF, SIGTERM, 0, "" },
	{ VM_CRASHED, SIGHUP, 0, "nacre: the end\n" },
};

START_TEST(end_of_a_run_is_told)
{
	static const char *const run_guest[4] = { "run", "-k", "kernel" };
	char err[200];
	int status;

	fake.end = ends[_i].end;
	fake.signo = ends[_i].signo;
	status = run_main(run_guest, "/dev/null", err, sizeof(err));
	ck_assert_str_eq(err, ends[_i].err);
	if (ends[_i].signo) {
		ck_assert(WIFSIGNALED(status));
		ck_assert_int_eq(WTERMSIG(status), ends[_i].signo);
	} else {
		ck_assert(WIFEXITED(status));
		ck_assert_int_eq(WEXITSTATUS(status), ends[_i].status);
	}
}
END_TEST

TCase *machine_main_case(void)
{
	TCase *t = tcase_create("main");

	tcase_add_loop_test(t, unprinted_answer_is_an_error, 0, (int)ARRAY_SIZE(answers));
	tcase_add_test(t, error_without_a_number_is_told);
	tcase_add_loop_test(t, file_too_large_is_an_error, 0, (int)ARRAY_SIZE(answers));
	tcase_add_loop_test(t, printed_answer_is_none, 0, (int)ARRAY_SIZE(answers));
	tcase_add_test(t, what_cannot_be_measured_is_told);
	tcase_add_loop_test(t, end_of_a_run_is_told, 0, (int)ARRAY_SIZE(ends));
	return t;
}
