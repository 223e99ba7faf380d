/* Keys as the screen knows them. */
#ifndef ALLOCTRACE_SCREEN_KEY_H
#define ALLOCTRACE_SCREEN_KEY_H

/* A key: a Unicode character, or one of these. */
enum key {
	KEY_CODE_UP = 0x110000,
	KEY_CODE_DOWN,
	KEY_CODE_LEFT,
	KEY_CODE_RIGHT,
	KEY_CODE_PAGE_UP,
	KEY_CODE_PAGE_DOWN,
	KEY_CODE_HOME,
	KEY_CODE_END,
	KEY_CODE_ENTER,
	KEY_CODE_ESCAPE,
	KEY_CODE_ERASE,
	KEY_CODE_TAB,
	KEY_CODE_REDRAW,
};

#endif
