/*
 * Reads CPython's frames and code objects out of the thread that a probe has stopped.
 *
 * Everything is read here and now: a process that runs on frees the code that exec made, and
 * a reader in user space would find other frames (measured: one stack in nine).
 */
#include "python.bpf.h"
#include "below.bpf.h"

/* The thread's block of glibc, struct pthread (nptl/descr.h), 2.34 to 2.43 and before; the walk checks it. */
#define PTHREAD_SPECIFIC_1STBLOCK 0x310
#define PTHREAD_SPECIFIC 0x510 /* pointers to further blocks */
#define PTHREAD_KEY_2NDLEVEL_SIZE 32
#define PTHREAD_KEYS_MAX 1024
#define PTHREAD_KEY_DATA_SIZE 16 /* struct pthread_key_data: seq, data */
#define PTHREAD_KEY_DATA 8

/* Objects/unicodeobject.c, bytesobject.c: the same from 3.8 to 3.14, but for where a text begins. */
#define STR_LENGTH 16
#define STR_HEAD 40 /* up to the state's end at least, and no larger than any str */
#define STR_STATE 32
#define STR_KIND_SHIFT 2
#define STR_KIND_MASK 7
#define STR_COMPACT (1u << 5)
#define STR_ASCII (1u << 6)
#define BYTES_SIZE 16
#define BYTES_DATA 32

#define PAGE_BYTES 4096
#define CODES_SEEN_MAX 32768
#define CODE_SCRATCH_CNT 4 /* threads of one CPU that may be interrupted while they submit a code object */

/* LRU: code that has been forgotten is submitted again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, u64);
	__type(value, u8);
	__uint(max_entries, CODES_SEEN_MAX);
} codes_seen SEC(".maps");

/* In front of it, without a helper's cost: ids by their low bits, of all CPUs. What is in here has been
 * submitted. */
#define CODES_KNOWN 16384
static u64 codes_known[CODES_KNOWN];

struct code_scratch {
	u64 busy;
	struct event_code rec;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, u32);
	__type(value, struct code_scratch);
	__uint(max_entries, CODE_SCRATCH_CNT);
} code_scratches SEC(".maps");

static __always_inline struct code_scratch *code_scratch_take(void)
{
	for (u32 i = 0; i < CODE_SCRATCH_CNT; i++) {
		u32 key = i;
		struct code_scratch *s = bpf_map_lookup_elem(&code_scratches, &key);

		if (s && !__sync_lock_test_and_set(&s->busy, 1))
			return s;
	}
	return NULL;
}

static __always_inline void code_scratch_give(struct code_scratch *s)
{
	__sync_lock_test_and_set(&s->busy, 0);
}

static __always_inline bool read_user(void *to, u64 len, u64 from)
{
	return !bpf_probe_read_user(to, len, (void *)from);
}

static __always_inline u64 word_at(u64 addr)
{
	u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)addr);
	return word;
}

/* A str object; width 0 if it cannot be read. Where it is too long its end is kept. */
__noinline int python_text(struct event_text *text, u64 at, u32 ascii_at, u32 wide_at)
{
	u8 *head; /* where the text will be: the BPF stack is short */
	u64 len;
	u32 state, width, room = EVENT_TEXT_MAX;

	if (!text)
		return 0;
	text->len = 0;
	text->width = text->cut = 0;
	head = text->bytes;
	if (!read_user(head, STR_HEAD, at))
		return 0;
	len = *(u64 *)(head + STR_LENGTH);
	state = *(u32 *)(head + STR_STATE);
	width = state >> STR_KIND_SHIFT & STR_KIND_MASK;
	if (!(state & STR_COMPACT) || (width != 1 && width != 2 && width != 4) || len > 1 << 30)
		return 0;
	at += state & STR_ASCII ? ascii_at : wide_at;
	len *= width;
	if (len > room) {
		text->cut = 1;
		at += len - room;
		len = room;
	}
	barrier_var(len);
	if (len > EVENT_TEXT_MAX || !read_user(text->bytes, len, at))
		return 0;
	text->len = len;
	text->width = width;
	return 0;
}

static __always_inline void read_lines(struct event_code *rec)
{
	u64 size = word_at(rec->lines_at + BYTES_SIZE);
	u64 len = size < EVENT_LINES_MAX ? size : EVENT_LINES_MAX;

	rec->lines_len = 0;
	rec->lines_size = size > 1 << 30 ? 0 : size;
	barrier_var(len); /* what is compared is what is passed: the verifier sees no other bound */
	if (!rec->lines_size || len > EVENT_LINES_MAX)
		return;
	if (read_user(rec->lines, len, rec->lines_at + BYTES_DATA))
		rec->lines_len = len;
}

static __always_inline bool fill_code(struct event_code *rec, const struct code_key *key, u64 id,
				      const struct python_layout *l)
{
	u64 bytes;

	fill_head(&rec->head, EVENT_CODE, bpf_get_current_pid_tgid(), 0, 0);
	rec->id = id;
	rec->code = key->code;
	rec->lines_at = key->lines;
	rec->first_line = key->first_line;
	rec->version = l->version;
	python_text(&rec->name, key->name, l->text_ascii, l->text_wide);
	python_text(&rec->file, key->file, l->text_ascii, l->text_wide);
	read_lines(rec);
	bytes = (offsetof(struct event_code, lines) + rec->lines_len + 7) & ~7ULL;
	barrier_var(bytes);
	if (bytes > sizeof(*rec))
		return false;
	return !bpf_ringbuf_output(&ring, rec, bytes, ring_flags(false));
}

static __always_inline bool submit_code(const struct code_key *key, u64 id, const struct python_layout *l)
{
	struct code_scratch *s = code_scratch_take();
	u8 one = 1;
	bool ok;

	if (!s)
		return false;
	ok = fill_code(&s->rec, key, id, l);
	code_scratch_give(s);
	if (ok)
		bpf_map_update_elem(&codes_seen, &id, &one, BPF_ANY);
	return ok;
}

/* 0: its record could not be submitted. */
__noinline u64 python_code_id(struct code_key *key, struct python_layout *l)
{
	u64 id;

	if (!key || !l)
		return 0;
	id = mix(bpf_get_current_pid_tgid() >> 32, key->code);
	id = mix(mix(mix(mix(id, key->name), key->file), key->lines), key->first_line);
	if (!id)
		id = 1;
	if (codes_known[id & (CODES_KNOWN - 1)] == id)
		return id;
	if (!bpf_map_lookup_elem(&codes_seen, &id) && !submit_code(key, id, l))
		return 0;
	codes_known[id & (CODES_KNOWN - 1)] = id;
	return id;
}

/* The native frame that addr lies in: the last that begins at or before it. By halves that the verifier can
 * count. */
__noinline int python_native_at(const struct python_walk *w, u64 addr)
{
	u32 begun = 0, at, last; /* frames that begin at or before addr */

	if (!w)
		return PYTHON_NOWHERE;

#pragma unroll
	for (u32 half = PYTHON_SPS_MAX / 2; half; half /= 2) {
		at = begun + half;
		last = at - 1;
		/* The compiler would know it to be in bounds; older verifiers do not (seen on 6.1). */
		barrier_var(last);
		last &= PYTHON_SPS_MAX - 1;
		begun += half & ~(is_below(w->sp_cnt, at) | is_below(addr, w->sps[last]));
	}
	/* Where the last one ends nobody knows: what lies behind its beginning may be another's. */
	return begun && begun < w->sp_cnt ? begun - 1 : PYTHON_NOWHERE;
}

/* What stands at a place of the frame that was read last. */
static __always_inline u64 frame_word(const struct python_walk *w, u8 place)
{
	return *(u64 *)&w->window[(w->at & (PYTHON_WINDOW - 1)) + place];
}

/*
 * Makes the frame at addr the one that frame_word reads. From 3.11 on the caller's frame
 * mostly stands right before it; but what lies on the page before may not be there, and
 * finding that out takes longer than all else.
 */
__noinline int python_read_frame(struct python_walk *w, struct python_layout *l, u64 addr)
{
	u64 offset, before;
	u32 size;

	if (!w || !l)
		return false;
	offset = addr - w->window_at;
	size = l->frame_size;

	if (size > PYTHON_READ_MAX)
		return false;
	if (offset < w->window_len && offset + size <= w->window_len) {
		w->at = offset;
		return true;
	}
	before = PYTHON_WINDOW - size;
	if (before > (addr & (PAGE_BYTES - 1)))
		before = addr & (PAGE_BYTES - 1);
	if (l->rule == PYTHON_BY_COUNT)
		before = 0;
	w->at = before;
	w->window_at = addr - before;
	before += size;
	barrier_var(before);
	w->window_len = before;
	return before <= PYTHON_WINDOW && read_user(w->window, before, w->window_at);
}

static __always_inline s32 instruction_at(const struct python_walk *w, const struct python_layout *l,
					  u64 code)
{
	s64 at;

	if (l->rule == PYTHON_BY_COUNT)
		at = (s64)(s32)frame_word(w, l->frame_at) << (l->at_shift & 1);
	else
		at = frame_word(w, l->frame_at) - code - l->code_bytes;
	return at < 0 ? -1 : at;
}

static __always_inline void read_code(struct python_walk *w, struct python_layout *l,
				      struct python_frame *out, u64 code)
{
	struct code_key *key = &w->key;
	u32 size = l->code_size;

	if (key->code == code && w->id) { /* it has called itself */
		out->code = w->id;
		out->at = instruction_at(w, l, code);
		return;
	}
	w->id = 0;
	if (size > PYTHON_READ_MAX || !read_user(w->code, size, code + l->code_first_line)) {
		count_loss(LOSS_PYTHON);
		return;
	}
	key->code = code;
	key->first_line = *(u32 *)w->code;
	key->pad = 0;
	key->file = *(u64 *)&w->code[l->code_file];
	key->name = *(u64 *)&w->code[l->code_name];
	key->lines = *(u64 *)&w->code[l->code_lines];
	/* _Py_MakeShimCode() in 3.12's Objects/codeobject.c: one string for all, no line; 3.13 and 3.14 have
	 * neither. */
	if (!key->first_line && key->file == key->name) {
		out->kind = PYTHON_HIDDEN;
		return;
	}
	out->code = w->id = python_code_id(key, l);
	if (!out->code)
		count_loss(LOSS_PYTHON);
	out->at = instruction_at(w, l, code);
}

/* Reads the next frame into frames[cnt]. False if it cannot be read. */
__noinline int python_step(struct python_walk *w, struct python_layout *l)
{
	struct python_frame *out;
	u64 addr, code;
	u8 owner;

	if (!w || !l)
		return false;
	addr = w->next;
	if (!python_read_frame(w, l, addr))
		return false;
	out = &w->frames[w->cnt & (PYTHON_FRAMES_MAX - 1)];
	out->code = 0;
	out->at = -1;
	out->native = PYTHON_NOWHERE;
	out->kind = PYTHON_CODE;
	out->pad = 0;
	w->next = frame_word(w, l->frame_back);
	code = frame_word(w, l->frame_code) & ~(u64)l->code_tags;
	owner = frame_word(w, l->frame_owner);
	if (l->rule == PYTHON_BY_ADDRESS && owner >= l->shim_owner) {
		out->kind = PYTHON_SHIM;
		out->native = python_native_at(w, addr);
		return true;
	}
	if (l->rule == PYTHON_BY_ENTRY && owner)
		out->kind = PYTHON_ENTRY;
	read_code(w, l, out, code);
	return true;
}

/* The key of thread-specific data that the interpreter uses: it is made once. */
static __always_inline bool find_key(struct python_layout *l)
{
	u32 tss[2]; /* Py_tss_t: _is_initialized, _key */

	if (l->key)
		return true;
	if (!read_user(tss, sizeof(tss), l->tss) || !tss[0] || tss[1] >= PTHREAD_KEYS_MAX)
		return false;
	l->key = tss[1] + 1;
	return true;
}

/* What the current thread keeps under it: its PyThreadState; 0: none. */
static __always_inline u64 thread_state(struct python_layout *l, u64 thread_pointer)
{
	u64 block = thread_pointer + PTHREAD_SPECIFIC_1STBLOCK;
	u32 key;

	if (!find_key(l))
		return 0;
	key = l->key - 1;
	if (key >= PTHREAD_KEY_2NDLEVEL_SIZE)
		block = word_at(thread_pointer + PTHREAD_SPECIFIC +
				key / PTHREAD_KEY_2NDLEVEL_SIZE * sizeof(u64));
	return block ? word_at(block + key % PTHREAD_KEY_2NDLEVEL_SIZE * PTHREAD_KEY_DATA_SIZE +
			       PTHREAD_KEY_DATA)
		     : 0;
}

/* Where the walk begins; false if the thread runs no Python. Both words of its state in one read. */
__noinline int python_find_first(struct python_walk *w, struct python_layout *l)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 thread_pointer = BPF_CORE_READ(task, thread.fsbase);
	u32 frame, id, from;
	u64 state, size;

	if (!w || !l)
		return false;
	state = thread_state(l, thread_pointer);
	frame = l->thread_frame;
	id = l->thread_id;
	from = frame < id ? frame : id;
	size = (frame < id ? id - frame : frame - id) + sizeof(u64);
	barrier_var(size);
	if (!state || size > PYTHON_STATE_MAX || !read_user(w->window, size, state + from))
		return false;
	frame = (frame - from) & (PYTHON_STATE_MAX - 1);
	id = (id - from) & (PYTHON_STATE_MAX - 1);
	if (*(u64 *)&w->window[id] != thread_pointer) {
		w->end = PYTHON_FOREIGN;
		l->key = 0; /* perhaps the interpreter was ended and begun anew */
		return false;
	}
	w->next = *(u64 *)&w->window[frame];
	if (w->next && l->has_cframe)
		w->next = word_at(w->next + l->cframe_frame);
	w->window_len = 0;
	w->key.code = 0;
	return w->next != 0;
}

__noinline int python_walk(struct python_walk *w)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct python_layout *l;

	if (!w)
		return 0;
	w->cnt = 0;
	w->end = PYTHON_WHOLE;
	l = bpf_map_lookup_elem(&python_layouts, &tgid);
	if (!l)
		return 0;
	w->rule = l->rule;
	if (!python_find_first(w, l)) {
		if (w->end != PYTHON_WHOLE)
			count_loss(LOSS_PYTHON);
		return 0;
	}
	for (int i = 0; i < PYTHON_FRAMES_MAX; i++) {
		if (!python_step(w, l)) {
			w->end = PYTHON_UNREADABLE;
			count_loss(LOSS_PYTHON);
			break;
		}
		w->cnt = i + 1;
		if (!w->next)
			break;
	}
	if (w->end == PYTHON_WHOLE && w->next)
		w->end = PYTHON_CUT;
	return w->cnt;
}
