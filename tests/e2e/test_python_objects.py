"""Python's objects of up to 512 bytes: every birth and death against pymalloc's own arenas, in every
CPython that can be had, and what lines keep against what they know they keep."""
import json
import re
import subprocess
import time

import pytest

from attach_harness import PYTHON, PythonTarget, attached, settled
from heap_targets import allocator
from test_pymalloc import HERE, SUITES, python

BUDGET = "--max-overhead", "10"  # attach's default

# Who keeps what, by function; each knows the bytes that pools give it (sys.getsizeof, rounded).
KEEPERS = """
import sys, json
kept = {}
class Point:
    __slots__ = "x", "y"
def texts(n):
    into = kept["texts"] = [None] * n
    for i in range(n):
        into[i] = "text %09d" % i
def points(n):
    into = kept["points"] = [None] * n
    for i in range(n):
        into[i] = Point()
def tables(n):
    into = kept["tables"] = [None] * n
    for i in range(n):
        into[i] = {"first": None, "second": None}
def turn_over(n):
    for i in range(n):
        json.loads(json.dumps({"x": [1, 2, 3, str(i)], "y": {"z": 1.5 * i, "w": (i, float(i), "w" * (i % 600))}}))
        bytes(i % 600).decode().encode()
        sorted(map(str, range(i % 50)), key=lambda word: word[::-1])
        Point().x = {word for word in "a b c d".split()}
def known():
    bytes_of = lambda each: (sys.getsizeof(each) + 15) // 16 * 16
    return {name: sum(map(bytes_of, into)) for name, into in kept.items()}
"""
WORK = "texts(20000); points(20000); tables(4000); turn_over(2000); del kept['points'][10000:]; result = known()"


def pools(tree, pid):
    """Bytes and blocks in use, as a walk finds them."""
    walked = allocator(tree.heap(pid), "pymalloc")
    return walked["live_heap"], walked["live_blocks"]


def difference(born, died):
    return born["bytes"] - died["bytes"], born["count"] - died["count"]


def by_function(objects):
    live = {}
    for site in objects["sites"]:
        name = re.sub(r" .*", "", site["stack"][-1]) if site["stack"] else None
        live[name] = live.get(name, 0) + site["live"]
    return live


@pytest.mark.parametrize("version", [*sorted({*SUITES, HERE}, key=lambda v: int(v[2:]))])
def test_births_and_deaths_add_up(tree, version):
    with PythonTarget(python=python(tree, version)) as target:
        target.do(KEEPERS + "turn_over(10); points(10)")
        with attached(tree, target.pid, "--objects", "all", "--max-overhead", "none") as tracer:
            before = pools(tree, target.pid)
            known = target.do(WORK)
            report = settled(tracer, target)
            after = pools(tree, target.pid)
            assert not any(tracer.stop()["lost"].values())
    objects = report["allocs"]["objects"]
    assert objects["on"]
    assert objects["born"]["count"] > 200000
    assert difference(objects["born"], objects["died"]) == (after[0] - before[0], after[1] - before[1])
    if any("Python frames are not shown" in line for line in report["missing"]):
        return
    live = by_function(objects)
    for name in known:  # what free lists kept of the interpreter's own is there already
        assert live[name] == pytest.approx(known[name], rel=0.02)


def test_sampled_births_give_the_same(tree):
    with PythonTarget() as target:
        target.do(KEEPERS)
        with attached(tree, target.pid, "--objects", "sampled:4K", "--max-overhead", "none") as tracer:
            known = target.do("texts(100000); points(100000); turn_over(1000); result = known()")
            objects = settled(tracer, target)["allocs"]["objects"]
    assert objects["sample_bytes"] == 4096
    live = by_function(objects)
    for name in known:  # five standard errors, of a thousand samples and more
        assert live[name] == pytest.approx(known[name], rel=5 / (known[name] / 4096) ** 0.5)


@pytest.mark.parametrize("serves, born", [("malloc", False), ("debug", True)])
def test_other_allocators_for_objects(tree, serves, born):
    """malloc has its own probes; what checks the objects' surroundings has its blocks from the pools."""
    with PythonTarget(PYTHONMALLOC=serves) as target:
        target.do(KEEPERS)
        with attached(tree, target.pid, "--objects", "all", "--max-overhead", "none") as tracer:
            before = pools(tree, target.pid) if born else None
            target.do(WORK)
            objects = settled(tracer, target)["allocs"]["objects"]
            after = pools(tree, target.pid) if born else None
    if born:
        assert difference(objects["born"], objects["died"]) == (after[0] - before[0], after[1] - before[1])
    else:
        assert objects["born"]["count"] == 0


@pytest.mark.parametrize("words", [("--max-overhead", "none"), (*BUDGET, "--objects", "none"), (*BUDGET, "--stack", "none")])
def test_they_are_not_looked_at(tree, words):
    """Without a budget they would cost what they cost; and if nobody wants them, or could be told who has them."""
    with PythonTarget() as target:
        target.do(KEEPERS)
        with attached(tree, target.pid, *words) as tracer:
            assert settled(tracer, target)["allocs"]["objects"] is None


def test_under_a_budget_they_are_looked_at_in_cells(tree):
    with PythonTarget() as target:
        target.do(KEEPERS)
        with attached(tree, target.pid, *BUDGET) as tracer:
            objects = tracer.next()["allocs"]["objects"]
            assert objects["on"] and objects["in_cells"]
            tracer.stop()


def looks_at_objects(report):
    objects = report["allocs"]["objects"]
    return objects is not None and objects["on"]


def test_through_execs(tree):
    """What an exec ends is not looked at any more, and what it brings is."""
    words = "import itertools; [str(i) for i in itertools.count() if i < 0]"
    with PythonTarget() as target:
        with attached(tree, target.pid, *BUDGET) as tracer:
            assert looks_at_objects(tracer.next())
            target.process.stdin.write(json.dumps(f"os.execvp('sh', ['sh', '-c', 'read line; exec {PYTHON} -c \"{words}\"'])") + "\n")
            tracer.until(lambda report: not looks_at_objects(report))
            target.process.stdin.write("\n")
            report = tracer.until(looks_at_objects)
            seen = report["allocs"]["objects"]["born"]["count"]
            tracer.until(lambda report: report["allocs"]["objects"]["born"]["count"] > seen)
            assert not any(tracer.stop()["lost"].values())


# A service that does something a thousand times a second, and forgets to forget a part of it.
SERVICE = """
import threading, time
leaked = []
def leak():
    for i in range(20):
        leaked.append(Point())
def serve():
    while serving:
        turn_over(1)
        leak()
        time.sleep(0.001)
serving = True
thread = threading.Thread(target=serve)
thread.start()
"""


BUDGET_SPAN = 6  # seconds: the budget holds over five


def test_paced_they_cost_little_and_show_the_leak(tree):
    with PythonTarget() as target:
        target.do(KEEPERS + SERVICE)
        with attached(tree, target.pid, "--objects", "paced", "--max-overhead", "20") as tracer:
            before, _ = pools(tree, target.pid)
            ready = time.monotonic()
            report = tracer.until(lambda report: report["allocs"]["objects"]["born"]["count"] > 8000 and
                                  time.monotonic() > ready + BUDGET_SPAN)
            kept = target.do("result = len(leaked) * sys.getsizeof(leaked[0])")
            lost = tracer.stop()["lost"]
        target.do("serving = False; thread.join()")
    objects = report["allocs"]["objects"]
    assert objects["live_heap"] > before
    live = by_function(objects)
    assert objects["in_cells"] and objects["duty"] < 1
    assert objects["estimated"] and objects["live_low"] <= objects["live"] <= objects["live_high"]
    for site in objects["sites"]:
        assert site["live_low"] <= site["live"] <= site["live_high"]
    assert live["leak"] > 0.3 * kept  # all that was kept, and not only what was seen of it
    assert sum(live.values()) < 1.1 * objects["live_heap"]
    assert objects["probe_cpu_share"] < 0.15
    assert live["leak"] > 0.8 * sum(live.values())
    assert not any(lost.values())


@pytest.mark.parametrize("words", [("--objects", "all", "--max-overhead", "none"), BUDGET])
def test_a_recording_has_them(tree, tmp_path, words):
    recording = tmp_path / "recording"
    with PythonTarget() as target:
        target.do(KEEPERS + SERVICE)
        with attached(tree, target.pid, *words, "-o", recording) as tracer:
            tracer.until(lambda report: report["allocs"]["objects"]["sites"])
            live = tracer.stop()["allocs"]["objects"]
        target.do("serving = False; thread.join()")
    report = subprocess.run([tree.alloctrace, "report", "--json", recording], capture_output=True, check=True, timeout=60)
    again = json.loads(report.stdout)["allocs"]["objects"]
    assert len(again["sites"]) == len(live["sites"])
    for site in [*again["sites"], *live["sites"]]:  # names may have come too late for the live run
        del site["stack"]
    assert again == live
    text = subprocess.run([tree.alloctrace, "report", recording], capture_output=True, check=True, timeout=60).stdout
    assert b"Python objects of up to 512 bytes" in text and b"live objects by site" in text
