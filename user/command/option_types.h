/* How the arguments of options are read, each type into its kind of field. */
#ifndef ALLOCTRACE_COMMAND_OPTION_TYPES_H
#define ALLOCTRACE_COMMAND_OPTION_TYPES_H

/* Frees by byte-sampling in any case: who frees is asked of windows of a MiB and more. */
#define FREE_SAMPLE_BYTES 4096
#define OBJECT_SAMPLE_BYTES 4096 /* of births, in cells */

struct option_type {
	const char *needs; /* how a complaint about an argument continues "--option needs " */
	int (*parse)(const char *text, void *field); /* 0, or −EINVAL, −ERANGE */
};

extern const struct option_type type_flag, type_no_flag; /* bool: set, cleared */
extern const struct option_type type_pid, type_pids;     /* pid_t; struct pid_list, each once */
extern const struct option_type type_name, type_cgroup, type_file, type_prefix, type_push, type_command; /* const char * */
extern const struct option_type type_any; /* likewise, "" too */
extern const struct option_type type_size, type_integer; /* uint64_t */
extern const struct option_type type_seconds, type_period; /* uint64_t, ns; the second not too short */
extern const struct option_type type_percent, type_overhead; /* double; "none" is 0 */
extern const struct option_type type_stack;  /* struct stack_choice */
extern const struct option_type type_objects; /* struct objects_choice */
extern const struct option_type type_diff_form, type_diff_by; /* enum diff_form_number, diff_by */
extern const struct option_type type_weight; /* enum site_weight */
extern const struct option_type type_format; /* enum form_number */
extern const struct option_type type_mark;   /* struct mark_points, one more */

#endif
