#include "screen/screen.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "screen/capture.h"
#include "screen/layout.h"
#include "screen/news.h"
#include "screen/rescue.h"
#include "screen/terminal.h"

#define REFRESH_NS (NSEC_PER_SEC / 4) /* between looks for names that were late */
#define ASKED_MAX 20                  /* for a first reading of a heap, which may never come */
#define REFRESHES_MAX 20              /* between two snapshots: some names never come */
#define SAID_MAX 64                   /* lines that are said once more at the end */
#define SOURCES 4

struct screen {
	struct model *model;
	struct journal *journal;
	struct series *series[DRAWN_CNT];
	struct order order;
	struct view view;
	struct canvas canvas;
	struct names *names; /* of the last snapshot */
	struct capture *capture;
	bool begun;
	int epoll, signal_fd, timer;
	unsigned refreshes, asked;
	uint64_t interval_ns;
	uint64_t told_ns;     /* the last snapshot's time */
	char *said[SAID_MAX]; /* a ring */
	size_t said_cnt;
	char line[MODEL_LINE_MAX];
};

int screen_block_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTSTP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int listen_to(struct screen *s, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return fd < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static bool make_parts(struct screen *s)
{
	s->model = model_new();
	s->journal = journal_new();
	for (int i = 0; i < DRAWN_CNT; i++) {
		s->series[i] = series_new();
		if (!s->series[i])
			return false;
	}
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return s->model && s->journal && s->epoll >= 0 && !listen_to(s, s->timer);
}

struct screen *screen_new(int signal_fd, uint64_t interval_ns)
{
	struct screen *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->signal_fd = signal_fd;
	s->interval_ns = interval_ns;
	s->epoll = s->timer = -1;
	view_init(&s->view);
	if (!make_parts(s)) {
		screen_free(s);
		return NULL;
	}
	s->capture = capture_begin();
	if (s->capture)
		listen_to(s, capture_fd(s->capture));
	return s;
}

/* What a file took has been there all the time; what a terminal would have shown it shows now. */
static void say_again(struct screen *s)
{
	for (size_t i = s->said_cnt > SAID_MAX ? s->said_cnt - SAID_MAX : 0; i < s->said_cnt; i++)
		fprintf(stderr, "%s\n", s->said[i % SAID_MAX] ? s->said[i % SAID_MAX] : "");
	for (size_t i = 0; i < SAID_MAX; i++)
		free(s->said[i]);
}

void screen_free(struct screen *s)
{
	struct capture *capture;

	if (!s)
		return;
	capture = s->capture;
	if (s->begun) {
		terminal_close();
		rescue_over();
	}
	if (capture) {
		dup2(capture_before_fd(capture), STDERR_FILENO);
		say_again(s);
		capture_end(capture);
	}
	model_free(s->model);
	journal_free(s->journal);
	for (int i = 0; i < DRAWN_CNT; i++)
		series_free(s->series[i]);
	order_free(&s->order);
	canvas_free(&s->canvas);
	if (s->epoll >= 0)
		close(s->epoll);
	if (s->timer >= 0)
		close(s->timer);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	free(s);
}

static void hold_names(const struct screen *s)
{
	if (s->names)
		names_begin(s->names, 0);
}

static void release_names(const struct screen *s)
{
	if (s->names)
		names_end(s->names);
}

static struct scene scene_of(struct screen *s)
{
	return (struct scene){
		.model = s->model,
		.order = &s->order,
		.series = s->series,
		.journal = s->journal,
		.view = &s->view,
		.interval_ns = s->interval_ns,
		.names = s->names,
	};
}

static void refresh_soon(struct screen *s)
{
	struct itimerspec spec = {.it_value = {.tv_nsec = REFRESH_NS}};

	if (s->refreshes++ < REFRESHES_MAX)
		timerfd_settime(s->timer, 0, &spec, NULL);
}

/* With so little memory that there is no canvas, the screen stays as it is. */
static void draw(struct screen *s)
{
	struct scene scene = scene_of(s);
	unsigned rows, cols;

	if (!s->begun)
		return;
	terminal_size(&rows, &cols);
	if (rows != s->canvas.rows || cols != s->canvas.cols) {
		if (canvas_resize(&s->canvas, rows, cols))
			return;
	}
	hold_names(s);
	layout_draw(&scene, &s->canvas);
	release_names(s);
	terminal_show(&s->canvas);
	if (scene.names_wanted || (s->model->head.age < 0 && s->asked < ASKED_MAX))
		refresh_soon(s);
}

static int sort(struct screen *s)
{
	int rc;

	hold_names(s);
	rc = order_make(&s->order, s->model, &s->view, s->names);
	release_names(s);
	return rc;
}

/* The modes of before are those before curses changes them. */
static void prepare_rescue(const struct screen *s)
{
	rescue_prepare(&(struct rescue_plan){
		.terminal_fd = STDOUT_FILENO,
		.leave = terminal_leave_text(),
		.errors_fd = capture_before_fd(s->capture),
		.pending_fd = capture_fd(s->capture),
	});
}

int screen_begin(struct screen *s, struct error *err)
{
	int rc;

	prepare_rescue(s);
	s->begun = true;
	rc = terminal_open(err);
	if (rc)
		return rc;
	rc = listen_to(s, STDIN_FILENO) ?: listen_to(s, s->signal_fd);
	if (rc)
		return error_set(err, rc, "cannot wait for keys: %s", strerror(-rc));
	draw(s);
	return 0;
}

static void tell(struct screen *s, const struct snapshot *snapshot)
{
	if (!journal_waits(s->journal))
		journal_settle(s->journal);
	news_tell(s->journal, snapshot, s->told_ns);
	journal_want(s->journal, s->names);
}

int screen_take(struct screen *s, const struct snapshot *snapshot)
{
	const struct heap_state *heap = snapshot->heap;
	bool read = heap->taken_ns != 0;
	int rc = 0;

	s->names = snapshot->names;
	s->refreshes = 0;
	hold_names(s);
	tell(s, snapshot);
	release_names(s);
	s->told_ns = snapshot->time_ns;
	series_add(s->series[DRAWN_RSS], snapshot->time_ns, snapshot->rss);
	series_add(s->series[DRAWN_LIVE], snapshot->time_ns, read ? heap->live_heap : UNKNOWN);
	series_add(s->series[DRAWN_RETAINED], snapshot->time_ns, read ? heap->retained : UNKNOWN);
	if (snapshot->final)
		s->view.paused = false;
	if (!s->view.paused)
		rc = model_take(s->model, snapshot) ?: sort(s);
	draw(s);
	return rc;
}

void screen_take_end(struct screen *s, const struct snapshot *snapshot)
{
	s->names = snapshot->names;
	hold_names(s);
	tell(s, snapshot);
	journal_settle(s->journal);
	release_names(s);
	/* Where there are many, sites have stacks of their own; where this was the only one, they go with it.
	 */
	if (!s->model->of_many)
		model_drop_stacks(s->model);
	sort(s);
	draw(s);
}

static void keep_said(struct screen *s, const char *line)
{
	char **place = &s->said[s->said_cnt++ % SAID_MAX];

	free(*place);
	*place = strdup(line);
}

/* A file that standard error goes to has its lines at once. */
static bool take_lines(struct screen *s)
{
	static const char prefix[] = "alloctrace: ";
	int before = capture_before_fd(s->capture);
	char line[1024];
	bool any = false;

	while (s->capture && capture_line(s->capture, line, sizeof(line))) {
		size_t skip = strncmp(line, prefix, strlen(prefix)) ? 0 : strlen(prefix);

		if (isatty(before))
			keep_said(s, line);
		else
			dprintf(before, "%s\n", line);
		journal_add(s->journal, clock_monotonic_ns(), false, line + skip);
		any = true;
	}
	return any;
}

/* True: the terminal changed its size, or the program was stopped and goes on. */
static bool take_signals(struct screen *s)
{
	struct signalfd_siginfo info;
	bool any = false;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		any = true;
		if (info.ssi_signo == SIGTSTP)
			terminal_suspend();
		else
			terminal_resized();
	}
	return any;
}

static enum view_wish press(struct screen *s, uint32_t key)
{
	const struct scene scene = scene_of(s);
	struct view_facts facts;
	enum view_wish wish;
	unsigned rows, cols;

	terminal_size(&rows, &cols);
	facts = layout_facts(&scene, rows, cols);
	wish = view_key(&s->view, key, &facts);
	if (wish == WISH_REDRAW)
		terminal_forget();
	if (wish == WISH_MARK)
		model_mark(s->model);
	if (wish == WISH_ORDER || wish == WISH_MARK)
		sort(s);
	return wish;
}

/* A terminal that is gone is readable for ever, and has nothing. */
static bool is_gone(uint32_t events)
{
	int cnt = 0;

	return events & (EPOLLHUP | EPOLLERR) || ioctl(STDIN_FILENO, FIONREAD, &cnt);
}

static enum screen_wish take_keys(struct screen *s, uint32_t events, bool *any)
{
	uint32_t key;

	if (is_gone(events))
		return SCREEN_LEAVE;
	while (terminal_key(&key)) {
		enum view_wish wish = press(s, key);

		*any = *any || wish != WISH_NOTHING;
		if (wish == WISH_LEAVE)
			return SCREEN_LEAVE;
	}
	return SCREEN_STAY;
}

static bool take_timer(struct screen *s)
{
	uint64_t ticks;

	return read(s->timer, &ticks, sizeof(ticks)) == sizeof(ticks);
}

int screen_fd(const struct screen *s)
{
	return s->epoll;
}

enum screen_wish screen_act(struct screen *s)
{
	struct epoll_event ready[SOURCES];
	int cnt = epoll_wait(s->epoll, ready, SOURCES, 0);
	enum screen_wish wish = SCREEN_STAY;
	bool any = false;

	for (int i = 0; i < cnt; i++) {
		int fd = ready[i].data.fd;

		if (fd == s->signal_fd)
			any |= take_signals(s);
		else if (fd == s->timer)
			any |= take_timer(s);
		else if (fd == capture_fd(s->capture))
			any |= take_lines(s);
		else if (take_keys(s, ready[i].events, &any) == SCREEN_LEAVE)
			wish = SCREEN_LEAVE;
		/* Until the heap was read, there is little to see. */
		if (fd == s->timer && s->model->head.age < 0 && wish == SCREEN_STAY && s->asked < ASKED_MAX) {
			wish = SCREEN_PICTURE;
			s->asked++;
		}
	}
	if (any && wish == SCREEN_STAY)
		draw(s);
	return wish;
}

const char *screen_line(struct screen *s)
{
	return s->model->head.time_ns ? model_line(s->model, s->line) : "";
}
