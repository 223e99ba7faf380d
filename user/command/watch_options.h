/* What a command line asks of those who do the watching. */
#ifndef ALLOCTRACE_COMMAND_WATCH_OPTIONS_H
#define ALLOCTRACE_COMMAND_WATCH_OPTIONS_H

#include "command/group.h"
#include "command/naming.h"
#include "command/options.h"
#include "probe/tracer.h"

/* Of the tracer for a watch with these options, which must outlive it; so too below. */
struct tracer_options watch_tracer_options(const struct options *options);
struct group_options watch_group_options(const struct options *options, const struct naming *naming);

#endif
