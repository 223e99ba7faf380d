/* Opens the plugin by its bare name: the loader finds it through the RUNPATH of this very library. */
#include <dlfcn.h>
#include <stddef.h>

int branch_open(void);

int branch_open(void)
{
	void *leaf = dlopen("libleaf.so", RTLD_NOW);
	int (*value)(void) = NULL;
	int found;

	if (!leaf)
		return 0;
	*(void **)&value = dlsym(leaf, "leaf_value");
	found = value && value() == 42;
	dlclose(leaf);
	return found;
}
