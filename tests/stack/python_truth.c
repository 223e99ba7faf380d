/*
 * Prints the Python stack of each large malloc of a process, a JSON line each, until it ends:
 * found by user/probe/python.h, walked by bpf/python.bpf.c, decoded by user/stack/python_code.h.
 *
 *     python_truth PID SIZE [cost]    mallocs above SIZE bytes; cost: only what a walk costs
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "event/source.h"
#include "gen/python_truth.skel.h"
#include "probe/python.h"
#include "python_truth.h"
#include "stack/python_code.h"

struct listener {
	struct map codes; /* id → struct python_code */
	unsigned long unknown;
};

static void take_code(struct listener *l, const struct event_code *ev)
{
	struct python_code *code = python_code_new(ev);

	python_code_free(map_remove(&l->codes, ev->id));
	if (!code || map_set(&l->codes, ev->id, code))
		exit(1);
}

static void print_stack(struct listener *l, const struct truth *t)
{
	cJSON *line = cJSON_CreateObject(), *frames = cJSON_AddArrayToObject(line, "frames");
	char *text;

	cJSON_AddNumberToObject(line, "size", (double)t->size);
	cJSON_AddNumberToObject(line, "tid", t->tid);
	cJSON_AddNumberToObject(line, "end", t->end);
	for (uint32_t i = 0; i < t->cnt; i++) {
		const struct python_frame *f = &t->frames[i];
		const struct python_code *code = map_get(&l->codes, f->code);
		cJSON *frame;

		if (f->kind == PYTHON_SHIM || f->kind == PYTHON_HIDDEN)
			continue;
		if (!code) {
			l->unknown++;
			continue;
		}
		frame = cJSON_CreateArray();
		cJSON_AddItemToArray(frame, cJSON_CreateString(code->name));
		cJSON_AddItemToArray(frame, cJSON_CreateString(code->file));
		cJSON_AddItemToArray(frame, cJSON_CreateNumber(python_code_line(code, f->at)));
		cJSON_AddItemToArray(frame, cJSON_CreateNumber(code->first_line));
		cJSON_AddItemToArray(frames, frame);
	}
	text = cJSON_PrintUnformatted(line);
	puts(text);
	free(text);
	cJSON_Delete(line);
}

static int take_record(void *arg, void *data, size_t len)
{
	struct listener *l = arg;
	const struct event_head *head = data;
	struct event ev;

	if (head->kind == TRUTH_KIND)
		print_stack(l, data);
	else if (event_decode(data, len, &ev) == 0 && head->kind == EVENT_CODE)
		take_code(l, ev.code);
	else
		fprintf(stderr, "malformed record of kind %u, %zu bytes\n", head->kind, len);
	return 0;
}

static struct bpf_link *attach(struct bpf_program *prog, pid_t pid, const struct maps *maps,
			       struct objects *objects)
{
	for (size_t i = 0; i < maps->cnt; i++) {
		const struct mapping *m = &maps->v[i];
		struct object *obj;
		struct object_symbol sym;

		if (!m->exec || (!strstr(m->name, "/libc.so.6") && !strstr(m->name, "/libc-2.")))
			continue;
		obj = objects_get(objects, m);
		if (obj && !object_find_symbol(obj, "malloc", &sym))
			return bpf_program__attach_uprobe(prog, false, pid, object_access_path(obj),
							  sym.file_offset);
	}
	return NULL;
}

static void print_cost(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {.run_cnt = 0};
	__u32 len = sizeof(info);

	bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len);
	fprintf(stderr, "%llu hits, %llu ns each; %u instructions looked at by the verifier\n", info.run_cnt,
		info.run_cnt ? info.run_time_ns / info.run_cnt : 0, info.verified_insns);
}

int main(int argc, char **argv)
{
	struct listener listener = {.unknown = 0};
	struct python_truth_bpf *skel;
	struct bpf_program *prog;
	struct ring_buffer *ring;
	struct objects *objects;
	struct memory *mem;
	struct maps maps;
	struct python python;
	struct error err;
	pid_t pid;
	int stats;
	bool only_cost = argc > 3;

	if (argc < 3)
		return 2;
	pid = atoi(argv[1]);
	objects = objects_new(pid);
	if (memory_open_process(pid, &mem, &err) || maps_read(pid, &maps, &err) ||
	    python_find(mem, &maps, objects, &python, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 3;
	}
	skel = python_truth_bpf__open();
	skel->rodata->size_above = strtoull(argv[2], NULL, 0);
	if (python_truth_bpf__load(skel))
		return 1;
	bpf_map_update_elem(bpf_map__fd(skel->maps.python_layouts), &pid, &python.layout, BPF_ANY);
	ring = ring_buffer__new(bpf_map__fd(skel->maps.ring), take_record, &listener, NULL);
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	prog = only_cost ? skel->progs.cost : skel->progs.truth;
	if (!attach(prog, pid, &maps, objects))
		return 1;
	fprintf(stderr, "attached\n");
	while (kill(pid, 0) == 0)
		ring_buffer__poll(ring, 50);
	ring_buffer__consume(ring);
	print_cost(prog);
	fprintf(stderr, "%lu frames without a name, %llu stacks dropped\n", listener.unknown,
		(unsigned long long)skel->bss->dropped);
	close(stats);
	return 0;
}
