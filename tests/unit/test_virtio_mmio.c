/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mem/guard.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_virtio.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

struct test_model model;
struct guest vguest;
struct driver drv;
struct ring rings[2];
int test_irq;

static struct loop *loop;
static struct loop_event *end;

/* ---- the device ---- */

static bool model_features(struct virtio_dev *d, uint64_t features)
{
	(void)d;
	return !(features & TEST_VETO);
}

static void model_activate(struct virtio_dev *d)
{
	(void)d;
	model.activated++;
}

static void model_reset(struct virtio_dev *d)
{
	(void)d;
	model.resets++;
}

static void model_queue_reset(struct virtio_dev *d, unsigned int q)
{
	(void)d;
	(void)q;
	model.queue_resets++;
}

static enum virtio_next serve(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	char text[8];

	if (model.later)
		return VIRTIO_LATER;
	model.served++;
	if (model.hold) {
		model.held[model.held_count] = *c;
		model.held_q[model.held_count++] = q;
		return VIRTIO_NEXT;
	}
	if (virtio_read(d, q, c, 0, text, sizeof(text)))
		virtio_write(d, q, c, 0, text, sizeof(text));
	virtio_push(d, q, c, sizeof(text));
	if (model.greedy)
		ring_offer(&rings[q], 0);
	return VIRTIO_NEXT;
}

static void model_notify(struct virtio_dev *d, unsigned int q)
{
	model.notified[q]++;
	virtio_serve(d, q, serve);
}

static void model_read(struct virtio_dev *d, uint32_t off, void *data, unsigned int len)
{
	(void)d;
	virtio_config_copy(model.config, sizeof(model.config), off, data, len);
}

static void model_write(struct virtio_dev *d, uint32_t off, const void *data, unsigned int len)
{
	(void)d;
	if (off + len <= sizeof(model.config))
		memcpy(model.config + off, data, len);
}

static const struct virtio_ops ops = {
	.name = "virtio-test",
	.id = 42,
	.features = model_features,
	.activate = model_activate,
	.reset = model_reset,
	.queue_reset = model_queue_reset,
	.queue_notify = model_notify,
	.config_read = model_read,
	.config_write = model_write,
};

/* ---- around it ---- */

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void setup(bool is_protected)
{
	static const uint16_t queue_max[] = { 16, 8 };
	struct virtio_config cfg = { .ops = &ops,
		.features = TEST_FEATURE | TEST_VETO,
		.queue_max = queue_max,
		.queues = 2,
		.is_protected = is_protected };
	struct err e = { "" };

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(guard_init(&e), 0);
	guest_new(&vguest);
	ck_assert_int_eq(loop_new(&loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(loop, on_end, NULL, &end, &e), 0);
	test_irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	memset(&model, 0, sizeof(model));
	memcpy(model.config, "configspace", 12);
	cfg.mem = vguest.mem;
	cfg.loop = loop;
	cfg.irq.fd = test_irq;
	ck_assert_msg(!virtio_init(&model.dev, &cfg, &e), "%s", e.msg);
	driver_new(&drv, &model.dev);
	ring_new(&rings[0], &vguest, GUEST_RAM, 16);
	ring_new(&rings[1], &vguest, GUEST_RAM + RING_BYTES, 8);
}

void virtio_setup(void)
{
	setup(false);
}

void virtio_setup_protected(void)
{
	setup(true);
}

void virtio_teardown(void)
{
	virtio_fini(&model.dev);
	loop_event_free(end);
	loop_free(loop);
	close(test_irq);
	guest_free(&vguest);
	log_set_level(LOG_WARN);
}

void pump(void)
{
	loop_timer_set(end, 2000);
	ck_assert_int_eq(loop_run(loop), 0);
}

void run_on_thread(void)
{
	struct err e;

	loop_event_free(end);
	end = NULL;
	ck_assert_int_eq(loop_start_thread(loop, THREAD_IO, "io", &e), 0);
}

unsigned int irqs(void)
{
	uint64_t n = 0;

	return read(test_irq, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

void start_both(uint64_t features)
{
	uint32_t status = driver_negotiate(&drv, features | F_VERSION);

	ck_assert_uint_eq(status, S_ACK | S_DRIVER | S_FEATURES_OK);
	ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 1);
	ck_assert_uint_eq(driver_queue(&drv, 1, &rings[1]), 1);
	driver_put(&drv, R_STATUS, status | S_DRIVER_OK);
}

void offer(unsigned int q)
{
	ring_desc(&rings[q], 0, GUEST_DATA, 8, DESC_NEXT, 1);
	ring_desc(&rings[q], 1, GUEST_DATA + 64, 8, DESC_WRITE, 0);
	ring_offer(&rings[q], 0);
}

void request(unsigned int q)
{
	offer(q);
	driver_put(&drv, R_NOTIFY, q);
}

void give_back(bool push)
{
	struct virtio_dev *d = &model.dev;

	ck_assert_uint_gt(model.held_count, 0);
	model.held_count--;
	pthread_mutex_lock(&d->lock);
	if (push)
		virtio_push(d, model.held_q[0], &model.held[0], 8);
	else
		virtio_drop(d, model.held_q[0]);
	virtio_notify(d, model.held_q[0]);
	pthread_mutex_unlock(&d->lock);
	memmove(model.held, model.held + 1, sizeof(model.held) - sizeof(model.held[0]));
	memmove(model.held_q, model.held_q + 1, sizeof(model.held_q) - sizeof(model.held_q[0]));
}

/* ---- registers ---- */

START_TEST(registers_say_what_it_is)
{
	ck_assert_uint_eq(driver_get(&drv, R_MAGIC), 0x74726976);
	ck_assert_uint_eq(driver_get(&drv, R_VERSION), 2);
	ck_assert_uint_eq(driver_get(&drv, R_DEVICE_ID), 42);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 0);
	driver_put(&drv, R_SHM_SEL, 1);
	for (uint64_t reg = R_SHM_LEN; reg < R_SHM_BASE + 8; reg += 4)
		ck_assert_uint_eq(driver_get(&drv, reg), UINT32_MAX);
	/* Write-only, legacy and reserved ones. */
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_SEL), 0);
	ck_assert_uint_eq(driver_get(&drv, 0x40), 0);
	ck_assert_uint_eq(driver_get(&drv, 0xd0), 0);
	driver_put(&drv, R_MAGIC, 1);
	ck_assert_uint_eq(driver_get(&drv, R_MAGIC), 0x74726976);
}
END_TEST

START_TEST(features_come_in_words)
{
	ck_assert_uint_eq(driver_features(&drv), TEST_OFFERED | (_i ? F_PLATFORM : 0));
	driver_put(&drv, R_DEV_FEATURES_SEL, 2);
	ck_assert_uint_eq(driver_get(&drv, R_DEV_FEATURES), 0);
	driver_put(&drv, R_DEV_FEATURES_SEL, UINT32_MAX);
	ck_assert_uint_eq(driver_get(&drv, R_DEV_FEATURES), 0);
}
END_TEST

#define REFUSED (S_ACK | S_DRIVER)
#define TAKEN	(S_ACK | S_DRIVER | S_FEATURES_OK)

static const struct {
	uint64_t features;
	uint32_t open, is_protected; /* status in an ordinary VM, and in a protected one */
} choices[] = {
	{ F_VERSION, TAKEN, REFUSED },
	{ F_VERSION | F_PLATFORM, REFUSED, TAKEN },
	{ F_VERSION | F_PLATFORM | F_EVENT | F_INDIRECT | F_RESET | TEST_FEATURE, REFUSED, TAKEN },
	{ F_VERSION | F_EVENT | F_INDIRECT | F_RESET | TEST_FEATURE, TAKEN, REFUSED },
	{ 0, REFUSED, REFUSED },
	{ F_PLATFORM | TEST_FEATURE, REFUSED, REFUSED },
	{ F_VERSION | 4, REFUSED, REFUSED },
	{ F_VERSION | F_PLATFORM | 4, REFUSED, REFUSED },
	{ F_VERSION | 1ull << 34, REFUSED, REFUSED },
	{ F_VERSION | 1ull << 63, REFUSED, REFUSED },
	{ F_VERSION | TEST_VETO, REFUSED, REFUSED },
	{ F_VERSION | F_PLATFORM | TEST_VETO, REFUSED, REFUSED },
};

START_TEST(only_good_choices_of_features_are_taken)
{
	uint32_t want = model.dev.is_protected ? choices[_i].is_protected : choices[_i].open;

	ck_assert_uint_eq(driver_negotiate(&drv, choices[_i].features), want);
	ck_assert_uint_eq(model.dev.features, want == TAKEN ? choices[_i].features : 0);
	/* Refused is not broken: a driver may think again. */
	if (want == REFUSED)
		ck_assert_uint_eq(driver_negotiate(&drv,
					  F_VERSION | (model.dev.is_protected ? F_PLATFORM : 0)),
			TAKEN);
}
END_TEST

START_TEST(features_are_set_in_their_time_only)
{
	driver_put(&drv, R_DRV_FEATURES_SEL, 1);
	driver_put(&drv, R_DRV_FEATURES, 1);
	driver_put(&drv, R_STATUS, S_ACK);
	driver_put(&drv, R_DRV_FEATURES, 1);
	driver_put(&drv, R_STATUS, S_ACK | S_DRIVER);
	driver_put(&drv, R_STATUS, TAKEN);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), REFUSED);
	driver_put(&drv, R_DRV_FEATURES, 1);
	driver_put(&drv, R_DRV_FEATURES_SEL, 2);
	driver_put(&drv, R_DRV_FEATURES, 0);
	driver_put(&drv, R_DRV_FEATURES, 1);
	driver_put(&drv, R_STATUS, TAKEN);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN);
	driver_put(&drv, R_DRV_FEATURES_SEL, 0);
	driver_put(&drv, R_DRV_FEATURES, TEST_FEATURE);
	ck_assert(!virtio_has(&model.dev, 0));
	ck_assert(virtio_has(&model.dev, 32));
	ck_assert_uint_eq(model.dev.wanted, F_VERSION);
	/* A reset forgets them. */
	driver_put(&drv, R_STATUS, 0);
	driver_put(&drv, R_STATUS, TAKEN);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), REFUSED);
}
END_TEST

static const struct {
	unsigned int n;
	uint32_t writes[2], want;
} walks[] = {
	{ 1, { S_ACK }, S_ACK },
	{ 1, { S_DRIVER }, 0 },
	{ 1, { S_FEATURES_OK }, 0 },
	{ 2, { S_ACK, S_ACK | S_FEATURES_OK }, S_ACK },
	{ 2, { S_ACK, S_ACK | S_DRIVER_OK }, S_ACK },
	{ 2, { S_ACK, REFUSED | S_DRIVER_OK }, REFUSED },
	{ 1, { S_ACK | S_DRIVER }, REFUSED },
	{ 2, { S_ACK | S_DRIVER, S_ACK }, REFUSED },
	{ 2, { S_ACK | S_DRIVER, S_DRIVER }, REFUSED },
	{ 2, { S_ACK | S_DRIVER, S_DRIVER | S_FAILED }, REFUSED },
	{ 1, { S_ACK | S_FAILED }, S_ACK | S_FAILED },
	{ 2, { S_ACK, S_ACK | S_NEEDS_RESET }, S_ACK },
	{ 1, { S_NEEDS_RESET }, 0 },
	{ 2, { S_ACK, 0x100 }, S_ACK },
	{ 2, { S_ACK, S_ACK | 0x30 }, S_ACK },
	{ 2, { S_ACK | S_DRIVER, 0 }, 0 },
};

START_TEST(status_goes_its_way)
{
	for (unsigned int i = 0; i < walks[_i].n; i++)
		driver_put(&drv, R_STATUS, walks[_i].writes[i]);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), walks[_i].want);
	ck_assert_uint_eq(model.activated, 0);
}
END_TEST

START_TEST(queues_are_set_up_in_their_time_only)
{
	driver_put(&drv, R_QUEUE_SEL, 1);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_MAX), 8);
	driver_put(&drv, R_QUEUE_SEL, 0);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_MAX), 16);
	/* Before FEATURES_OK. */
	ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 0);
	ck_assert_uint_eq(model.dev.queues[0].vq.size, 0);
	driver_negotiate(&drv, F_VERSION);
	ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 1);
	/* While it is ready. */
	driver_put(&drv, R_QUEUE_NUM, 4);
	driver_put(&drv, R_DESC, 0);
	ck_assert_uint_eq(model.dev.queues[0].vq.size, 16);
	ck_assert_uint_eq(model.dev.queues[0].vq.desc.v, rings[0].desc);
	/* While the device runs. */
	driver_put(&drv, R_STATUS, TAKEN | S_DRIVER_OK);
	ck_assert_uint_eq(driver_queue(&drv, 1, &rings[1]), 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_DRIVER_OK);
	/* A queue can be stopped, and then waits for a reset. */
	driver_put(&drv, R_QUEUE_SEL, 0);
	driver_put(&drv, R_QUEUE_READY, 0);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_READY), 0);
	driver_put(&drv, R_QUEUE_READY, 1);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_READY), 0);
}
END_TEST

START_TEST(absent_queue_reads_as_zero)
{
	driver_negotiate(&drv, F_VERSION | F_RESET);
	ck_assert_uint_eq(driver_queue(&drv, 2, &rings[0]), 0);
	ck_assert_uint_eq(driver_queue(&drv, UINT32_MAX, &rings[0]), 0);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_MAX), 0);
	driver_put(&drv, R_QUEUE_RESET, 1);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 0);
	driver_put(&drv, R_NOTIFY, 2);
	driver_put(&drv, R_NOTIFY, UINT32_MAX);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN);
}
END_TEST

START_TEST(bad_queue_needs_a_reset)
{
	driver_negotiate(&drv, F_VERSION);
	if (_i == 0)
		rings[0].size = 32;
	else if (_i == 1)
		rings[0].used += 2;
	else
		rings[0].desc = GUEST_PRIVATE;
	ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_NEEDS_RESET);
	/* The driver does not drive yet, so it gets no interrupt (2.1.2). */
	ck_assert_uint_eq(irqs(), 0);
	driver_put(&drv, R_STATUS, TAKEN | S_DRIVER_OK);
	driver_put(&drv, R_NOTIFY, 0);
	pump();
	ck_assert_uint_eq(model.activated, 0);
	ck_assert_uint_eq(model.notified[0], 0);
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
}
END_TEST

START_TEST(size_of_more_than_16_bits_is_not_cut_off)
{
	driver_negotiate(&drv, F_VERSION);
	driver_queue(&drv, 0, &(struct ring){ .size = 0 });
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_NEEDS_RESET);
	driver_negotiate(&drv, F_VERSION);
	driver_put(&drv, R_QUEUE_NUM, 0x10010);
	ck_assert_uint_eq(model.dev.queues[0].vq.size, 0);
}
END_TEST

START_TEST(config_space_takes_all_widths)
{
	uint64_t at = 0xd0000000 + R_CONFIG, v = 0;

	for (unsigned int len = 1; len <= 8; len *= 2) {
		bus_read(&drv.bus, at, &v, len);
		ck_assert_mem_eq(&v, "configspace", len);
	}
	bus_read(&drv.bus, at + 8, &v, 8);
	ck_assert_mem_eq(&v, "ace\0\0\0\0\0", 8);
	ck_assert_uint_eq(driver_get(&drv, 0xffc), 0);
	/* Three bytes, or two at an odd address, are no access to a field. */
	v = UINT64_MAX;
	bus_read(&drv.bus, at, &v, 3);
	ck_assert_uint_eq(v, UINT64_MAX << 24);
	v = UINT64_MAX;
	bus_read(&drv.bus, at + 1, &v, 2);
	ck_assert_uint_eq(v, UINT64_MAX << 16);
	bus_write(&drv.bus, at + 2, "NF", 2);
	bus_write(&drv.bus, at + 1, "xx", 2);
	ck_assert_str_eq((char *)model.config, "coNFigspace");
}
END_TEST

START_TEST(registers_take_words_only)
{
	uint64_t base = 0xd0000000, v;

	for (unsigned int len = 1; len <= 8; len++) {
		for (uint64_t off = 0; off < 4; off++) {
			v = UINT64_MAX;
			bus_read(&drv.bus, base + off, &v, len);
			if (len != 4 || off != 0)
				ck_assert_uint_eq(v, len == 8 ? 0 : UINT64_MAX << (8 * len));
			v = S_ACK;
			if (len != 4 || off != 0)
				bus_write(&drv.bus, base + R_STATUS + off, &v, len);
		}
	}
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
}
END_TEST

START_TEST(changed_config_is_told)
{
	uint32_t before = driver_get(&drv, R_GENERATION);

	virtio_config_changed(&model.dev);
	ck_assert_uint_ne(driver_get(&drv, R_GENERATION), before);
	ck_assert_uint_eq(irqs(), 0);
	start_both(0);
	virtio_config_changed(&model.dev);
	ck_assert_uint_eq(driver_get(&drv, R_GENERATION), before + 2);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 2);
}
END_TEST

static TCase *make_case(const char *name, void (*fixture)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, fixture, virtio_teardown);
	tcase_add_loop_test(
		t, only_good_choices_of_features_are_taken, 0, (int)ARRAY_SIZE(choices));
	return t;
}

Suite *virtio_mmio_suite(void)
{
	Suite *s = suite_create("virtio_mmio");
	TCase *t = make_case("registers", virtio_setup);
	TCase *p = make_case("protected", virtio_setup_protected);

	tcase_add_test(t, registers_say_what_it_is);
	tcase_add_loop_test(t, features_come_in_words, 0, 1);
	tcase_add_loop_test(p, features_come_in_words, 1, 2);
	tcase_add_test(t, features_are_set_in_their_time_only);
	tcase_add_loop_test(t, status_goes_its_way, 0, (int)ARRAY_SIZE(walks));
	tcase_add_test(t, queues_are_set_up_in_their_time_only);
	tcase_add_test(t, absent_queue_reads_as_zero);
	tcase_add_loop_test(t, bad_queue_needs_a_reset, 0, 3);
	tcase_add_test(t, size_of_more_than_16_bits_is_not_cut_off);
	tcase_add_test(t, config_space_takes_all_widths);
	tcase_add_test(t, registers_take_words_only);
	tcase_add_test(t, changed_config_is_told);
	suite_add_tcase(s, t);
	suite_add_tcase(s, p);
	suite_add_tcase(s, virtio_running_case());
	suite_add_tcase(s, virtio_reset_case());
	suite_add_tcase(s, virtio_held_case());
	return s;
}
