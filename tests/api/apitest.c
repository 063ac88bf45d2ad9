/* SPDX-License-Identifier: Apache-2.0 */

/*
 * apitest curl OPTION... URL - as much of curl as the getting-started test uses, for hosts without it
 *
 * apitest [--all] NACRE OPENAPI GUEST CASES... - drives NACRE over its socket as the files of cases say, with
 * GUEST, a program for firmware_path that does nothing. Prints a table with a row for each file.
 * --all: an operation of the document that no file is about is a failure.
 *
 * Without KVM, cases that need a running guest are skipped; with NACRE_NO_SKIP set they fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/api/apitest.h"
#include "tests/api/schema.h"

static json_t *load(const char *path)
{
	json_error_t error;
	json_t *v = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

	if (!v) {
		fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
		exit(2);
	}
	return v;
}

/* Operations of the document that no file is about. */
static int count_untested(const json_t *doc, char **files, int count)
{
	json_t *paths = json_object_get(doc, "paths"), *operations, *ignored;
	const char *path, *method;
	int missing = 0, i;

	json_object_foreach(paths, path, operations)
	{
		json_object_foreach(operations, method, ignored)
		{
			char wanted[128];
			bool found = false;

			snprintf(wanted, sizeof(wanted), "%s %s", method, path);
			for (i = 0; i < count && !found; i++) {
				json_t *file = load(files[i]);
				const json_t *also = json_object_get(file, "also");
				const json_t *name = json_object_get(file, "operation");
				size_t k;

				found = name && !strcmp(json_string_value(name), wanted);
				for (k = 0; k < json_array_size(also) && !found; k++)
					found = !strcmp(
						json_string_value(json_array_get(also, k)), wanted);
				json_decref(file);
			}
			if (!found)
				printf("FAIL  %s: no cases for it\n", wanted);
			missing += !found;
		}
	}
	return missing;
}

/* curl -X METHOD --unix-socket PATH [-i] [-H HEADER]... -d DATA URL */
static int curl(int argc, char **argv)
{
	const char *method = "GET", *sock = NULL, *data = NULL, *url = NULL, *path;
	struct session s = { .fd = -1 };
	bool with_head = false;
	struct answer a;
	int i;

	for (i = 2; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "-i"))
			with_head = true;
		else if (argv[i][0] != '-')
			url = argv[i];
		else if (!strcmp(argv[i], "-X"))
			method = value;
		else if (!strcmp(argv[i], "--unix-socket"))
			sock = value;
		else if (!strcmp(argv[i], "-d") || !strcmp(argv[i], "--data"))
			data = value;
		i += argv[i][0] == '-' && strcmp(argv[i], "-i") != 0;
	}
	path = url && !strncmp(url, "http://localhost", 16) ? url + 16 : NULL;
	if (!sock || !path)
		return 2;
	snprintf(s.sock, sizeof(s.sock), "%s", sock);
	if (!session_request(&s, method, path, data, data ? strlen(data) : 0, &a))
		return 7;
	if (with_head)
		printf("HTTP/1.1 %d\n\n", a.status);
	printf("%s", a.body ? a.body : "");
	free(a.body);
	return 0;
}

int main(int argc, char **argv)
{
	struct suite t = { 0 };
	json_t *doc;
	int i, passed = 0, failed, skipped = 0;
	char table[8192];
	size_t used = 0;
	bool all;

	if (argc > 1 && !strcmp(argv[1], "curl"))
		return curl(argc, argv);
	all = argc > 1 && !strcmp(argv[1], "--all");
	argc -= all;
	argv += all;
	if (argc < 5) {
		fprintf(stderr, "usage: apitest [--all] NACRE OPENAPI GUEST CASES...\n");
		return 2;
	}
	t.nacre = argv[1];
	t.doc = doc = load(argv[2]);
	t.guest = argv[3];
	t.no_skip = getenv("NACRE_NO_SKIP") != NULL;
	t.has_kvm = !access("/dev/kvm", R_OK | W_OK);
	failed = all ? count_untested(doc, argv + 4, argc - 4) : 0;
	for (i = 4; i < argc; i++) {
		json_t *file = load(argv[i]);
		const char *name = json_string_value(json_object_get(file, "operation"));

		t.passed = t.failed = t.skipped = 0;
		cases_run(&t, file);
		used += (size_t)snprintf(table + used, sizeof(table) - used, "%-42s %5d %6d %7d\n",
			name, t.passed, t.failed, t.skipped);
		passed += t.passed;
		failed += t.failed;
		skipped += t.skipped;
		json_decref(file);
	}
	printf("%-42s %5s %6s %7s\n%s", "operation", "ok", "failed", "skipped", table);
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	json_decref(doc);
	return failed ? 1 : 0;
}
