#include "command/host_pids.h"

#include "target/pid_namespace.h"

int host_pids(struct options *options, struct error *err)
{
	int ret = 0;

	if (!options->ns_of)
		return 0;
	if (options->pid)
		ret = pid_namespace_find(options->ns_of, options->pid, &options->pid, err);
	for (size_t i = 0; !ret && i < options->pids.cnt; i++)
		ret = pid_namespace_find(options->ns_of, options->pids.v[i], &options->pids.v[i], err);
	return ret;
}
