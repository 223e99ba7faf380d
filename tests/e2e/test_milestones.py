"""Milestones: calls of a target's own that are probed as long as its allocations are seen in pieces. What stands is read
from its text, where a call (0xe8) has become a breakpoint (0xcc)."""
import time

import pytest

from attach_harness import attach, changed_text, probes_left
from heap_targets import root_only
from known_sites import KnownSites, Load

CALL, BREAKPOINT = 0xe8, 0xcc
PATIENCE = 30  # seconds


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def milestones(pid):
    """Not the C library's own calls of free, which are probed too."""
    return {address: file for address, (file, was, now) in changed_text(pid).items()
            if was == CALL and now == BREAKPOINT and not file.endswith("/libc.so.6")}


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
        with attach(tree, target.pid, "--max-overhead", "10") as tracer:
            tracer.ready()
            found = until(lambda: milestones(target.pid))
            assert 1 <= len(found) <= 4
            assert {file.rsplit("/", 1)[-1] for file in found.values()} == {"known_sites"}
            tracer.stop()
        assert probes_left(target.pid) == []
        target.ask("pause")
        target.truth()


def test_there_are_none_where_all_is_seen(tree):
    with KnownSites(tree, Load("steady", rate=1000, work_ns=100000)) as target:
        target.ask("begin")
        with attach(tree, target.pid, "--max-overhead", "10") as tracer:
            tracer.ready()
            for _ in range(12):
                assert not milestones(target.pid)
                tracer.next()
            assert tracer.stop()["allocs"]["duty"] == 1
        target.ask("pause")
