/* `alloctrace top PID,…`: what attach reports, on a live screen. */
#include <stdio.h>
#include <string.h>

#include "command/attach.h"
#include "command/command.h"
#include "picture/whole.h"
#include "screen/screen.h"
#include "screen/terminal.h"

struct top {
	int signal_fd; /* the screen's once there is one */
	const struct log *log;
	struct whole *whole;
	struct screen *screen;
};

static void close_top(void *self)
{
	struct top *top = self;
	char line[512] = "";

	if (!top)
		return;
	if (top->screen)
		snprintf(line, sizeof(line), "%s", screen_line(top->screen));
	screen_free(top->screen);
	whole_free(top->whole);
	if (line[0])
		printf("%s\n", line);
}

static void *open_top(void *context, const struct options *options, const struct naming *naming,
		      const struct log *log)
{
	struct top *top = context;

	(void)naming;
	top->log = log;
	top->whole = whole_new();
	top->screen = screen_new(top->signal_fd, options->interval_ns);
	if (top->whole && top->screen)
		return top;
	close_top(top);
	log_warn(log, "no memory for a screen");
	return NULL;
}

static int begin(void *self)
{
	struct top *top = self;
	struct error err;
	int rc = screen_begin(top->screen, &err);

	if (rc)
		log_warn(top->log, "%s", err.text);
	return rc;
}

static int take_ends(struct top *top, const struct picture *picture)
{
	for (size_t i = 0; i < picture->cnt; i++)
		screen_take_end(top->screen, whole_part(top->whole, picture, i));
	return 0;
}

static int picture(void *self, const struct picture *picture)
{
	const struct snapshot *s;
	struct top *top = self;
	int rc;

	if (picture->kind == PICTURE_ENDS)
		rc = take_ends(top, picture);
	else
		rc = whole_of(top->whole, picture, &s) ?: screen_take(top->screen, s);
	whole_passed(top->whole, picture);
	return rc;
}

static int top_fd(const void *self)
{
	const struct top *top = self;

	return screen_fd(top->screen);
}

static enum audience_wish act(void *self)
{
	static const enum audience_wish wishes[] = {
		[SCREEN_STAY] = AUDIENCE_STAYS,
		[SCREEN_PICTURE] = AUDIENCE_ASKS,
		[SCREEN_LEAVE] = AUDIENCE_LEAVES,
	};
	struct top *top = self;

	return wishes[screen_act(top->screen)];
}

static const struct audience screen_audience = {
	.hasty = true,
	.open = open_top,
	.begin = begin,
	.picture = picture,
	.fd = top_fd,
	.act = act,
	.close = close_top,
};

int command_top(int argc, char **argv)
{
	const struct log log = {.out = stderr};
	struct options options;
	struct error err;
	struct top top = {0};
	int status = options_parse_top(argc, argv, &options);

	if (status != OPTIONS_GO)
		return status;
	if (terminal_check(&err)) {
		log_warn(&log, "%s", err.text);
		return STATUS_FAILED;
	}
	top.signal_fd = screen_block_signals();
	return attach_for(&options, &screen_audience, &top);
}
