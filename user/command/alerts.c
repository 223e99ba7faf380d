#include "command/alerts.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/units.h"
#include "command/hook.h"
#include "report/site_text.h"
#include "verdict/words.h"

#define FINISH_SECONDS 10

struct alerts {
	struct hook *hook;
	const struct naming *naming;
};

struct alerts *alerts_new(const char *command, rlim_t files, const struct naming *naming,
			  const struct log *log)
{
	const struct hook_options hook = {
		.command = command,
		.option = "--on-window",
		.files = files,
		.seconds = HOOK_SECONDS,
	};
	struct alerts *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->naming = naming;
	a->hook = hook_new(&hook, log);
	if (a->hook)
		return a;
	free(a);
	return NULL;
}

void alerts_free(struct alerts *a)
{
	if (!a)
		return;
	hook_free(a->hook);
	free(a);
}

/* Room for the variables of one event. */
#define VARIABLES_MAX 24
#define TEXT_MAX 32
struct variables {
	struct hook_variable v[VARIABLES_MAX];
	char text[VARIABLES_MAX][TEXT_MAX];
	size_t cnt;
};

static void add_text(struct variables *all, const char *name, const char *value)
{
	all->v[all->cnt++] = (struct hook_variable){name, value};
}

/* What nobody knows is empty. */
static void add_integer(struct variables *all, const char *name, uint64_t value)
{
	char *text = all->text[all->cnt];

	if (value != UNKNOWN)
		snprintf(text, TEXT_MAX, "%" PRIu64, value);
	add_text(all, name, value == UNKNOWN ? NULL : text);
}

static void add_seconds(struct variables *all, const char *name, double value)
{
	char *text = all->text[all->cnt];

	snprintf(text, TEXT_MAX, "%.3f", value);
	add_text(all, name, text);
}

static const char *closed_by(const struct session_news *news)
{
	if (news->what == WINDOW_OPENED)
		return NULL;
	if (news->over)
		return news->figures.gone ? "exit" : "detach";
	return news->window.closed_by_purge ? "purge" : news->window.closed_by_itself ? "allocator" : "use";
}

static void add_window(struct variables *all, const struct session_news *news)
{
	const struct window_finding *w = &news->window;
	bool closed = news->what == WINDOW_CLOSED;
	uint64_t until = closed ? w->end_ns : news->figures.time_ns;

	add_text(all, "ALLOCTRACE_EVENT", closed ? "close" : "open");
	add_seconds(all, "ALLOCTRACE_START", clock_epoch(w->start_ns));
	if (closed)
		add_seconds(all, "ALLOCTRACE_END", clock_epoch(w->end_ns));
	else
		add_text(all, "ALLOCTRACE_END", NULL);
	add_seconds(all, "ALLOCTRACE_SECONDS", (double)(until - w->start_ns) / 1e9);
	add_integer(all, "ALLOCTRACE_PEAK", w->peak_retained);
	add_integer(all, "ALLOCTRACE_PEAK_PURGEABLE", w->peak_purgeable);
	add_integer(all, "ALLOCTRACE_INEFFECTIVE_PURGES", w->ineffective_purges);
	add_text(all, "ALLOCTRACE_CLOSED_BY", closed_by(news));
}

static void add_process(struct variables *all, const struct session_news *news)
{
	const struct snapshot *s = &news->figures;
	bool known = s->heap->taken_ns != 0;

	add_integer(all, "ALLOCTRACE_PID", (uint64_t)s->pid);
	add_text(all, "ALLOCTRACE_COMMAND", s->command);
	add_integer(all, "ALLOCTRACE_RSS", s->rss);
	add_integer(all, "ALLOCTRACE_RETAINED", known ? s->heap->retained : UNKNOWN);
	add_integer(all, "ALLOCTRACE_PURGEABLE", known ? s->heap->purgeable : UNKNOWN);
	add_text(all, "ALLOCTRACE_PURGE", verdict_purge_call(s));
}

/* Who freed most in it, as reports name it; "" without allocation events. */
static void add_site(struct variables *all, const struct alerts *a, const struct session_news *news,
		     char site[SITE_TEXT_MAX])
{
	const char *text = NULL;

	if (news->freed_by) {
		naming_report_begins(a->naming, false);
		stack_want(a->naming->names, news->freed_by);
		names_wait(a->naming->names);
		text = site_text(site, news->freed_by);
		naming_report_ends(a->naming);
	}
	add_text(all, "ALLOCTRACE_SITE", text);
	add_integer(all, "ALLOCTRACE_SITE_BYTES", text ? news->window.freed[0].bytes : UNKNOWN);
}

static void fire(const struct session_news *news, void *alerts)
{
	const struct alerts *a = alerts;
	struct variables all = {.cnt = 0};
	char site[SITE_TEXT_MAX] = "";

	add_window(&all, news);
	add_process(&all, news);
	add_site(&all, a, news, site);
	hook_fire(a->hook, news->figures.pid, all.v, all.cnt);
}

void alerts_look(struct alerts *a, struct group *group)
{
	group_news(group, false, fire, a);
	hook_tick(a->hook);
}

int alerts_fd(const struct alerts *a)
{
	return hook_fd(a->hook);
}

void alerts_act(struct alerts *a)
{
	hook_act(a->hook);
}

void alerts_end(struct alerts *a, struct group *group, int signal_fd)
{
	struct pollfd fds[] = {{hook_fd(a->hook), POLLIN, 0}, {signal_fd, POLLIN, 0}};
	uint64_t deadline = clock_monotonic_ns() + FINISH_SECONDS * NSEC_PER_SEC, now;

	group_news(group, true, fire, a);
	while (!hook_is_idle(a->hook) && (now = clock_monotonic_ns()) < deadline) {
		poll(fds, 2, (int)((deadline - now) / 1000000) + 1);
		if (fds[1].revents)
			break;
		hook_act(a->hook);
	}
}
