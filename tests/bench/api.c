/* SPDX-License-Identifier: Apache-2.0 */

/*
 * api NACRE GUEST DISK PAIRS MS RATE [apart] - what a busy API costs a guest that does I/O
 *
 * Starts GUEST (tests/guest/bench_disk.c) by requests, and lets it read DISK. Then windows of MS
 * milliseconds in pairs, one in which nobody says anything and one with RATE requests a second on one
 * connection; which comes first takes turns, so that whatever else the machine does meets both alike.
 * With "apart" the guest and its devices have the first processor, requests and who sends them the
 * second: what is left then is what the two have in common. Prints one line:
 *
 *   reads QUIET BUSY ratio PERMILLE io NS NS vcpu NS NS control NS client NS sent N right N
 *
 * Reads a second, medians of the windows; the median of the pairs' ratios, busy to quiet; nanoseconds
 * of processor time that the device's thread and the virtual processor's take for a read, quiet and
 * busy, and those that the control thread and we take for a request; and how many answers were right.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READS	  16u /* for a dot */
#define PAIRS_MAX 100

extern char **environ;

/* Processor time of the machine's threads, in ns, and how far the guest is. */
struct sample {
	uint64_t when, io, vcpu, control, client, reads;
};

struct window {
	double rate, io, vcpu, control, client;
};

static char dir[] = "/tmp/nacre-bench-XXXXXX", path[64];
static int console = -1;
static pid_t pid;
static uint64_t dots, sent, right;

static void clean_up(void)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	unlink(path);
	rmdir(dir);
}

static void die(const char *what)
{
	fprintf(stderr, "api: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- the machine ---- */

static void start(const char *nacre)
{
	char *const argv[] = { (char *)nacre, "api", "--api-sock", path, NULL };
	posix_spawn_file_actions_t a;
	int out[2], r;

	if (!mkdtemp(dir))
		die(dir);
	snprintf(path, sizeof(path), "%s/sock", dir);
	atexit(clean_up);
	if (pipe2(out, O_CLOEXEC))
		die("pipe");
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_addopen(&a, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&a, out[1], 1);
	r = posix_spawnp(&pid, nacre, &a, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&a);
	close(out[1]);
	console = out[0];
	errno = r;
	if (r)
		die(nacre);
}

static int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), tries;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	for (tries = 0; connect(fd, (struct sockaddr *)&addr, sizeof(addr)); tries++) {
		if (tries == 500)
			die(path);
		usleep(10000);
	}
	return fd;
}

/* One request and its answer, which comes as a whole: its status. */
static int ask(int fd, const char *text, char *answer, size_t size)
{
	ssize_t n;
	int status = 0;

	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		die("send");
	n = recv(fd, answer, size - 1, 0);
	if (n <= 0)
		die("no answer");
	answer[n] = '\0';
	sscanf(answer, "HTTP/1.1 %d ", &status);
	return status;
}

static void put(int fd, const char *what, const char *body)
{
	char text[1024], answer[4096];

	snprintf(text, sizeof(text), "PUT %s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s", what,
		strlen(body), body);
	if (ask(fd, text, answer, sizeof(answer)) == 204)
		return;
	fprintf(stderr, "api: PUT %s: %s\n", what, answer);
	exit(1);
}

static void describe(int fd, const char *guest, const char *disk)
{
	char body[768];

	snprintf(body, sizeof(body), "{\"firmware_path\":\"%s\"}", guest);
	put(fd, "/boot-source", body);
	put(fd, "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":64}");
	snprintf(body, sizeof(body),
		"{\"drive_id\":\"d\",\"is_root_device\":false,\"path_on_host\":\"%s\"}", disk);
	put(fd, "/drives/d", body);
	put(fd, "/actions", "{\"action_type\":\"InstanceStart\"}");
}

/* ---- samples ---- */

typedef void (*thread_fn)(pid_t tid, uint64_t *sum);

/* For each of the machine's threads of that name. */
static void each_thread(const char *name, thread_fn fn, uint64_t *sum)
{
	char file[300], comm[32];
	struct dirent *d;
	DIR *tasks;

	snprintf(file, sizeof(file), "/proc/%d/task", (int)pid);
	tasks = opendir(file);
	while (tasks && (d = readdir(tasks))) {
		FILE *f;

		snprintf(file, sizeof(file), "/proc/%d/task/%s/comm", (int)pid, d->d_name);
		f = fopen(file, "r");
		if (!f)
			continue;
		comm[fread(comm, 1, sizeof(comm) - 1, f)] = '\0';
		fclose(f);
		comm[strcspn(comm, "\n")] = '\0';
		if (!strcmp(comm, name))
			fn(atoi(d->d_name), sum);
	}
	if (tasks)
		closedir(tasks);
}

/* The first number of schedstat is time that it ran. */
static void add_ns(pid_t tid, uint64_t *sum)
{
	char file[64];
	unsigned long long ns;
	FILE *f;

	snprintf(file, sizeof(file), "/proc/%d/task/%d/schedstat", (int)pid, (int)tid);
	f = fopen(file, "r");
	if (f && fscanf(f, "%llu", &ns) == 1)
		*sum += ns;
	if (f)
		fclose(f);
}

static uint64_t thread_ns(const char *name)
{
	uint64_t sum = 0;

	each_thread(name, add_ns, &sum);
	return sum;
}

/* On the processor of that number. */
static void place(pid_t tid, uint64_t *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(*cpu, &set);
	if (sched_setaffinity(tid, sizeof(set), &set))
		die("sched_setaffinity");
}

static void place_apart(void)
{
	uint64_t guests = 0, ours = 1;

	each_thread("vcpu0", place, &guests);
	each_thread("nacre-io", place, &guests);
	each_thread("nacre", place, &ours);
	each_thread("nacre-console", place, &ours);
	place(0, &ours);
}

static uint64_t count_reads(void)
{
	char buf[65536];
	ssize_t n, i;

	while ((n = read(console, buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++)
			dots += buf[i] == '.';
	if (n == 0) {
		fprintf(stderr, "api: the guest has ended\n");
		exit(1);
	}
	return dots * READS;
}

static void take(struct sample *s)
{
	s->reads = count_reads();
	s->when = now_ns(CLOCK_MONOTONIC);
	s->io = thread_ns("nacre-io");
	s->vcpu = thread_ns("vcpu0");
	s->control = thread_ns("nacre");
	s->client = now_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static double per(uint64_t what, uint64_t n)
{
	return n ? (double)what / (double)n : 0;
}

/* ---- windows ---- */

static void sleep_until(uint64_t when)
{
	struct timespec t = { (time_t)(when / 1000000000), (long)(when % 1000000000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		continue;
}

/* What is found, and what is not, in turn; behind its time it asks without a pause. */
static void crowd(int fd, uint64_t begin, uint64_t end, unsigned int rate)
{
	char text[64], want[64], answer[4096];
	uint64_t i, when;

	for (i = 0; (when = begin + i * 1000000000 / rate) < end; i++, sent++) {
		sleep_until(when);
		snprintf(want, sizeof(want), "GET r%llu.", (unsigned long long)sent);
		snprintf(text, sizeof(text), "GET /r%llu HTTP/1.1\r\n\r\n",
			(unsigned long long)sent);
		if (sent % 2)
			right += ask(fd, "GET / HTTP/1.1\r\n\r\n", answer, sizeof(answer)) == 200;
		else
			right += ask(fd, text, answer, sizeof(answer)) == 400 &&
				 strstr(answer, want);
	}
	sleep_until(end);
}

static void watch(int fd, uint64_t ns, unsigned int rate, struct window *w)
{
	uint64_t before = sent, reads;
	struct sample a, b;

	take(&a);
	if (rate)
		crowd(fd, a.when, a.when + ns, rate);
	else
		sleep_until(a.when + ns);
	take(&b);
	reads = b.reads - a.reads;
	*w = (struct window){ .rate = per(reads * 1000000000, b.when - a.when),
		.io = per(b.io - a.io, reads),
		.vcpu = per(b.vcpu - a.vcpu, reads),
		.control = per(b.control - a.control, sent - before),
		.client = per(b.client - a.client, sent - before) };
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Of one number of the windows, which is offset bytes into them. */
static double median(const struct window *w, size_t n, size_t offset)
{
	double v[PAIRS_MAX];
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = *(const double *)((const char *)&w[i] + offset);
	qsort(v, n, sizeof(*v), by_size);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

#define MEDIAN(w, field) median(w, pairs, offsetof(struct window, field))

int main(int argc, char **argv)
{
	static struct window quiet[PAIRS_MAX], busy[PAIRS_MAX], ratio[PAIRS_MAX];
	unsigned int rate;
	size_t pairs, i;
	uint64_t ns;
	int fd;

	if (argc != 7 && (argc != 8 || strcmp(argv[7], "apart") != 0)) {
		fprintf(stderr, "usage: api NACRE GUEST DISK PAIRS MS RATE [apart]\n");
		return 2;
	}
	pairs = strtoul(argv[4], NULL, 10);
	ns = strtoull(argv[5], NULL, 10) * 1000000;
	rate = (unsigned int)strtoul(argv[6], NULL, 10);
	if (!pairs || pairs > PAIRS_MAX || !ns || !rate)
		return 2;
	start(argv[1]);
	fd = dial();
	describe(fd, argv[2], argv[3]);
	if (argc == 8)
		place_apart();
	/* Caches are warm, and the guest is where it stays. */
	watch(fd, ns, rate, &busy[0]);
	sent = right = 0;
	for (i = 0; i < pairs; i++) {
		watch(fd, ns, i % 2 ? rate : 0, i % 2 ? &busy[i] : &quiet[i]);
		watch(fd, ns, i % 2 ? 0 : rate, i % 2 ? &quiet[i] : &busy[i]);
		ratio[i].rate = quiet[i].rate > 0 ? busy[i].rate / quiet[i].rate : 0;
	}
	printf("reads %.0f %.0f ratio %.0f io %.0f %.0f vcpu %.0f %.0f control %.0f client %.0f "
	       "sent %llu right %llu\n",
		MEDIAN(quiet, rate), MEDIAN(busy, rate), MEDIAN(ratio, rate) * 1000,
		MEDIAN(quiet, io), MEDIAN(busy, io), MEDIAN(quiet, vcpu), MEDIAN(busy, vcpu),
		MEDIAN(busy, control), MEDIAN(busy, client), (unsigned long long)sent,
		(unsigned long long)right);
	return sent != right;
}
