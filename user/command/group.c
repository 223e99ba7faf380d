#include "command/group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

#define READY_MAX 64
#define REFUSED_MAX 4096 /* PIDs that are not tried again */

#define GONE_TICKS 5

/* What an epoll event is about: in the high half, above the PID. */
enum ready { READY_SAMPLE, READY_END };

struct member {
	struct process process;
	struct session *session;
	bool gone;         /* when it came to be watched: its last events say how it ended */
	unsigned tick_cnt; /* of one that was gone */
	bool ended;
	char end[128];            /* how, in words */
	struct snapshot snapshot; /* the newest */
};

struct group {
	struct group_options options;
	struct tracer *tracer;
	const struct log *log;
	struct member **members; /* by PID; each apart: sessions point into them */
	struct member *newest;   /* whose event came last; NULL: look for it */
	size_t cnt, cap;
	const struct snapshot **snapshots;
	size_t dead_cnt;
	uint64_t ever, went, left_out, too_short;
	pid_t *refused; /* could not be watched, and that was said */
	size_t refused_cnt;
	int epoll;
};

struct group *group_new(const struct group_options *options, struct tracer *tracer, const struct log *log)
{
	struct group *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	*g = (struct group){.options = *options, .tracer = tracer, .log = log};
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	g->refused = calloc(REFUSED_MAX, sizeof(*g->refused));
	if (g->epoll >= 0 && g->refused)
		return g;
	group_free(g);
	return NULL;
}

static void member_free(struct member *m)
{
	session_close(m->session);
	process_close(&m->process);
	free(m);
}

void group_free(struct group *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->cnt; i++)
		member_free(g->members[i]);
	if (g->epoll >= 0)
		close(g->epoll);
	free(g->members);
	free(g->snapshots);
	free(g->refused);
	free(g);
}

/* The place of that PID among the members, or where it would go. */
static size_t place_of(const struct group *g, pid_t pid)
{
	size_t low = 0, high = g->cnt;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (g->members[mid]->process.pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct member *member_of(const struct group *g, pid_t pid)
{
	size_t at = place_of(g, pid);

	return at < g->cnt && g->members[at]->process.pid == pid ? g->members[at] : NULL;
}

static int make_room(struct group *g)
{
	size_t cap = g->cap ? 2 * g->cap : 16;
	const struct snapshot **snapshots;
	struct member **members;

	if (g->cnt < g->cap)
		return 0;
	members = realloc(g->members, cap * sizeof(struct member *));
	if (!members)
		return -ENOMEM;
	g->members = members;
	snapshots = realloc(g->snapshots, cap * sizeof(struct snapshot *));
	if (!snapshots)
		return -ENOMEM;
	g->snapshots = snapshots;
	g->cap = cap;
	return 0;
}

static int listen_to(struct group *g, int fd, enum ready ready, pid_t pid)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)ready << 32 | (uint32_t)pid};

	return fd >= 0 && epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

/* What all share is divided anew when there are more or fewer. */
static void share_out(struct group *g)
{
	size_t living = group_living(g);
	uint64_t part = g->options.max_memory / (living ? living : 1);

	for (size_t i = 0; i < g->cnt; i++)
		session_limit(g->members[i]->session, part,
			      g->options.walk_budget / (double)(living ? living : 1));
}

static int insert(struct group *g, struct member *m, struct error *err)
{
	size_t at = place_of(g, m->process.pid);
	int ret = make_room(g);

	ret = ret ?: listen_to(g, session_sample_fd(m->session), READY_SAMPLE, m->process.pid);
	ret = ret ?: m->gone ? 0 : listen_to(g, m->process.pidfd, READY_END, m->process.pid);
	if (ret)
		return error_set(err, ret, "cannot wait for process %d: %s", m->process.pid, strerror(-ret));
	memmove(g->members + at + 1, g->members + at, (g->cnt - at) * sizeof(struct member *));
	g->members[at] = m;
	g->cnt++;
	g->ever++;
	share_out(g);
	return 0;
}

static bool has_room(struct group *g)
{
	if (group_living(g) < GROUP_MAX)
		return true;
	g->left_out++;
	return false;
}

/* Of a process that is open and attached to; parent: who forked it just now, or NULL. */
static int take(struct group *g, struct member *m, const struct member *parent, struct error *err)
{
	struct session_options options = g->options.session;
	int ret;

	options.forked_from = parent ? parent->session : NULL;
	ret = session_open(&options, &m->process, g->tracer, &m->session, err);

	return ret ? ret : insert(g, m, err);
}

/* Who forked it just now. */
struct birth {
	const struct member *parent;
	const struct event_fork *fork;
};

/* Where only the kernel lacks something, the heap is still watched. */
static int attach(struct group *g, pid_t pid, const struct birth *birth, struct error *err)
{
	int ret = 0;

	if (g->tracer)
		ret = birth ? tracer_attach_child(g->tracer, birth->fork, err)
			    : tracer_attach(g->tracer, pid, err);
	if (!ret || ret == -EPERM || ret == -EACCES || ret == -ESRCH)
		return ret;
	log_warn(g->log, "%s", err->text);
	return 0;
}

static void drop_member(struct group *g, struct member *m, pid_t pid)
{
	if (g->tracer)
		tracer_detach(g->tracer, pid);
	member_free(m);
}

/* birth: NULL if it was chosen. */
static int add(struct group *g, pid_t pid, const struct birth *birth, struct error *err)
{
	struct member *m;
	int ret;

	if (member_of(g, pid))
		return 0;
	if (!has_room(g))
		return error_set(err, -ENOSPC, "process %d is not watched: there are %u already", pid,
				 GROUP_MAX);
	m = calloc(1, sizeof(*m));
	if (!m)
		return error_set(err, -ENOMEM, "out of memory");
	ret = process_open(pid, &m->process, err);
	if (ret) {
		free(m);
		return ret;
	}
	ret = attach(g, pid, birth, err) ?: take(g, m, birth ? birth->parent : NULL, err);
	if (ret)
		drop_member(g, m, pid);
	return ret;
}

/* A child that has ended already, but was recorded from its fork to its end: what it did is still to come. */
static int add_gone(struct group *g, const struct birth *birth, struct error *err)
{
	struct member *m = g->cnt < GROUP_MAX ? calloc(1, sizeof(*m)) : NULL;
	int ret;

	if (!m)
		return -ESRCH;
	m->gone = true;
	ret = process_gone((pid_t)birth->fork->child, &birth->parent->process, &m->process);
	ret = ret ?: take(g, m, birth->parent, err);
	if (ret)
		member_free(m);
	return ret;
}

int group_add(struct group *g, pid_t pid, struct error *err)
{
	return add(g, pid, NULL, err);
}

static bool was_refused(const struct group *g, pid_t pid)
{
	for (size_t i = 0; i < g->refused_cnt; i++)
		if (g->refused[i] == pid)
			return true;
	return false;
}

static void refuse(struct group *g, pid_t pid, const struct error *err)
{
	log_warn(g->log, "%s", err->text);
	if (g->refused_cnt < REFUSED_MAX)
		g->refused[g->refused_cnt++] = pid;
}

void group_add_chosen(struct group *g, struct choice *choice)
{
	struct pid_list *pids = malloc(sizeof(*pids));
	struct error err;
	bool cut;

	if (pids && !choice_pids(choice, pids, &cut, &err)) {
		g->left_out += cut;
		for (size_t i = 0; i < pids->cnt; i++) {
			int ret = was_refused(g, pids->v[i]) ? 0 : group_add(g, pids->v[i], &err);

			if (ret && ret != -ESRCH)
				refuse(g, pids->v[i], &err);
		}
	}
	free(pids);
}

/* What is not covered has lived for some milliseconds by now, unseen; or it is gone already. */
static void add_child(struct group *g, const struct event_fork *fork, const struct member *parent)
{
	const struct birth birth = {.parent = parent, .fork = fork};
	struct error err = {.text = ""};
	int ret = add(g, (pid_t)fork->child, &birth, &err);

	if (ret)
		tracer_leave_child(g->tracer, fork);
	if (ret == -ESRCH && fork->covered)
		ret = add_gone(g, &birth, &err);
	if (ret == -ESRCH)
		g->too_short++;
	else if (ret && ret != -ENOSPC)
		log_note(g->log, "%s", err.text);
}

static void end(struct group *g, struct member *m)
{
	if (m->ended)
		return;
	m->ended = true;
	g->dead_cnt++;
	g->went++;
	share_out(g);
}

void group_event(const struct event *ev, void *group)
{
	struct group *g = group;
	pid_t pid = (pid_t)ev->head->tgid;
	struct member *m = g->newest && g->newest->process.pid == pid ? g->newest : member_of(g, pid);

	if (!m)
		return;
	g->newest = m;
	session_event(ev, m->session);
	if (ev->head->kind == EVENT_FORK && g->options.follow)
		add_child(g, ev->fork, m);
	else if (ev->head->kind == EVENT_EXIT)
		end(g, m);
}

const struct stack *group_stack(const struct group *g, pid_t pid, uint64_t id)
{
	const struct member *m = id ? member_of(g, pid) : NULL;

	return m ? session_stack(m->session, id) : NULL;
}

int group_fd(const struct group *g)
{
	return g->epoll;
}

void group_act(struct group *g)
{
	struct epoll_event ready[READY_MAX];
	int cnt = epoll_wait(g->epoll, ready, READY_MAX, 0);

	for (int i = 0; i < cnt; i++) {
		struct member *m = member_of(g, (pid_t)ready[i].data.u64);

		if (!m)
			continue;
		if (ready[i].data.u64 >> 32 == READY_SAMPLE) {
			session_sample(m->session);
		} else {
			epoll_ctl(g->epoll, EPOLL_CTL_DEL, m->process.pidfd, NULL);
			end(g, m);
		}
	}
}

bool group_work(struct group *g)
{
	bool more = false;

	for (size_t i = 0; i < g->cnt && !more; i++)
		more = session_work(g->members[i]->session);
	return more;
}

void group_tick(struct group *g)
{
	for (size_t i = 0; i < g->cnt; i++) {
		struct member *m = g->members[i];

		session_tick(m->session);
		if (m->gone && ++m->tick_cnt == GONE_TICKS) /* its end was lost */
			end(g, m);
	}
}

void group_look(struct group *g)
{
	for (size_t i = 0; i < g->cnt; i++)
		session_look(g->members[i]->session);
}

void group_hurry(struct group *g)
{
	for (size_t i = 0; i < g->cnt; i++)
		session_hurry(g->members[i]->session);
}

bool group_is_current(const struct group *g)
{
	for (size_t i = 0; i < g->cnt; i++)
		if (!g->members[i]->ended && !session_is_current(g->members[i]->session))
			return false;
	return true;
}

size_t group_living(const struct group *g)
{
	return g->cnt - g->dead_cnt;
}

uint64_t group_ever(const struct group *g)
{
	return g->ever;
}

uint64_t group_went(const struct group *g)
{
	return g->went;
}

bool group_has(const struct group *g, pid_t pid)
{
	const struct member *m = member_of(g, pid);

	return m && !m->ended;
}

uint64_t group_left_out(const struct group *g)
{
	return g->left_out;
}

uint64_t group_too_short(const struct group *g)
{
	return g->too_short;
}

const char *group_end_of(const struct group *g, pid_t pid)
{
	const struct member *m = member_of(g, pid);

	return m && m->ended ? session_target_end(m->session) : NULL;
}

int group_mark(struct group *g, const struct group_mark *mark, uint64_t *number, struct error *err)
{
	struct member *m = member_of(g, mark->pid);
	uid_t uid;

	if (!m || m->ended || process_uid(&m->process, &uid))
		return error_set(err, -ESRCH, "process %d is not watched", mark->pid);
	if (mark->by && mark->by != uid)
		return error_set(err, -EPERM,
				 "uid %u may not mark process %d (%s), which runs as uid %u: only that user "
				 "and root may",
				 mark->by, mark->pid, m->process.comm, uid);
	*number = session_mark(m->session, mark->kind, mark->text, mark->awaited);
	if (!*number)
		return error_set(err, -ENOSPC, "process %d has marks of %d kinds already: '%s' is not noted",
				 mark->pid, MARK_KINDS_MAX, mark->kind);
	return 0;
}

bool group_mark_is_read(const struct group *g, pid_t pid, uint64_t number)
{
	const struct member *m = member_of(g, pid);

	return !m || m->ended || session_mark_is_read(m->session, number);
}

/* Its end is told by itself, whatever ends the watch. */
static void take_snapshot(struct member *m, bool final, const char *ended)
{
	const char *how = session_target_end(m->session);

	if (m->ended) {
		snprintf(m->end, sizeof(m->end), "the target %s", how ? how : "ended");
		ended = m->end;
	}
	session_snapshot(m->session, final || m->ended, ended, &m->snapshot);
	m->snapshot.gone = m->ended;
}

void group_news(struct group *g, bool over, void (*fn)(const struct session_news *news, void *arg), void *arg)
{
	struct session_news news;

	for (size_t i = 0; i < g->cnt; i++) {
		const struct member *m = g->members[i];

		while (session_news(m->session, over || m->ended, &news)) {
			news.figures.gone = m->ended;
			fn(&news, arg);
		}
	}
}

size_t group_snapshots(struct group *g, bool final, const char *ended,
		       const struct snapshot *const **snapshots)
{
	for (size_t i = 0; i < g->cnt; i++) {
		take_snapshot(g->members[i], final, ended);
		g->snapshots[i] = &g->members[i]->snapshot;
	}
	*snapshots = g->snapshots;
	return g->cnt;
}

size_t group_dead(struct group *g, const struct snapshot *const **snapshots)
{
	size_t cnt = 0;

	for (size_t i = 0; i < g->cnt; i++) {
		if (!g->members[i]->ended)
			continue;
		take_snapshot(g->members[i], true, NULL);
		g->snapshots[cnt++] = &g->members[i]->snapshot;
	}
	*snapshots = g->snapshots;
	return cnt;
}

void group_bury(struct group *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->cnt; i++) {
		struct member *m = g->members[i];

		if (!m->ended) {
			g->members[kept++] = m;
			continue;
		}
		if (g->tracer)
			tracer_detach(g->tracer, m->process.pid);
		member_free(m);
	}
	g->cnt = kept;
	g->dead_cnt = 0;
	g->newest = NULL;
}

bool group_has_dead(const struct group *g)
{
	return g->dead_cnt != 0;
}
