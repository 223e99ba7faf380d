"""What a stack costs the target, over the same event without: native frames by unwind tables, and
native and Python frames together. Frees' stacks are sampled, so a pair has one."""
import os
import statistics

from alloc_bench import alloctrace, verdict
from heap_targets import SOURCES, Target
from measure import Table

ROUNDS = 9
ROUND_MS = 400
WARM_UP_MS = 100
DEPTH = 26  # of pair_loop's own frames
PYTHON = "/usr/bin/python3"
GOALS_US = {"native": 3.0, "native and Python": 4.5}


def cpu_of_pair(tree, target, command, stack):
    with alloctrace(tree, target.pid, stack):
        target.ask(command.format(WARM_UP_MS))
        count = target.ask(command.format(ROUND_MS))
    return count["cpu_ns"] / count["pairs"]


def frames_of(tree, target, command):
    """How many frames the stack has that allocates most: Python's stand for the interpreter's evaluating ones."""
    final = {}
    with alloctrace(tree, target.pid, "all", final, "--native"):
        target.ask(command.format(WARM_UP_MS))
    return len(max(final["allocs"]["sites"], key=lambda site: site["allocated"])["stack"])


def measure(tree, table, name, target, command):
    without, over = [], []
    for n in range(ROUNDS):
        costs = {stack: cpu_of_pair(tree, target, command, stack)
                 for stack in (("none", "all") if n % 2 else ("all", "none"))}
        without.append(costs["none"])
        over.append(costs["all"] - costs["none"])
    table.row(name, frames_of(tree, target, command), f"{statistics.median(without):,.0f} ns",
              f"{statistics.median(over):,.0f} ns")
    return statistics.median(over) / 1000


def run(tree):
    table = Table("A stack: CPU of the target over the same event without (medians of paired rounds)", "",
                  "frames", "pair, no stacks", "a stack")
    with Target([tree.workload("pair_loop"), DEPTH]) as target:
        native = measure(tree, table, "native", target, "round 1 {}")
    env = {**os.environ, "PYTHONMALLOC": "malloc"}
    with Target([PYTHON, SOURCES / "python_pairs.py"], env=env) as target:
        mixed = measure(tree, table, "native and Python", target, "round {}")
    print()
    verdict("µs a native stack", [native], GOALS_US["native"])
    verdict("µs a native and Python stack", [mixed], GOALS_US["native and Python"])
