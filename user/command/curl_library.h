/*
 * libcurl, loaded when something is to be posted: linked, it and the 30 libraries that it brings would
 * be loaded by every command, which takes longer than most of them run. Its functions by their names
 * without "curl_".
 */
#ifndef ALLOCTRACE_COMMAND_CURL_LIBRARY_H
#define ALLOCTRACE_COMMAND_CURL_LIBRARY_H

#include <curl/curl.h>

#include "base/error.h"

#define CURL_FUNCTIONS(X)                                                                                 \
	X(global_init) X(easy_init) X(easy_cleanup) X(easy_setopt) X(easy_perform) X(easy_getinfo)         \
	X(easy_strerror) X(easy_escape) X(free) X(mime_init) X(mime_free) X(mime_addpart) X(mime_name)     \
	X(mime_filename) X(mime_data) X(slist_append) X(slist_free_all)

struct curl_library {
#define CURL_FUNCTION(name) __typeof__(&curl_##name) name; /* NOLINT(bugprone-macro-parentheses) */
	CURL_FUNCTIONS(CURL_FUNCTION)
#undef CURL_FUNCTION
};

/* Loads it, and has it begin; stays until the program ends. 0, or −ENOENT and why. */
int curl_library_load(struct curl_library *curl, struct error *err);

#endif
