#include "command/option_types.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "command/options.h"
#include "command/push_request.h"

static int parse_flag(const char *text, void *field)
{
	(void)text;
	*(bool *)field = true;
	return 0;
}

static int parse_integer(const char *text, void *field)
{
	unsigned long long value;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end)
		return -EINVAL;
	*(uint64_t *)field = value;
	return -errno;
}

static int parse_pid(const char *text, void *field)
{
	uint64_t value;

	if (parse_integer(text, &value) != 0 || value == 0 || value > INT_MAX)
		return -EINVAL;
	*(pid_t *)field = (pid_t)value;
	return 0;
}

static int add_pid(struct pid_list *pids, pid_t pid)
{
	for (size_t i = 0; i < pids->cnt; i++)
		if (pids->v[i] == pid)
			return 0;
	if (pids->cnt == CHOICE_PIDS_MAX)
		return -ERANGE;
	pids->v[pids->cnt++] = pid;
	return 0;
}

/* "12,34", each once; more may be given by another -p. */
static int parse_pids(const char *text, void *field)
{
	char one[16];
	int err = 0;

	for (;; text++) {
		size_t len = strcspn(text, ",");
		pid_t pid;

		if (len >= sizeof(one))
			return -EINVAL;
		memcpy(one, text, len);
		one[len] = '\0';
		err = parse_pid(one, &pid);
		if (err == 0)
			err = add_pid(field, pid);
		text += len;
		if (err != 0 || !*text)
			return err;
	}
}

static int parse_text(const char *text, void *field)
{
	if (!*text)
		return -EINVAL;
	*(const char **)field = text;
	return 0;
}

static int parse_any(const char *text, void *field)
{
	*(const char **)field = text;
	return 0;
}

static int parse_no_flag(const char *text, void *field)
{
	(void)text;
	*(bool *)field = false;
	return 0;
}

static int parse_size(const char *text, void *field)
{
	return units_parse_bytes(text, field);
}

static int parse_seconds(const char *text, void *field)
{
	return units_parse_seconds(text, field);
}

static int parse_period(const char *text, void *field)
{
	uint64_t ns;
	int err = units_parse_seconds(text, &ns);

	if (err == 0 && ns < NSEC_PER_SEC / 100)
		err = -ERANGE;
	if (err == 0)
		*(uint64_t *)field = ns;
	return err;
}

static int parse_percent(const char *text, void *field)
{
	size_t len = strspn(text, "0123456789.");
	char *end;
	double value = strtod(text, &end);

	if (len == 0 || end != text + len || *end)
		return -EINVAL;
	if (value <= 0 || value > 100)
		return -ERANGE;
	*(double *)field = value;
	return 0;
}

/* "none": no limit, which is 0. */
static int parse_overhead(const char *text, void *field)
{
	if (strcmp(text, "none"))
		return parse_percent(text, field);
	*(double *)field = 0;
	return 0;
}

#define SAMPLE_BYTES_MAX (1ULL << 40)

static int parse_stack(const char *text, void *field)
{
	static const char sampled[] = "sampled:";
	struct stack_choice *choice = field;

	*choice = (struct stack_choice){.wanted = strcmp(text, "none") != 0};
	if (!choice->wanted)
		return 0;
	choice->free_sample_bytes = FREE_SAMPLE_BYTES;
	if (!strcmp(text, "all"))
		return 0;
	if (strncmp(text, sampled, sizeof(sampled) - 1))
		return -EINVAL;
	if (parse_size(text + sizeof(sampled) - 1, &choice->sample_bytes))
		return -EINVAL;
	choice->free_sample_bytes = choice->sample_bytes;
	return choice->sample_bytes && choice->sample_bytes <= SAMPLE_BYTES_MAX ? 0 : -EINVAL;
}

static int parse_objects(const char *text, void *field)
{
	struct objects_choice *choice = field;
	struct stack_choice stack;

	*choice = (struct objects_choice){.given = true, .paced = !strcmp(text, "paced")};
	if (choice->paced) {
		choice->wanted = true;
		choice->sample_bytes = OBJECT_SAMPLE_BYTES;
		return 0;
	}
	if (parse_stack(text, &stack))
		return -EINVAL;
	choice->wanted = stack.wanted;
	choice->sample_bytes = stack.sample_bytes;
	return 0;
}

/* What names of functions may begin with. */
static int parse_prefix(const char *text, void *field)
{
	for (const char *c = text; *c; c++)
		if (*c != '_' && *c != '.' && *c != '$' && !(*c >= '0' && *c <= '9' && c > text) &&
		    !((*c | 32) >= 'a' && (*c | 32) <= 'z'))
			return -EINVAL;
	return parse_text(text, field);
}

static int parse_weight(const char *text, void *field)
{
	for (int i = 0; i < WEIGHT_CNT; i++) {
		if (!strcmp(text, site_weight_names[i])) {
			*(enum site_weight *)field = (enum site_weight)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_format(const char *text, void *field)
{
	for (int i = 0; i < FORM_CNT; i++) {
		if (!strcmp(text, forms[i].name)) {
			*(enum form_number *)field = (enum form_number)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_push(const char *text, void *field)
{
	return push_form_of(text) == PUSH_NONE ? -EINVAL : parse_text(text, field);
}

static int parse_mark(const char *text, void *field)
{
	return mark_points_add(field, text);
}

static int parse_diff_form(const char *text, void *field)
{
	for (int i = 0; i < DIFF_FORM_CNT; i++) {
		if (!strcmp(text, diff_forms[i].name)) {
			*(enum diff_form_number *)field = (enum diff_form_number)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_diff_by(const char *text, void *field)
{
	for (int i = 0; i < DIFF_BY_CNT; i++) {
		if (!strcmp(text, diff_by_names[i])) {
			*(enum diff_by *)field = (enum diff_by)i;
			return 0;
		}
	}
	return -EINVAL;
}

const struct option_type type_flag = {"no argument", parse_flag};
const struct option_type type_no_flag = {"no argument", parse_no_flag};
const struct option_type type_pid = {"a process id", parse_pid};
const struct option_type type_pids = {"process ids, as 42 or 42,43", parse_pids};
const struct option_type type_name = {"a name", parse_text};
const struct option_type type_any = {"a text", parse_any};
const struct option_type type_cgroup = {"the path of a cgroup", parse_text};
const struct option_type type_size = {"a size, as 32M or 1.5GiB", parse_size};
const struct option_type type_seconds = {"seconds, as 90 or 0.5", parse_seconds};
const struct option_type type_period = {"seconds, 0.01 at least", parse_period};
const struct option_type type_integer = {"a whole number", parse_integer};
const struct option_type type_percent = {"a percentage, above 0 and up to 100", parse_percent};
const struct option_type type_overhead = {"a percentage, above 0 and up to 100, or none", parse_overhead};
const struct option_type type_objects = {"paced, all, none or sampled:SIZE, as sampled:64K", parse_objects};
const struct option_type type_stack = {"all, none or sampled:SIZE, as sampled:64K", parse_stack};
const struct option_type type_weight = {"live, allocated, freed, count, pinned, peak, temporary, retained or python",
					parse_weight};
const struct option_type type_format = {"text, json, folded, html, pprof, speedscope, perfetto or heaptrack",
					parse_format};
const struct option_type type_mark = {"LIB:SYMBOL, as libc.so.6:fork, or :SYMBOL of the program (16 at most)",
				      parse_mark};
const struct option_type type_diff_form = {"text, json, folded or html", parse_diff_form};
const struct option_type type_diff_by = {"nothing, time, marks or allocations", parse_diff_by};
const struct option_type type_file = {"the name of a file", parse_text};
const struct option_type type_command = {"a command for /bin/sh", parse_text};
const struct option_type type_prefix = {"what the functions' names begin with, as my_", parse_prefix};
const struct option_type type_push = {"an URL that ends in /ingest (Pyroscope) or /profiles/writeraw (Parca)",
				      parse_push};
