/* Who may kill the process for memory: the kernel's choice, and systemd-oomd's. */
#include <limits.h>
#include <string.h>

#include "check/check.h"

#define NEVER_KILLED (-1000) /* OOM_SCORE_ADJ_MIN, include/uapi/linux/oom.h */

void check_oom_score(const struct check_facts *facts, struct check_findings *out)
{
	int score = facts->oom_score_adj;

	if (score == INT_MIN) {
		check_add(out, CHECK_UNKNOWN, "/proc/%d/oom_score_adj cannot be read", facts->pid);
	} else if (score == NEVER_KILLED && facts->in_cgroup &&
		   facts->memory.effective_max.bytes < CGROUP_UNKNOWN) {
		check_add(out, CHECK_WARN,
			  "oom_score_adj is −1000: at its limit nothing can be killed, and it hangs");
		check_fix(out, "OOMScoreAdjust=-200 in the unit: unlikely to be killed, but possible");
	} else if (score > 0) {
		check_add(out, CHECK_WARN,
			  "oom_score_adj is %d: among the first to be killed when the machine is full",
			  score);
		check_fix(out, "OOMScoreAdjust=-200 in the unit (Kubernetes sets it by the QoS class)");
	} else {
		check_add(out, CHECK_PASS, "oom_score_adj is %s%d%s", score < 0 ? "−" : "",
			  score < 0 ? -score : score, score ? "" : ", the default");
	}
}

void check_managed_oom(const struct check_facts *facts, struct check_findings *out)
{
	bool is_set = facts->oomd.setting_unit[0] != '\0';

	if (!facts->has_unit)
		return;
	if (is_set && !facts->oomd.running) {
		check_add(out, CHECK_WARN, "%s=kill of %.80s has no effect: systemd-oomd does not run",
			  facts->oomd.setting, facts->oomd.setting_unit);
		check_fix(out, "systemctl enable --now systemd-oomd");
	} else if (is_set && facts->oomd.omit) {
		check_add(out, CHECK_PASS, "%s=kill of %.80s spares it (ManagedOOMPreference=omit)",
			  facts->oomd.setting, facts->oomd.setting_unit);
	} else if (is_set) {
		check_add(out, CHECK_PASS,
			  "systemd-oomd kills it under pressure before the kernel does (%s=kill of "
			  "%.80s%s)",
			  facts->oomd.setting, facts->oomd.setting_unit,
			  facts->oomd.avoid ? ", others first" : "");
	} else if (!facts->oomd.file_found) {
		check_add(out, CHECK_UNKNOWN,
			  "the file of %.80s was not found, so ManagedOOM settings are not known",
			  facts->unit.name);
	} else {
		check_add(out, CHECK_PASS, "systemd-oomd %s; %.80s leaves it to the kernel",
			  facts->oomd.running ? "runs" : "does not run", facts->unit.name);
	}
}
