#include "command/push_request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/printable.h"
#include "report/pprof.h"

#define CONNECT_S 5L
#define REQUEST_S 30L

enum push_form push_form_of(const char *url)
{
	static const struct {
		const char *end;
		enum push_form form;
	} forms[] = {{"/ingest", PUSH_PYROSCOPE}, {"/profiles/writeraw", PUSH_PARCA}};
	size_t path = strcspn(url, "?#");

	if (strncmp(url, "http://", 7) && strncmp(url, "https://", 8))
		return PUSH_NONE;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t len = strlen(forms[i].end);

		if (path > len + strlen("http://") && !strncmp(url + path - len, forms[i].end, len))
			return forms[i].form;
	}
	return PUSH_NONE;
}

/* Pyroscope takes these in the names of services (api/model/labelset/validate.go). */
void push_name(char name[64], const char *text)
{
	size_t len = 0;

	for (; *text && len < 63; text++) {
		bool letter = (*text | 32) >= 'a' && (*text | 32) <= 'z';

		name[len++] = letter || (*text >= '0' && *text <= '9') || strchr("_-./", *text) ? *text : '_';
	}
	name[len] = '\0';
	if (!len)
		snprintf(name, 64, "process");
}

const char *push_url_shown(char buf[PUSH_WHY_MAX], const char *url)
{
	const char *host = strstr(url, "://"), *at;
	char text[PUSH_WHY_MAX];

	host = host ? host + 3 : url;
	at = memrchr(host, '@', strcspn(host, "/?#"));
	snprintf(text, sizeof(text), "%.*s%.*s", (int)(host - url), url,
		 (int)strcspn(at ? at + 1 : host, "?#"), at ? at + 1 : host);
	return printable(buf, PUSH_WHY_MAX, text);
}

struct answer {
	char text[160];
	size_t len;
};

/* The beginning of what it says; the rest is read and forgotten. */
static size_t on_answer(char *bytes, size_t size, size_t cnt, void *arg)
{
	struct answer *a = arg;
	size_t room = sizeof(a->text) - 1 - a->len, take = size * cnt < room ? size * cnt : room;

	memcpy(a->text + a->len, bytes, take);
	a->len += take;
	a->text[a->len] = '\0';
	return size * cnt;
}

static int on_progress(void *stop, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return atomic_load((const atomic_bool *)stop);
}

/* How each type adds up over time, for a server that knows none of them. */
static char *sample_types(void)
{
	const char *between = "{";
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (const struct pprof_type *t = pprof_types; t->name; t++) {
		fprintf(out, "%s\"%s\":{\"units\":\"%s\",\"aggregation\":\"%s\",\"sampled\":false", between,
			t->name, !strcmp(t->unit, "count") ? "objects" : "bytes",
			t->is_sum ? "sum" : "average");
		/* By a name with "inuse_" it sees that this is about memory. */
		if (!t->is_sum)
			fprintf(out, ",\"display-name\":\"inuse_%s\"", t->name);
		fputs("}", out);
		between = ",";
	}
	fputs("}", out);
	return fclose(out) ? free(text), NULL : text;
}

static void host_name(char host[64])
{
	char name[64] = "";

	gethostname(name, sizeof(name) - 1);
	push_name(host, name);
}

static char *pyroscope_url(const struct curl_library *lib, CURL *curl, const char *url,
			   const struct push_profile *p)
{
	char labels[64 + 64 + 64], host[64], *escaped, *whole = NULL;
	const char *query = strchr(url, '?');
	bool named = query && (!strncmp(query, "?name=", 6) || strstr(query, "&name="));

	host_name(host);
	if (p->pid)
		snprintf(labels, sizeof(labels), "%s{pid=%d,hostname=%s}", p->name, p->pid, host);
	else
		snprintf(labels, sizeof(labels), "%s{hostname=%s}", p->name, host);
	escaped = lib->easy_escape(curl, labels, 0);
	if (escaped &&
	    asprintf(&whole, "%s%cfrom=%" PRId64 "&until=%" PRId64 "&spyName=alloctrace%s%s", url,
		     query ? '&' : '?', p->from, p->until, named ? "" : "&name=", named ? "" : escaped) < 0)
		whole = NULL;
	lib->free(escaped);
	return whole;
}

static bool add_part(const struct curl_library *lib, curl_mime *form, const char *name, const char *file,
		     const char *bytes, size_t len)
{
	curl_mimepart *part = lib->mime_addpart(form);

	return part && !lib->mime_name(part, name) && !lib->mime_filename(part, file) &&
	       !lib->mime_data(part, bytes, len);
}

static CURLcode post_form(const struct curl_library *lib, CURL *curl, const char *url,
			  const struct push_profile *p)
{
	char *whole = pyroscope_url(lib, curl, url, p), *types = sample_types();
	curl_mime *form = lib->mime_init(curl);
	CURLcode rc = CURLE_OUT_OF_MEMORY;

	if (whole && types && form && add_part(lib, form, "profile", "profile.pprof", p->bytes, p->len) &&
	    add_part(lib, form, "sample_type_config", "sample_type_config.json", types, strlen(types))) {
		lib->easy_setopt(curl, CURLOPT_URL, whole);
		lib->easy_setopt(curl, CURLOPT_MIMEPOST, form);
		rc = lib->easy_perform(curl);
	}
	lib->mime_free(form);
	free(types);
	free(whole);
	return rc;
}

/* Addresses are as linked: "normalized". */
static char *parca_body(const struct push_profile *p, size_t *len)
{
	char *text = NULL, host[64];
	FILE *out = open_memstream(&text, len);

	if (!out)
		return NULL;
	host_name(host);
	fprintf(out,
		"{\"normalized\":true,\"series\":[{\"labels\":{\"labels\":[{\"name\":\"__name__\",\"value\":"
		"\"memory\"},"
		"{\"name\":\"job\",\"value\":\"%s\"},{\"name\":\"instance\",\"value\":\"%s\"}",
		p->name, host);
	if (p->pid)
		fprintf(out, ",{\"name\":\"pid\",\"value\":\"%d\"}", p->pid);
	fputs("]},\"samples\":[{\"rawProfile\":\"", out);
	base64_put(out, p->bytes, p->len);
	fputs("\"}]}]}", out);
	return fclose(out) ? free(text), NULL : text;
}

static CURLcode post_json(const struct curl_library *lib, CURL *curl, const char *url,
			  const struct push_profile *p)
{
	size_t len = 0;
	char *body = parca_body(p, &len);
	struct curl_slist *headers = lib->slist_append(NULL, "Content-Type: application/json");
	CURLcode rc = CURLE_OUT_OF_MEMORY;

	if (body && headers) {
		lib->easy_setopt(curl, CURLOPT_URL, url);
		lib->easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		lib->easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
		lib->easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		rc = lib->easy_perform(curl);
	}
	lib->slist_free_all(headers);
	free(body);
	return rc;
}

/* Where it redirects to is not followed: a profile goes where somebody said. */
static void set_up(const struct curl_library *lib, CURL *curl, struct answer *answer, const atomic_bool *stop,
		   char *error)
{
	lib->easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	lib->easy_setopt(curl, CURLOPT_USERAGENT, "alloctrace/" ALLOCTRACE_VERSION);
	lib->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	lib->easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	lib->easy_setopt(curl, CURLOPT_TIMEOUT, REQUEST_S);
	lib->easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
	lib->easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	lib->easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	lib->easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	lib->easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)(uintptr_t)stop);
	lib->easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static int judge(const struct curl_library *lib, CURL *curl, CURLcode rc, const char *error,
		 const struct answer *answer, char why[PUSH_WHY_MAX])
{
	long status = 0;
	char text[PUSH_WHY_MAX];

	lib->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (rc == CURLE_OK && status >= 200 && status < 300)
		return 0;
	if (rc == CURLE_OK)
		snprintf(text, sizeof(text), "HTTP status %ld%s%.*s", status, answer->len ? ": " : "",
			 (int)strcspn(answer->text, "\r\n"), answer->text);
	else if (rc == CURLE_ABORTED_BY_CALLBACK)
		snprintf(text, sizeof(text), "no answer yet at the end");
	else
		snprintf(text, sizeof(text), "%s", *error ? error : lib->easy_strerror(rc));
	printable(why, PUSH_WHY_MAX, text);
	return -1;
}

int push_post(const struct curl_library *lib, const char *url, const struct push_profile *profile,
	      const atomic_bool *stop, char why[PUSH_WHY_MAX])
{
	char error[CURL_ERROR_SIZE] = "";
	struct answer answer = {.len = 0};
	CURL *curl = lib->easy_init();
	CURLcode rc;
	int ret;

	if (!curl) {
		snprintf(why, PUSH_WHY_MAX, "no memory");
		return -1;
	}
	set_up(lib, curl, &answer, stop, error);
	rc = push_form_of(url) == PUSH_PARCA ? post_json(lib, curl, url, profile)
					     : post_form(lib, curl, url, profile);
	ret = judge(lib, curl, rc, error, &answer, why);
	lib->easy_cleanup(curl);
	return ret;
}
