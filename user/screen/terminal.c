#include "screen/terminal.h"

#include <errno.h>
#include <locale.h>
#include <langinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "screen/key.h"

#include <ncurses.h>
/* Last: it defines words as common as "lines". */
#include <term.h>

#define ESCAPE_DELAY_MS 50 /* how long an Esc may be the begin of a key's sequence */
#define COLOUR_ALARM 1

static SCREEN *screen; /* curses has one, and keeps it in globals of its own */

/* What reports print is UTF-8 whatever the locale says; curses must know. */
static void use_utf8(void)
{
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

int terminal_check(struct error *err)
{
	const char *name = getenv("TERM");
	int known;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return error_set(err, -ENOTTY,
				 "top draws on a terminal, and standard %s is none: use 'alloctrace attach'",
				 isatty(STDOUT_FILENO) ? "input" : "output");
	if (!name || !*name)
		return error_set(err, -ENOTSUP,
				 "TERM is not set, so nobody knows how to draw on this terminal: set it, or "
				 "use 'alloctrace attach'");
	if (setupterm(name, STDOUT_FILENO, &known) == ERR)
		return error_set(
			err, -ENOTSUP,
			"terminfo knows no terminal '%.40s' (TERM): set one that it knows, as xterm, "
			"or use 'alloctrace attach'",
			name);
	if (!cursor_address || !clear_screen)
		return error_set(err, -ENOTSUP,
				 "a terminal '%.40s' (TERM) cannot be drawn on: use 'alloctrace attach'",
				 name);
	return 0;
}

static void begin_colours(void)
{
	if (getenv("NO_COLOR") || !has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	init_pair(COLOUR_ALARM, COLOR_RED, -1);
}

int terminal_open(struct error *err)
{
	use_utf8();
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return error_set(err, -EIO, "the terminal cannot be drawn on: use 'alloctrace attach'");
	set_term(screen);
	signal(SIGTSTP, SIG_DFL); /* not curses' business: it comes as a record (screen.h) */
	set_escdelay(ESCAPE_DELAY_MS);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	begin_colours();
	return 0;
}

void terminal_close(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
}

const char *terminal_leave_text(void)
{
	static char text[256];
	const char *const parts[] = {exit_attribute_mode, cursor_normal, keypad_local, exit_ca_mode};
	size_t used = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *part = parts[i];

		/* Delays ("$<5>") are for terminals that nobody has. */
		while (part && *part && used < sizeof(text) - 1) {
			if (part[0] == '$' && part[1] == '<' && strchr(part, '>'))
				part = strchr(part, '>') + 1;
			else
				text[used++] = *part++;
		}
	}
	text[used] = '\0';
	return text;
}

void terminal_size(unsigned *rows, unsigned *cols)
{
	*rows = (unsigned)(LINES > 0 ? LINES : 1);
	*cols = (unsigned)(COLS > 0 ? COLS : 1);
}

void terminal_resized(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
}

static attr_t attributes_of(enum canvas_style style)
{
	switch (style) {
	case STYLE_BOLD:
		return A_BOLD;
	case STYLE_DIM:
		return A_DIM;
	case STYLE_ALARM:
		return A_BOLD | (COLORS > 0 ? COLOR_PAIR(COLOUR_ALARM) : 0);
	case STYLE_BAR:
	case STYLE_CHOSEN:
		return A_REVERSE | (style == STYLE_CHOSEN ? A_BOLD : 0);
	default:
		return A_NORMAL;
	}
}

static void show_row(const struct canvas *c, unsigned row)
{
	const struct cell *cells = &c->cells[(size_t)row * c->cols];

	for (unsigned col = 0; col < c->cols; col++) {
		wchar_t text[2] = {(wchar_t)cells[col].code, 0};
		attr_t attributes = attributes_of(cells[col].style);
		cchar_t cell;

		if (!text[0])
			continue;
		setcchar(&cell, text, attributes & A_ATTRIBUTES & ~A_COLOR, (short)PAIR_NUMBER(attributes),
			 NULL);
		mvadd_wch((int)row, (int)col, &cell);
	}
}

void terminal_show(const struct canvas *c)
{
	erase();
	for (unsigned row = 0; row < c->rows; row++)
		show_row(c, row);
	refresh();
}

void terminal_forget(void)
{
	clearok(curscr, TRUE);
}

static const struct {
	wint_t code;
	enum key key;
} special[] = {
	{KEY_UP, KEY_CODE_UP},           {KEY_DOWN, KEY_CODE_DOWN},     {KEY_LEFT, KEY_CODE_LEFT},
	{KEY_RIGHT, KEY_CODE_RIGHT},     {KEY_PPAGE, KEY_CODE_PAGE_UP}, {KEY_NPAGE, KEY_CODE_PAGE_DOWN},
	{KEY_HOME, KEY_CODE_HOME},       {KEY_END, KEY_CODE_END},       {KEY_ENTER, KEY_CODE_ENTER},
	{KEY_BACKSPACE, KEY_CODE_ERASE},
};

static uint32_t plain_key(wint_t code)
{
	switch (code) {
	case '\r':
	case '\n':
		return KEY_CODE_ENTER;
	case '\t':
		return KEY_CODE_TAB;
	case 27:
		return KEY_CODE_ESCAPE;
	case 8:
	case 127:
		return KEY_CODE_ERASE;
	case 12:
		return KEY_CODE_REDRAW;
	default:
		return (uint32_t)code;
	}
}

bool terminal_key(uint32_t *key)
{
	wint_t code;
	int kind = get_wch(&code);

	if (kind == ERR)
		return false;
	*key = 0; /* means nothing to anybody */
	if (kind == OK)
		*key = plain_key(code);
	for (size_t i = 0; kind == KEY_CODE_YES && i < sizeof(special) / sizeof(special[0]); i++)
		if (special[i].code == code)
			*key = special[i].key;
	return true;
}

void terminal_suspend(void)
{
	sigset_t stop, before;

	endwin();
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, &before);
	kill(getpid(), SIGTSTP);
	/* Continued. */
	sigprocmask(SIG_SETMASK, &before, NULL);
	terminal_resized();
	terminal_forget();
	doupdate();
}
