#include "verdict/own_line.h"

#include <stdio.h>
#include <string.h>

/* How own a frame is: the innermost of the highest rank is the place. */
enum rank {
	RANK_NOTHING, /* no name at all */
	RANK_NATIVE,  /* a shared library's, or without a line */
	RANK_OWN,     /* of the program itself */
	RANK_LINE,    /* … with a line */
	RANK_LIBRARY, /* Python, of a library or package */
	RANK_PYTHON,
};

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static bool is_installed(const char *file)
{
	return !strncmp(file, "<frozen", 7) || has(file, "/site-packages/") || has(file, "/dist-packages/") ||
	       has(file, "/lib/python");
}

/* Headers of a language's library are in the program where they were inlined. */
static bool is_system(const char *file)
{
	return has(file, "/usr/include/") || has(file, "/include/c++/");
}

static enum rank rank_of(const struct frame_name *f)
{
	if (f->kind == FRAME_PYTHON)
		return f->file && !is_installed(f->file) ? RANK_PYTHON : RANK_LIBRARY;
	if (f->kind != FRAME_NATIVE || (!f->function && !f->module))
		return RANK_NOTHING;
	if (f->module && has(f->module, ".so"))
		return RANK_NATIVE;
	return f->file && f->line && f->function && !is_system(f->file) ? RANK_LINE : RANK_OWN;
}

static bool find(const struct stack *stack, struct frame_name *found)
{
	struct stack_walk walk = {.stack = stack};
	enum rank best = RANK_NOTHING;
	const struct frame_name *f;

	while (stack && (f = stack_next_out(&walk))) {
		if (rank_of(f) > best) {
			best = rank_of(f);
			*found = *f;
		}
	}
	return best != RANK_NOTHING;
}

static const char *put(char buf[OWN_LINE_MAX], const struct frame_name *f)
{
	const struct frame_form form = {.no_tag = true, .function_max = 60};
	char text[FRAME_TEXT_MAX];

	if (f->file && f->line)
		snprintf(buf, OWN_LINE_MAX, "%s:%u", frame_base_name(f->file), f->line);
	else if (f->module && f->function)
		snprintf(buf, OWN_LINE_MAX, "%.100s (%.*s)", frame_text(text, sizeof(text), f, &form),
			 frame_module_len(f->module), f->module);
	else
		snprintf(buf, OWN_LINE_MAX, "%.150s", frame_text(text, sizeof(text), f, &form));
	return buf;
}

const char *own_line_text(char buf[OWN_LINE_MAX], const struct stack *stack)
{
	struct frame_name f;

	buf[0] = '\0';
	return find(stack, &f) ? put(buf, &f) : buf;
}

const char *own_line_beside(char buf[OWN_LINE_MAX], const struct stack *stack, const char *other)
{
	const char *colon, *line;

	own_line_text(buf, stack);
	colon = strrchr(other, ':');
	line = strrchr(buf, ':');
	if (colon && line && colon - other == line - buf && !strncmp(buf, other, (size_t)(line - buf)))
		memmove(buf, line, strlen(line) + 1);
	return buf;
}
