/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/text.h"

#include <string.h>

/* No word we ever suggest is longer, so longer input need not be compared. */
#define WORD_MAX 32

const char *text_show(char *buf, size_t size, const char *s)
{
	size_t len = strlen(s);
	bool cut = len >= size;
	size_t i;

	if (cut) {
		len = size - 4;
		while (len && ((unsigned char)s[len] & 0xc0) == 0x80)
			len--;
	}
	for (i = 0; i < len; i++)
		buf[i] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i];
	memcpy(buf + len, cut ? "..." : "", cut ? 4 : 1);
	return buf;
}

const char *text_show_end(char *buf, size_t size, const char *s)
{
	size_t len = strlen(s);

	if (len < size)
		return text_show(buf, size, s);
	s += len - (size - 4);
	while (((unsigned char)*s & 0xc0) == 0x80)
		s++;
	memcpy(buf, "...", 3);
	text_show(buf + 3, size - 3, s);
	return buf;
}

bool text_is_plain(const char *s, const char *others)
{
	for (; *s; s++)
		if (!(*s >= '0' && *s <= '9') && !(*s >= 'a' && *s <= 'z') &&
			!(*s >= 'A' && *s <= 'Z') && !strchr(others, *s))
			return false;
	return true;
}

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Insertions, deletions, replacements and swaps of neighbours that turn a into b. */
static unsigned int edit_distance(const char *a, size_t alen, const char *b, size_t blen)
{
	unsigned int d[WORD_MAX + 1][WORD_MAX + 1];
	size_t i, j;

	for (i = 0; i <= alen; i++)
		d[i][0] = (unsigned int)i;
	for (j = 0; j <= blen; j++)
		d[0][j] = (unsigned int)j;
	for (i = 1; i <= alen; i++) {
		for (j = 1; j <= blen; j++) {
			unsigned int differ = a[i - 1] != b[j - 1];

			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + differ);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = min3(d[i][j], d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[alen][blen];
}

void text_nearest_try(struct text_nearest *n, const char *word)
{
	size_t given = strlen(n->given);
	size_t len = strlen(word);
	unsigned int distance;

	if (given == 0 || given > WORD_MAX || len > WORD_MAX)
		return;
	/* Who writes the beginning of a long word means that word, however much is missing. */
	if (given >= 2 && strncmp(n->given, word, given) == 0)
		distance = 1;
	else
		distance = edit_distance(n->given, given, word, len);
	if (distance > (len >= 6 ? len / 3 : 1))
		return;
	if (n->best && distance >= n->distance)
		return;
	n->best = word;
	n->distance = distance;
}

void text_defuse(char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;

		if ((c < 0x20 && c != '\n') || c == 0x7f)
			text[i] = '?';
		/* The second set of control characters, as UTF-8: terminals obey it too. */
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			text[i] = text[i + 1] = '?';
	}
}
