"""What becomes of the figures when the probes are removed, or when events are lost."""
import contextlib
import os
import signal

import pytest

from attach_harness import PythonTarget, attach, attached, settled
from heap_targets import root_only, tree  # noqa: F401

BLOCKS = 20000


@pytest.fixture
def target():
    root_only()
    with PythonTarget(PYTHONMALLOC="malloc") as python:
        yield python


@contextlib.contextmanager
def paused(process):
    process.send_signal(signal.SIGSTOP)
    try:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_probes_that_cost_too_much_are_removed(tree, target):
    """The rest goes on; what is known of blocks stays as it was then."""
    with attached(tree, target.pid, "--max-overhead", "1") as tracer:
        with paused(tracer.process):  # else they may be removed in the midst of this
            target.do(f"keep = [bytes(1000) for _ in range({BLOCKS})]\nresult = 0")
        while not tracer.next()["allocs"]["stopped"]:
            target.do("for _ in range(30000): bytes(1000)\nresult = 0")
        target.do("keep = keep[::50]; purge_glibc()\nresult = 0")
        first = settled(tracer, target)
        target.do("purge_glibc()\nresult = 0")
        later = settled(tracer, target)
        final = tracer.stop()
    share = float(first["allocs"]["stopped"].split("took ")[1].split(" %")[0])
    assert share > 1 and "--max-overhead 1" in first["allocs"]["stopped"]
    assert first["allocs"]["live_blocks"] > BLOCKS * 0.9
    for report in (later, final):
        for field in ("allocs", "frees", "live", "live_blocks", "ghosts", "sites", "stopped"):
            assert report["allocs"][field] == first["allocs"][field], field
        assert report["allocs"]["unattributed"] is None
    assert len(final["purges"]) == 2


def test_all_allocation_probes_end_at_once(tree, target):
    """Of removed probes one is gone before the other: what was seen in between would be blocks that are not there."""
    with attached(tree, target.pid, "--max-overhead", "1") as tracer:
        while not tracer.next()["allocs"]["stopped"]:
            target.do("""
for _ in range(30000):
    grown = [bytearray(300) for _ in range(5)]
    for each in grown: each.extend(bytes(1000))
result = 0""")
        allocs = tracer.stop()["allocs"]
    assert allocs["ghosts"]["count"] == 0
    assert allocs["live_blocks"] < 100


def test_the_share_of_the_probes_is_shown(tree, target):
    with attached(tree, target.pid, "--max-overhead", "none") as tracer:
        target.do("for _ in range(300000): bytes(1000)\nresult = 0")
        report = tracer.until(lambda report: report["allocs"]["probe_cpu_share"])
        assert 0.05 < report["allocs"]["probe_cpu_share"] < 1.5
        assert tracer.stop()["allocs"]["stopped"] is None


def test_blocks_whose_frees_were_lost_are_buried_by_walks(tree, target):
    """Lost records are counted; what they leave behind in the table goes, and nothing that lives does."""
    with attached(tree, target.pid, "--max-overhead", "none") as tracer:
        target.do(f"keep = [bytes(1000) for _ in range({BLOCKS})]; gone = [bytes(1000) for _ in range({BLOCKS})]\n"
                  "result = 0")
        before = settled(tracer, target)
        assert before["allocs"]["live_blocks"] > 2 * BLOCKS and before["lost"] == {}
        with paused(tracer.process):
            target.do("for _ in range(400000): bytes(1000)\ndel gone\nresult = 0")
        report = tracer.until(lambda report: report["allocs"]["ghosts"]["count"] > BLOCKS * 0.9)
        assert report["lost"]["ring_full"] > BLOCKS
        final = tracer.stop()["allocs"]
    assert BLOCKS <= final["live_blocks"] < BLOCKS * 1.1
    # Every survivor is charged to where it came from.
    assert sum(site["live_blocks"] for site in final["sites"]) == final["live_blocks"]
