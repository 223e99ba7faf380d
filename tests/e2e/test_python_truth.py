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


@pytest.mark.parametrize("thread_cnt", [0, 3])
def test_every_call(tree, counter, thread_cnt):
    """When a thread ends, glibc frees what its cache holds once more: that is nobody's free."""
    final, said = seen_and_said(tree, counter, thread_cnt)
    allocs = check(final, said)
    assert allocs["freed_before"]["count"] == said["freed_before"] > 1000
    check_known(allocs, said)
