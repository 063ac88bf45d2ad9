/* SPDX-License-Identifier: Apache-2.0 */

/*
 * compile ARCH RULES VALUES - makes filters of the rules that collect.awk gathered
 *
 * Runs on the machine that builds, for either architecture; libseccomp knows the numbers of both. So
 * a start of Nacre spends no time on it, and the library is no part of it. Printed is the C source
 * of a filter for each role and each set of rights, the names of all system calls, and those of the
 * ioctls that rules name. A call that the architecture lacks is an error, unless the rule says so.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RULES_MAX  1024
#define VALUES_MAX 256
#define CALLS_MAX  512
#define ROLES	   7
#define RIGHTS	   3
#define SETS	   (1 << RIGHTS)

static const char *const roles[ROLES] = { "control", "console", "io", "vcpu", "disk", "log",
	"fill" };
/* The bits of a set, as in seccomp_impl.h. */
static const char *const rights[RIGHTS] = { "files", "api", "sockets" };

struct rule {
	char role[16], right[16], call[160], place[160];
};

struct value {
	char text[120];
	uint64_t value;
};

static struct rule rules[RULES_MAX];
static struct value values[VALUES_MAX];
static unsigned int rule_count, value_count;
static uint32_t arch;
static const char *arch_name;

static void die(const char *what, const char *where)
{
	fprintf(stderr, "%s: %s\n", where, what);
	exit(1);
}

static unsigned int right_bit(const char *name)
{
	unsigned int i;

	for (i = 0; i < RIGHTS; i++)
		if (!strcmp(name, rights[i]))
			return 1u << i;
	return 0;
}

/* Until the next call. */
static const char *upper(const char *role)
{
	static char text[16];
	unsigned int i;

	for (i = 0; i < sizeof(text) - 1 && role[i]; i++)
		text[i] = (char)(role[i] - ('a' - 'A'));
	text[i] = '\0';
	return text;
}

static void read_rules(const char *path)
{
	FILE *f = fopen(path, "re");
	struct rule *r = rules;

	if (!f)
		die(strerror(errno), path);
	while (fscanf(f, "%15s %15s %159s %159s", r->role, r->right, r->call, r->place) == 4)
		if (++r == rules + RULES_MAX)
			die("too many rules", path);
	rule_count = (unsigned int)(r - rules);
	fclose(f);
}

static void read_values(const char *path)
{
	FILE *f = fopen(path, "re");
	struct value *v = values;

	if (!f)
		die(strerror(errno), path);
	while (fscanf(f, "%119s %lu", v->text, &v->value) == 2)
		if (++v == values + VALUES_MAX)
			die("too many constants", path);
	value_count = (unsigned int)(v - values);
	fclose(f);
}

static uint64_t value_of(const char *text, const struct rule *r)
{
	unsigned int i;

	for (i = 0; i < value_count; i++)
		if (!strcmp(values[i].text, text))
			return values[i].value;
	die("a constant without value", r->place);
	return 0;
}

/* "N=V" or "N&M=V". */
static struct scmp_arg_cmp condition(char *text, const struct rule *r)
{
	char *value = strchr(text, '='), *mask = strchr(text, '&');
	struct scmp_arg_cmp c = { .arg = (unsigned int)(text[0] - '0') };

	if (!value || c.arg > 5)
		die("a condition that is neither N=V nor N&M=V", r->place);
	*value++ = '\0';
	if (mask && mask < value) {
		c.op = SCMP_CMP_MASKED_EQ;
		c.datum_a = value_of(mask + 1, r);
		c.datum_b = value_of(value, r);
	} else {
		c.op = SCMP_CMP_EQ;
		c.datum_a = value_of(value, r);
	}
	return c;
}

/* Cuts `text` at `mark`; what follows it, or NULL. */
static char *cut(char *text, char mark)
{
	char *at = strchr(text, mark);

	if (at)
		*at++ = '\0';
	return at;
}

/*
 * The conditions of a rule; *nr is negative for one of the other architecture, *error 0 if it allows.
 * *native is the number of that call here, which libseccomp wants and translates.
 */
static unsigned int parse(
	const struct rule *r, int *nr, int *native, int *error, struct scmp_arg_cmp conds[6])
{
	char call[sizeof(r->call) + 8], *name, *place, *cond;
	unsigned int n = 0;

	if (!strncmp(r->call, "ioctl:", 6))
		snprintf(call, sizeof(call), "ioctl[1=%s]", r->call + 6);
	else
		snprintf(call, sizeof(call), "%s", r->call);
	name = cut(call, '!');
	*error = !name ? 0 : !strcmp(name, "ENOSYS") ? ENOSYS : EPERM;
	for (cond = cut(call, '['); cond && n < 6; n++) {
		char *next = cut(cond, '[');

		cut(cond, ']');
		conds[n] = condition(cond, r);
		cond = next;
	}
	place = cut(call, '@');
	*nr = -1;
	if (place && strcmp(place, arch_name) != 0)
		return 0;
	*nr = seccomp_syscall_resolve_name_arch(arch, call);
	*native = seccomp_syscall_resolve_name(call);
	if (*nr < 0)
		die("this architecture has no such system call (NAME@x86, NAME@arm64)", r->place);
	return n;
}

static void add(scmp_filter_ctx ctx, const struct rule *r)
{
	struct scmp_arg_cmp conds[6];
	int nr, native, error, ret;
	unsigned int n = parse(r, &nr, &native, &error, conds);

	if (nr < 0)
		return;
	ret = seccomp_rule_add_exact_array(ctx,
		error ? SCMP_ACT_ERRNO((unsigned int)error) : SCMP_ACT_ALLOW, native, n, conds);
	if (ret)
		die(r->call, r->place);
	/* First in the filter what the guest waits for. */
	if (!strncmp(r->call, "ioctl", 5))
		seccomp_syscall_priority(ctx, native, 255);
}

static bool applies(const struct rule *r, const char *role, unsigned int set)
{
	if (strcmp(r->role, role) != 0)
		return false;
	return (right_bit(r->right) & ~set) == 0;
}

/* Two places may need the same call. */
static bool is_repeated(unsigned int i, const char *role, unsigned int set)
{
	unsigned int k;

	for (k = 0; k < i; k++)
		if (applies(&rules[k], role, set) && !strcmp(rules[i].call, rules[k].call))
			return true;
	return false;
}

static void print_filter(scmp_filter_ctx ctx, const char *role, unsigned int set)
{
	int fd = memfd_create("filter", MFD_CLOEXEC), r = seccomp_export_bpf(ctx, fd);
	struct sock_filter line;

	if (r)
		die(strerror(-r), role);
	lseek(fd, 0, SEEK_SET);
	printf("static const struct sock_filter filter_%s_%u[] = {\n", role, set);
	while (read(fd, &line, sizeof(line)) == (ssize_t)sizeof(line))
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", line.code, line.jt, line.jf, line.k);
	printf("};\n\n");
	close(fd);
}

/* The rights among `set` that change anything for the role. */
static unsigned int relevant(const char *role, unsigned int set)
{
	unsigned int i, known = 0;

	for (i = 0; i < rule_count; i++)
		if (!strcmp(rules[i].role, role))
			known |= right_bit(rules[i].right);
	return known & set;
}

static void compile(const char *role, unsigned int set)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
	unsigned int i;

	if (!ctx || (arch != seccomp_arch_native() &&
			    (seccomp_arch_add(ctx, arch) ||
				    seccomp_arch_remove(ctx, seccomp_arch_native()))))
		die("libseccomp does not know this architecture", arch_name);
	seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	for (i = 0; i < rule_count; i++)
		if (applies(&rules[i], role, set) && !is_repeated(i, role, set))
			add(ctx, &rules[i]);
	print_filter(ctx, role, set);
	seccomp_release(ctx);
}

/* For builds that record which rules are used. */
static void print_rules(void)
{
	struct scmp_arg_cmp conds[6];
	unsigned int i, k, n;
	int nr, native, error;

	printf("#ifdef NACRE_RECORD\nconst struct rule seccomp_rules[] = {\n");
	for (i = 0; i < rule_count; i++) {
		const struct rule *r = &rules[i];

		n = parse(r, &nr, &native, &error, conds);
		if (nr < 0)
			continue;
		printf("\t{ THREAD_%s, %u, %d, %d, { ", upper(r->role), right_bit(r->right), nr,
			error);
		for (k = 0; k < n; k++)
			printf("{ %u, 0x%lx, 0x%lx }, ", conds[k].arg,
				conds[k].op == SCMP_CMP_EQ ? UINT64_MAX : conds[k].datum_a,
				conds[k].op == SCMP_CMP_EQ ? conds[k].datum_a : conds[k].datum_b);
		printf("}, \"%s %s %s %s\" },\n", r->role, r->right, r->call, r->place);
	}
	printf("\t{ 0 },\n};\n#endif\n\n");
}

static void print_table(void)
{
	unsigned int i, set;

	printf("static const struct filter filters[THREAD_ROLES][RIGHT_SETS] = {\n");
	for (i = 0; i < ROLES; i++) {
		printf("\t[THREAD_%s] = {\n", upper(roles[i]));
		for (set = 0; set < SETS; set++)
			printf("\t\tFILTER(filter_%s_%u),\n", roles[i], relevant(roles[i], set));
		printf("\t},\n");
	}
	printf("};\n\n");
}

static void print_names(void)
{
	unsigned int i;
	int nr;

	printf("static const char *const call_names[] = {\n");
	for (nr = 0; nr < CALLS_MAX; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(arch, nr);

		if (name)
			printf("\t[%d] = \"%s\",\n", nr, name);
		free(name);
	}
	printf("};\n\nstatic const struct named ioctl_names[] = {\n");
	for (i = 0; i < rule_count; i++) {
		const char *name = rules[i].call + 6;
		unsigned int k;

		if (strncmp(rules[i].call, "ioctl:", 6) != 0)
			continue;
		for (k = 0; k < i && strcmp(rules[k].call, rules[i].call) != 0; k++)
			continue;
		if (k == i)
			printf("\t{ 0x%lx, \"%s\" },\n", value_of(name, &rules[i]), name);
	}
	printf("};\n");
}

int main(int argc, char **argv)
{
	unsigned int i, set;

	if (argc != 4)
		die("usage: compile x86|arm64 RULES VALUES", argv[0]);
	arch_name = argv[1];
	arch = strcmp(arch_name, "x86") ? SCMP_ARCH_AARCH64 : SCMP_ARCH_X86_64;
	read_rules(argv[2]);
	read_values(argv[3]);
	printf("/* Made by vmm/sandbox/rules/compile.c of the rules beside the code. */\n\n");
	for (i = 0; i < ROLES; i++)
		for (set = 0; set < SETS; set++)
			if (relevant(roles[i], set) == set)
				compile(roles[i], set);
	print_rules();
	print_table();
	print_names();
	return 0;
}
