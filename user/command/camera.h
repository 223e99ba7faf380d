/* Pictures (picture/picture.h) of a running watch: what its processes and their cgroup are now. */
#ifndef ALLOCTRACE_COMMAND_CAMERA_H
#define ALLOCTRACE_COMMAND_CAMERA_H

#include "command/group.h"
#include "command/watch.h"
#include "picture/picture.h"

struct camera;

/* What it points to must outlive it. NULL: no memory. */
struct camera *camera_new(const struct watch_target *target, bool follow);
void camera_free(struct camera *camera); /* NULL-safe */
/* The first processes are known now, and so is their cgroup. */
void camera_begin(struct camera *camera, const struct group *group);
void camera_tick(struct camera *camera); /* every second */
/* ended: why it is the final one. Valid until the next call on the group. Of ends: bury them afterwards. */
void camera_take(struct camera *camera, struct group *group, enum picture_kind kind, const char *ended,
		 struct picture *picture);

#endif
