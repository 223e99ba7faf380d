/*
 * Where a watch hears `alloctrace mark`: a socket (mark_folder.h), who asks (SO_PEERCRED), which of our
 * processes is meant, and a reply when the mark is noted, or read. Waits for nothing itself.
 */
#ifndef ALLOCTRACE_COMMAND_MARK_SERVER_H
#define ALLOCTRACE_COMMAND_MARK_SERVER_H

#include "base/log.h"
#include "command/group.h"

struct mark_server;

/* NULL: there are no marks by command; why is a note. */
struct mark_server *mark_server_new(const char *folder, const struct log *log);
void mark_server_free(struct mark_server *server); /* NULL-safe */

/* Readable when there is something to do: −1 of NULL. Consume the ring before. */
int mark_server_fd(const struct mark_server *server);
void mark_server_act(struct mark_server *server, struct group *group);
/* Replies to those whose marks have been read; after each round. NULL-safe. */
void mark_server_settle(struct mark_server *server, const struct group *group);

#endif
