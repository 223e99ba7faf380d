/* What attach does, for commands that show it differently. */
#ifndef ALLOCTRACE_COMMAND_ATTACH_H
#define ALLOCTRACE_COMMAND_ATTACH_H

#include "command/audience.h"
#include "command/options.h"

/* Watches those that are chosen until an end. context: the audience's, whom it may have told to block signals. An exit status. */
int attach_for(struct options *options, const struct audience *audience, void *context);

#endif
