/* SPDX-License-Identifier: Apache-2.0 */

/* Paths after the start: which a configuration needs (walls.c), and that no other can be used. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/sandbox/landlock.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/thread.h"
#include "vmm/walls.h"

/* Kernels that lack it, and machines that switch it off, have nothing to show; doctor says so. */
#define NEEDS_LANDLOCK(abi)                 \
	do {                                \
		if (landlock_abi() < (abi)) \
			return;             \
	} while (0)

static char dir[SCRATCH_PATH];

/* In the folder of this test. */
static const char *in(const char *name)
{
	static char paths[4][96];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void make(const char *name, const char *text)
{
	int fd = open(in(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
}

static void setup(void)
{
	scratch_dir(dir);
	ck_assert(!mkdir(in("images"), 0700) && !mkdir(in("other"), 0700));
	make("images/a", "a");
	make("images/b", "b");
	make("other/c", "c");
	make("empty", "");
}

static int try_open(const char *path, int flags)
{
	_close int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd < 0 ? errno : 0;
}

/* ---- what a thread can still do ---- */

static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? 99 : fn());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static int use_files(void)
{
	const struct sandbox_path paths[] = {
		{ in("images"), SANDBOX_READ | SANDBOX_WRITE },
		{ in("other/c"), SANDBOX_READ },
		{ in("missing"), SANDBOX_READ },
	};
	_close int open_before = open(in("empty"), O_RDWR | O_CLOEXEC);
	struct err e;

	if (landlock_restrict(paths, ARRAY_SIZE(paths), false, &e) != 2)
		return 1;
	if (try_open(in("images/a"), O_RDWR) || try_open(in("other/c"), O_RDONLY))
		return 2;
	if (try_open(in("other/c"), O_RDWR) != EACCES || try_open(in("empty"), O_RDONLY) != EACCES)
		return 3;
	if (try_open(in("images/new"), O_RDWR | O_CREAT) != EACCES ||
		unlink(in("images/a")) != -1 || errno != EACCES)
		return 4;
	if (try_open("/proc/self/mem", O_RDWR) != EACCES || try_open("/dev/null", O_RDWR) != EACCES)
		return 5;
	/* By another name it is the same file. */
	if (try_open(in("other/../images/b"), O_RDONLY) || write(open_before, "x", 1) != 1)
		return 6;
	return execl("/bin/true", "true", NULL) == -1 && errno == EACCES ? 0 : 7;
}

START_TEST(only_paths_that_are_named_open)
{
	NEEDS_LANDLOCK(1);
	ck_assert_int_eq(in_child(use_files), 0);
}
END_TEST

static int remove_files(void)
{
	const struct sandbox_path paths[] = { { in("images"), SANDBOX_REMOVE } };
	struct err e;

	if (landlock_restrict(paths, 1, false, &e) != 1 || unlink(in("images/a")))
		return 1;
	if (unlink(in("other/c")) != -1 || errno != EACCES)
		return 2;
	return try_open(in("images/b"), O_RDONLY) == EACCES ? 0 : 3;
}

START_TEST(removing_is_no_reading)
{
	NEEDS_LANDLOCK(1);
	ck_assert_int_eq(in_child(remove_files), 0);
}
END_TEST

static int cut_short(void)
{
	const struct sandbox_path paths[] = { { in("images"), SANDBOX_READ | SANDBOX_WRITE } };
	struct err e;

	if (landlock_restrict(paths, 1, false, &e) != 1)
		return 1;
	return truncate(in("images/a"), 0) == -1 && errno == EACCES ? 0 : 2;
}

START_TEST(writing_is_no_cutting)
{
	NEEDS_LANDLOCK(3);
	ck_assert_int_eq(in_child(cut_short), 0);
}
END_TEST

static int use_network(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err e;

	if (fd < 0)
		return 0; /* no network at all */
	if (landlock_restrict(NULL, 0, false, &e))
		return 1;
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) != -1 || errno != EACCES)
		return 2;
	any.sin_port = htons(9);
	if (connect(fd, (struct sockaddr *)&any, sizeof(any)) != -1 || errno != EACCES)
		return 3;
	return 0;
}

START_TEST(network_is_out_of_reach)
{
	NEEDS_LANDLOCK(4);
	ck_assert_int_eq(in_child(use_network), 0);
}
END_TEST

static int signal_others(void)
{
	struct err e;

	if (kill(getppid(), 0) || landlock_restrict(NULL, 0, true, &e) || kill(getppid(), 0))
		return 1;
	if (landlock_restrict(NULL, 0, false, &e) || kill(getpid(), 0))
		return 2;
	return kill(getppid(), 0) == -1 && errno == EPERM ? 0 : 3;
}

START_TEST(only_parents_signal_others)
{
	NEEDS_LANDLOCK(6);
	ck_assert_int_eq(in_child(signal_others), 0);
}
END_TEST

static int listen_at(const char *name, struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "%s", in(name));
	return bind(fd, (struct sockaddr *)a, sizeof(*a)) || listen(fd, 1) ? -1 : fd;
}

static int dial(const struct sockaddr_un *a)
{
	_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (const struct sockaddr *)a, sizeof(*a)) ? errno : 0;
}

static int use_sockets(void)
{
	const struct sandbox_path paths[] = { { in("images"), SANDBOX_CONNECT } };
	struct sockaddr_un near, far;
	struct err e;

	if (listen_at("images/s", &near) < 0 || listen_at("other/s", &far) < 0)
		return 1;
	if (landlock_restrict(paths, 1, false, &e) < 0)
		return 2;
	/* Older kernels leave it to the permissions of files. */
	return dial(&near) ? 3 : dial(&far) == (landlock_abi() < 9 ? 0 : EACCES) ? 0 : 4;
}

START_TEST(sockets_are_met_where_that_is_named)
{
	NEEDS_LANDLOCK(1);
	ck_assert_int_eq(in_child(use_sockets), 0);
}
END_TEST

/* ---- threads of a process with walls ---- */

static void *open_image(void *out)
{
	*(int *)out = try_open(in("images/a"), O_RDONLY);
	return NULL;
}

static int in_thread(enum thread_role role)
{
	pthread_t thread;
	struct err e;
	int r = -1;

	if (thread_start(&thread, role, "probe", open_image, &r, &e))
		return -2;
	pthread_join(thread, NULL);
	return r;
}

static int start_threads(void)
{
	const struct sandbox_path paths[] = { { in("images"), SANDBOX_READ } };
	const struct sandbox_plan plan = { .paths = paths, .path_count = 1 };
	char text[SANDBOX_TEXT];
	struct err e;

	sandbox_begin();
	/* Before the walls: a thread has its own, control has none. */
	if (in_thread(THREAD_LOG) != EACCES || try_open(in("empty"), O_RDONLY))
		return 1;
	if (sandbox_limits_paths() || sandbox_raise(&plan, &e) || !sandbox_limits_paths())
		return 2;
	if (try_open(in("images/a"), O_RDONLY) || try_open(in("empty"), O_RDONLY) != EACCES)
		return 3;
	if (in_thread(THREAD_IO) != EACCES || in_thread(THREAD_VCPU) != EACCES ||
		in_thread(THREAD_DISK) != EACCES || in_thread(THREAD_CONSOLE) != EACCES)
		return 4;
	return strstr(sandbox_describe(text, sizeof(text)), " (1 path)") ? 0 : 5;
}

START_TEST(only_control_opens_files)
{
	NEEDS_LANDLOCK(1);
	ck_assert_int_eq(in_child(start_threads), 0);
}
END_TEST

/* A kernel that has Landlock, and fails: a guest does not run without. */
static int raise_within_others(void)
{
	const struct sandbox_plan plan = { .is_protected = false };
	unsigned int layers = 0;
	struct err e = { "" };

	while (landlock_restrict(NULL, 0, true, &e) >= 0)
		if (++layers > 64)
			return 1;
	sandbox_begin();
	if (!sandbox_raise(&plan, &e) || sandbox_limits_paths())
		return 2;
	return strstr(e.msg, "too many layers") ? 0 : 3;
}

static int raise_with_a_pipe(void)
{
	char path[32];
	const struct sandbox_path paths[] = { { in("images"), SANDBOX_READ },
		{ path, SANDBOX_READ } };
	const struct sandbox_plan plan = { .paths = paths, .path_count = 2 };
	struct err e = { "" };
	int pipe_fds[2];

	if (pipe(pipe_fds))
		return 1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pipe_fds[0]);
	sandbox_begin();
	if (!sandbox_raise(&plan, &e) || sandbox_limits_paths())
		return 2;
	return strstr(e.msg, path) ? 0 : 3;
}

START_TEST(walls_that_cannot_stand_are_an_error)
{
	NEEDS_LANDLOCK(1);
	ck_assert_int_eq(in_child(_i ? raise_with_a_pipe : raise_within_others), 0);
}
END_TEST

/* ---- which paths ---- */

static struct config config;

static void set(const char *option, const char *text)
{
	struct err e = { "" };

	ck_assert_msg(!option_set_text(option_find(&config_table, option), &config, text, &e), "%s",
		e.msg);
}

static void plan(struct walls *w, const char *api_sock)
{
	struct err e = { "" };

	ck_assert_msg(!walls_plan(w, &config, api_sock, &e), "%s", e.msg);
}

static void has(const struct walls *w, unsigned int i, const char *path, unsigned int access)
{
	ck_assert_uint_gt(w->count, i);
	ck_assert_str_eq(w->paths[i].path, path);
	ck_assert_uint_eq(w->paths[i].access, access);
}

START_TEST(without_requests_only_sockets_count)
{
	struct walls w;

	config_init(&config);
	set("disk", in("images/a"));
	plan(&w, NULL);
	ck_assert_uint_eq(w.count, 0);
	set("vsock", "cid=3,path=/run/x/v.sock");
	plan(&w, NULL);
	ck_assert_uint_eq(w.count, 1);
	has(&w, 0, "/run/x", SANDBOX_REMOVE | SANDBOX_CONNECT);
	walls_free(&w);
	config_free(&config);
}
END_TEST

START_TEST(disks_bring_their_folders)
{
	char line[128];
	struct walls w;

	config_init(&config);
	ck_assert(!symlink(in("images/a"), in("other/link")));
	set("disk", in("other/link"));
	snprintf(line, sizeof(line), "%s,readonly", in("other/c"));
	set("disk", line);
	plan(&w, "a.sock");
	ck_assert_uint_eq(w.count, 3);
	has(&w, 0, ".", SANDBOX_REMOVE);
	has(&w, 1, in("images"), SANDBOX_READ | SANDBOX_WRITE);
	has(&w, 2, in("other"), SANDBOX_READ);
	ck_assert(!w.any_file);
	walls_free(&w);
	config_free(&config);
}
END_TEST

START_TEST(a_disk_without_size_may_become_any)
{
	struct walls w;

	config_init(&config);
	set("disk", in("images/a"));
	set("disk", in("empty"));
	plan(&w, "/a.sock");
	ck_assert(w.any_file);
	has(&w, 0, "/", SANDBOX_REMOVE);
	has(&w, 2, "/", SANDBOX_READ | SANDBOX_WRITE);
	walls_free(&w);
	/* Who says which means these. */
	set("allow-path", in("other"));
	plan(&w, "/a.sock");
	ck_assert(!w.any_file);
	ck_assert_uint_eq(w.count, 4);
	has(&w, 1, in("other"), SANDBOX_READ | SANDBOX_WRITE);
	has(&w, 3, dir, SANDBOX_READ | SANDBOX_WRITE);
	walls_free(&w);
	config_free(&config);
}
END_TEST

START_TEST(allowed_paths_are_there)
{
	struct err e = { "" };
	struct walls w;

	config_init(&config);
	set("allow-path", "/nowhere/at/all");
	ck_assert_int_eq(walls_plan(&w, &config, "/a.sock", &e), -ENOENT);
	ck_assert_str_eq(e.msg, "allow-path /nowhere/at/all: No such file or directory");
	ck_assert_int_eq(walls_plan(&w, &config, NULL, &e), 0);
	walls_free(&w);
	config_free(&config);
}
END_TEST

START_TEST(calls_beyond_those_of_every_machine_are_planned)
{
	struct seccomp_plan calls;

	config_init(&config);
	calls = walls_calls(&config, "/a.sock");
	ck_assert(calls.serves_api && !calls.opens_files && !calls.makes_sockets);
	set("disk", in("images/a"));
	set("vsock", "cid=3,path=/run/x/v.sock");
	calls = walls_calls(&config, "/a.sock");
	ck_assert(calls.opens_files && calls.makes_sockets);
	calls = walls_calls(&config, NULL);
	ck_assert(!calls.serves_api && !calls.opens_files && calls.makes_sockets);
	config_free(&config);
}
END_TEST

Suite *landlock_suite(void)
{
	Suite *s = suite_create("landlock");
	TCase *t = tcase_create("landlock");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, only_paths_that_are_named_open);
	tcase_add_test(t, removing_is_no_reading);
	tcase_add_test(t, writing_is_no_cutting);
	tcase_add_test(t, network_is_out_of_reach);
	tcase_add_test(t, only_parents_signal_others);
	tcase_add_test(t, sockets_are_met_where_that_is_named);
	tcase_add_test(t, only_control_opens_files);
	tcase_add_loop_test(t, walls_that_cannot_stand_are_an_error, 0, 2);
	tcase_add_test(t, without_requests_only_sockets_count);
	tcase_add_test(t, disks_bring_their_folders);
	tcase_add_test(t, a_disk_without_size_may_become_any);
	tcase_add_test(t, allowed_paths_are_there);
	tcase_add_test(t, calls_beyond_those_of_every_machine_are_planned);
	suite_add_tcase(s, t);
	return s;
}
