/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEXT_H
#define NACRE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Helpers for messages about text that somebody else wrote. Nothing here allocates or locks. */

/* Room for a quoted name in a message; longer text is cut. */
#define TEXT_SHOWN 64

/*
 * Copies s into buf, fit for a terminal: control bytes become '?', and text that does not fit ends
 * in "...", never in half a UTF-8 sequence. size must be at least 8. Returns buf.
 */
const char *text_show(char *buf, size_t size, const char *s);

/* The same for paths, whose end matters more: what does not fit is cut at the front. */
const char *text_show_end(char *buf, size_t size, const char *s);

/* Makes len bytes fit for a terminal in place: control characters but newline become '?'. */
void text_defuse(char *text, size_t len);

/* Whether s has letters and digits of ASCII only, and what else is listed. */
bool text_is_plain(const char *s, const char *others);

/*
 * The search for the word that somebody meant. Set `given`, call text_nearest_try for each word
 * that would have been right, then read `best`: NULL when none is close enough to suggest. Of
 * equally close words the first wins.
 */
struct text_nearest {
	const char *given;
	const char *best;
	unsigned int distance; /* of best; ignored while best is NULL */
};
void text_nearest_try(struct text_nearest *n, const char *word);

#endif
