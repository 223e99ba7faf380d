"""Python at work (HTTP, zipfile, numpy, pandas) on every allocator: attached to under load, the figures beside
the allocator's own, its own purge, and nothing of it seen by the program."""
import subprocess

import pytest

from attach_harness import MIB, PYTHON, PythonTarget, attach, library, probes_left, purges, settled
from heap_targets import allocator, root_only
from python_loads import ALLOCATORS, LOADS, ROUNDS

LIBRARIES = {"glibc": None, "mimalloc": ("libmimalloc.so.2", "libmimalloc.so.3"), "jemalloc": ("libjemalloc.so.2",),
             "gperftools": ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4")}
PURGES = {"glibc": "malloc_trim", "mimalloc": "mi_collect", "jemalloc": "mallctl",
          "gperftools": "MallocExtension_ReleaseFreeMemory"}


def needs(load):
    root_only()
    if load in ("numpy", "pandas") and subprocess.run([PYTHON, "-c", f"import {load}"], capture_output=True).returncode:
        pytest.skip(f"python3-{load} is not installed")


def compare(name, ours, own):
    """Each allocator counts its own way; what of it is the same as ours."""
    slack = MIB // 2  # what the question itself allocates, and what came and went since
    if name == "glibc":
        assert abs(ours["held"] - own["held"]) <= slack
        assert abs(ours["live_heap"] + ours["free"]["tcache"]["bytes"] - own["allocated"]) <= slack
    elif name == "mimalloc":
        assert ours["resident"] <= own["committed"] + slack
    elif name == "jemalloc":
        assert abs(ours["live_heap"] + ours["free"]["tcache"]["bytes"] - own["allocated"]) <= slack
        assert ours["resident"] <= own["resident"] + slack
    elif ours["live_heap"] is not None:
        assert ours["held"] >= own["heap"] - slack
        assert abs(ours["live_heap"] - own["allocated"]) <= slack


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("name", ALLOCATORS)
def test_python(tree, name, load):
    needs(load)
    preload = LIBRARIES[name] and library(*LIBRARIES[name])
    with PythonTarget(preload=preload) as target:
        target.do(ROUNDS + LOADS[load] + ALLOCATORS[name] + "\nbegin()")
        with attach(tree, target.pid) as tracer:
            tracer.ready()
            target.do("at, began = rounds, time.time()\n"
                      "while rounds < at + 2 and not mistakes: time.sleep(0.01)\n"
                      "result = end()")
            target.do("kept = fill(40); last = kept[-1:]; del kept")
            own = target.do("result = own()")
            before = settled(tracer, target)
            drop = target.do("before = rss(); purge(); result = before - rss()")
            target.do("begin()\nwhile rounds < 1 and not mistakes: time.sleep(0.01)\nresult = end()")
            final = tracer.stop()
        assert probes_left(target.pid) == []
        rounds, mistakes = target.do("begin()\nwhile rounds < 1 and not mistakes: time.sleep(0.01)\nresult = end()")
        assert rounds and mistakes == []
    compare(name, allocator(before, name), own)
    purge, = purges(final, PURGES[name])
    assert abs(purge["returned"] - drop) <= MIB and purge["misdirected"] is False
    assert purge["predicted"] is None or abs(purge["predicted"] - drop) <= MIB
    assert purge["effective"] is (purge["returned"] >= MIB)
    # mimalloc 2.0 keeps the spans of a segment that it thinks busy, as was predicted.
    assert drop > 20 * MIB or name == "mimalloc"
    assert allocator(final, name)["serving"] and final["allocs"]["allocs"] > 0
