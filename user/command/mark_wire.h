/*
 * What `alloctrace mark` and the tracers say to each other: one request and one reply, each a packet of a
 * SOCK_SEQPACKET socket, in the byte order of the machine they share.
 */
#ifndef ALLOCTRACE_COMMAND_MARK_WIRE_H
#define ALLOCTRACE_COMMAND_MARK_WIRE_H

#include <stdint.h>

#include "base/error.h"
#include "detect/marks.h"

#define MARK_FOLDER       "/run/alloctrace" /* a socket a tracer, by its PID */
#define MARK_WIRE_VERSION 1u

struct mark_request {
	uint32_t version;
	int32_t pid;  /* as the sender's PID namespace has it */
	uint32_t wait; /* for the reading */
	char kind[MARK_KIND_MAX + 1]; /* NUL-ended, as all texts here */
	char text[MARK_TEXT_MAX + 1];
};

enum mark_outcome {
	MARK_DONE,    /* noted, and read if that was asked for */
	MARK_UNREAD,  /* noted, but the reading does not come soon */
	MARK_UNKNOWN, /* that process is not watched here */
	MARK_REFUSED, /* why is in words */
};

struct mark_reply {
	uint32_t version;
	uint32_t outcome; /* enum mark_outcome */
	char why[ERROR_TEXT_MAX];
};

#endif
