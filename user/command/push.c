#include "command/push.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/gzip.h"
#include "base/units.h"
#include "command/push_request.h"
#include "report/pprof.h"

#define PUSH_LAST_NS (5 * NSEC_PER_SEC)
#define LEAVE_NS (2 * NSEC_PER_SEC) /* how long a request that was told to stop may take to do so */
#define GZIP_LEVEL 6                /* it is stored for long, and a thread has time */

/* Pyroscope takes 16,000 in a profile, and 4 MiB, unless it is told otherwise (pkg/validation/limits.go). */
#define STACKS_MAX 10000

enum push_state {
	PUSH_IDLE,
	PUSH_WAITS, /* a profile was handed over, and is the thread's */
	PUSH_DONE,  /* … and what became of it is to be looked at */
};

struct push {
	const char *url;
	uint64_t interval_ns;
	const struct log *log;
	struct curl_library curl;
	struct since *since;
	uint64_t pushed_ns; /* the last one was made; at first when all began */
	uint64_t pushed, failed, left_out;
	bool said;

	pthread_t thread;
	atomic_bool stop;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake, done;
	enum push_state state;
	bool end;
	struct push_profile profile; /* bytes: not compressed yet; the thread's while it waits */
	bool taken;
	char why[PUSH_WHY_MAX];
};

static int compress(const struct push_profile *raw, struct push_profile *compressed)
{
	FILE *out, *gzip;
	int rc = 0;

	*compressed = *raw;
	compressed->bytes = NULL;
	out = open_memstream(&compressed->bytes, &compressed->len);
	gzip = out ? gzip_stream(out, GZIP_LEVEL) : NULL;
	if (!gzip || fwrite(raw->bytes, 1, raw->len, gzip) != raw->len)
		rc = -ENOMEM;
	if (gzip && fclose(gzip))
		rc = -ENOMEM;
	if (out && fclose(out))
		rc = -ENOMEM;
	return rc;
}

/* Without the lock: nobody else touches the profile while it waits. */
static bool deliver(struct push *p)
{
	struct push_profile compressed;
	int rc = compress(&p->profile, &compressed);

	if (rc)
		snprintf(p->why, sizeof(p->why), "%s", strerror(-rc));
	else
		rc = push_post(&p->curl, p->url, &compressed, &p->stop, p->why);
	free(compressed.bytes);
	return !rc;
}

static void *run(void *push)
{
	struct push *p = push;
	bool taken;

	pthread_mutex_lock(&p->lock);
	while (!p->end || p->state == PUSH_WAITS) {
		if (p->state != PUSH_WAITS) {
			pthread_cond_wait(&p->wake, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		taken = deliver(p);
		pthread_mutex_lock(&p->lock);
		p->taken = taken;
		p->state = PUSH_DONE;
		pthread_cond_signal(&p->done);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void init_locks(struct push *p)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, NULL);
	pthread_cond_init(&p->done, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void free_all(struct push *p)
{
	free(p->profile.bytes);
	since_free(p->since);
	pthread_cond_destroy(&p->wake);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

struct push *push_new(const char *url, uint64_t interval_ns, const struct log *log)
{
	struct push *p = calloc(1, sizeof(*p));
	struct error err = {.text = "no memory"};
	int rc = -ENOMEM;

	if (p) {
		p->url = url;
		p->interval_ns = interval_ns;
		p->log = log;
		p->pushed_ns = clock_monotonic_ns();
		p->since = since_new();
		init_locks(p);
		rc = p->since ? curl_library_load(&p->curl, &err) : -ENOMEM;
	}
	if (!rc && pthread_create(&p->thread, NULL, run, p))
		rc = error_set(&err, -EAGAIN, "no thread can be made");
	if (!rc)
		return p;
	log_warn(log, "cannot push profiles: %s", err.text);
	if (p)
		free_all(p);
	return NULL;
}

/* With the lock: looks at what became of the last one. */
static void settle(struct push *p)
{
	char url[PUSH_WHY_MAX];

	if (p->state != PUSH_DONE)
		return;
	p->state = PUSH_IDLE;
	free(p->profile.bytes);
	p->profile.bytes = NULL;
	since_settle(p->since, p->taken);
	p->pushed += p->taken;
	p->failed += !p->taken;
	if (p->taken || p->said)
		return;
	p->said = true;
	log_warn(p->log, "cannot push to %s: %s; the next profile is tried again",
		 push_url_shown(url, p->url), p->why);
}

/* With the lock: until the thread has done with the last one, or so long. */
static void wait_for_thread(struct push *p, uint64_t deadline_ns)
{
	struct timespec until = {.tv_sec = (time_t)(deadline_ns / NSEC_PER_SEC),
				 .tv_nsec = (long)(deadline_ns % NSEC_PER_SEC)};

	while (p->state == PUSH_WAITS && !pthread_cond_timedwait(&p->done, &p->lock, &until))
		;
}

bool push_is_due(struct push *p, uint64_t time_ns)
{
	pthread_mutex_lock(&p->lock);
	settle(p);
	pthread_mutex_unlock(&p->lock);
	return time_ns >= p->pushed_ns + p->interval_ns;
}

static int make(struct push *p, const struct snapshot *s, struct push_profile *profile)
{
	uint64_t from_ns = since_from_ns(p->since);
	FILE *out = open_memstream(&profile->bytes, &profile->len);
	int rc;

	if (!out)
		return -ENOMEM;
	rc = pprof_put(out, s, &(struct pprof_choice){.since = p->since, .stacks_max = STACKS_MAX});
	if (fclose(out))
		rc = -ENOMEM;
	profile->pid = s->pid;
	profile->from = (int64_t)clock_epoch(from_ns ? from_ns : s->started_ns);
	profile->until = (int64_t)clock_epoch(s->time_ns);
	push_name(profile->name, s->command ? s->command : "");
	if (rc)
		free(profile->bytes);
	return rc;
}

void push_snapshot(struct push *p, const struct snapshot *s)
{
	struct push_profile profile = {.len = 0};
	bool busy;

	if (!s->allocs)
		return;
	pthread_mutex_lock(&p->lock);
	if (s->final)
		wait_for_thread(p, clock_monotonic_ns() + PUSH_LAST_NS / 2);
	settle(p);
	busy = p->state == PUSH_WAITS;
	pthread_mutex_unlock(&p->lock);
	p->pushed_ns = s->time_ns;
	if (busy || make(p, s, &profile)) {
		p->left_out++;
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->profile = profile;
	p->state = PUSH_WAITS;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

static bool end_thread(struct push *p)
{
	uint64_t leave_ns;
	struct timespec until;

	pthread_mutex_lock(&p->lock);
	p->end = true;
	pthread_cond_signal(&p->wake);
	wait_for_thread(p, clock_monotonic_ns() + PUSH_LAST_NS / 2);
	pthread_mutex_unlock(&p->lock);
	atomic_store(&p->stop, true);
	clock_gettime(CLOCK_REALTIME, &until);
	leave_ns = (uint64_t)until.tv_nsec + LEAVE_NS;
	until.tv_sec += (time_t)(leave_ns / NSEC_PER_SEC);
	until.tv_nsec = (long)(leave_ns % NSEC_PER_SEC);
	return !pthread_timedjoin_np(p->thread, NULL, &until);
}

void push_free(struct push *p)
{
	char url[PUSH_WHY_MAX];
	unsigned long long all;

	if (!p)
		return;
	if (!end_thread(p)) {
		/* It hangs where nothing stops it, in a look-up of the name: left to the end of the program.
		 */
		log_warn(p->log, "the last profile could not be pushed to %s in time",
			 push_url_shown(url, p->url));
		pthread_detach(p->thread);
		return;
	}
	settle(p);
	all = p->pushed + p->failed + p->left_out;
	if (all > p->pushed && all > 1)
		log_warn(p->log, "of %llu profiles %llu were pushed to %s", all,
			 (unsigned long long)p->pushed, push_url_shown(url, p->url));
	else
		log_note(p->log, "%llu profiles were pushed to %s", (unsigned long long)p->pushed,
			 push_url_shown(url, p->url));
	free_all(p);
}
