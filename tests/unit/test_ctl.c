/* SPDX-License-Identifier: Apache-2.0 */

/* nacre ctl against a fake machine: what it asks, what it prints, and what it says when nobody is there. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/cli.h"
#include "vmm/completion.h"
#include "vmm/ctl.h"
#include "vmm/util/bits.h"

static char dir[SCRATCH_PATH];
static char path[64];
static int listener;
static pthread_t server;
static const char *const *answers; /* one a connection; NULL ends them */
static char asked[4000];	   /* all that came */
static struct ctl_options options;
static char *said;
static struct err error;

static void setup(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	scratch_dir(dir);
	snprintf(path, sizeof(path), "%s/sock", dir);
	strcpy(a.sun_path, path);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(listener, 5), 0);
	options = (struct ctl_options){ .sock = path };
	said = NULL;
	asked[0] = error.msg[0] = '\0';
}

static void teardown(void)
{
	free(said);
	close(listener);
}

/* What does not begin with a brace is an answer already; a fault is one of 400. */
static void answer(int fd, const char *text)
{
	bool bad = strstr(text, "fault_message");

	if (*text == '{' || *text == '#')
		dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
			bad ? "400 Bad Request" : "200 OK", strlen(text), text);
	else
		send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Reads a request whose body, if any, ends with a brace, and answers. */
static void *serve(void *arg)
{
	size_t used = 0;
	unsigned int i;

	(void)arg;
	for (i = 0; answers[i]; i++) {
		int fd = accept(listener, NULL, NULL);
		char *begin = asked + used;

		for (;;) {
			ssize_t n = recv(fd, asked + used, sizeof(asked) - used - 1, 0);

			if (n <= 0)
				break;
			used += (size_t)n;
			asked[used] = '\0';
			if (strstr(begin, "\r\n\r\n") &&
				(strstr(begin, "Length: 0\r\n") || asked[used - 1] == '}'))
				break;
		}
		answer(fd, answers[i]);
		close(fd);
	}
	return NULL;
}

/* Runs a command line of up to three words against those answers. */
static int run(const char *const *with, const char *a, const char *b, const char *c)
{
	const char *const words[] = { a, b, c };
	unsigned int count = c ? 3 : b ? 2 : 1;
	size_t len = 0;
	FILE *out = open_memstream(&said, &len);
	int r;

	answers = with;
	if (with)
		ck_assert_int_eq(pthread_create(&server, NULL, serve, NULL), 0);
	ck_assert_msg(!ctl_check(words, count, &error), "%s", error.msg);
	r = ctl_run(&options, words, count, out, &error);
	if (with)
		pthread_join(server, NULL);
	fclose(out);
	return r;
}

#define DONE	    "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"
#define FAULT(text) "{\"fault_message\":\"" text "\"}"

static const char *const done[] = { DONE, NULL };

static const struct {
	const char *verb, *operand, *line, *body, *said;
} commands[] = {
	{ "start", NULL, "PUT /actions HTTP/1.1\r\n", "{\"action_type\":\"InstanceStart\"}",
		"the guest is started\n" },
	{ "pause", NULL, "PATCH /vm HTTP/1.1\r\n", "{\"state\":\"Paused\"}",
		"the guest is paused\n" },
	{ "resume", NULL, "PATCH /vm HTTP/1.1\r\n", "{\"state\":\"Resumed\"}", "the guest runs\n" },
	{ "stop", NULL, "PUT /actions HTTP/1.1\r\n", "{\"action_type\":\"SendCtrlAltDel\"}",
		"the guest is asked to end\n" },
	{ "balloon", "64", "PATCH /balloon HTTP/1.1\r\n", "{\"amount_mib\":64}",
		"the guest is to give up 64 MiB\n" },
};

START_TEST(verbs_are_requests)
{
	ck_assert_msg(!run(done, commands[_i].verb, commands[_i].operand, NULL), "%s", error.msg);
	ck_assert_int_eq(strncmp(asked, commands[_i].line, strlen(commands[_i].line)), 0);
	ck_assert_str_eq(strstr(asked, "\r\n\r\n") + 4, commands[_i].body);
	ck_assert_str_eq(said, commands[_i].said);
}
END_TEST

/* As long as one of SHA-256: it is shown whole, else nobody could compare it. */
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

START_TEST(info_for_people)
{
	static const char *const with[] = { "{\"id\":\"a-1\",\"state\":\"Running\","
					    "\"vmm_version\":\"1\",\"app_name\":"
					    "\"N\\u001B\"}\n",
		"{\"vcpu_count\":2,\"mem_size_mib\":64}",
		"{\"mode\":\"soft-realm\",\"shared_bytes\":67108864,"
		"\"measurement_sha256\":\"" DIGEST "\"}",
		NULL };

	ck_assert_msg(!run(with, "info", NULL, NULL), "%s", error.msg);
	ck_assert_str_eq(said, "id         a-1\nstate      Running\nprogram    N?\n"
			       "version    1\ncpus       2\nmemory     64 MiB\n"
			       "protection soft-realm\nshared     64 MiB\n"
			       "measured   " DIGEST "\n");
}
END_TEST

START_TEST(info_before_the_start)
{
	static const char *const with[] = { "{\"id\":1}", "{}", FAULT("no"), NULL };

	options.json = true;
	ck_assert_msg(!run(with, "info", NULL, NULL), "%s", error.msg);
	ck_assert_str_eq(said, "{\"id\":1,\"machine-config\":{}}\n");
}
END_TEST

START_TEST(metrics_that_are_not_zero)
{
	static const char *const with[] = { "# TYPE a counter\n"
					    "a_total{id=\"x y\"} 3\nb_total 0\n\x1b 1",
		NULL };

	options.json = _i;
	ck_assert_msg(!run(with, "metrics", NULL, NULL), "%s", error.msg);
	ck_assert_str_eq(said, _i ? "{\"a_total{id=\\\"x y\\\"}\":3,\"b_total\":0,\"\\u001B\":1}\n"
				  : "a_total{id=\"x y\"}  3\n?  1\n");
}
END_TEST

START_TEST(raw_requests)
{
	static const char *const with[] = { "{\"a\":1}", NULL };

	ck_assert_int_eq(run(with, "get", "/vm/config", NULL), 0);
	ck_assert_int_eq(strncmp(asked, "GET /vm/config HTTP/1.1\r\n", 25), 0);
	ck_assert_str_eq(said, "{\n  \"a\": 1\n}\n");
	free(said);
	ck_assert_int_eq(run(done, "put", "/vsock", "{\"x\":{}}"), 0);
	ck_assert_int_eq(strncmp(asked, "PUT /vsock HTTP/1.1\r\n", 21), 0);
	ck_assert_ptr_nonnull(strstr(asked, "Content-Length: 8\r\n"));
	ck_assert_str_eq(said, "");
}
END_TEST

/* Without a body there is nothing to ask. */
START_TEST(a_body_is_wanted)
{
	ck_assert_ptr_nonnull(freopen("/dev/null", "r", stdin));
	ck_assert_int_eq(run(NULL, "put", "/vsock", NULL), -ENODATA);
	ck_assert_ptr_eq(strstr(error.msg, "there is no body, and nothing on standard input: PUT"),
		error.msg);
}
END_TEST

/* The machine's own sentence, and a status of its own. */
START_TEST(refusals)
{
	static const char *const with[] = { FAULT("Not a time."), NULL };
	static const char *const odd[] = { "HTTP/1.1 503 No\r\n\r\n", NULL };
	static const char *const ctrl[] = { FAULT("SendCtrlAltDel is no good."), NULL };

	ck_assert_int_eq(run(with, "pause", NULL, NULL), -EREMOTEIO);
	ck_assert_str_eq(error.msg, "Not a time.");
	free(said);
	ck_assert_int_eq(run(odd, "pause", NULL, NULL), -EREMOTEIO);
	ck_assert_str_eq(error.msg, "the machine answers with status 503");
	free(said);
	ck_assert_int_eq(run(ctrl, "stop", NULL, NULL), -EREMOTEIO);
	ck_assert_ptr_nonnull(strstr(error.msg, "SIGTERM"));
}
END_TEST

static const struct {
	const char *answer, *why;
} nonsense[] = {
	{ "", "without an answer" },
	{ "SSH-2.0-x\r\n\r\n", "not HTTP" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "not HTTP" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "cut short" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nabc", "longer than" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "no JSON" },
};

START_TEST(answers_that_are_none)
{
	const char *const with[] = { nonsense[_i].answer, NULL };

	ck_assert_int_lt(run(with, "info", NULL, NULL), 0);
	ck_assert_msg(strstr(error.msg, nonsense[_i].why) != NULL, "%s", error.msg);
}
END_TEST

START_TEST(nobody_there)
{
	char other[80];
	static char lengthy[200];

	close(listener);
	ck_assert_int_eq(run(NULL, "info", NULL, NULL), -ECONNREFUSED);
	ck_assert_msg(strstr(error.msg, "left behind") != NULL, "%s", error.msg);
	free(said);
	unlink(path);
	ck_assert_int_eq(run(NULL, "info", NULL, NULL), -ENOENT);
	ck_assert_msg(strstr(error.msg, "--api-sock names") != NULL, "%s", error.msg);
	free(said);
	snprintf(other, sizeof(other), "%s/file", dir);
	close(open(other, O_CREAT | O_WRONLY, 0600));
	options.sock = other;
	ck_assert_int_eq(run(NULL, "info", NULL, NULL), -ECONNREFUSED);
	ck_assert_msg(strstr(error.msg, "it is no socket") != NULL, "%s", error.msg);
	free(said);
	memset(lengthy, 'x', sizeof(lengthy) - 1);
	options.sock = lengthy;
	ck_assert_int_eq(run(NULL, "info", NULL, NULL), -ENAMETOOLONG);
}
END_TEST

static const struct {
	const char *words[4];
	const char *why; /* NULL: fine */
} lines[] = {
	{ { NULL }, "expected a verb" },
	{ { "paus" }, "did you mean pause?" },
	{ { "pause", "x" }, "usage: nacre ctl [OPTION]... pause" },
	{ { "balloon", "1e3" }, "no number of MiB" },
	{ { "balloon", "-1" }, "unknown option" },
	{ { "balloon", "123456789" }, "no number of MiB" },
	{ { "get" }, "usage: nacre ctl [OPTION]... get PATH" },
	{ { "get", "vm" }, "no path of the API" },
	{ { "get", "/a b" }, "no path of the API" },
	{ { "get", "/a\r\nX: y" }, "no path of the API" },
	{ { "put", "/a", "{}", "x" }, "usage: nacre ctl [OPTION]... put" },
	{ { "info", "--json", "x" }, "usage: nacre ctl [OPTION]... info" },
	{ { "mte-tags", "0x40000000" }, "usage: nacre ctl [OPTION]... mte-tags GPA LEN" },
	{ { "mte-tags", "0x40000008", "16" }, "multiples of 16" },
	{ { "mte-tags", "0x40000000", "0" }, "multiples of 16" },
	{ { "mte-tags", "4g", "16" }, "\"4g\" is no number" },
	{ { "set-mte-tags", "0", "16", "x" }, "no hexadecimal digits" },
	{ { "set-mte-tags", "0", "16", "aF0" }, NULL },
	{ { "dump-memory" }, "usage: nacre ctl [OPTION]... dump-memory FILE" },
	{ { "put", "/a", "{}" }, NULL },
	{ { "--api-sock=/s", "info", "--json" }, NULL },
};

START_TEST(command_lines)
{
	char *argv[6] = { (char *)"nacre", (char *)"ctl" };
	struct cli c;
	int argc = 2, r;

	for (; argc < 6 && lines[_i].words[argc - 2]; argc++)
		argv[argc] = (char *)lines[_i].words[argc - 2];
	r = cli_parse(argc, argv, &c, &error);
	if (lines[_i].why) {
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_msg(strstr(error.msg, lines[_i].why) != NULL, "%s", error.msg);
		return;
	}
	ck_assert_msg(!r, "%s", error.msg);
	ck_assert_int_eq(c.command, CMD_CTL);
	ck_assert_str_eq(c.words[0], lines[_i].words[0][0] == '-' ? "info" : lines[_i].words[0]);
	cli_free(&c);
}
END_TEST

/* Bash itself says what it would offer. */
static const struct {
	const char *words, *offered;
} completions[] = {
	{ "nacre me", "measure" },
	{ "nacre run --protection soft-", "soft-realm soft-sev" },
	{ "nacre run --protection = pk", "pkvm" },
	{ "nacre run --log-lev", "--log-level" },
	{ "nacre ctl p", "pause put patch" },
	{ "nacre ctl --api-sock DIR/so", "DIR/sock" },
	{ "nacre run -k DIR/so", "DIR/sock" },
	{ "nacre run --cpus 1", "" },
	{ "nacre help do", "doctor" },
	{ "nacre completion z", "zsh" },
};

/* DIR becomes the test's folder. */
static void put_dir(FILE *out, const char *text)
{
	const char *p;

	while ((p = strstr(text, "DIR")) != NULL) {
		fprintf(out, "%.*s%s", (int)(p - text), text, dir);
		text = p + 3;
	}
	fputs(text, out);
}

START_TEST(bash_completes)
{
	char script[80], command[200], got[200] = "", *want = NULL;
	FILE *out, *p;
	size_t len;

	snprintf(script, sizeof(script), "%s/c.bash", dir);
	out = fopen(script, "w");
	completion_print("bash", out);
	fprintf(out, "COMP_WORDS=(");
	put_dir(out, completions[_i].words);
	fprintf(out,
		")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_nacre\necho \"${COMPREPLY[*]}\"\n");
	fclose(out);
	snprintf(command, sizeof(command), "bash %s", script);
	p = popen(command, "r");
	ck_assert_ptr_nonnull(fgets(got, sizeof(got), p));
	ck_assert_int_eq(pclose(p), 0);
	out = open_memstream(&want, &len);
	put_dir(out, completions[_i].offered);
	fprintf(out, "\n");
	fclose(out);
	ck_assert_str_eq(got, want);
	free(want);
}
END_TEST

/* ---- dumps: answers in pieces ---- */

#define PIECES "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static const char *in_dir(const char *name)
{
	static char text[80];

	snprintf(text, sizeof(text), "%s/%s", dir, name);
	return text;
}

/* What the file has, or NULL without one. */
static const char *written(void)
{
	static char text[100];
	FILE *f = fopen(in_dir("dump"), "r");

	if (!f)
		return NULL;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

START_TEST(dumps_are_put_together)
{
	static const char *const with[] = { PIECES "5\r\nwhole\r\nA\r\n, in parts\r\n0\r\n\r\n",
		NULL };
	struct stat st;

	ck_assert_msg(!run(with, "dump-memory", in_dir("dump"), NULL), "%s", error.msg);
	ck_assert_str_eq(written(), "whole, in parts");
	ck_assert(!stat(in_dir("dump"), &st) && (st.st_mode & 0777) == 0600);
	ck_assert_str_eq(said, "15 bytes are written; nacre inspect reads them\n");
	free(said);
	ck_assert_int_eq(run(NULL, "dump-memory", in_dir("dump"), NULL), -EEXIST);
	ck_assert_str_eq(written(), "whole, in parts");
}
END_TEST

/* Which must not be found out when all of it has come: nobody is asked. */
START_TEST(a_name_that_cannot_be_is_refused_first)
{
	static char longer[301];
	const struct {
		const char *name;
		int code;
	} names[] = { { "none/", -EISDIR }, { "none/dump", -ENOENT }, { longer, -ENAMETOOLONG } };
	char text[400];

	memset(longer, 'x', sizeof(longer) - 1);
	snprintf(text, sizeof(text), "%s/%s", dir, names[_i].name);
	close(listener);
	ck_assert_int_eq(run(NULL, "dump-memory", text, NULL), names[_i].code);
}
END_TEST

static const struct {
	const char *answer, *why;
} broken[] = {
	{ PIECES "5\r\nwhole\r\n", "cut short" },
	{ PIECES "5\r\nwho", "cut short" },
	{ PIECES "5\r\nwhole!\r\n0\r\n\r\n", "not HTTP" },
	{ PIECES "-5\r\nwhole\r\n0\r\n\r\n", "not HTTP" },
	{ PIECES "x\r\n", "not HTTP" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole", "not come in pieces" },
	{ FAULT("no tags here"), "no tags here" },
};

START_TEST(half_a_dump_is_none)
{
	const char *const with[] = { broken[_i].answer, NULL };

	ck_assert(run(with, "dump-memory", in_dir("dump"), NULL));
	ck_assert_msg(strstr(error.msg, broken[_i].why) != NULL, "%s", error.msg);
	ck_assert_ptr_null(written());
}
END_TEST

/* Whoever does not want to wait for it leaves nothing behind, where there are files without names. */
START_TEST(a_dump_that_is_ended_leaves_no_file)
{
	const char *const words[] = { "dump-memory", in_dir("dump") };
	int status, fd = open(dir, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	char byte;
	pid_t pid;

	if (fd < 0)
		return;
	close(fd);
	pid = fork();
	if (!pid) {
		ctl_run(&options, words, 2, stdout, &error);
		_exit(0);
	}
	fd = accept(listener, NULL, NULL);
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
	ck_assert(send(fd, PIECES "5\r\nwhole\r\n", strlen(PIECES) + 10, MSG_NOSIGNAL) > 0);
	ck_assert(!kill(pid, SIGKILL));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_ptr_null(written());
	close(fd);
}
END_TEST

/* Until the process sleeps: in the call that it has nothing else to do than to wait in. */
static void await_sleep(pid_t pid)
{
	char name[40], state = 0;
	unsigned int tries;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	for (tries = 0; state != 'S' && tries < 6000; tries++) {
		f = fopen(name, "r");
		ck_assert_ptr_nonnull(f);
		ck_assert_int_eq(fscanf(f, "%*d %*[^)]) %c", &state), 1);
		fclose(f);
		usleep(10000);
	}
	ck_assert_int_eq(state, 'S');
}

/* By Ctrl-Z and fg. */
START_TEST(who_was_stopped_waits_on)
{
	const char *const words[] = { "dump-memory", in_dir("dump") };
	static const char begin[] = PIECES "5\r\nwhole\r\n", rest[] = "0\r\n\r\n";
	char request[500];
	int status, fd;
	pid_t pid = fork();

	if (!pid)
		_exit(ctl_run(&options, words, 2, stdout, &error) ? 1 : 0);
	fd = accept(listener, NULL, NULL);
	ck_assert_int_gt(recv(fd, request, sizeof(request), 0), 0);
	ck_assert_int_gt(send(fd, begin, sizeof(begin) - 1, MSG_NOSIGNAL), 0);
	await_sleep(pid);
	ck_assert(!kill(pid, SIGSTOP));
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
	ck_assert(!kill(pid, SIGCONT));
	send(fd, rest, sizeof(rest) - 1, MSG_NOSIGNAL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	ck_assert_str_eq(written(), "whole");
	close(fd);
}
END_TEST

Suite *ctl_suite(void)
{
	Suite *s = suite_create("ctl");
	TCase *t = tcase_create("ctl");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, verbs_are_requests, 0, (int)ARRAY_SIZE(commands));
	tcase_add_test(t, info_for_people);
	tcase_add_test(t, info_before_the_start);
	tcase_add_loop_test(t, metrics_that_are_not_zero, 0, 2);
	tcase_add_test(t, raw_requests);
	tcase_add_test(t, a_body_is_wanted);
	tcase_add_test(t, refusals);
	tcase_add_loop_test(t, answers_that_are_none, 0, (int)ARRAY_SIZE(nonsense));
	tcase_add_test(t, nobody_there);
	tcase_add_test(t, dumps_are_put_together);
	tcase_add_loop_test(t, a_name_that_cannot_be_is_refused_first, 0, 3);
	tcase_add_loop_test(t, half_a_dump_is_none, 0, (int)ARRAY_SIZE(broken));
	tcase_add_test(t, a_dump_that_is_ended_leaves_no_file);
	tcase_add_test(t, who_was_stopped_waits_on);
	tcase_add_loop_test(t, command_lines, 0, (int)ARRAY_SIZE(lines));
	tcase_add_loop_test(t, bash_completes, 0, (int)ARRAY_SIZE(completions));
	suite_add_tcase(s, t);
	return s;
}
