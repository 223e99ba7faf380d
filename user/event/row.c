#include "event/row.h"

const char *const event_row_kinds[EVENT_KIND_CNT] = {
	[EVENT_PURGE] = "purge",
	[EVENT_DLOPEN] = "dlopen",
	[EVENT_DLCLOSE] = "dlclose",
	[EVENT_MEMORY] = "memory",
	[EVENT_FORK] = "fork",
	[EVENT_EXEC] = "exec",
	[EVENT_OOM] = "oom",
	[EVENT_EXIT] = "exit",
	[EVENT_ALLOC] = "alloc",
	[EVENT_FREE] = "free",
	[EVENT_REALLOC_BEGIN] = "realloc_begin",
	[EVENT_REALLOC] = "realloc",
	[EVENT_COLLECTION] = "collection",
	[EVENT_MARK] = "mark",
};

static void take_purge(const struct event *ev, struct event_row *row)
{
	row->stack_id = ev->purge->stack;
	row->size = ev->purge->advised;
	row->drop = ev->purge->rss_drop;
	row->duration_ns = ev->purge->duration;
}

static void take_dlopen(const struct event *ev, struct event_row *row)
{
	row->stack_id = ev->dlopen->stack;
	row->addr = ev->dlopen->handle;
	row->duration_ns = ev->dlopen->duration;
	row->text = ev->dlopen->name[0] ? ev->dlopen->name : ev->dlopen->path;
}

static void take_dlclose(const struct event *ev, struct event_row *row)
{
	row->stack_id = ev->dlclose->stack;
	row->addr = ev->dlclose->handle;
	row->duration_ns = ev->dlclose->duration;
	row->text = ev->dlclose->name;
}

static void take_memory(const struct event *ev, struct event_row *row)
{
	row->addr = ev->memory->addr;
	row->size = ev->memory->len;
	row->drop = ev->memory->rss_drop;
}

static void take_fork(const struct event *ev, struct event_row *row)
{
	row->addr = ev->fork->child;
}

static void take_exec(const struct event *ev, struct event_row *row)
{
	row->text = ev->exec->comm;
}

static void take_exit(const struct event *ev, struct event_row *row)
{
	row->size = ev->exit->code;
}

static void take_block(const struct event *ev, struct event_row *row)
{
	bool sized = row->kind == EVENT_ALLOC || row->kind == EVENT_REALLOC;

	row->stack_id = ev->block->stack;
	row->addr = ev->block->addr;
	row->size = sized ? ev->block->size : 0;
}

static void take_collection(const struct event *ev, struct event_row *row)
{
	row->size = (uint64_t)ev->collection->collected;
	row->duration_ns = ev->collection->duration;
}

static void take_mark(const struct event *ev, struct event_row *row)
{
	row->size = ev->mark->rss;
}

static void take_nothing(const struct event *ev, struct event_row *row)
{
	(void)ev;
	(void)row;
}

bool event_row_of(const struct event *ev, struct event_row *row)
{
	static void (*const take[EVENT_KIND_CNT])(const struct event *, struct event_row *) = {
		[EVENT_PURGE] = take_purge,
		[EVENT_DLOPEN] = take_dlopen,
		[EVENT_DLCLOSE] = take_dlclose,
		[EVENT_MEMORY] = take_memory,
		[EVENT_FORK] = take_fork,
		[EVENT_EXEC] = take_exec,
		[EVENT_OOM] = take_nothing,
		[EVENT_EXIT] = take_exit,
		[EVENT_ALLOC] = take_block,
		[EVENT_FREE] = take_block,
		[EVENT_REALLOC] = take_block,
		[EVENT_REALLOC_BEGIN] = take_block,
		[EVENT_COLLECTION] = take_collection,
		[EVENT_MARK] = take_mark,
	};
	const struct event_head *head = ev->head;

	if (!take[head->kind])
		return false;
	*row = (struct event_row){
		.kind = head->kind,
		.time_ns = head->time,
		.pid = (pid_t)head->tgid,
		.tid = (pid_t)head->tid,
	};
	take[head->kind](ev, row);
	return true;
}
