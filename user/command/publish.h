/*
 * What is given out of pictures: reports on stdout, of one process or of many as one, and files at
 * the end. All of one report is made from the same snapshots.
 */
#ifndef ALLOCTRACE_COMMAND_PUBLISH_H
#define ALLOCTRACE_COMMAND_PUBLISH_H

#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"
#include "command/audience.h"
#include "command/naming.h"
#include "command/options.h"
#include "event/row.h"
#include "picture/picture.h"

struct publish;

/*
 * A file that cannot be written is said now, before anything is done to a target: NULL then, or without memory.
 * out: for reports. naming: NULL where all that pictures show has its names.
 */
struct publish *publish_new(const struct options *options, FILE *out, const struct naming *naming,
			    const struct log *log);
void publish_free(struct publish *publish); /* NULL-safe; files that were not finished are not there */

/*
 * A report: 0, or −errno of the output. Of processes that have ended, while others go on, JSON has the
 * last object of each, text one that did not end well.
 */
int publish_picture(struct publish *publish, const struct picture *picture);
/* One event into the recording, if there is one that keeps them (--events). */
void publish_event(struct publish *publish, const struct event_row *row);
enum publish_sites {
	PUBLISH_NO_SITES,
	PUBLISH_LARGEST_SITES, /* those that a trend looks at (verdict/trend.h) */
	PUBLISH_ALL_SITES,
};
/* Which sites a picture is to have that only goes by. */
enum publish_sites publish_wants_sites(const struct publish *publish, const struct picture *picture);
/* A picture that is not shown, only gone by. */
void publish_pass(struct publish *publish, const struct picture *picture);
/* The files, of the final picture: written also when nobody reads reports any more. 0, or −errno after a line each. */
int publish_files(struct publish *publish, const struct picture *final);

/* All this as the audience of a watch, on standard output. */
extern const struct audience publish_audience;

#endif
