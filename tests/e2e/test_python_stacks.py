"""Native and Python frames in one stack, at their places: what the program reports of allocations
whose Python frames the target itself has told (sys._getframe)."""
import re

import pytest

from attach_harness import attach
from heap_targets import SOURCES, Target, root_only
from test_python_frames import KNOWN, PYTHONS

PYTHON_FRAME = re.compile(r"([^:]+) \(([^:]+\.py|<made>|<string>|<frozen [\w.]+>):(\d+)\)")


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def reported(tree, command, *options):
    """{size: the frames of the allocation of so many bytes, innermost first}, and what was told of them."""
    with Target([*command, SOURCES / "python_stacks.py"]) as target:
        with attach(tree, target.pid, "--max-overhead", "none", "--min-size", "1000000", *options) as tracer:
            tracer.ready()
            told = target.ask("go")
            final = tracer.stop()
    sites = {site["allocated"]: site for site in final["allocs"]["sites"] if site["allocs"] == 1}
    assert not any(site["truncated"] for site in sites.values())
    assert final["lost"] == {}
    return {size: site["stack"][::-1] for size, site in sites.items()}, told


def python_frames(stack):
    found = [PYTHON_FRAME.fullmatch(frame) for frame in stack]
    return [[match[1], match[2], int(match[3])] for match in found if match]


@pytest.mark.parametrize("name", KNOWN)
def test_python_frames_stand_where_they_ran(tree, name):
    stacks, told = reported(tree, KNOWN[name])
    for entry in told:
        stack = stacks[entry["size"]]
        # Who allocates has the lines of its own frame's call; the frames around it are those told.
        assert python_frames(stack)[1:] == entry["frames"], (entry, stack)
        assert stack[-1].startswith(("libc.so.6:", "python")) or "clone" in stack[-1], stack
        if entry["between"]:
            inner, outer = (next(i for i, frame in enumerate(stack) if frame.startswith(f"{function} ("))
                            for function in entry["between"])
            assert any("qsort" in frame for frame in stack[inner:outer]), stack
        assert not any("_PyEval_EvalFrame" in frame for frame in stack)


def test_native_shows_the_interpreters_own_frames(tree):
    name = next(iter(KNOWN))
    plain, told = reported(tree, KNOWN[name])
    native, _ = reported(tree, KNOWN[name], "--native")
    for entry in told:
        assert python_frames(native[entry["size"]])[1:] == entry["frames"]
        assert len(native[entry["size"]]) > len(plain[entry["size"]])
        assert not any("_PyEval_EvalFrameDefault" in frame for frame in native[entry["size"]])
    assert PYTHONS[name]
