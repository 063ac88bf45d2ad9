/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/measure_print.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "vmm/bootfiles.h"
#include "vmm/config_json_impl.h"
#include "vmm/machine.h"
#include "vmm/measure.h"

static json_t *lines_json(const char *text)
{
	json_t *a = json_array();
	size_t len;

	for (; *text; text += len + 1) {
		len = strcspn(text, "\n");
		json_array_append_new(a, json_stringn(text, len));
	}
	return a;
}

static int print_json(const struct measurement *m, FILE *out, struct err *e)
{
	_json json_t *o = json_object();
	char hex[SHA256_HEX];

	json_object_set_new(o, "nacre", json_string(NACRE_VERSION));
	json_object_set_new(o, "version", json_integer(MEASURE_VERSION));
	json_object_set_new(o, "algorithm", json_string("sha256"));
	json_object_set_new(o, "digest", json_string(sha256_hex(m->digest, hex)));
	json_object_set_new(o, "lines", lines_json(m->text));
	/* Out of memory shows here: a NULL object cannot be written. */
	if (json_dumpf(o, out, JSON_INDENT(2)) && !ferror(out))
		return err_set(e, -ENOMEM, "measurement: out of memory");
	fputc('\n', out);
	return 0;
}

static int print(const struct cli *cli, const struct measurement *m, FILE *out, struct err *e)
{
	char hex[SHA256_HEX];

	if (cli->json)
		return print_json(m, out, e);
	if (cli->text)
		fwrite(m->text, 1, m->len, out);
	else
		fprintf(out, "sha256:%s\n", sha256_hex(m->digest, hex));
	return 0;
}

int measure_print(const struct cli *cli, FILE *out, struct err *e)
{
	struct measurement m = { .len = 0 };
	struct boot_files files;
	struct arch_config ac;
	int r;

	if (cli->config.protection == PROTECTION_AUTO)
		return err_set(e, -EINVAL,
			"protection auto: what it comes to depends on the host (measure one mode, "
			"as "
			"in --protection private)");
	r = machine_arch_config(&cli->config, &ac, e);
	if (!r)
		r = bootfiles_read(&files, &cli->config, e);
	if (r)
		return r;
	r = bootfiles_measure(&files, &ac, cli->config.probe, &m, e);
	bootfiles_free(&files);
	if (!r)
		r = print(cli, &m, out, e);
	measurement_free(&m);
	return r;
}
