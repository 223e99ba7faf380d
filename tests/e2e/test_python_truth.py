"""python3 on malloc: what events say of a real program's allocations, against a counter that is
preloaded before the C library and sees every call."""
import os
import subprocess

import pytest

from attach_harness import PYTHON, attach
from heap_targets import SOURCES, Target, root_only
from test_alloc_truth import check, check_sites


@pytest.fixture(autouse=True)
def as_root():
    root_only()


@pytest.fixture
def counter(tmp_path):
    library = tmp_path / "libcounter.so"
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-fno-builtin", "-shared", "-fPIC",
                    SOURCES / "preload" / "counter.c", "-o", library, "-pthread"], check=True)
    return library


def seen_and_said(tree, counter, thread_cnt):
    """The last report of a round, and what was counted in it. The attach begins and ends while the
    target rests, with blocks from before and blocks that stay."""
    command = [PYTHON, SOURCES / "python_truth.py", thread_cnt]
    env = {**os.environ, "LD_PRELOAD": str(counter), "PYTHONMALLOC": "malloc", "PYTHONDONTWRITEBYTECODE": "1"}
    with Target(command, env=env) as target:
        target.answer()
        with attach(tree, target.pid, "--max-overhead", "none") as tracer:
            tracer.ready()
            said = target.ask("")
            final = tracer.stop()
    return final, said


def check_known(allocs, said):
    """What concerns blocks that were got since the attach, to the last byte."""
    known = allocs["frees"] - allocs["freed_before"]["count"]
    assert known == said["frees"] - said["freed_before"]
    assert allocs["freed"] - allocs["freed_before"]["bytes"] == said["freed"]
    assert allocs["live"] == said["allocated"] - said["freed"]
    assert allocs["live_blocks"] == said["allocs"] - known
    check_sites(allocs)


def test_every_call(tree, counter):
    final, said = seen_and_said(tree, counter, 0)
    allocs = check(final, said)
    assert allocs["freed_before"]["count"] == said["freed_before"] > 1000
    check_known(allocs, said)


def test_every_call_of_threads_that_end(tree, counter):
    """glibc frees what a thread's cache holds once more, when the thread ends: blocks that are not known."""
    final, said = seen_and_said(tree, counter, 3)
    allocs = final["allocs"]
    assert final["lost"] == {} and allocs["ghosts"]["count"] == 0
    for field in ("allocs", "allocated", "failed"):
        assert allocs[field] == said[field], field
    assert said["freed_before"] <= allocs["freed_before"]["count"] <= said["freed_before"] + 3 * 449
    check_known(allocs, said)
