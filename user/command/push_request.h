/*
 * One profile, posted as the servers for profiles that run for long take it. Which one it is, the end
 * of the URL's path says:
 *
 *   …/ingest              Pyroscope: a form with the profile, and how each of its types adds up over
 *                         time; name, from and until in the query. A name in the URL's own query
 *                         stands instead of ours. (github.com/grafana/pyroscope,
 *                         docs/sources/reference-server-api and pkg/ingester/pyroscope: with
 *                         format=pprof it would take the body as it is, and no form.)
 *   …/profiles/writeraw   Parca: WriteRawRequest as JSON, at http://HOST:7070/api/profiles/writeraw.
 *                         (github.com/parca-dev/parca, proto/parca/profilestore/v1alpha1)
 */
#ifndef ALLOCTRACE_COMMAND_PUSH_REQUEST_H
#define ALLOCTRACE_COMMAND_PUSH_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "command/curl_library.h"

enum push_form {
	PUSH_NONE, /* the URL is none of those */
	PUSH_PYROSCOPE,
	PUSH_PARCA,
};
enum push_form push_form_of(const char *url);

struct push_profile {
	char *bytes;         /* pprof, compressed */
	size_t len;
	char name[64];       /* of what it is; of letters, digits and what names of services have */
	pid_t pid;           /* 0: several */
	int64_t from, until; /* seconds since 1970 */
};

#define PUSH_WHY_MAX 256

/* Makes a name of any text. */
void push_name(char name[64], const char *text);
/* The URL without what is before '@': passwords are not for logs. */
const char *push_url_shown(char buf[PUSH_WHY_MAX], const char *url);
/*
 * Posts it, for half a minute at most, and until *stop. 0; or −1 and why in words, made printable.
 * Of any thread.
 */
int push_post(const struct curl_library *lib, const char *url, const struct push_profile *profile, const atomic_bool *stop, char why[PUSH_WHY_MAX]);

#endif
