"""Probes that go on and off under a small budget: targets that check themselves are unharmed, and nothing is left in
them, however the tracer, the process that holds the probes or the target end in the midst of a switch. What is
recorded of a cell: tests/unit/slicer_test.c."""
import os
import random
import signal
import subprocess
import time

import pytest

from attach_harness import PYTHON, attach, keeper_of, probes_left
from heap_targets import root_only
from test_attach_life import all_probed, check_unharmed

BUDGET = ["--max-overhead", "2"]
REPORTS = 40  # of a quarter of a second


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def is_sliced(report):
    return report["allocs"] is not None and report["allocs"]["duty"] < 0.5


def test_eight_threads(tree):
    with all_probed(tree, 8) as target:
        with attach(tree, target.pid, *BUDGET) as tracer:
            tracer.ready().until(is_sliced)
            for _ in range(REPORTS):
                tracer.next()
            final = tracer.stop()
        assert is_sliced(final) and final["lost"] == {}
        assert probes_left(target.pid) == []
        check_unharmed(target)


def test_killed_at_any_time(tree):
    """The time is that moment, nothing waits for it."""
    with all_probed(tree, 2) as target:
        for _ in range(4):
            with attach(tree, target.pid, *BUDGET) as tracer:
                tracer.ready().until(is_sliced)
                time.sleep(random.uniform(0, 0.2))
                tracer.process.kill()
                assert tracer.wait() == -signal.SIGKILL
            assert probes_left(target.pid) == []
        check_unharmed(target)


def test_the_keeper_is_killed(tree):
    with all_probed(tree, 2) as target:
        with attach(tree, target.pid, *BUDGET) as tracer:
            tracer.ready().until(is_sliced)
            os.kill(keeper_of(tracer), signal.SIGKILL)
            tracer.until(lambda report: any("all probes are gone" in line for line in report["missing"]))
            tracer.stop()
        assert probes_left(target.pid) == []
        check_unharmed(target)


def test_the_target_is_killed(tree):
    with all_probed(tree, 8) as target, attach(tree, target.pid, *BUDGET) as tracer:
        tracer.ready().until(is_sliced)
        os.kill(target.pid, signal.SIGKILL)
        assert "killed by signal 9" in tracer.finish()["ended"]


# Allocates flat out until there is the file, then becomes a loop of pairs.
BECOMES = """
import os, sys
loop, flag = sys.argv[1:]
print(flush=True)
while not os.path.exists(flag):
    for _ in range(1000):
        blocks = ["%d" % i for i in range(100)]
read, write = os.pipe()
os.write(write, b"round 1 500\\n" * 60)
os.dup2(read, 0)
os.execv(loop, [loop])
"""


def test_another_program(tree, tmp_path):
    """exec while it is sliced: cells go on in the new program."""
    flag = tmp_path / "become"
    becomes = subprocess.Popen([PYTHON, "-c", BECOMES, tree.workload("pair_loop"), flag], stdout=subprocess.PIPE,
                               env={**os.environ, "PYTHONMALLOC": "malloc"})
    try:
        becomes.stdout.readline()
        with attach(tree, becomes.pid, *BUDGET) as tracer:
            tracer.ready().until(is_sliced)
            flag.touch()
            before = tracer.until(lambda report: report["command"] == "pair_loop")["allocs"]["allocs"]
            tracer.until(lambda report: report["allocs"]["allocs"] > before + 10 ** 6)
            tracer.stop()
        assert probes_left(becomes.pid) == []
    finally:
        becomes.kill()
        becomes.wait()
        becomes.stdout.close()
