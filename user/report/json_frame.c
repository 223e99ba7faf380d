#include "report/json_frame.h"

void json_frame(struct json *j, cJSON *stack, const struct frame_name *frame)
{
	char text[FRAME_TEXT_MAX];

	json_text(j, stack, NULL, frame_text(text, sizeof(text), frame, &frame_whole));
}
