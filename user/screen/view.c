#include "screen/view.h"

#include <string.h>

void view_init(struct view *v)
{
	*v = (struct view){
		.panes = {[PANE_SITES] = {.sort = SITE_LIVE}, [PANE_PROCESSES] = {.sort = PROCESS_RSS}}};
}

size_t view_chosen(const struct view *v, const struct view_facts *f)
{
	const struct pane_view *p = &v->panes[v->pane];

	for (size_t i = 0; p->moved && i < f->cnt; i++)
		if (f->table->rows[f->order[i]].key == p->key)
			return i;
	return 0;
}

const struct row *view_row(const struct view *v, const struct view_facts *f)
{
	return f->cnt ? &f->table->rows[f->order[view_chosen(v, f)]] : NULL;
}

void view_follow(struct view *v, const struct view_facts *f)
{
	struct pane_view *p = &v->panes[v->pane];
	size_t at = view_chosen(v, f);

	if (p->top > at)
		p->top = at;
	if (at >= p->top + f->page_rows)
		p->top = at - f->page_rows + 1;
	if (f->cnt > f->page_rows && p->top > f->cnt - f->page_rows)
		p->top = f->cnt - f->page_rows;
	if (f->cnt <= f->page_rows)
		p->top = 0;
}

static void choose(struct view *v, const struct view_facts *f, size_t at)
{
	struct pane_view *p = &v->panes[v->pane];

	if (!f->cnt)
		return;
	at = at < f->cnt ? at : f->cnt - 1;
	p->moved = at != 0; /* who stands at the top wants to see the top, whatever comes there */
	p->key = f->table->rows[f->order[at]].key;
	view_follow(v, f);
}

static void move(struct view *v, const struct view_facts *f, long by)
{
	size_t at = v->page == PAGE_TABLE ? view_chosen(v, f) : v->scroll;

	if (by < 0 && (size_t)-by > at)
		at = 0;
	else
		at += (size_t)by;
	if (v->page == PAGE_TABLE)
		choose(v, f, at);
	else
		v->scroll = at; /* whoever draws it knows where it ends */
}

static void open_page(struct view *v, enum page page)
{
	v->page = v->page == page ? PAGE_TABLE : page;
	v->scroll = page == PAGE_LOG ? SIZE_MAX / 2 : 0; /* the newest line is the last */
}

static enum view_wish sort_by(struct view *v, const struct view_facts *f, unsigned column)
{
	struct pane_view *p = &v->panes[v->pane];

	if (column >= f->table->column_cnt)
		return WISH_NOTHING;
	p->sort = column;
	p->reversed = false;
	return WISH_ORDER;
}

static void erase(char *text)
{
	size_t len = strlen(text);

	while (len && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
		len--;
	text[len ? len - 1 : 0] = '\0';
}

static void append(char text[FILTER_MAX], uint32_t code)
{
	size_t len = strlen(text);
	char c[5] = {0};

	if (code < 0x80) {
		c[0] = (char)code;
	} else if (code < 0x800) {
		c[0] = (char)(0xc0 | code >> 6);
		c[1] = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		c[0] = (char)(0xe0 | code >> 12);
		c[1] = (char)(0x80 | (code >> 6 & 0x3f));
		c[2] = (char)(0x80 | (code & 0x3f));
	} else {
		c[0] = (char)(0xf0 | code >> 18);
		c[1] = (char)(0x80 | (code >> 12 & 0x3f));
		c[2] = (char)(0x80 | (code >> 6 & 0x3f));
		c[3] = (char)(0x80 | (code & 0x3f));
	}
	if (len + strlen(c) < FILTER_MAX)
		memcpy(text + len, c, strlen(c) + 1);
}

static enum view_wish type(struct view *v, uint32_t key)
{
	switch (key) {
	case KEY_CODE_ENTER:
		memcpy(v->filter, v->typed, sizeof(v->filter));
		v->typing = false;
		v->panes[v->pane].top = 0;
		return WISH_ORDER;
	case KEY_CODE_ESCAPE:
		v->typing = false;
		return WISH_DRAW;
	case KEY_CODE_ERASE:
		erase(v->typed);
		return WISH_DRAW;
	default:
		if (key >= 0x20 && key < KEY_CODE_UP && key != 0x7f)
			append(v->typed, key);
		return WISH_DRAW;
	}
}

/* False: it is no such key. */
static bool move_by_key(struct view *v, uint32_t key, const struct view_facts *f)
{
	long page = f->page_rows > 1 ? (long)f->page_rows - 1 : 1;

	switch (key) {
	case KEY_CODE_UP:
	case 'k':
		move(v, f, -1);
		return true;
	case KEY_CODE_DOWN:
	case 'j':
		move(v, f, 1);
		return true;
	case KEY_CODE_PAGE_UP:
		move(v, f, -page);
		return true;
	case KEY_CODE_PAGE_DOWN:
		move(v, f, page);
		return true;
	case KEY_CODE_HOME:
		move(v, f, -(1L << 40));
		return true;
	case KEY_CODE_END:
		move(v, f, 1L << 40);
		return true;
	default:
		return false;
	}
}

static enum view_wish sort_by_key(struct view *v, uint32_t key, const struct view_facts *f)
{
	struct pane_view *p = &v->panes[v->pane];
	unsigned cnt = f->table->column_cnt;

	switch (key) {
	case KEY_CODE_LEFT:
	case '<':
		return sort_by(v, f, (p->sort + cnt - 1) % cnt);
	case KEY_CODE_RIGHT:
	case '>':
		return sort_by(v, f, (p->sort + 1) % cnt);
	case 'r':
		p->reversed = !p->reversed;
		return WISH_ORDER;
	default:
		return key >= '1' && key <= '9' ? sort_by(v, f, key - '1') : WISH_NOTHING;
	}
}

static enum view_wish back(struct view *v)
{
	if (v->page == PAGE_SITE)
		v->panes[v->pane].moved = v->moved_before;
	if (v->page != PAGE_TABLE) {
		v->page = PAGE_TABLE;
		return WISH_DRAW;
	}
	if (!v->filter[0])
		return WISH_NOTHING;
	v->filter[0] = '\0';
	return WISH_ORDER;
}

static enum view_wish toggle(struct view *v, uint32_t key, const struct view_facts *f)
{
	switch (key) {
	case ' ':
		v->paused = !v->paused;
		return WISH_DRAW;
	case '?':
	case 'h':
		open_page(v, PAGE_HELP);
		return WISH_DRAW;
	case 'l':
		open_page(v, PAGE_LOG);
		return WISH_DRAW;
	case 'n':
		v->python_only = !v->python_only;
		return WISH_DRAW;
	case KEY_CODE_TAB:
		v->pane = (v->pane + 1) % PANE_CNT;
		if (v->pane == PANE_OBJECTS && !f->has_objects)
			v->pane++;
		v->page = PAGE_TABLE;
		return WISH_ORDER;
	default:
		return WISH_NOTHING;
	}
}

static enum view_wish table_key(struct view *v, uint32_t key, const struct view_facts *f)
{
	const struct row *row = view_row(v, f);

	switch (key) {
	case KEY_CODE_ENTER:
		if (!pane_is_of_sites(v->pane) || !row)
			return WISH_NOTHING;
		/* It is this one that is looked at, wherever it goes in the table. */
		v->moved_before = v->panes[v->pane].moved;
		v->panes[v->pane].moved = true;
		v->panes[v->pane].key = row->key;
		open_page(v, PAGE_SITE);
		return WISH_DRAW;
	case '/':
		v->typing = true;
		memcpy(v->typed, v->filter, sizeof(v->typed));
		return WISH_DRAW;
	case 'z':
		return WISH_MARK;
	default:
		return sort_by_key(v, key, f);
	}
}

enum view_wish view_key(struct view *v, uint32_t key, const struct view_facts *f)
{
	enum view_wish wish;

	if (v->typing)
		return type(v, key);
	if (move_by_key(v, key, f))
		return WISH_DRAW;
	switch (key) {
	case 'q':
		return v->page == PAGE_TABLE ? WISH_LEAVE : back(v);
	case KEY_CODE_ESCAPE:
	case KEY_CODE_ERASE:
		return back(v);
	case KEY_CODE_REDRAW:
		return WISH_REDRAW;
	default:
		break;
	}
	wish = toggle(v, key, f);
	if (wish == WISH_NOTHING && v->page == PAGE_TABLE)
		wish = table_key(v, key, f);
	else if (wish == WISH_NOTHING && v->page == PAGE_SITE && key == KEY_CODE_ENTER)
		wish = back(v);
	return wish;
}
