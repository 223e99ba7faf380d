#include "record/processes.h"

#include <stdlib.h>

#include "record/format.h"

static void process_free(struct recorded_process *one)
{
	site_states_free(&one->sites);
	site_states_free(&one->objects);
	unfinished_free(&one->unfinished);
	free(one);
}

void recorded_processes_free(struct recorded_processes *p)
{
	for (size_t i = 0; i < p->cnt; i++)
		process_free(p->v[i]);
	free(p->v);
	*p = (struct recorded_processes){0};
}

struct recorded_process *recorded_process_of(struct recorded_processes *p, pid_t pid, uint64_t started_ns)
{
	struct recorded_process *one, **v = p->v;

	for (size_t i = 0; i < p->cnt; i++)
		if (v[i]->pid == pid && v[i]->started_ns == started_ns)
			return v[i];
	if (p->cnt == RECORD_PROCESSES_MAX)
		return NULL;
	if (p->cnt == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 16;

		v = realloc(p->v, cap * sizeof(struct recorded_process *));
		if (!v)
			return NULL;
		p->v = v;
		p->cap = cap;
	}
	one = calloc(1, sizeof(*one));
	if (!one)
		return NULL;
	one->pid = pid;
	one->started_ns = started_ns;
	v[p->cnt++] = one;
	return one;
}

void recorded_processes_bury(struct recorded_processes *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->cnt; i++) {
		if (p->v[i]->ended)
			process_free(p->v[i]);
		else
			p->v[kept++] = p->v[i];
	}
	p->cnt = kept;
}
