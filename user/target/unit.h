/*
 * systemd's units, without asking systemd: a unit with processes is a cgroup of its name
 * (system and user units, instances, slices and scopes alike), and what only its unit file knows is
 * read from there (systemd.unit(5), systemd.exec(5); systemd 219 to 257).
 */
#ifndef ALLOCTRACE_TARGET_UNIT_H
#define ALLOCTRACE_TARGET_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "target/cgroup.h"

#define UNIT_NAME_MAX 256 /* systemd's own bound, NUL included */
#define UNITS_MAX 256     /* of one name: one a user that runs it */

struct unit {
	char name[UNIT_NAME_MAX];   /* "redis-server.service" */
	char path[CGROUP_PATH_MAX]; /* of its cgroup */
	int64_t user;               /* uid whose manager runs it; −1: the system's */
};

/*
 * Looks for running units of that name; without a suffix it is a .service's. Fills found[UNITS_MAX], by
 * path; *cnt may be 0. −EINVAL for what cannot be a unit's name, −E2BIG if the tree is too large to look through.
 */
int unit_find_all(const struct cgroup_tree *tree, const char *name, struct unit *found, size_t *cnt,
		  struct error *err);
/* The only one. −ENOENT: none runs; −ENOTUNIQ: several do, and err names their cgroups. */
int unit_find(const struct cgroup_tree *tree, const char *name, struct unit *unit, struct error *err);

/* The innermost unit that is no slice, else the innermost slice, of a cgroup path (cgroup.unit_path); false: none. */
bool unit_of_path(const char *path, struct unit *unit);

#define UNIT_VALUE_MAX 256

/*
 * The last value that the unit's file and its drop-ins give a setting, as written there; root is the
 * folder before /etc ("" on a machine). False, and value "": none gives it. *found_file: whether there
 * was any file at all. The section is not looked at: no setting has its name in two.
 */
bool unit_setting(const char *root, const struct unit *unit, const char *setting,
		  char value[UNIT_VALUE_MAX], bool *found_file);

#endif
