/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mtecheck api SEED FULL BASE GPA LEN       - on standard input, what nacre ctl --json mte-tags GPA LEN says:
 *                                             are the tags those of the pattern that begins at BASE?
 * mtecheck dump FILE SEED FULL BASE LEN TAGS - is that memory in the dump, with these words and tags? Its last
 *                                             page has TAGS, over and over. A reader of its own, made after
 *                                             nacre-dump(5)
 * mtecheck userdump FILE SEED FULL MIB      - is all that mtecheck user tagged in the dump, with its tags?
 *                                             Its pages lie anywhere; each says which one it is
 * mtecheck keeps                            - whether this processor keeps all tags: full, or pairs
 * mtecheck map                              - maps a page with PROT_MTE, says so, and waits for the end of
 *                                             its input: what a search for such mappings must find
 * mtecheck user MIB                         - in a guest's user space: tags so much memory, checks it, is told
 *                                             by SIGSEGV of a wrong tag, says where a page is, and waits until
 *                                             the host has written other tags to it
 *
 * FULL: 1, or 0 for an emulator that keeps two tags for each page (tests/guest/lib/tags.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/guest/lib/tags.h"

#define PAGE	 4096u
#define GRANULE	 16u
#define TAGS	 (PAGE / GRANULE)
#define TEXT_MAX (4u << 20)
/* Of the guest that a dump is of. */
#define MAX_PAGES (GUEST_MAX / PAGE)
#define GUEST_MAX (1u << 30)

/* Which older headers lack (Documentation/arch/arm64/memory-tagging-extension.rst). */
#define PROT_TAGS	 0x20
#define TAGGED_ADDR_CTRL 55
#define TAGGED_ENABLE	 1UL
#define TAGS_SYNC	 2UL
#define TAGS_ALL	 (0xffffUL << 3)
#define CODE_TAG_SYNC	 9 /* SEGV_MTESERR */

static void die(const char *what)
{
	printf("FAIL: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 0);
}

/* ---- what the API says ---- */

static char text[TEXT_MAX];

static int check_api(char **a)
{
	uint64_t seed = number(a[0]), base = number(a[2]), gpa = number(a[3]), len = number(a[4]);
	uint64_t at = gpa, i, wrong = 0, seen = 0, granule;
	bool full = number(a[1]);
	size_t n = fread(text, 1, TEXT_MAX - 1, stdin);
	char *p = strstr(text, "\"pages\":[");

	text[n] = '\0';
	while (p && (p = strstr(p, "{\"gpa\":")) != NULL) {
		at = strtoull(p + 7, &p, 10);
		if (strncmp(p, ",\"tags\":\"", 9) != 0)
			break;
		wrong += at != gpa + seen * GRANULE;
		for (i = 0, p += 9; p[i] != '"' && p[i]; i++, seen++) {
			granule = (at - base) / GRANULE + i;
			wrong += p[i] != "0123456789abcdef"[tag_of(seed, granule, full)];
		}
	}
	/* A page that has none is not said; by this pattern there is no such page. Each comes once. */
	if (wrong || seen != len / GRANULE || at >= gpa + len) {
		printf("FAIL: %llu of %llu tags are wrong, %llu were expected\n",
			(unsigned long long)wrong, (unsigned long long)seen,
			(unsigned long long)(len / GRANULE));
		return 1;
	}
	printf("%llu tags are right\n", (unsigned long long)seen);
	return 0;
}

/* ---- dumps ---- */

static uint8_t part[32 + 64 * PAGE];

static uint64_t le(const uint8_t *p, unsigned int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

static FILE *open_dump(const char *path)
{
	FILE *f = fopen(path, "rb");

	if (!f || fread(part, 1, 64, f) != 64 || memcmp(part, "NACREDMP", 8) != 0)
		die(path);
	return f;
}

/* Reads the next one into part, its payload behind 32 bytes: its kind, or 0 at the end. */
static uint64_t next_part(FILE *f, uint64_t *at, uint64_t *payload)
{
	if (fread(part, 1, 32, f) != 32)
		return 0;
	*payload = le(part + 4, 4);
	*at = le(part + 8, 8);
	if (*payload > sizeof(part) - 32 || fread(part + 32, 1, *payload, f) != *payload)
		die("a part");
	return le(part, 4);
}

static int check_dump(char **a)
{
	FILE *f = open_dump(a[0]);
	uint64_t seed = number(a[1]), base = number(a[3]), len = number(a[4]);
	uint64_t at, off, i, kind, payload, words = 0, tags = 0, wrong = 0;
	bool full = number(a[2]);
	const char *last = a[5];

	while ((kind = next_part(f, &at, &payload)) != 0) {
		for (i = 0; kind == 2 && i < payload; i += 8) {
			off = at + i - base;
			if (off >= len)
				continue;
			wrong += le(part + 32 + i, 8) != tags_word(seed, off / 8);
			words++;
		}
		for (i = 0; kind == 3 && i < payload * 2; i++) {
			uint8_t tag = part[32 + i / 2] >> i % 2 * 4 & 15;

			off = at + i * GRANULE - base;
			if (off >= len)
				continue;
			if (off >= len - PAGE)
				wrong += "0123456789abcdef"[tag] !=
					 last[off / GRANULE % TAGS % strlen(last)];
			else
				wrong += tag != tag_of(seed, off / GRANULE, full);
			tags++;
		}
	}
	fclose(f);
	if (wrong || words != len / 8 || tags != len / GRANULE) {
		printf("FAIL: %llu words and %llu tags, %llu are wrong\n",
			(unsigned long long)words, (unsigned long long)tags,
			(unsigned long long)wrong);
		return 1;
	}
	printf("%llu words and %llu tags are right\n", (unsigned long long)words,
		(unsigned long long)tags);
	return 0;
}

/* ---- dumps of a guest whose user space tagged memory ---- */

/* The first words of its i-th page: no others look so. */
static void page_mark(uint64_t seed, uint64_t i, uint64_t *mark)
{
	mark[0] = tags_word(seed, i);
	mark[1] = i;
}

struct pages {
	uint64_t seed, base, count;
	bool full;
	uint32_t of[MAX_PAGES]; /* which one is there: its number + 1, or 0 */
	bool right[MAX_PAGES];	/* a page with this number and all its tags was found */
};

static void find_marks(struct pages *p, uint64_t at, const uint8_t *bytes, uint64_t len)
{
	uint64_t mark[2], i, n;

	for (i = 0; i < len; i += PAGE) {
		n = le(bytes + i + 8, 8);
		page_mark(p->seed, n, mark);
		if (n < p->count && le(bytes + i, 8) == mark[0])
			p->of[(at + i - p->base) / PAGE % MAX_PAGES] = (uint32_t)n + 1;
	}
}

static void check_marked(struct pages *p, uint64_t at, const uint8_t *packed, uint64_t len)
{
	uint64_t i, j, n;
	bool right;

	for (i = 0; i < len * 2; i += TAGS) {
		n = p->of[(at + i * GRANULE - p->base) / PAGE % MAX_PAGES];
		for (j = 0, right = n; right && j < TAGS; j++)
			right = (packed[(i + j) / 2] >> j % 2 * 4 & 15) ==
				tag_of(p->seed, (n - 1) * TAGS + j, p->full);
		if (right)
			p->right[n - 1] = true;
	}
}

static int check_user_dump(char **a)
{
	static struct pages p;
	FILE *f = open_dump(a[0]);
	uint64_t i, kind, payload, at, wrong = 0;

	p.seed = number(a[1]);
	p.full = number(a[2]);
	p.count = (number(a[3]) << 20) / PAGE;
	if (p.count > MAX_PAGES)
		die(a[3]);
	while ((kind = next_part(f, &at, &payload)) != 0) {
		if (kind == 1)
			p.base = at;
		if (kind == 2)
			find_marks(&p, at, part + 32, payload);
		if (kind == 3)
			check_marked(&p, at, part + 32, payload);
	}
	fclose(f);
	for (i = 0; i < p.count; i++)
		wrong += !p.right[i];
	printf("%s%llu pages, %llu without their tags\n", wrong ? "FAIL: " : "",
		(unsigned long long)p.count, (unsigned long long)wrong);
	return wrong ? 1 : 0;
}

/* ---- tagged memory of our own ---- */

static void allow_tags(void)
{
	if (prctl(TAGGED_ADDR_CTRL, TAGGED_ENABLE | TAGS_SYNC | TAGS_ALL, 0, 0, 0))
		die("no memory tags here");
}

static uint8_t *map_tagged(size_t len)
{
	uint8_t *p = mmap(
		NULL, len, PROT_READ | PROT_WRITE | PROT_TAGS, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("map memory with PROT_MTE");
	return p;
}

static int map(void)
{
	allow_tags();
	*map_tagged(PAGE) = 1;
	printf("mapped\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}

#ifdef __aarch64__
static uint8_t *with_tag(uint8_t *p, unsigned int tag)
{
	return (uint8_t *)((uintptr_t)p | (uintptr_t)tag << 56);
}

static void set_tag(uint8_t *p, unsigned int tag)
{
	p = with_tag(p, tag);
	__asm__ volatile(".arch armv8.5-a+memtag\n\tstg %0, [%0]" ::"r"(p) : "memory");
}

static unsigned int get_tag(uint8_t *p)
{
	uintptr_t v = (uintptr_t)p;

	__asm__ volatile(".arch armv8.5-a+memtag\n\tldg %0, [%1]" : "+r"(v) : "r"(p) : "memory");
	return v >> 56 & 15;
}

static sigjmp_buf back;
static volatile int fault_code;

static void on_fault(int signo, siginfo_t *info, void *ctx)
{
	(void)signo;
	(void)ctx;
	fault_code = info->si_code;
	siglongjmp(back, 1);
}

/* What the kernel says of an access by that tag; 0: nothing. */
static int fault_of(uint8_t *p, unsigned int tag)
{
	fault_code = 0;
	if (!sigsetjmp(back, 1))
		*(volatile uint8_t *)with_tag(p, tag) |= 0;
	return fault_code;
}

static void check_faults(uint8_t *p)
{
	unsigned int tag, right = get_tag(p);

	for (tag = 0; tag < 16; tag++)
		if (fault_of(p, tag) != (tag == right ? 0 : CODE_TAG_SYNC)) {
			printf("FAIL: tag %u where %u is right: code %d\n", tag, right, fault_code);
			exit(1);
		}
}

static uint64_t physical(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)p / PAGE * 8)) != 8)
		die("/proc/self/pagemap");
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

static void check_tags(uint8_t *p, uint64_t count, bool full)
{
	uint64_t i;

	for (i = 0; i < count; i++)
		if (get_tag(p + i * GRANULE) != tag_of(7, i, full)) {
			printf("FAIL: granule %llu\n", (unsigned long long)i);
			exit(1);
		}
}

/* Of a page without tags. */
static bool keeps_all(uint8_t *p)
{
	set_tag(p, 1);
	set_tag(p + 2 * GRANULE, 2);
	return get_tag(p) == 1;
}

static int keeps(void)
{
	allow_tags();
	printf("%s\n", keeps_all(map_tagged(PAGE)) ? "full" : "pairs");
	return 0;
}

static int user(size_t len)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	uint64_t i, count = len / GRANULE;
	uint8_t *p, *page;
	bool full;

	allow_tags();
	sigaction(SIGSEGV, &sa, NULL);
	p = map_tagged(len);
	page = p + len - PAGE;
	for (i = 0; i < len / PAGE; i++)
		page_mark(7, i, (uint64_t *)(void *)(p + i * PAGE));
	full = keeps_all(p);
	for (i = 0; i < count; i++)
		set_tag(p + i * GRANULE, tag_of(7, i, full));
	check_tags(p, count, full);
	check_faults(p);
	check_faults(page);
	mlock(page, PAGE);
	printf("tagged, last page %llu, granule %llu, %s\n", (unsigned long long)physical(page),
		(unsigned long long)(count - TAGS), full ? "full" : "pairs");
	while (get_tag(page) == tag_of(7, count - TAGS, full))
		;
	printf("the host wrote ");
	for (i = 0; i < TAGS; i++)
		printf("%x", get_tag(page + i * GRANULE));
	check_faults(page);
	check_tags(p, count - TAGS, full);
	printf("\nSUCCESS\n");
	return 0;
}
#else
static int user(size_t len)
{
	(void)len;
	printf("FAIL: no arm64\n");
	return 1;
}

static int keeps(void)
{
	return user(0);
}
#endif

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 7 && !strcmp(argv[1], "api"))
		return check_api(argv + 2);
	if (argc == 8 && !strcmp(argv[1], "dump"))
		return check_dump(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "userdump"))
		return check_user_dump(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "keeps"))
		return keeps();
	if (argc == 2 && !strcmp(argv[1], "map"))
		return map();
	if (argc == 3 && !strcmp(argv[1], "user"))
		return user(number(argv[2]) << 20);
	fprintf(stderr, "usage: mtecheck api|dump|userdump|keeps|map|user ...\n");
	return 2;
}
