"""pymalloc's arenas against its own books (sys._debugmallocstats) to the byte, in every CPython that
can be had; and what reports say of what they keep."""
import json
import os
import re
import signal
import subprocess

import pytest

from attach_harness import Tracer
from heap_targets import SOURCES, allocator, fetched, memory_use, root_only

PROGRAM = SOURCES / "pymalloc_target.py"
PYTHON = "/usr/bin/python3"
MIB = 1 << 20
HERE = "%d.%d" % tuple(map(int, re.findall(r"\d+", subprocess.run(
    [PYTHON, "-V"], capture_output=True, text=True).stdout)[:2]))
SUITES = {"3.9": "bullseye", "3.13": "trixie", "3.14": "sid", "3.15": "sid"}


def python(tree, version):
    if version == HERE:
        return PYTHON
    return fetched(tree.build / "pythons" / version, "fetch-python", SUITES[version], version) / "python"


class Truth:
    """What _PyObject_DebugMallocStats prints, of one interpreter."""

    def __init__(self, text):
        number = lambda words: int(re.search(words + r"\s+=\s+([\d,]+)", text)[1].replace(",", ""))  # noqa: E731
        self.arenas = number("# arenas allocated current")
        self.arena = int(re.search(r"arenas \* (\d+) bytes/arena", text)[1])
        self.live = number("# bytes in allocated blocks")
        self.available = number("# bytes in available blocks")
        self.unused = number(r"unused pools \* \d+ bytes")
        self.overhead = sum(number("# bytes lost to " + why) for why in ("pool headers", "quantization", "arena alignment"))
        # class, size, pools, blocks in use, blocks available
        rows = re.findall(r"^ *\d+ +(\d+) +\d+ +(\d+) +(\d+)$", text, re.M)
        self.classes = {int(size): (int(used), int(free)) for size, used, free in rows}

    def by_powers(self):
        """Blocks in use and available by the power of two below their size, as reports group them."""
        sums = {}
        for size, (used, free) in self.classes.items():
            row = sums.setdefault(1 << (size.bit_length() - 1), [0, 0])
            row[0] += used
            row[1] += free
        return {size: tuple(row) for size, row in sums.items()}


class Python:
    """A target that does what its command line says and stops where it is told to."""

    def __init__(self, command, *words, env=None):
        self.process = subprocess.Popen([str(command), "-S", str(PROGRAM), *map(str, words)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **(env or {})})
        self.pid = int(self.process.stdout.readline())
        self.child = None

    def stopped(self):
        """What it told before it stopped: a Truth an interpreter, its main one last."""
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)
        told = os.read(self.process.stderr.fileno(), 1 << 16).decode()  # all of it: it fits into the pipe
        child = re.search(r"^child (\d+)$", told, re.M)
        self.child = int(child[1]) if child else None
        return [Truth("Small block" + text) for text in told.split("Small block")[1:]]

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.child:
            os.kill(self.child, signal.SIGKILL)
        self.process.kill()
        self.process.communicate()


def pymalloc(tree, pid, *options):
    return allocator(tree.heap(pid, *options), "pymalloc")


def check(report, truth):
    """All that both of them know."""
    assert report["walk"]["complete"] and not report["walk"]["estimate"]
    assert report["held"] == truth.arenas * truth.arena
    assert (report["ranges"]["count"], report["ranges"]["size"]) == (truth.arenas, truth.arena)
    assert report["live_heap"] == truth.live
    assert report["live_blocks"] == sum(used for used, _ in truth.classes.values())
    free = {kind: blocks["bytes"] for kind, blocks in report["free"].items()}
    assert free["blocks"] == truth.available
    assert free["pools"] + free["unused"] == truth.unused
    assert report["overhead"] == truth.overhead
    assert {row["min"]: (row["live_blocks"], row["free_blocks"]) for row in report["size_classes"]} == truth.by_powers()


def check_sums(report):
    assert report["retained"] == report["pinned"] == sum(report["pinned_by"].values())
    assert report["purgeable"] == 0
    assert report["resident"] - report["retained"] <= report["live_heap"]
    assert report["resident"] <= report["held"]
    for arena in report["arenas"]:
        assert arena["walked"] == arena["held"] and arena["inconsistent"] is None


@pytest.mark.parametrize("version", [*sorted({*SUITES, HERE}, key=lambda v: int(v[2:]))])
def test_figures_are_its_own(tree, version):
    """Filled, and nine tenths freed at random: exact, and nothing of the target is changed by reading."""
    with Python(python(tree, version), "fill", 200000, "stop") as target:
        truth, = target.stopped()
        before = memory_use(target.pid)
        report = pymalloc(tree, target.pid)
        assert memory_use(target.pid) == before
        assert report["version"] == version
        assert report["serving"] is False and report["layer"]
        check(report, truth)
        check_sums(report)
        assert report["retained"] > 10 * MIB


def test_all_freed(tree):
    """Arenas without a live block go back at once, but for one; those with some stay."""
    with Python(PYTHON, "keep", 300000, "stop", "drop", "stop") as target:
        target.stopped()
        full = pymalloc(tree, target.pid)
        target.go_on()
        truth, = target.stopped()
        report = pymalloc(tree, target.pid)
        check(report, truth)
        check_sums(report)
        assert full["ranges"]["sparse"] == 0 and full["live_heap"] > 40 * MIB
        assert report["ranges"]["count"] < full["ranges"]["count"] / 2
        assert report["ranges"]["empty"] <= 1


def test_no_purge_returns_it(tree):
    """malloc_trim leaves it, and the report says what would help instead."""
    with Python(PYTHON, "fill", 300000, "stop", "trim", "stop") as target:
        target.stopped()
        report = tree.heap(target.pid)
        before = allocator(report, "pymalloc")
        assert "Neither malloc_trim nor mi_collect returns it" in report["layer_sentence"]
        assert f"in {before['ranges']['count']} arenas" in report["layer_sentence"]
        assert "PYTHONMALLOC=malloc" in report["layer_sentence"]
        text = subprocess.run([tree.alloctrace, "heap", str(target.pid)], capture_output=True, text=True).stdout
        assert report["layer_sentence"] in text.splitlines()
        assert f"pymalloc {HERE} serves Python objects of up to 512 bytes" in text
        assert report["retained"] == before["retained"] + allocator(report, "glibc")["retained"]
        target.go_on()
        target.stopped()
        after = pymalloc(tree, target.pid)
        assert abs(after["resident"] - before["resident"]) <= MIB  # ctypes has been loaded
        assert after["ranges"]["sparse_retained"] > MIB


def test_sparse_arenas(tree):
    """A few blocks among many hold their arenas: those that are at most a tenth live are told apart."""
    with Python(PYTHON, "fill", 300000, "stop") as target:
        target.stopped()
        ranges = pymalloc(tree, target.pid)["ranges"]
        assert 0 < ranges["sparse"] <= ranges["count"]
        assert ranges["sparse_live"] * 10 <= ranges["sparse"] * ranges["size"]
        assert ranges["sparse_retained"] + ranges["sparse_live"] <= ranges["sparse"] * ranges["size"]


def test_debug_hooks(tree):
    with Python(PYTHON, "fill", 100000, "stop", env={"PYTHONMALLOC": "debug"}) as target:
        truth, = target.stopped()
        check(pymalloc(tree, target.pid), truth)


@pytest.mark.parametrize("version", [HERE, "3.14"])
def test_absent_where_python_uses_malloc(tree, version):
    with Python(python(tree, version), "fill", 50000, "stop", env={"PYTHONMALLOC": "malloc"}) as target:
        target.stopped()
        report = tree.heap(target.pid)
        absent = allocator(report, "pymalloc")
        assert [absent[field] for field in ("held", "live_heap", "retained", "walk", "ranges")] == [None] * 5
        assert report["layer_sentence"] is None and report["missing"] == []
        assert report["live_heap"] == allocator(report, "glibc")["live_heap"]


def test_a_second_libpython(tree):
    """Two objects carry the allocator, one of them has it in use."""
    with Python(PYTHON, "fill", 50000, "twice", "stop") as target:
        truth, = target.stopped()
        report = tree.heap(target.pid)
        assert [a["name"] for a in report["allocators"]].count("pymalloc") == 1
        check(allocator(report, "pymalloc"), truth)


def test_interpreters_with_arenas_of_their_own(tree):
    with Python(python(tree, "3.14"), "others", "stop") as target:
        *others, main = target.stopped()
        report = pymalloc(tree, target.pid)
        rows = {row["name"]: row for row in report["arenas"]}
        assert set(rows) == {"main interpreter", "interpreter 1", "interpreter 2", "interpreter 3"}
        assert rows["main interpreter"]["main"] and rows["main interpreter"]["live_heap"] == main.live
        for number, truth in enumerate(others, 1):
            row = rows[f"interpreter {number}"]
            assert row["heaps"] == truth.arenas
            # The call that prints holds some blocks itself.
            assert abs(row["live_heap"] - truth.live) < 4096 < row["live_heap"]
        assert report["ranges"]["count"] == sum(truth.arenas for truth in [*others, main])
        check_sums(report)


def test_after_a_fork(tree):
    """The child has the same arenas, shared with its parent; reading them copies no page."""
    with Python(PYTHON, "fill", 100000, "fork", "stop") as target:
        target.stopped()
        before = [memory_use(pid) for pid in (target.pid, target.child)]
        parent, child = pymalloc(tree, target.pid), pymalloc(tree, target.child)
        assert [memory_use(pid) for pid in (target.pid, target.child)] == before
        assert parent["held"] == child["held"]
        assert child["shared"] > MIB
        check_sums(child)


@pytest.mark.parametrize("version", [HERE, "3.14"])
def test_while_it_runs(tree, version):
    """Arenas are mapped and unmapped all the time: every walk adds up all the same, or has given up."""
    with Python(python(tree, version), "churn") as target:
        walks = [report for report in (pymalloc(tree, target.pid) for _ in range(15)) if report["live_heap"] is not None]
        assert len(walks) >= 12, "on a busy machine one may meet too many changes"
        for report in walks:
            check_sums(report)


def test_its_blocks_are_nobodys_debt(tree):
    """Of a program that was traced from its start nearly every block is known; pymalloc's are not asked for."""
    root_only()
    program = f"exec {PYTHON} -S {PROGRAM} keep 100000 wait >&2"
    with Tracer(tree, "run", "--json", "--interval", "0.5", "--walk-budget", "20", "--", "sh", "-c", program) as tracer:
        report = tracer.until(lambda report: any(
            a["name"] == "pymalloc" and (a["live_heap"] or 0) > 15 * MIB for a in report["allocators"]))
        os.kill(report["pid"], signal.SIGTERM)
        while not report["final"]:
            report = tracer.next()
        assert report["live_heap"] > 15 * MIB
        assert 0 <= report["allocs"]["unattributed"] < 2 * MIB


def test_several_processes_add_up(tree):
    """In the sum over processes too: every arena once, and none of a Python that has pymalloc not in use."""
    root_only()
    unused = {"PYTHONMALLOC": "malloc"}
    with Python(PYTHON, "fill", 100000, "stop") as one, Python(PYTHON, "fill", 50000, "stop") as two, \
            Python(PYTHON, "fill", 10000, "stop", env=unused) as three:
        for target in (one, two, three):
            target.stopped()
        parts = [pymalloc(tree, target.pid) for target in (one, two)]
        command = [tree.alloctrace, "attach", "--no-alloc", f"{one.pid},{two.pid},{three.pid}", "0.25", "2"]
        text = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        said = re.findall(r"in (\d+) arenas of 1.00 MiB, .* live in (\d+) of them", text)
        assert said[-1] == tuple(str(sum(part["ranges"][field] for part in parts)) for field in ("count", "sparse"))
