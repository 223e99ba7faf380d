"""Milestones: calls of a target's own that are probed as long as its allocations are seen in pieces. What stands is read
from its text, where a call (0xe8) has become a breakpoint (0xcc)."""
import time

import pytest

from attach_harness import PythonTarget, attach, changed_text, probes_left
from heap_targets import root_only
from known_sites import KnownSites, Load

CALL, BREAKPOINT = 0xe8, 0xcc
PATIENCE = 30  # seconds
CHURN = """
import threading, time
going = True
def churn():
    while going:
        for n in range(2000):
            rows = [bytearray(600 + k) for k in range(20)]
            if not n % 100:
                {"key %d" % n: [bytearray(3000)]}
        time.sleep(0)
threading.Thread(target=churn, daemon=True).start()
result = None
"""


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def milestones(pid):
    return {address: file for address, (file, was, now) in changed_text(pid).items() if was == CALL and now == BREAKPOINT}


def until(what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} s")


def test_they_stand_while_there_are_cells_and_go_with_the_tracer(tree):
    with KnownSites(tree, Load("steady")) as target:
        target.ask("begin")
        with attach(tree, target.pid) as tracer:
            tracer.ready()
            found = until(lambda: milestones(target.pid))
            assert 1 <= len(found) <= 4
            assert {file.rsplit("/", 1)[-1] for file in found.values()} == {"known_sites"}
            tracer.stop()
        assert probes_left(target.pid) == []
        target.ask("pause")
        target.truth()


def test_there_are_none_where_all_is_seen(tree):
    with KnownSites(tree, Load("steady", rate=2000)) as target:
        target.ask("begin")
        with attach(tree, target.pid) as tracer:
            tracer.ready()
            for _ in range(12):
                assert not milestones(target.pid)
                tracer.next()
            assert tracer.stop()["allocs"]["duty"] == 1
        target.ask("pause")


def test_children_are_cleared_of_them(tree):
    with PythonTarget() as target:
        target.do(CHURN)
        with attach(tree, target.pid) as tracer:
            tracer.ready()
            until(lambda: milestones(target.pid))
            child = target.do("""
                import os, time
                result = os.fork()
                if not result:
                    while True:
                        time.sleep(1)
            """)
            until(lambda: not milestones(child))
            target.do(f"import os, signal; os.kill({child}, signal.SIGKILL); os.waitpid({child}, 0); result = None")
            tracer.stop()
        target.do("going = False; result = None")
        assert probes_left(target.pid) == []
