#include "report/json_frame.h"

void json_stack(struct json *j, cJSON *parent, const struct stack *stack)
{
	cJSON *frames = json_array(j, parent, "stack");
	struct stack_walk walk = {.stack = stack};
	const struct frame_name *frame;
	char text[FRAME_TEXT_MAX];

	while (stack && (frame = stack_next(&walk)))
		json_text(j, frames, NULL, frame_text(text, sizeof(text), frame, &frame_whole));
}
