/*
 * A frame as outputs see it, and the one way to write it as text: "module:function (file:line)"
 * for native code, "function (file.py:line)" where there is no module, "module+0x1234" without a
 * symbol.
 */
#ifndef ALLOCTRACE_STACK_FRAME_H
#define ALLOCTRACE_STACK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_TEXT_MAX 1024

enum frame_kind {
	FRAME_UNKNOWN, /* function says in brackets what is known instead of a name */
	FRAME_NATIVE,
	FRAME_PYTHON,
};

struct frame_name {
	enum frame_kind kind;
	bool inlined;         /* has no stack frame of its own */
	unsigned line;        /* 0: not known */
	const char *function; /* NULL: no symbol */
	const char *module;   /* base name of the object; NULL: none (Python, code of a JIT) */
	const char *file;     /* source, a path as its compiler knew it; NULL: not known */
	uint64_t offset;      /* in the module, as linked */
};

/* What one code address stands for: calls that were inlined share it. Outermost first; never empty. */
struct frame_list {
	uint32_t cnt;
	struct frame_name v[];
};

/* Which parts are written; a module without a symbol always is. */
struct frame_form {
	bool module, line;
	bool no_tag;      /* a module that Python loads without its tag: frame_module_len */
	int function_max; /* bytes of a function's name; 0: as it is */
};
extern const struct frame_form frame_whole;

/* Writes it into buf[size] and returns buf; as the target's files have it, so not yet printable
 * (base/printable.h). */
const char *frame_text(char *buf, size_t size, const struct frame_name *name, const struct frame_form *form);
/* By everything that a text shows of them: <0, 0, >0. */
int frame_compare(const struct frame_name *a, const struct frame_name *b);
/* How much of a module's name tells something: of "_json.cpython-311-x86_64-linux-gnu.so" _json. */
int frame_module_len(const char *module);
/* The last part of a path. */
const char *frame_base_name(const char *path);

#endif
