#include "command/grammar.h"

#define FIELD(member) offsetof(struct options, member)

const struct option_row option_rows[] = {
	{IN_HEAP | IN_PURGE | IN_ALLOCATORS | IN_MARK, 'p', "pid", "PID", &type_pid, FIELD(pid),
	 "the process to look at"},
	{IN_ATTACH | IN_TOP | IN_CHECK, 'p', "pid", "PID,…", &type_pids, FIELD(pids),
	 "the processes to look at"},
	{IN_ATTACH | IN_TOP, 0, "comm", "NAME", &type_name, FIELD(comm),
	 "those whose command has that name, later ones too"},
	{IN_ATTACH | IN_TOP, 0, "cgroup", "PATH", &type_cgroup, FIELD(cgroup),
	 "those in that cgroup and below, later ones too"},
	{IN_ATTACH | IN_TOP, 0, "unit", "NAME", &type_name, FIELD(unit),
	 "those of a systemd unit, as nginx.service, later ones too"},
	{IN_ATTACH | IN_TOP | IN_HEAP | IN_CHECK | IN_PURGE | IN_ALLOCATORS | IN_MARK, 0, "ns-of", "PID",
	 &type_pid, FIELD(ns_of), "PIDs are those of that process's PID namespace"},
	{IN_ATTACH | IN_TOP, 0, "follow", NULL, &type_flag, FIELD(follow),
	 "children too, present and future"},
	{IN_RUN, 0, "no-follow", NULL, &type_no_flag, FIELD(follow),
	 "only COMMAND itself, none of its children"},
	{IN_CHECK, 0, "comm", "NAME", &type_name, FIELD(comm),
	 "the largest process whose command has that name"},
	{IN_CHECK, 0, "unit", "NAME", &type_name, FIELD(unit),
	 "the largest process of a systemd unit, users' too"},
	{IN_CHECK, 0, "cgroup", "PATH", &type_cgroup, FIELD(cgroup),
	 "the largest process of a cgroup and those below"},
	{IN_RUN, 'i', "interval", "SEC", &type_period, FIELD(interval_ns), "time between summaries (5)"},
	{IN_RUN, 'n', "count", "N", &type_integer, FIELD(count), "end after N summaries"},
	{IN_ATTACH | IN_RUN | IN_TOP, 'd', "duration", "SEC", &type_seconds, FIELD(duration_ns),
	 "end after that time"},
	{IN_ATTACH | IN_RUN | IN_TOP, 0, "retained-min", "SIZE", &type_size, FIELD(retained_min),
	 "a window needs that much retained and purgeable\n(the larger of 32M and 20 % of RSS)"},
	{IN_ATTACH | IN_RUN | IN_TOP, 0, "window-min", "SEC", &type_seconds, FIELD(window_min_ns),
	 "a window lasts at least that long (5)"},
	{IN_ATTACH | IN_RUN | IN_TOP, 0, "churn-min", "N", &type_integer, FIELD(churn_min),
	 "flag a library from N repeated opens on (20)"},
	{IN_ATTACH | IN_RUN | IN_TOP, 0, "walk-budget", "PCT", &type_percent, FIELD(walk_budget),
	 "heap walks may take PCT % of one core (2)"},
	{IN_ATTACH | IN_RUN | IN_TOP, 0, "no-alloc", NULL, &type_flag, FIELD(no_alloc),
	 "do not probe malloc and free: no sites, no cost"},
	{IN_ATTACH | IN_RUN | IN_TOP, 0, "stack", "WHICH", &type_stack, FIELD(stacks),
	 "callers' stacks: all, but of frees one in 4096 bytes; none;\nor sampled:SIZE, one in so many bytes "
	 "(all)"},
	{IN_ATTACH | IN_RUN | IN_TOP, 0, "objects", "WHICH", &type_objects, FIELD(objects),
	 "Python's objects of up to 512 bytes, by line: paced, for half of\n--max-overhead; none; or at any "
	 "cost: all, or sampled:SIZE,\nbirths of one in so many bytes (paced, where there is a budget)"},
	{IN_ATTACH | IN_RUN | IN_TOP, 0, "native", NULL, &type_flag, FIELD(native),
	 "show the C frames of the Python interpreter too"},
	{IN_ATTACH | IN_TOP, 0, "max-overhead", "PCT", &type_overhead, FIELD(max_overhead),
	 "what probes may take of the target's CPU time (or 0.5 % of a\ncore), and alloctrace beside it; "
	 "where "
	 "that does not suffice,\nmalloc and free are sampled: figures are estimates (10; none: all is "
	 "seen)"},
	{IN_RUN, 0, "max-overhead", "PCT", &type_overhead, FIELD(max_overhead),
	 "what probes may take of the command's CPU time (or 0.5 % of a\ncore), and alloctrace beside it; "
	 "where that does not suffice,\nmalloc and free are sampled: figures are estimates (none: all is "
	 "seen)"},
	{IN_ATTACH | IN_RUN, 'o', "output", "FILE", &type_file, FIELD(recording),
	 "record to FILE, for alloctrace report"},
	{IN_ATTACH | IN_RUN, 0, "events", NULL, &type_flag, FIELD(events),
	 "record every event too (some 10 bytes each)"},
	{IN_REPORT, 0, "events", NULL, &type_flag, FIELD(events),
	 "the events that were recorded (attach --events), one JSON object a line"},
	{IN_REPORT, 'f', "format", "FORM", &type_format, FIELD(form),
	 "text (the default), json, folded, html, pprof, speedscope,\nperfetto or heaptrack"},
	{IN_DIFF, 'f', "format", "FORM", &type_diff_form, FIELD(diff_form),
	 "text (the default), json, folded (as of difffolded.pl) or html"},
	{IN_DIFF, 0, "by", "WHAT", &type_diff_by, FIELD(by),
	 "multiply what A counts to B's time, marks or allocations"},
	{IN_REPORT | IN_DIFF, 'o', "output", "FILE", &type_file, FIELD(output),
	 "write to FILE, not to stdout"},
	{IN_REPORT, 'a', "all", NULL, &type_flag, FIELD(all),
	 "every summary as it was printed, not the last one alone (text, json)"},
	{IN_ATTACH | IN_RUN | IN_REPORT, 'T', "top", "N", &type_integer, FIELD(top),
	 "sites a table (5, in the last report 10)"},
	{IN_DIFF, 'T', "top", "N", &type_integer, FIELD(top), "sites to list (15, in JSON 10000)"},
	{IN_DIFF, 0, "weight", "WEIGHT", &type_weight, FIELD(weight),
	 "rank sites by the change of live (the default), allocated, freed,\ncount, pinned, peak, temporary, "
	 "retained or python"},
	{IN_ATTACH | IN_RUN, 0, "older", "SEC", &type_seconds, FIELD(older_ns),
	 "live blocks by site: only those older than that"},
	{IN_ATTACH | IN_RUN | IN_TOP, 'z', "min-size", "SIZE", &type_size, FIELD(size_min),
	 "blocks of at least SIZE only"},
	{IN_ATTACH | IN_RUN | IN_TOP, 'Z', "max-size", "SIZE", &type_size, FIELD(size_max),
	 "blocks of at most SIZE only"},
	{IN_ATTACH | IN_RUN | IN_TOP, 0, "max-memory", "SIZE", &type_size, FIELD(max_memory),
	 "memory for the table of live blocks\n(an eighth of the machine's, 1G at most)"},
	{IN_ATTACH | IN_RUN, 0, "folded", "FILE", &type_file, FIELD(files[FORM_FOLDED]),
	 "write the stacks to FILE at the end, folded for flame graphs"},
	{IN_ATTACH | IN_RUN, 0, "html", "FILE", &type_file, FIELD(files[FORM_HTML]),
	 "write a page for a browser to FILE at the end: time line,\nflame graph, tables"},
	{IN_ATTACH | IN_RUN, 0, "pprof", "FILE", &type_file, FIELD(files[FORM_PPROF]),
	 "write the stacks as a profile for pprof, with every weight"},
	{IN_ATTACH | IN_RUN, 0, "speedscope", "FILE", &type_file, FIELD(files[FORM_SPEEDSCOPE]),
	 "write the stacks as speedscope reads them, with every weight"},
	{IN_ATTACH | IN_RUN, 0, "push", "URL", &type_push, FIELD(push),
	 "push such profiles to Pyroscope (URL is …/ingest) or Parca\n(…/profiles/writeraw) while it runs"},
	{IN_ATTACH | IN_RUN, 0, "push-interval", "SEC", &type_period, FIELD(push_interval_ns),
	 "at most so often, with a summary, and at the end (60)"},
	{IN_ATTACH | IN_RUN, 0, "prometheus", "FILE", &type_file, FIELD(prometheus),
	 "write metrics to FILE in every interval, as node_exporter's\ntextfile collector reads them "
	 "(NAME.prom)"},
	{IN_ATTACH | IN_RUN, 0, "on-window", "CMD", &type_command, FIELD(on_window),
	 "run CMD when a window counts and when it has ended;\nALLOCTRACE_EVENT, _PID, _RETAINED, … tell it "
	 "more"},
	{IN_ATTACH | IN_RUN, 0, "perfetto", "FILE", &type_file, FIELD(files[FORM_PERFETTO]),
	 "write a trace for ui.perfetto.dev: time lines, events, heap profiles"},
	{IN_ATTACH | IN_RUN, 0, "heaptrack", "FILE", &type_file, FIELD(files[FORM_HEAPTRACK]),
	 "write FILE, named *.gz, for heaptrack_gui and heaptrack_print"},
	{IN_ATTACH | IN_RUN, 0, "apart", NULL, &type_flag, FIELD(apart),
	 "of several processes, write FILE.PID for each, not one FILE for all"},
	{IN_ATTACH | IN_RUN | IN_REPORT, 0, "weight", "WEIGHT", &type_weight, FIELD(weight),
	 "of the folded stacks: live (the default), allocated, freed,\ncount, pinned, peak, temporary, "
	 "retained, or python: live small objects"},
	{IN_ATTACH | IN_RUN | IN_TOP | IN_ALLOCATORS, 'S', "symbol-prefix", "PREFIX", &type_prefix,
	 FIELD(symbol_prefix), "an allocator of functions PREFIXmalloc, PREFIXfree, …"},
	{IN_ATTACH | IN_RUN | IN_TOP | IN_ALLOCATORS, 'O', "object", "FILE", &type_file, FIELD(object),
	 "an allocator in that object: its malloc, free, …;\nwith --symbol-prefix these, and only there"},
	{IN_ATTACH | IN_RUN, 0, "mark", "LIB:SYMBOL", &type_mark, FIELD(marks),
	 "mark each call of that function, of a library or of the\nprogram itself (:SYMBOL); may be given "
	 "more than once"},
	{IN_MARK, 'k', "kind", "NAME", &type_name, FIELD(kind),
	 "what it is a mark of: those of one kind are compared (mark)"},
	{IN_MARK, 0, "no-wait", NULL, &type_flag, FIELD(no_wait),
	 "do not wait for the reading of the heap at the mark"},
	{IN_HEAP, 0, "stop", NULL, &type_flag, FIELD(stop), "stop the process while its heap is read"},
	{IN_PURGE, 'n', "dry-run", NULL, &type_flag, FIELD(dry_run),
	 "only say what it would return, and where it could be called"},
	{IN_PURGE, 't', "timeout", "SEC", &type_seconds, FIELD(timeout_ns),
	 "give up when no thread can be called on within SEC (2)"},
	{IN_PRINTING, 'j', "json", NULL, &type_flag, FIELD(json), "one JSON object per line"},
	{IN_ALL, 'v', "verbose", NULL, &type_flag, FIELD(verbose), "say what is done, and why, on stderr"},
	{IN_ALL, 'h', "help", NULL, NULL, 0, "this text"},
};

const size_t option_row_cnt = sizeof(option_rows) / sizeof(option_rows[0]);
_Static_assert(sizeof(option_rows) / sizeof(option_rows[0]) <= OPTION_ROWS_MAX, "raise OPTION_ROWS_MAX");

const struct grammar attach_grammar = {
	.name = "attach",
	.bit = IN_ATTACH,
	.usage = "attach [OPTIONS] PID,… [INTERVAL [COUNT]]",
	.about = "Watches running processes: what is live and what is retained, what its purges\n"
		 "return, when a purge was missing, which libraries it opens again and again.\n"
		 "Prints a summary every INTERVAL seconds (5), COUNT times or until Ctrl-C, and a\n"
		 "full report at the end. They are not stopped, signalled or written to.\n",
	.examples = "alloctrace attach 4242\n"
		    "alloctrace attach 4242 60 --json >> worker.jsonl\n"
		    "alloctrace attach -p 4242 --duration 600 --retained-min 256M\n"
		    "alloctrace attach --unit gunicorn.service\n",
	.positional =
		{
			{.arg = "PID", .type = &type_pids, .field = FIELD(pids)},
			{.arg = "INTERVAL", .type = &type_period, .field = FIELD(interval_ns)},
			{.arg = "COUNT", .type = &type_integer, .field = FIELD(count)},
		},
};

const struct grammar run_grammar = {
	.name = "run",
	.bit = IN_RUN,
	.usage = "run [OPTIONS] -- COMMAND [ARGS…]",
	.about = "Starts COMMAND and watches it and its children from their first instruction on,\n"
		 "as attach does. Ends when COMMAND does, and exits as it does.\n",
	.examples = "alloctrace run -- python3 worker.py\n"
		    "alloctrace run --interval 1 --json -- ./server --port 8080 2> alloctrace.log\n",
};

const struct grammar top_grammar = {
	.name = "top",
	.bit = IN_TOP,
	.usage = "top [OPTIONS] PID,… [INTERVAL]",
	.about = "A live screen of what attach reports: RSS, live and retained over the last minutes,\n"
		 "sites by any of their figures, purges and windows as they come. Figures are new\n"
		 "every INTERVAL seconds (2); keys are at the bottom, '?' explains them.\n",
	.examples = "alloctrace top 4242\n"
		    "alloctrace top --unit gunicorn.service\n"
		    "alloctrace top --follow 4242 1\n",
	.positional =
		{
			{.arg = "PID", .type = &type_pids, .field = FIELD(pids)},
			{.arg = "INTERVAL", .type = &type_period, .field = FIELD(interval_ns)},
		},
};

const struct grammar heap_grammar = {
	.name = "heap",
	.bit = IN_HEAP,
	.usage = "heap [OPTIONS] PID",
	.about = "Reads the heap of a process once, from outside, without stopping it: what is live,\n"
		 "what is free, and how much of that a purge would return now. Needs no root for\n"
		 "one's own processes, where the kernel allows it.\n",
	.examples = "alloctrace heap 4242\n"
		    "alloctrace heap --json 4242 | jq .sentence\n"
		    "alloctrace heap --stop 4242     exact on a busy process\n",
	.positional =
		{
			{.arg = "PID", .type = &type_pid, .field = FIELD(pid)},
		},
};

const struct grammar check_grammar = {
	.name = "check",
	.bit = IN_CHECK,
	.usage = "check [OPTIONS] PID,… | --comm NAME | --unit NAME | --cgroup PATH",
	.about = "Goes through a checklist in two seconds, reading only: who serves allocations, which\n"
		 "settings are ignored or keep memory, limits and past kills, growth, free memory.\n"
		 "Each line is warn, unknown or pass, with what was seen and what to do.\n"
		 "Exit status: 0 no warnings, 1 it failed, 2 the command line was wrong, 3 warnings.\n",
	.examples = "alloctrace check 4242\n"
		    "alloctrace check --unit worker.service\n"
		    "alloctrace check --json 4242 | jq '.findings[] | select(.status == \"warn\")'\n",
	.positional =
		{
			{.arg = "PID", .type = &type_pids, .field = FIELD(pids)},
		},
};

const struct grammar purge_grammar = {
	.name = "purge",
	.bit = IN_PURGE,
	.usage = "purge [OPTIONS] PID",
	.about = "Calls the purge of the allocator that serves a process (malloc_trim, mi_collect, …)\n"
		 "inside it, and says what was expected and what came. One thread is stopped for it,\n"
		 "at a place where that does no harm, and the others run on; where no thread stands\n"
		 "so within the timeout, nothing is done. A purge that runs cannot be cut short.\n",
	.examples = "alloctrace purge --dry-run 4242\n"
		    "alloctrace purge 4242\n"
		    "alloctrace purge --json --timeout 10 4242\n",
	.positional =
		{
			{.arg = "PID", .type = &type_pid, .field = FIELD(pid)},
		},
};

const struct grammar report_grammar = {
	.name = "report",
	.bit = IN_REPORT,
	.usage = "report [OPTIONS] RECORDING",
	.about = "Reads what attach or run recorded (--output), anywhere, without root and without the\n"
		 "process's files: its last report, or the same in another form. What was killed while\n"
		 "it recorded is read as far as it came.\n",
	.examples = "alloctrace report worker.rec\n"
		    "alloctrace report --all worker.rec | less\n"
		    "alloctrace report --format folded --weight pinned -o out.txt worker.rec\n",
	.positional =
		{
			{.arg = "RECORDING", .type = &type_file, .field = FIELD(recording)},
		},
};

const struct grammar mark_grammar = {
	.name = "mark",
	.bit = IN_MARK,
	.usage = "mark [OPTIONS] PID [TEXT]",
	.about = "Names this moment of a process that an alloctrace watches: after each unit of work,\n"
		 "say. Reports compare RSS, live and retained at the marks of one kind. Returns when the\n"
		 "heap has been read, or after two seconds. For root, and for the user whom the process\n"
		 "runs as.\n",
	.examples = "alloctrace mark 4242 \"unit 3 done\"\n"
		    "alloctrace mark --kind batch $PPID \"batch $n\"\n",
	.positional =
		{
			{.arg = "PID", .type = &type_pid, .field = FIELD(pid)},
			{.arg = "TEXT", .type = &type_any, .field = FIELD(text)},
		},
};

const struct grammar diff_grammar = {
	.name = "diff",
	.bit = IN_DIFF,
	.usage = "diff [OPTIONS] A B",
	.about = "Compares two recordings of attach or run (--output): what grew from A to B, as a\n"
		 "whole and by site, those that changed most first. The two may come from different\n"
		 "processes and builds: sites are the same where their functions and lines are, and\n"
		 "where only lines have moved.\n",
	.examples = "alloctrace diff monday.rec tuesday.rec\n"
		    "alloctrace diff --by time --weight allocated monday.rec tuesday.rec\n"
		    "alloctrace diff --format folded monday.rec tuesday.rec | flamegraph.pl > diff.svg\n",
	.positional =
		{
			{.arg = "A", .type = &type_file, .field = FIELD(recording)},
			{.arg = "B", .type = &type_file, .field = FIELD(second)},
		},
};

const struct grammar allocators_grammar = {
	.name = "allocators",
	.bit = IN_ALLOCATORS,
	.usage = "allocators [OPTIONS] [PID]",
	.about = "Lists the allocators that are known: how they are recognised, how many of their\n"
		 "functions are seen, how they are purged, whether their heaps are walked. Of a\n"
		 "process: which it holds and which serve it, where attach would place each probe and\n"
		 "what one call would cost. Nothing is attached.\n",
	.examples = "alloctrace allocators\n"
		    "alloctrace allocators 4242\n"
		    "alloctrace allocators -S my_ 4242\n",
	.positional =
		{
			{.arg = "PID", .type = &type_pid, .field = FIELD(pid)},
		},
};
