"""What becomes of the figures when events are lost."""
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


def test_the_share_of_the_probes_is_shown(tree, target):
    with attached(tree, target.pid, "--max-overhead", "none") as tracer:
        target.do("for _ in range(300000): bytes(1000)\nresult = 0")
        report = tracer.until(lambda report: report["allocs"]["probe_cpu_share"])
        assert 0.05 < report["allocs"]["probe_cpu_share"] < 1.5


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
