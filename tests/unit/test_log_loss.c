/* SPDX-License-Identifier: Apache-2.0 */

/* Log lines that are too many: nobody waits for them, what is lost is counted, and who has to be silent. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test_log.h"
#include "vmm/util/log.h"
#include "vmm/util/log_sink.h"

/* A FIFO without a reader takes lines until it is full; then they are lost, whole, and counted. */
START_TEST(full_pipe_blocks_nobody)
{
	struct log_config c = { .path = log_path, .show_level = true, .level = LOG_INFO };
	struct log_stats before, after;
	unsigned int i, got = 0;
	char buf[200];
	FILE *in;

	ck_assert_int_eq(mkfifo(log_path, 0600), 0);
	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_read_stats(&before);
	for (i = 0; i < 5000; i++)
		log_info("line %u with something to fill the pipe", i);
	log_read_stats(&after);
	ck_assert_uint_gt(after.lost, before.lost);
	in = fdopen(open(log_path, O_RDONLY | O_NONBLOCK), "r");
	ck_assert_ptr_nonnull(in);
	while (fgets(buf, sizeof(buf), in)) {
		got += buf[strlen(buf) - 1] == '\n' && buf[4] == '-' &&
		       strstr(buf, "fill the pipe\n") != NULL;
	}
	fclose(in);
	ck_assert_uint_eq(got + (after.lost - before.lost), 5000);
	/* There is room again. */
	log_info("line");
	log_read_stats(&before);
	ck_assert_uint_eq(before.lost, after.lost);
}
END_TEST

/* Longer than a FIFO takes at once: readers get it whole all the same, or not at all. */
START_TEST(long_lines_stay_whole)
{
	static char line[20000];
	unsigned int i, taken = 0, whole = 0, broken = 0;
	struct sink *s = NULL;
	struct err e;
	size_t have = 0;
	char byte;
	int fd;

	ck_assert_int_eq(mkfifo(log_path, 0600), 0);
	ck_assert_int_eq(sink_open(&s, log_path, &e), 0);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	fd = open(log_path, O_RDONLY | O_NONBLOCK);
	for (i = 0; i < 20; i++) {
		taken += sink_write(s, line, sizeof(line));
		if (i % 5 < 3)
			continue;
		while (read(fd, &byte, 1) == 1) {
			have++;
			if (byte != '\n')
				continue;
			whole += have == sizeof(line);
			broken += have != sizeof(line);
			have = 0;
		}
	}
	ck_assert_uint_eq(broken, 0);
	ck_assert_uint_gt(whole, 6);
	ck_assert_uint_ge(taken, whole);
	ck_assert_uint_eq(sink_lost(s), 20 - taken);
	close(fd);
	sink_free(s);
}
END_TEST

/* A file that may not grow is what a full disk is. */
START_TEST(full_disk_is_counted)
{
	struct rlimit limit = { 100, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };
	struct sink *s = NULL;
	struct err e;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(sink_open(&s, log_path, &e), 0);
	setrlimit(RLIMIT_FSIZE, &limit);
	while (sink_write(s, "1234567890\n", 11) && !sink_lost(s))
		sink_flush(s, 5000);
	/* Check writes a file too. */
	setrlimit(RLIMIT_FSIZE, &none);
	ck_assert_uint_gt(sink_lost(s), 0);
	sink_free(s);
}
END_TEST

static void *log_many(void *arg)
{
	unsigned int i;

	for (i = 0; i < 300; i++)
		log_info("%s %u", (char *)arg, i);
	return NULL;
}

START_TEST(threads_do_not_mix_lines)
{
	struct log_config c = { .path = log_path, .show_level = true, .level = LOG_INFO };
	struct log_stats before, after;
	unsigned int lines = 0, i;
	pthread_t t[3];
	struct blob b;
	char *p, *next;

	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_read_stats(&before);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, log_many, "who"), 0);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	b = log_content();
	for (p = (char *)b.data; *p; p = next, lines++) {
		next = strchr(p, '\n') + 1;
		if (p[4] != '-' || memmem(p, (size_t)(next - p), ":INFO] who ", 11) == NULL)
			break;
	}
	log_read_stats(&after);
	ck_assert_uint_eq(lines + (after.lost - before.lost), 900);
	blob_free(&b);
}
END_TEST

static enum log_gate_answer ask(struct log_gate *g, uint64_t second)
{
	unsigned int missed;

	return log_gate_ask(g, second, &missed);
}

START_TEST(gate_closes_and_opens_again)
{
	/* Also where the clock's seconds pass 32 bits. */
	static const uint64_t starts[] = { 0, 1, 1000, UINT32_MAX - 5 };
	uint64_t now = starts[_i];
	struct log_gate g = { 0 };
	unsigned int i, missed;

	for (i = 0; i < LOG_GATE_BURST; i++)
		ck_assert_int_eq(ask(&g, now), LOG_GATE_SPEAK);
	ck_assert_int_eq(ask(&g, now), LOG_GATE_LAST);
	for (i = 0; i < 41; i++)
		ck_assert_int_eq(ask(&g, now + i % 4), LOG_GATE_SILENT);
	if (now > UINT32_MAX - LOG_GATE_SECONDS)
		return;
	ck_assert_int_eq(ask(&g, now + LOG_GATE_SECONDS - 1), LOG_GATE_SILENT);
	ck_assert_int_eq(log_gate_ask(&g, now + LOG_GATE_SECONDS, &missed), LOG_GATE_SPEAK);
	ck_assert_uint_eq(missed, 43);
	ck_assert_int_eq(log_gate_ask(&g, now + LOG_GATE_SECONDS, &missed), LOG_GATE_SPEAK);
	ck_assert_uint_eq(missed, 0);
}
END_TEST

/* Whatever a guest does, a place in the source has its share per time and no more. */
START_TEST(gate_is_bounded_for_ever)
{
	struct log_gate g = { 0 };
	unsigned int said = 0;
	uint64_t now;

	for (now = 0; now < 100 * LOG_GATE_SECONDS; now++)
		said += ask(&g, now) != LOG_GATE_SILENT;
	ck_assert_uint_eq(said, 100 * (LOG_GATE_BURST + 1));
}
END_TEST

START_TEST(held_back_messages_are_counted)
{
	struct log_config c = { .path = log_path, .show_level = true, .level = LOG_INFO };
	struct log_stats before, after;
	unsigned int i;
	struct blob b;

	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_read_stats(&before);
	for (i = 0; i < LOG_GATE_BURST + 7; i++)
		log_limited(LOG_INFO, "again");
	log_read_stats(&after);
	ck_assert_uint_eq(after.held_back - before.held_back, 7);
	b = log_content();
	ck_assert_ptr_nonnull(strstr(
		(char *)b.data, "(further messages of this kind are not shown for 10 minutes)"));
	blob_free(&b);
}
END_TEST

/* The buffer in front of a file has an end: what is too much is lost, whole. */
START_TEST(full_buffer_loses_whole_lines)
{
	static char line[30000];
	unsigned int i, taken = 0;
	struct sink *s = NULL;
	struct err e;
	struct stat st;

	ck_assert_int_eq(sink_open(&s, log_path, &e), 0);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	for (i = 0; i < 2000; i++)
		taken += sink_write(s, line, sizeof(line));
	ck_assert_uint_eq(sink_lost(s), 2000 - taken);
	sink_free(s);
	ck_assert_int_eq(stat(log_path, &st), 0);
	ck_assert_int_eq(st.st_size, taken * sizeof(line));
}
END_TEST

TCase *log_loss_case(void)
{
	TCase *t = tcase_create("loss");

	tcase_add_checked_fixture(t, log_test_setup, log_test_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, full_pipe_blocks_nobody);
	tcase_add_test(t, long_lines_stay_whole);
	tcase_add_test(t, full_disk_is_counted);
	tcase_add_test(t, threads_do_not_mix_lines);
	tcase_add_loop_test(t, gate_closes_and_opens_again, 0, 4);
	tcase_add_test(t, gate_is_bounded_for_ever);
	tcase_add_test(t, held_back_messages_are_counted);
	tcase_add_test(t, full_buffer_loses_whole_lines);
	return t;
}
