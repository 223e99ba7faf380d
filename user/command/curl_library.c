#include "command/curl_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

/* The same library with OpenSSL and with GnuTLS. */
static void *open_any(void)
{
	void *handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	return handle ? handle : dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
}

int curl_library_load(struct curl_library *curl, struct error *err)
{
	static const struct {
		const char *name;
		size_t field;
	} functions[] = {
#define CURL_FUNCTION(name) {"curl_" #name, offsetof(struct curl_library, name)},
		CURL_FUNCTIONS(CURL_FUNCTION)
#undef CURL_FUNCTION
	};
	void *handle = open_any();

	if (!handle)
		return error_set(err, -ENOENT, "libcurl.so.4 cannot be loaded (Debian: libcurl4)");
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(handle, functions[i].name);

		if (!function)
			return error_set(err, -ENOENT, "libcurl.so.4 is too old: it has no %s",
					 functions[i].name);
		*(void **)((char *)curl + functions[i].field) = function;
	}
	if (curl->global_init(CURL_GLOBAL_DEFAULT))
		return error_set(err, -ENOENT, "libcurl.so.4 cannot begin");
	return 0;
}
