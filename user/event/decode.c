#include "event/source.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

const char *const source_loss_names[SOURCE_LOSS_CNT] = {
	[LOSS_RING_FULL] = "ring_full",
	[LOSS_PENDING_FULL] = "pending_full",
	[LOSS_NO_RETURN] = "no_return",
	[LOSS_UNREADABLE] = "unreadable",
	[LOSS_STACK] = "stack",
	[LOSS_PYTHON] = "python",
	[SOURCE_LOSS_MALFORMED] = "malformed",
	[SOURCE_LOSS_PROBES] = "probes",
};

/* The exact size of each kind's record; 0: no such kind. */
static const size_t record_sizes[EVENT_KIND_CNT] = {
	[EVENT_PURGE_BEGIN] = sizeof(struct event_purge_begin),
	[EVENT_PURGE] = sizeof(struct event_purge),
	[EVENT_DLOPEN] = sizeof(struct event_dlopen),
	[EVENT_DLCLOSE] = sizeof(struct event_dlclose),
	[EVENT_MEMORY] = sizeof(struct event_memory),
	[EVENT_LOADED] = sizeof(struct event_head),
	[EVENT_FORK] = sizeof(struct event_fork),
	[EVENT_EXEC] = sizeof(struct event_exec),
	[EVENT_OOM] = sizeof(struct event_head),
	[EVENT_EXIT] = sizeof(struct event_exit),
	[EVENT_ALLOC] = sizeof(struct event_block),
	[EVENT_FREE] = sizeof(struct event_block),
	[EVENT_REALLOC_BEGIN] = sizeof(struct event_block),
	[EVENT_REALLOC] = sizeof(struct event_block),
	[EVENT_FREE_OWN] = sizeof(struct event_block),
	[EVENT_STACK] = sizeof(struct event_stack), /* at most */
	[EVENT_CODE] = sizeof(struct event_code),   /* at most */
	[EVENT_COLLECTION] = sizeof(struct event_collection),
	[EVENT_MARK] = sizeof(struct event_mark),
	[EVENT_CELL] = sizeof(struct event_cell),
};

static bool is_ended(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool strings_hold(const struct event *ev)
{
	switch (ev->head->kind) {
	case EVENT_DLOPEN:
		return is_ended(ev->dlopen->path, EVENT_PATH_MAX) &&
		       is_ended(ev->dlopen->name, EVENT_PATH_MAX);
	case EVENT_DLCLOSE:
		return is_ended(ev->dlclose->name, EVENT_PATH_MAX);
	case EVENT_EXEC:
		return is_ended(ev->exec->comm, sizeof(ev->exec->comm));
	default:
		return true;
	}
}

/* Cut behind its frames, of both kinds. */
static bool is_whole_stack(const void *record, size_t len)
{
	const struct event_stack *stack = record;

	return len > offsetof(struct event_stack, frames) && stack->cnt <= EVENT_FRAMES_MAX &&
	       stack->python_cnt <= PYTHON_FRAMES_MAX &&
	       len == offsetof(struct event_stack, frames) + stack->cnt * sizeof(stack->frames[0]) +
			       stack->python_cnt * sizeof(struct python_frame);
}

static bool is_whole_text(const struct event_text *text)
{
	return text->len <= sizeof(text->bytes) &&
	       (text->width == 0 || text->width == 1 || text->width == 2 || text->width == 4);
}

/* Cut behind its line table, rounded up. */
static bool is_whole_code(const void *record, size_t len)
{
	const struct event_code *code = record;

	return len >= offsetof(struct event_code, lines) && code->lines_len <= EVENT_LINES_MAX &&
	       len == ((offsetof(struct event_code, lines) + code->lines_len + 7) & ~7UL) &&
	       is_whole_text(&code->name) && is_whole_text(&code->file);
}

static bool is_whole(uint32_t kind, const void *record, size_t len)
{
	switch (kind) {
	case EVENT_STACK:
		return is_whole_stack(record, len);
	case EVENT_CODE:
		return is_whole_code(record, len);
	default:
		return len == record_sizes[kind];
	}
}

int event_decode(const void *record, size_t len, struct event *ev)
{
	const struct event_head *head = record;

	if (len < sizeof(*head) || head->kind >= EVENT_KIND_CNT || !record_sizes[head->kind])
		return -EBADMSG;
	/* The ring rounds records up to 8 bytes; every record is a multiple of that, so sizes are exact. */
	if (!is_whole(head->kind, record, len))
		return -EBADMSG;
	ev->head = head;
	ev->purge = record; /* all pointers of the union are the same one */
	return strings_hold(ev) ? 0 : -EBADMSG;
}
