#include "stack/names.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "stack/debuginfo.h"
#include "stack/demangle.h"
#include "stack/perf_map.h"
#include "stack/texts.h"

#define CALLS_MAX 33                  /* at one address: a function and what was inlined into it */
#define FUNCTION_MAX 400              /* bytes of a name */
#define SYMBOLS_NS (3 * NSEC_PER_SEC) /* more patience than for lines */
#define PROGRESS_NS NSEC_PER_SEC      /* nothing is shown before */
#define STEP_NS (NSEC_PER_SEC / 5)
#define LEAVE_NS (NSEC_PER_SEC / 2) /* how long the end waits for the thread */

struct queue {
	struct location *first, *last;
	size_t cnt;
};

struct names {
	struct modules *modules;
	const struct log *log;
	pthread_t thread;
	bool has_thread;
	struct texts texts;   /* the thread's */
	pthread_mutex_t lock; /* guards all below, and the locations' names */
	pthread_cond_t wake, done;
	struct queue symbols, lines;
	bool busy_symbol, busy_line, stop;
	uint64_t began_ns, patience_ns;
	uint64_t asked, found; /* since the report began */
};

static void push(struct queue *q, struct location *at)
{
	at->queued = NULL;
	if (q->last)
		q->last->queued = at;
	else
		q->first = at;
	q->last = at;
	q->cnt++;
}

static struct location *pop(struct queue *q)
{
	struct location *at = q->first;

	if (!at)
		return NULL;
	q->first = at->queued;
	if (!q->first)
		q->last = NULL;
	q->cnt--;
	return at;
}

static const char *function_name(struct names *n, const char *symbol)
{
	char name[FUNCTION_MAX];

	return symbol ? texts_get(&n->texts, demangle(name, sizeof(name), symbol)) : NULL;
}

/* home: where separate debug files are looked for too; NULL: in none of theirs. */
static struct debuginfo *open_info(const struct module *module, const struct home *home, bool separate)
{
	return debuginfo_open(&(struct debuginfo_source){
		.access_path = object_access_path(module->object),
		.path = object_name(module->object),
		.root = home ? home_root(home) : -1,
		.separate = separate,
	});
}

static struct frame_list *list_new(uint32_t cnt)
{
	struct frame_list *list = calloc(1, sizeof(*list) + cnt * sizeof(list->v[0]));

	if (list)
		list->cnt = cnt;
	return list;
}

static struct frame_name bare(const struct location *at)
{
	const struct module *module = at->module;

	if (!module)
		return (struct frame_name){.function = "[unknown]"};
	if (module->kind == MODULE_JIT)
		return (struct frame_name){.function = module->name};
	return (struct frame_name){.kind = FRAME_NATIVE, .module = module->name, .offset = at->addr};
}

/* "JS:*name /path/file.js:12:34" (V8): what follows the last blank is where it is, if it looks like it. */
static struct frame_name jit_frame(struct names *n, const char *entry)
{
	struct frame_name name = {.kind = FRAME_NATIVE};
	char text[FUNCTION_MAX], *place;
	unsigned line, column;
	int len = 0;

	snprintf(text, sizeof(text), "%s", entry);
	place = strrchr(text, ' ');
	if (place && sscanf(place, " %*[^:]:%u:%u%n", &line, &column, &len) == 2 && !place[len]) {
		*place = '\0';
		*strchr(place + 1, ':') = '\0';
		name.file = texts_get(&n->texts, place + 1);
		name.line = line;
	}
	name.function = texts_get(&n->texts, text);
	return name;
}

static struct frame_list *jit_names(struct names *n, const struct location *at)
{
	struct home *home = modules_hold_home(n->modules, at->module);
	struct perf_map *map = home ? home_perf_map(home) : NULL;
	const struct perf_map_entry *entry = NULL;
	struct frame_list *list;

	if (map) {
		perf_map_refresh(map);
		entry = perf_map_find(map, at->addr - 1);
	}
	list = entry ? list_new(1) : NULL;
	if (list)
		list->v[0] = jit_frame(n, entry->name);
	home_release(home);
	return list;
}

static struct frame_list *symbol_names(struct names *n, const struct location *at)
{
	struct module *module = at->module;
	struct frame_list *list;

	if (module->kind == MODULE_JIT)
		return jit_names(n, at);
	if (!module->quick)
		module->quick = open_info(module, NULL, false);
	list = module->quick ? list_new(1) : NULL;
	if (!list)
		return NULL;
	list->v[0] = bare(at);
	list->v[0].function = function_name(n, debuginfo_symbol(module->quick, at->addr - 1));
	return list;
}

/* All files that it needs are found now, while the root where they lie is there. */
static void read_debug_files(struct names *n, struct module *module)
{
	struct home *home = modules_hold_home(n->modules, module);

	module->full = open_info(module, home, true);
	if (module->full)
		debuginfo_read(module->full);
	modules_settle(n->modules, module);
	home_release(home);
}

static struct frame_list *line_names(struct names *n, const struct location *at)
{
	struct module *module = at->module;
	struct source_frame calls[CALLS_MAX];
	struct frame_list *list;
	const char *symbol;
	unsigned cnt;

	if (!module->full)
		read_debug_files(n, module);
	if (!module->full)
		return NULL;
	cnt = debuginfo_calls(module->full, at->addr - 1, calls, CALLS_MAX);
	/* Without DWARF a debug file's symbols may still say more than the object's own. */
	symbol = debuginfo_symbol(module->full, at->addr - 1);
	if (!cnt && !symbol)
		return NULL;
	list = list_new(cnt ? cnt : 1);
	for (uint32_t i = 0; list && i < list->cnt; i++) {
		struct frame_name *name = &list->v[list->cnt - 1 - i];

		*name = bare(at);
		name->inlined = i + 1 < list->cnt;
		name->function = function_name(n, name->inlined || !symbol ? calls[i].function : symbol);
		if (cnt) {
			name->file = texts_get(&n->texts, calls[i].file);
			name->line = calls[i].line;
		}
	}
	return list;
}

static void publish(struct names *n, struct location *at, struct frame_list *list, bool with_lines)
{
	if (list) {
		free(at->frames);
		at->frames = list;
	}
	n->found++;
	if (with_lines || at->module->kind != MODULE_ELF) {
		/* What a JIT had not written down yet is asked for again. */
		at->stage = at->module->kind == MODULE_JIT && !list ? LOCATION_NEW : LOCATION_DONE;
		return;
	}
	at->stage = LOCATION_SYMBOL;
	push(&n->lines, at);
}

static void *run(void *names)
{
	struct names *n = names;
	struct frame_list *list;
	struct location *at;

	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		at = pop(&n->symbols);
		n->busy_symbol = at != NULL;
		if (!at)
			at = pop(&n->lines);
		n->busy_line = at && !n->busy_symbol;
		if (!at) {
			pthread_cond_broadcast(&n->done);
			pthread_cond_wait(&n->wake, &n->lock);
			continue;
		}
		pthread_mutex_unlock(&n->lock);
		list = n->busy_symbol ? symbol_names(n, at) : line_names(n, at);
		pthread_mutex_lock(&n->lock);
		publish(n, at, list, n->busy_line);
		if (!n->symbols.first)
			pthread_cond_broadcast(&n->done);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

struct names *names_new(struct locations *locations, const struct log *log)
{
	struct names *n = calloc(1, sizeof(*n));
	pthread_condattr_t monotonic;

	if (!n)
		return NULL;
	n->modules = locations_modules(locations);
	n->log = log;
	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&n->wake, NULL);
	pthread_cond_init(&n->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
	n->has_thread = !pthread_create(&n->thread, NULL, run, n);
	return n;
}

bool names_free(struct names *n)
{
	struct timespec until;

	if (!n)
		return true;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (until.tv_nsec + (long)LEAVE_NS) / (long)NSEC_PER_SEC;
	until.tv_nsec = (until.tv_nsec + (long)LEAVE_NS) % (long)NSEC_PER_SEC;
	if (n->has_thread && pthread_timedjoin_np(n->thread, NULL, &until)) {
		pthread_detach(n->thread);
		return false;
	}
	pthread_cond_destroy(&n->wake);
	pthread_cond_destroy(&n->done);
	pthread_mutex_destroy(&n->lock);
	texts_free(&n->texts);
	free(n);
	return true;
}

void names_begin(struct names *n, uint64_t patience_ns)
{
	pthread_mutex_lock(&n->lock);
	n->began_ns = clock_monotonic_ns();
	n->patience_ns = patience_ns;
	n->asked = n->found = 0;
}

void names_end(struct names *n)
{
	pthread_mutex_unlock(&n->lock);
}

void names_want(struct names *n, struct location *at)
{
	if (!n || !at || at->stage != LOCATION_NEW)
		return;
	if (!at->frames)
		at->frames = list_new(1);
	if (!at->frames)
		return;
	at->frames->v[0] = bare(at);
	if (!at->module || at->module->kind == MODULE_FILE || !n->has_thread) {
		at->stage = LOCATION_DONE;
		return;
	}
	at->stage = LOCATION_ASKED;
	push(&n->symbols, at);
	n->asked += at->module->kind == MODULE_ELF ? 2 : 1;
	pthread_cond_signal(&n->wake);
}

static void wait_step(struct names *n)
{
	uint64_t until = clock_monotonic_ns() + STEP_NS;
	struct timespec ts = {.tv_sec = (time_t)(until / NSEC_PER_SEC),
			      .tv_nsec = (long)(until % NSEC_PER_SEC)};

	pthread_cond_timedwait(&n->done, &n->lock, &ts);
}

void names_wait(struct names *n)
{
	bool shown = false;

	if (!n)
		return;
	for (;;) {
		bool symbols = n->symbols.first || n->busy_symbol, lines = n->lines.first || n->busy_line;
		uint64_t waited = clock_monotonic_ns() - n->began_ns;
		uint64_t patience = n->patience_ns + (symbols ? SYMBOLS_NS : 0);

		if ((!symbols && !lines) || waited >= patience)
			break;
		if (waited >= PROGRESS_NS) {
			shown = true;
			log_progress(n->log, "looking up names: %zu of %zu to go",
				     n->symbols.cnt + n->lines.cnt, (size_t)n->asked);
		}
		wait_step(n);
	}
	if (shown)
		log_progress(n->log, NULL);
}

const struct frame_list *names_of(const struct location *at)
{
	static const struct frame_list unknown = {.cnt = 1, .v = {{.function = "[unknown]"}}};

	return at && at->frames ? at->frames : &unknown;
}
