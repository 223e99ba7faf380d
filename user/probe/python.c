#include "probe/python.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "probe/python_versions.h"

#define VERSION(major, minor) ((major) << 8 | (minor))
#define PYTHON_OLDEST VERSION(3, 8)

#define DEBUG_SIZE_MAX 1024

#define INTERPRETERS_MAX 16
#define THREADS_MAX 16 /* of an interpreter that are looked at */
#define RUNTIME_SCAN 16384

/* glibc's nptl/descr.h: struct pthread's specific_1stblock, of 32 struct pthread_key_data {seq, data}. */
#define SPECIFIC_1STBLOCK 0x310
#define SPECIFIC_KEYS 32

/* The functions that a version was the first to export; there is no variable that says it before 3.11. */
static const struct {
	const char *function;
	uint16_t version;
} firsts[] = {
	{"PyIter_Send", VERSION(3, 10)},
	{"PyFrame_GetCode", VERSION(3, 9)},
	{"PyConfig_InitPythonConfig", VERSION(3, 8)},
};

static bool read_exactly(struct memory *mem, uint64_t addr, void *buf, size_t len)
{
	return memory_read(mem, addr, buf, len) == (ssize_t)len;
}

static uint64_t read_word(struct memory *mem, uint64_t addr)
{
	uint64_t word;

	return read_exactly(mem, addr, &word, sizeof(word)) ? word : 0;
}

static uint64_t word_at(const char *bytes, uint16_t place)
{
	uint64_t word;

	memcpy(&word, bytes + place, sizeof(word));
	return word;
}

unsigned python_version(struct object *obj)
{
	struct object_symbol sym;
	uint64_t hex; /* PY_VERSION_HEX: major, minor, micro and release, a byte each */

	if (!object_find_data(obj, "Py_Version", &sym) && sym.file_offset &&
	    object_read(obj, sym.file_offset, &hex, sizeof(hex)) == (ssize_t)sizeof(hex))
		return (unsigned)(hex >> 16) & 0xffff;
	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++)
		if (!object_find_symbol(obj, firsts[i].function, &sym))
			return firsts[i].version;
	return 0;
}

/* What the interpreter says of itself goes before what the table says. */
static void apply_debug(struct python_row *row, const char *bytes)
{
	const struct python_debug *debug = row->debug;

	row->thread_frame = (uint16_t)word_at(bytes, debug->current_frame);
	row->thread_id = (uint16_t)word_at(bytes, debug->thread_id);
	row->frame_back = (uint16_t)word_at(bytes, debug->previous);
	row->frame_code = (uint16_t)word_at(bytes, debug->executable);
	row->frame_at = (uint16_t)word_at(bytes, debug->instr_ptr);
	row->frame_owner = (uint16_t)word_at(bytes, debug->owner);
	row->file = (uint16_t)word_at(bytes, debug->filename);
	row->name = (uint16_t)word_at(bytes, debug->qualname);
	row->lines = (uint16_t)word_at(bytes, debug->linetable);
	row->first_line = (uint16_t)word_at(bytes, debug->first_line);
	row->code_bytes = (uint16_t)word_at(bytes, debug->code_bytes);
	/* sizeof(PyASCIIObject); a PyCompactUnicodeObject has two words more (from 3.12 on). */
	row->text_ascii = (uint8_t)word_at(bytes, debug->asciiobject_size);
	row->text_wide = row->text_ascii + 16;
}

static uint16_t most(uint16_t a, uint16_t b)
{
	return a > b ? a : b;
}

/* False if the places lie too far apart: no build is known where they do. */
static bool make_layout(const struct python_row *row, uint64_t tss, struct python_layout *l)
{
	uint16_t frame = most(most(row->frame_code, row->frame_back), row->frame_at) + sizeof(uint64_t);
	uint16_t code = most(most(row->file, row->name), row->lines) + sizeof(uint64_t);

	frame = most(frame, row->frame_owner + 1);
	if (row->first_line > row->file || row->first_line > row->name || row->first_line > row->lines ||
	    frame > PYTHON_READ_MAX || code - row->first_line > PYTHON_READ_MAX)
		return false;
	*l = (struct python_layout){
		.tss = tss,
		.version = row->version,
		.thread_frame = row->thread_frame,
		.thread_id = row->thread_id,
		.cframe_frame = row->cframe_frame,
		.code_bytes = row->code_bytes,
		.code_first_line = row->first_line,
		.code_file = (uint8_t)(row->file - row->first_line),
		.code_name = (uint8_t)(row->name - row->first_line),
		.code_lines = (uint8_t)(row->lines - row->first_line),
		.code_size = (uint8_t)(code - row->first_line),
		.frame_code = (uint8_t)row->frame_code,
		.frame_back = (uint8_t)row->frame_back,
		.frame_at = (uint8_t)row->frame_at,
		.frame_owner = (uint8_t)row->frame_owner,
		.frame_size = (uint8_t)frame,
		.has_cframe = row->has_cframe,
		.rule = row->rule,
		.at_shift = row->at_shift,
		.code_tags = row->code_tags,
		.shim_owner = row->shim_owner,
		.text_ascii = row->text_ascii,
		.text_wide = row->text_wide,
	};
	return true;
}

/* Some threads' states, of all interpreters. */
struct thread_states {
	uint64_t state[INTERPRETERS_MAX * THREADS_MAX];
	uint64_t pointer[INTERPRETERS_MAX * THREADS_MAX]; /* thread_id: the thread pointer */
	size_t cnt;
};

static void read_threads(struct memory *mem, uint64_t runtime, const char *bytes,
			 const struct python_debug *debug, struct thread_states *threads)
{
	uint64_t interpreter = read_word(mem, runtime + word_at(bytes, debug->interpreters_head));

	threads->cnt = 0;
	for (int i = 0; i < INTERPRETERS_MAX && interpreter; i++) {
		uint64_t thread = read_word(mem, interpreter + word_at(bytes, debug->threads_head));

		for (int j = 0; j < THREADS_MAX && thread; j++) {
			threads->state[threads->cnt] = thread;
			threads->pointer[threads->cnt++] =
				read_word(mem, thread + word_at(bytes, debug->thread_id));
			thread = read_word(mem, thread + word_at(bytes, debug->next_thread));
		}
		interpreter = read_word(mem, interpreter + word_at(bytes, debug->next_interpreter));
	}
}

/* Whether a thread keeps its own state under the key that stands in tss. */
static bool is_key(struct memory *mem, const uint32_t tss[2], const struct thread_states *threads)
{
	if (tss[0] != 1 || tss[1] >= SPECIFIC_KEYS)
		return false;
	for (size_t i = 0; i < threads->cnt; i++)
		if (read_word(mem, threads->pointer[i] + SPECIFIC_1STBLOCK + tss[1] * 16 + 8) ==
		    threads->state[i])
			return true;
	return false;
}

/* The key's place is the one thing that _Py_DebugOffsets leaves out: where threads tell, they go before the
 * table. */
static uint16_t find_key(struct memory *mem, uint64_t runtime, uint64_t size, const char *bytes,
			 const struct python_row *row)
{
	char state[RUNTIME_SCAN];
	struct thread_states threads;
	uint32_t tss[2];
	size_t len = size < sizeof(state) ? size : sizeof(state);

	read_threads(mem, runtime, bytes, row->debug, &threads);
	if (!threads.cnt || !read_exactly(mem, runtime, state, len) || row->tss + sizeof(tss) > len)
		return row->tss;
	memcpy(tss, state + row->tss, sizeof(tss));
	if (is_key(mem, tss, &threads))
		return row->tss;
	for (size_t at = row->debug->size; at + sizeof(tss) <= len; at += sizeof(tss[0])) {
		memcpy(tss, state + at, sizeof(tss));
		if (is_key(mem, tss, &threads))
			return (uint16_t)at;
	}
	return row->tss;
}

/* The evaluating function, and the part of it that gcc puts elsewhere (-freorder-blocks-and-partition). */
static void find_evals(struct object *obj, uint64_t bias, struct python_evals *evals)
{
	static const char *const names[] = {"_PyEval_EvalFrameDefault", "_PyEval_EvalFrameDefault.cold",
					    "_PyEval_EvalFrameDefault.cold.0"};
	struct object_symbol sym;

	evals->cnt = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!object_find_symbol(obj, names[i], &sym) && sym.size)
			evals->v[evals->cnt++] =
				(struct python_eval){sym.value + bias, sym.value + bias + sym.size};
}

static int refuse(struct error *err, const struct object *obj, unsigned version, const char *why)
{
	return error_set(err, -ENOTSUP, "Python frames are not shown: %s is CPython %u.%u, %s",
			 object_name(obj), version >> 8, version & 0xff, why);
}

static int examine(struct object *obj, const struct object_symbol *runtime, uint64_t bias, struct memory *mem,
		   struct python *python, struct error *err)
{
	unsigned version = python_version(obj);
	const struct python_row *known = python_row_of(version);
	uint64_t at = runtime->value + bias;
	char bytes[DEBUG_SIZE_MAX];
	struct python_row row;

	if (!version)
		return error_set(
			err, -ENOTSUP,
			"Python frames are not shown: %s is a CPython before 3.8, the oldest that is known",
			object_name(obj));
	if (!known)
		return refuse(err, obj, version, "newer than the newest that is known");
	row = *known;
	if (row.debug) {
		if (!read_exactly(mem, at, bytes, row.debug->size) ||
		    memcmp(bytes, PYTHON_DEBUG_COOKIE, sizeof(PYTHON_DEBUG_COOKIE) - 1) != 0)
			return refuse(err, obj, version, "and does not say where it keeps them");
		if (word_at(bytes, PYTHON_DEBUG_FREE_THREADED))
			return refuse(err, obj, version, "free-threaded, which keeps them otherwise");
		apply_debug(&row, bytes);
		row.tss = find_key(mem, at, runtime->size, bytes, &row);
	}
	if (!make_layout(&row, at + row.tss, &python->layout))
		return refuse(err, obj, version, "of a build that keeps them elsewhere");
	find_evals(obj, bias, &python->evals);
	if (row.rule != PYTHON_BY_ADDRESS && !python->evals.cnt)
		return refuse(err, obj, version, "without the symbol _PyEval_EvalFrameDefault");
	return 0;
}

/* Its loader is its C library; Debian's lies in a folder of its own under the name libc.so. */
static bool is_musl(const struct maps *maps)
{
	static const char *const marks[] = {"/ld-musl-", "/libc.musl-", "-linux-musl/"};

	for (size_t i = 0; i < maps->cnt; i++)
		for (size_t k = 0; k < sizeof(marks) / sizeof(marks[0]); k++)
			if (strstr(maps->v[i].name, marks[k]))
				return true;
	return false;
}

int python_find(struct memory *mem, const struct maps *maps, struct objects *objects, struct python *python,
		struct error *err)
{
	for (size_t i = 0; i < maps->cnt; i++) {
		const struct mapping *m = &maps->v[i];
		struct object *obj = m->exec && m->inode ? objects_get(objects, m) : NULL;
		struct object_symbol runtime;

		if (!obj || object_find_data(obj, "_PyRuntime", &runtime))
			continue;
		if (is_musl(maps))
			return error_set(err, -ENOTSUP,
					 "Python frames are not shown: %s runs on musl, whose threads keep "
					 "their data otherwise",
					 object_name(obj));
		python->text = m->start;
		return examine(obj, &runtime, object_bias(obj, m), mem, python, err);
	}
	return error_set(err, -ENOENT, "the process has no CPython");
}
