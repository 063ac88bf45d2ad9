/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FINDING_H
#define NACRE_FINDING_H

#include <stdbool.h>

/*
 * What somebody found out about the host: rows of plain data. Who looks (the doctor, an
 * architecture's arch_caps) does not print, and who prints does not look. Nothing is allocated; one
 * thread at a time.
 */
enum finding_state {
	FINDING_OK,
	FINDING_ABSENT, /* not there, and nothing of ours needs it */
	FINDING_WARN,	/* there, with a catch */
	FINDING_MISSING,
	FINDING_STATES
};

/* Indexed by enum finding_state: "ok", "absent", "warn", "missing". */
extern const char *const finding_state_names[FINDING_STATES];

struct finding {
	const char *name; /* borrowed; a string constant in practice */
	enum finding_state state;
	bool required;	/* no mode works while this is missing */
	char text[768]; /* what there is, or what is wrong */
	char hint[256]; /* how to get what is missing; empty where there is no more to say */
};

#define FINDINGS_MAX 32

struct findings {
	struct finding rows[FINDINGS_MAX];
	unsigned int count;
};

/*
 * Appends a row and returns it, never NULL: when there is no room the last row is used again, for a
 * report with one line less is better than none.
 */
struct finding *finding_add(struct findings *f, const char *name, enum finding_state state,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Sets how to mend it. */
void finding_hint(struct finding *row, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The first required row that is missing, or NULL. */
const struct finding *findings_blocker(const struct findings *f);

#endif
