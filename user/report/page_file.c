#include "report/page_file.h"

/* page.html is found in the folder of generated files; the Makefile knows that this file depends on it. */
__asm__(".section .rodata\n"
	".global page_file, page_file_end\n"
	"page_file:\n"
	".incbin \"page.html\"\n"
	"page_file_end:\n"
	".byte 0\n"
	".previous\n");
