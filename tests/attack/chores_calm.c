/* SPDX-License-Identifier: Apache-2.0 */

/* What the C library does by chance in any thread: with memory above all. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/attack/chores.h"
#include "vmm/util/bits.h"

static sem_t wanted, given, done;

/*
 * Pieces in the first thread's heap and in that of another one; below the size from which malloc maps
 * each by itself, which large is above. Half of them stay, so that either heap grows each time.
 */
#define PIECES	   32
#define PIECE_SIZE 100000u
#define LARGE_SIZE ((size_t)64 << 20)

static struct pieces {
	void *first[PIECES], *other[PIECES];
	void *large;
} pieces;

/* Of one thread, so that all are of one heap; each role takes its own. */
static void *others[THREAD_ROLES * PIECES];
static unsigned int others_used;

static void *plant_others(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = malloc(16);
	return NULL;
}

/* realloc stays in the heap that a piece is from. So any thread makes either heap grow. */
static void grow(void)
{
	unsigned int i;

	for (i = 0; i < PIECES; i++) {
		pieces.first[i] = realloc(pieces.first[i], PIECE_SIZE);
		pieces.other[i] = realloc(pieces.other[i], PIECE_SIZE);
	}
	pieces.large = malloc(LARGE_SIZE);
}

static void give_back(void)
{
	unsigned int i;

	if (does_many_things(own_role))
		free(pieces.large);
	for (i = PIECES; i-- > PIECES / 2;) {
		free(pieces.first[i]);
		free(pieces.other[i]);
	}
}

void calm_plant(void)
{
	pthread_t thread;
	unsigned int i;

	if (!others_used && !pthread_create(&thread, NULL, plant_others, NULL))
		pthread_join(thread, NULL);
	for (i = 0; i < PIECES && others_used < ARRAY_SIZE(others); i++) {
		pieces.first[i] = malloc(16);
		pieces.other[i] = others[others_used++];
	}
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* As the balloon, for whose lists some C libraries ask how much memory there is. */
static void sort(void)
{
	static int numbers[4096];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		numbers[i] = (int)(i * 40503u % 4096u);
	qsort(numbers, ARRAY_SIZE(numbers), sizeof(numbers[0]), compare);
}

/*
 * What the C library does by itself on some hosts only: where the clock cannot be read without the kernel,
 * and where a heap is to be of huge pages.
 */
static void do_as_elsewhere(void)
{
	struct timespec t;
	struct timeval v;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	syscall(SYS_gettimeofday, &v, NULL);
	madvise(pieces.large, LARGE_SIZE, MADV_HUGEPAGE);
}

/* Whoever starts us waits meanwhile, and makes for us what we only give back, as a thread's end does. */
void calm_do(void)
{
	if (own_role != THREAD_CONTROL) {
		sem_post(&wanted);
		wait_for(&given);
	}
	if (does_many_things(own_role)) {
		grow();
		pieces.large = realloc(pieces.large, 2 * LARGE_SIZE);
		do_as_elsewhere();
	}
	if (own_role == THREAD_IO)
		sort();
	give_back();
	tell(" is done");
	if (own_role != THREAD_CONTROL)
		sem_post(&done);
}

void calm_serve(enum thread_role role)
{
	wait_for(&wanted);
	calm_plant();
	if (!does_many_things(role))
		grow();
	sem_post(&given);
	wait_for(&done);
}
