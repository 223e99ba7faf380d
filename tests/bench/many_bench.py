"""What many traced processes cost one another: a malloc and its free in one that is traced alone and
beside 23 others, and in one that maps the same library and was not chosen."""
import contextlib

from alloc_bench import ROUND_MS, alloctrace, figures
from heap_targets import Target
from measure import Table, column, medians, paired, ratio

ROUNDS = 7
MANY = 24


def pair(target):
    return figures(target.ask(f"round 1 {ROUND_MS}"))["cpu"]


def beside(tree, targets, measured):
    """ns of a pair in measured while these are traced."""
    if not targets:
        return pair(measured)
    with alloctrace(tree, ",".join(str(t.pid) for t in targets), "none"):
        return pair(measured)


def run(tree):
    table = Table("Many processes traced at once: CPU of a malloc and its free", "", "before", "with", "ratio")
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(Target([tree.workload("pair_loop")])) for _ in range(MANY)]
        other = stack.enter_context(Target([tree.workload("pair_loop")]))
        cases = {
            "traced alone, and one of 4": (targets[:1], targets[:4], targets[0]),
            "traced alone, and one of 24": (targets[:1], targets, targets[0]),
            "not chosen: nobody traced, and 24 others": ([], targets, other),
        }
        for name, (few, many, measured) in cases.items():
            rounds = paired(ROUNDS, lambda: beside(tree, few, measured), lambda: beside(tree, many, measured))
            before, after = medians(column(rounds))
            table.row(name, f"{before:,.1f} ns", f"{after:,.1f} ns", f"{ratio(rounds):.2f}")
