#include "command/part_histories.h"

#include <stdlib.h>

void part_histories_free(struct part_histories *p)
{
	for (size_t i = 0; i < p->cnt; i++)
		history_free(p->v[i].history);
	free(p->v);
}

static struct part_history *find(const struct part_histories *p, pid_t pid)
{
	for (size_t i = 0; i < p->cnt; i++)
		if (p->v[i].pid == pid)
			return &p->v[i];
	return NULL;
}

static struct part_history *make(struct part_histories *p, pid_t pid)
{
	struct part_history *wider = realloc(p->v, (p->cnt + 1) * sizeof(*wider));
	struct history *history = wider ? history_new() : NULL;

	if (wider)
		p->v = wider;
	if (!history)
		return NULL;
	p->v[p->cnt] = (struct part_history){pid, history};
	return &p->v[p->cnt++];
}

void part_histories_add(struct part_histories *p, const struct snapshot *s)
{
	struct part_history *part = find(p, s->pid) ?: make(p, s->pid);

	if (part)
		history_add(part->history, s);
}

const struct history *part_histories_find(const struct part_histories *p, pid_t pid)
{
	const struct part_history *part = find(p, pid);

	return part ? part->history : NULL;
}

void part_histories_forget(struct part_histories *p, pid_t pid)
{
	struct part_history *part = find(p, pid);

	if (!part)
		return;
	history_free(part->history);
	*part = p->v[--p->cnt];
}
