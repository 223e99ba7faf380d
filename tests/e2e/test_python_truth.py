"""python3 on malloc: what events say of a real program's allocations, against a counter that is
preloaded before the C library and sees every call."""
import os
import subprocess

import pytest

from attach_harness import PYTHON, attach
from heap_targets import SOURCES, Target, root_only
from test_alloc_truth import check, check_sites

ROUNDS = 3


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
    """The last report of some rounds, and their counts, added up. The attach begins and ends while the
    target rests, with blocks from before and blocks that stay."""
    command = [PYTHON, SOURCES / "python_truth.py", thread_cnt]
    env = {**os.environ, "LD_PRELOAD": str(counter), "PYTHONMALLOC": "malloc", "PYTHONDONTWRITEBYTECODE": "1"}
    with Target(command, env=env) as target:
        target.answer()
        with attach(tree, target.pid, "--max-overhead", "none") as tracer:
            tracer.ready()
            said = [target.ask("") for _ in range(ROUNDS)]
            final = tracer.stop()
    return final, {field: sum(counts[field] for counts in said) for field in said[0]}


def test_every_call(tree, counter):
    final, said = seen_and_said(tree, counter, 0)
    print(said)
    print({k: v for k, v in final["allocs"].items() if k != "sites"})
    allocs = check(final, said)
    assert allocs["freed_before"]["count"] == said["freed_before"] > 1000
    assert allocs["freed"] - allocs["freed_before"]["bytes"] == said["freed"]
    assert allocs["live"] == said["allocated"] - said["freed"]
    assert allocs["live_blocks"] == said["allocs"] - said["frees"] + said["freed_before"]
    check_sites(allocs)
