/*
 * Writes a recording (record/format.h) of a watch, picture by picture. What cannot be written is
 * said once, and the watch goes on without.
 */
#ifndef ALLOCTRACE_RECORD_RECORDER_H
#define ALLOCTRACE_RECORD_RECORDER_H

#include "base/log.h"
#include "event/row.h"
#include "picture/picture.h"
#include "stack/names.h"

struct recorder;

/* name: the file, which is made anew; names, log: must outlive it, names may be NULL. NULL after a line that says why. */
struct recorder *recorder_open(const char *name, struct names *names, const struct log *log);
/* Ends the file; NULL-safe. 0, or −errno of what has not been written (said already). */
int recorder_close(struct recorder *r);

/* One event, in ring order. */
void recorder_event(struct recorder *r, const struct event_row *row);
/* Between names_begin and names_end. */
void recorder_picture(struct recorder *r, const struct picture *picture);

#endif
