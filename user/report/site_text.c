#include "report/site_text.h"

#include <string.h>

#include "base/printable.h"

#define FRAMES_SHOWN 5
#define FRAMES_WITH_LINES 2 /* as many are worth more than lines */
#define WIDTH_MAX 72
#define FUNCTION_MAX 60 /* bytes of a name; C++ has longer ones than a terminal is wide */

struct shown {
	const struct frame_name *v[FRAMES_SHOWN + 1]; /* innermost first */
	bool skipped[FRAMES_SHOWN + 1];               /* others lie before it */
	uint32_t cnt;                                 /* FRAMES_SHOWN + 1: there are more */
	uint32_t least;                               /* so many are shown, however wide */
	bool truncated;
};

static bool says_where(const struct frame_name *name, bool lines)
{
	return !name->module || !name->function || (lines && name->file);
}

/* Whether the next frame out says, for this one too, which object they lie in. */
static bool is_said_later(const struct shown *s, uint32_t i, uint32_t cnt, bool lines)
{
	const struct frame_name *next = i + 1 < cnt ? s->v[i + 1] : NULL;

	return next && !says_where(next, lines) && !strcmp(next->module, s->v[i]->module);
}

/* Each frame says its line, or its object; that once for neighbours in the same one, behind the last of them.
 */
static void put_frames(char buf[SITE_TEXT_MAX], const struct shown *s, uint32_t cnt, bool lines)
{
	const struct frame_form form = {.line = lines, .no_tag = true, .function_max = FUNCTION_MAX};
	const size_t size = SITE_TEXT_MAX;
	char text[FRAME_TEXT_MAX];
	size_t used = 0;

	for (uint32_t i = 0; i < cnt && used < size; i++) {
		const struct frame_name *name = s->v[i];
		bool object = !says_where(name, lines) && !is_said_later(s, i, cnt, lines);

		used += (size_t)snprintf(buf + used, size - used, "%s%s%s%s%.*s%s", i ? " ← " : "",
					 s->skipped[i] ? "… ← " : "",
					 frame_text(text, sizeof(text), name, &form), object ? " (" : "",
					 object ? frame_module_len(name->module) : 0,
					 object ? name->module : "", object ? ")" : "");
	}
	if ((cnt < s->cnt || s->truncated) && used < size)
		snprintf(buf + used, size - used, " ← …");
	printable(buf, size, buf);
}

static bool has_python(const struct stack *stack)
{
	struct stack_walk walk = {.stack = stack};
	const struct frame_name *name;

	while ((name = stack_next_out(&walk)))
		if (name->kind == FRAME_PYTHON)
			return true;
	return false;
}

/* Of a stack that runs Python the innermost frame, and then Python: what lies between is C that no reader
 * wrote. */
static void choose(struct shown *s, const struct stack *stack)
{
	struct stack_walk walk = {.stack = stack};
	bool python = has_python(stack), skipped = false;
	const struct frame_name *name;

	while (s->cnt <= FRAMES_SHOWN && (name = stack_next_out(&walk))) {
		if (python && s->cnt && name->kind != FRAME_PYTHON) {
			skipped = true;
			continue;
		}
		s->skipped[s->cnt] = skipped;
		s->v[s->cnt++] = name;
		skipped = false;
	}
	s->least = python && s->cnt > 1 && s->v[0]->kind != FRAME_PYTHON ? 2 : 1;
}

const char *site_text(char buf[SITE_TEXT_MAX], const struct stack *stack)
{
	struct shown s = {.truncated = stack && stack->cut};
	uint32_t cnt;

	if (!stack || !stack->cnt)
		return "[no stack]";
	choose(&s, stack);
	cnt = s.cnt < FRAMES_SHOWN ? s.cnt : FRAMES_SHOWN;
	for (uint32_t with = cnt; with && (with >= FRAMES_WITH_LINES || with == cnt); with--) {
		put_frames(buf, &s, with, true);
		if (printable_width(buf) <= WIDTH_MAX || (s.least > 1 && with == s.least))
			return buf;
	}
	put_frames(buf, &s, cnt, false);
	while (cnt > 1 && printable_width(buf) > WIDTH_MAX)
		put_frames(buf, &s, --cnt, false);
	if (cnt == 1) /* however long its name is: the line is what tells it apart */
		put_frames(buf, &s, 1, true);
	return buf;
}
