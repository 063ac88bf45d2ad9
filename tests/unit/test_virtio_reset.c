/* SPDX-License-Identifier: Apache-2.0 */

/* Resets of a device and of a queue while requests are under way. */
#include <check.h>
#include <string.h>

#include "tests/unit/test_virtio.h"

#define TAKEN (S_ACK | S_DRIVER | S_FEATURES_OK)

START_TEST(idle_device_is_reset_at_once)
{
	unsigned int before;

	start_both(F_EVENT);
	request(0);
	pump();
	before = model.resets;
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(model.resets, before + 1);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 0);
	for (unsigned int q = 0; q < 2; q++) {
		driver_put(&drv, R_QUEUE_SEL, q);
		ck_assert_uint_eq(driver_get(&drv, R_QUEUE_READY), 0);
	}
	ck_assert_uint_eq(model.dev.features, 0);
	/* Notifications find nobody. */
	request(0);
	pump();
	ck_assert_uint_eq(model.served, 1);
}
END_TEST

/* Two requests of queue 0 and one of queue 1 are held. */
static void hold_three(uint64_t features)
{
	start_both(features);
	model.hold = true;
	request(0);
	request(0);
	request(1);
	pump();
	ck_assert_uint_eq(model.held_count, 3);
	irqs();
}

START_TEST(reset_waits_for_what_is_under_way)
{
	hold_three(0);
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), S_NEEDS_RESET);
	give_back(true);
	give_back(false);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), S_NEEDS_RESET);
	give_back(true);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
	/* None of it came to the driver. */
	ck_assert_uint_eq(ring_used_idx(&rings[0]), 0);
	ck_assert_uint_eq(ring_used_idx(&rings[1]), 0);
	ck_assert_uint_eq(irqs(), 0);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 0);
}
END_TEST

START_TEST(driver_that_does_not_wait_runs_when_it_is_over)
{
	uint32_t head, len;

	hold_three(0);
	model.hold = false;
	model.activated = 0;
	/* Linux does not look at the status after it wrote 0. */
	driver_put(&drv, R_STATUS, 0);
	ring_new(&rings[0], &vguest, GUEST_RAM, 16);
	driver_put(&drv, R_STATUS, driver_get(&drv, R_STATUS) | S_ACK);
	driver_put(&drv, R_STATUS, driver_get(&drv, R_STATUS) | S_DRIVER);
	driver_put(&drv, R_DRV_FEATURES_SEL, 1);
	driver_put(&drv, R_DRV_FEATURES, 1);
	driver_put(&drv, R_STATUS, driver_get(&drv, R_STATUS) | S_FEATURES_OK);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_NEEDS_RESET);
	ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 1);
	driver_put(&drv, R_STATUS, driver_get(&drv, R_STATUS) | S_DRIVER_OK);
	request(0);
	pump();
	ck_assert_uint_eq(model.activated, 0);
	ck_assert_uint_eq(model.served, 3);
	give_back(true);
	give_back(true);
	ck_assert_uint_eq(model.activated, 0);
	give_back(true);
	ck_assert_uint_eq(model.activated, 1);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_DRIVER_OK);
	pump();
	/* The one new request, and nothing of the old life. */
	ck_assert_uint_eq(model.served, 4);
	ck_assert_uint_eq(ring_used_idx(&rings[0]), 1);
	ck_assert(ring_take(&rings[0], &head, &len));
}
END_TEST

START_TEST(broken_device_waits_too)
{
	hold_three(0);
	ring_set_idx(&rings[0], 1000);
	driver_put(&drv, R_NOTIFY, 0);
	pump();
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_DRIVER_OK | S_NEEDS_RESET);
	/* What ends meanwhile does not reach the driver. */
	give_back(true);
	ck_assert_uint_eq(ring_used_idx(&rings[0]), 0);
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), S_NEEDS_RESET);
	give_back(true);
	give_back(true);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
}
END_TEST

START_TEST(second_reset_changes_nothing)
{
	hold_three(0);
	driver_put(&drv, R_STATUS, 0);
	driver_put(&drv, R_STATUS, S_ACK);
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), S_NEEDS_RESET);
	give_back(true);
	give_back(true);
	give_back(true);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
}
END_TEST

START_TEST(queue_is_reset_alone)
{
	uint32_t head, len;

	hold_three(F_RESET);
	driver_put(&drv, R_QUEUE_SEL, 0);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 0);
	driver_put(&drv, R_QUEUE_RESET, 0);
	ck_assert_uint_eq(model.queue_resets, 0);
	driver_put(&drv, R_QUEUE_RESET, 1);
	ck_assert_uint_eq(model.queue_resets, 1);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 1);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_READY), 0);
	/* Not to be set up before it is over. */
	ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 0);
	give_back(true);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 1);
	give_back(true);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 0);
	ck_assert_uint_eq(ring_used_idx(&rings[0]), 0);
	/* The other one goes on. */
	give_back(true);
	ck_assert(ring_take(&rings[1], &head, &len));
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_DRIVER_OK);
	/* And this one again, smaller and elsewhere. */
	model.hold = false;
	ring_new(&rings[0], &vguest, GUEST_RAM + 2 * RING_BYTES, 4);
	ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 1);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 0);
	request(0);
	pump();
	ck_assert(ring_take(&rings[0], &head, &len));
}
END_TEST

START_TEST(queue_reset_must_be_negotiated)
{
	start_both(0);
	driver_put(&drv, R_QUEUE_SEL, 0);
	driver_put(&drv, R_QUEUE_RESET, 1);
	ck_assert_uint_eq(model.queue_resets, 0);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_READY), 1);
	driver_negotiate(&drv, F_VERSION | F_RESET);
	driver_put(&drv, R_QUEUE_RESET, 1);
	ck_assert_uint_eq(model.queue_resets, 0);
}
END_TEST

START_TEST(device_reset_ends_a_queue_reset)
{
	start_both(F_RESET);
	driver_put(&drv, R_QUEUE_SEL, 0);
	driver_put(&drv, R_QUEUE_RESET, 1);
	ck_assert_uint_eq(driver_negotiate(&drv, F_VERSION | F_RESET), TAKEN);
	driver_put(&drv, R_STATUS, TAKEN | S_DRIVER_OK);
	/* It was reset in an earlier life, which is no leave to set it up in this one. */
	ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 0);
}
END_TEST

/* Broken, or still on its way through a reset of all: nothing that concerns the model. */
START_TEST(queue_of_a_stopped_device_is_reset_without_the_model)
{
	hold_three(F_RESET);
	driver_put(&drv, R_QUEUE_SEL, 0);
	if (_i) {
		virtio_fail(&model.dev, "test");
	} else {
		ck_assert_uint_eq(
			driver_negotiate(&drv, F_VERSION | F_RESET), TAKEN | S_NEEDS_RESET);
		driver_queue(&drv, 0, &rings[0]);
		driver_put(&drv, R_STATUS, driver_get(&drv, R_STATUS) | S_DRIVER_OK);
	}
	driver_put(&drv, R_QUEUE_RESET, 1);
	ck_assert_uint_eq(model.queue_resets, 0);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_READY), 0);
	/* It takes as long as what is under way, of whichever life. */
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 1);
	for (unsigned int i = 0; i < 3; i++)
		give_back(true);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 0);
	if (!_i)
		ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 1);
}
END_TEST

TCase *virtio_reset_case(void)
{
	TCase *t = tcase_create("reset");

	tcase_add_checked_fixture(t, virtio_setup, virtio_teardown);
	tcase_add_test(t, idle_device_is_reset_at_once);
	tcase_add_test(t, reset_waits_for_what_is_under_way);
	tcase_add_test(t, driver_that_does_not_wait_runs_when_it_is_over);
	tcase_add_test(t, broken_device_waits_too);
	tcase_add_test(t, second_reset_changes_nothing);
	tcase_add_test(t, queue_is_reset_alone);
	tcase_add_test(t, queue_reset_must_be_negotiated);
	tcase_add_test(t, device_reset_ends_a_queue_reset);
	tcase_add_loop_test(t, queue_of_a_stopped_device_is_reset_without_the_model, 0, 2);
	return t;
}
