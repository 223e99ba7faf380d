#include "report/site_text.h"

#include <string.h>

#include "base/printable.h"

#define FRAMES_SHOWN 5
#define WIDTH_MAX 72
#define FUNCTION_MAX 60 /* bytes of a name; C++ has longer ones than a terminal is wide */

/* "function (object)" in two; all of it is the function where there is no symbol. */
struct name {
	const char *function, *object;
	size_t len; /* of the function */
};

static struct name split(const char *frame)
{
	struct name name = {.function = frame, .object = "", .len = strlen(frame)};
	const char *object = frame[0] && frame[name.len - 1] == ')' ? strrchr(frame, '(') : NULL;

	if (object && object > frame + 1 && object[-1] == ' ') {
		name.object = object - 1;
		name.len = (size_t)(object - 1 - frame);
	}
	return name;
}

/* The object is said once for neighbours in the same one, behind the last of them. */
static void put_frames(char buf[SITE_TEXT_MAX], const struct stack *stack, uint32_t cnt)
{
	const size_t size = SITE_TEXT_MAX;
	size_t used = 0;

	for (uint32_t i = 0; i < cnt && used < size; i++) {
		struct name name = split(stack->frames[stack->cnt - 1 - i]);
		bool cut = name.len > FUNCTION_MAX, same = false;

		if (i + 1 < cnt)
			same = !strcmp(name.object, split(stack->frames[stack->cnt - 2 - i]).object);
		used += (size_t)snprintf(buf + used, size - used, "%s%.*s%s%s", i ? " ← " : "",
					 cut ? FUNCTION_MAX - 1 : (int)name.len, name.function,
					 cut ? "…" : "", same ? "" : name.object);
	}
	if ((cnt < stack->cnt || stack->truncated) && used < size)
		snprintf(buf + used, size - used, " ← …");
	printable(buf, size, buf);
}

const char *site_text(char buf[SITE_TEXT_MAX], const struct site_view *view)
{
	const struct stack *stack = view ? view->stack : NULL;
	uint32_t cnt;

	if (!stack || !stack->cnt)
		return "[no stack]";
	cnt = stack->cnt < FRAMES_SHOWN ? stack->cnt : FRAMES_SHOWN;
	put_frames(buf, stack, cnt);
	while (cnt > 1 && printable_width(buf) > WIDTH_MAX)
		put_frames(buf, stack, --cnt);
	return buf;
}
