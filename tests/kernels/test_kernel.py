"""What of alloctrace depends on the kernel, tried on the one that tools/boot-kernel has booted:
the heap's books (pagemap, with PAGEMAP_SCAN or without), and the probes by each kind of link."""
import platform
import re
import signal
from pathlib import Path

import pytest

from attach_harness import LIBRARIES, MIB, PythonTarget, Tracer, churn, probes_left, purges
from heap_targets import Target, memory_use

KERNEL = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])
TOO_OLD = KERNEL < (5, 15)
# What the newest kind of link is, by the release that brought it. alloctrace itself finds out by trying.
BACKEND = "session" if KERNEL >= (6, 13) else "multi" if KERNEL >= (6, 6) else "perf"
OPENED = LIBRARIES / "libbz2.so.1.0"
OPENS = 30

PYTHON_TRUTH = """
class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc.mallinfo2.restype = Mallinfo
"""
# 20 MB of blocks that are small pages each, and 20 MB in one that is huge ones where the kernel likes.
READ_UNTOUCHED = """
libc.malloc.restype = ctypes.c_void_p
libc.mallopt(-3, 1 << 26)  # M_MMAP_THRESHOLD: all on the heap
sizes = [100_000] * 200 + [20_000_000]
for size, block in [(size, ctypes.c_void_p(libc.malloc(size))) for size in sizes]:
    libc.memchr(block, 1, size)
"""
PYTHON_TRIM = "before = rss(); purge_glibc(); result = before - rss()"


def fill(target):
    """50 MB of blocks, and half of them freed again in runs."""
    target.do("blocks = fill(50); del blocks[::3]; del blocks[::2]")


def books(glibc):
    """glibc's books by the words of mallinfo2, which counts thread caches as used."""
    free = [{kind: arena["free"][kind]["bytes"] for kind in ("bins", "fastbins", "top")} for arena in glibc["arenas"]]
    return {
        "arena": sum(arena["held"] for arena in glibc["arenas"]),
        "fordblks": sum(sum(kinds.values()) for kinds in free),
        "fsmblks": sum(kinds["fastbins"] for kinds in free),
        "hblks": glibc["mmapped"]["blocks"],
        "hblkhd": glibc["mmapped"]["bytes"],
    }


def check_books(glibc, truth):
    said = books(glibc)
    assert said == {word: truth[word] for word in said}


@pytest.mark.parametrize("threads", [0, 4])
def test_heap_of_a_c_program(tree, threads):  # noqa: F811
    with Target([tree.workload("heap_truth")]) as target:
        if threads:
            target.ask(f"threads {threads}")
        target.ask("fill mixed 8000000 60 4 1")
        before = memory_use(target.pid)
        glibc = tree.glibc(target.pid)
        assert memory_use(target.pid) == before
        check_books(glibc, target.ask("truth"))
        assert target.ask("trim")["returned"] == glibc["purgeable"]
        assert target.ask("verify")["broken"] == 0


def test_heap_of_python(tree):  # noqa: F811
    with PythonTarget() as target:
        target.do(PYTHON_TRUTH)
        fill(target)
        target.do("info = libc.mallinfo2()")  # the call's own blocks are there from now on
        glibc = tree.glibc(target.pid)
        target.do("info = libc.mallinfo2()")
        said = books(glibc)
        truth = target.do("result = {name: getattr(info, name) for name, _ in info._fields_}")
        assert abs(said["arena"] - truth["arena"]) <= MIB // 4
        assert abs(said["fordblks"] - truth["fordblks"]) <= MIB // 4
        assert abs(target.do(PYTHON_TRIM) - glibc["purgeable"]) <= MIB // 4


def heap_rss(pid):
    """Resident bytes of the brk heap, as the kernel counts them."""
    _, _, heap = Path(f"/proc/{pid}/smaps").read_text().partition("[heap]\n")
    return int(re.search(r"^Rss: *(\d+) kB", heap, re.M)[1]) << 10


def test_pages_only_read(tree):  # noqa: F811
    """They map the kernel's zero page, small or huge: not RSS, though present in the page tables."""
    with PythonTarget() as target:
        before = heap_rss(target.pid)
        target.do(READ_UNTOUCHED)
        assert heap_rss(target.pid) < before + 10 * MIB
        main, *_ = tree.glibc(target.pid)["arenas"]
        assert main["held"] > 38 * MIB and main["resident"] == heap_rss(target.pid)


@pytest.mark.skipif(TOO_OLD, reason="needs 5.15")
def test_attach(tree, record_property):  # noqa: F811
    with PythonTarget() as target:
        target.do("import gc; gc.collect(); gc.disable()")
        target.do("rss(); purge_glibc()")  # what their first calls fault in is not the purge's
        target.do("blocks = fill(50); kept = fill(1); del blocks")  # what lies below kept is not trimmed at free
        with Tracer(tree, "attach", "--json", "--verbose", target.pid, 1) as tracer:
            tracer.ready()
            dropped = target.do(PYTHON_TRIM)
            target.do(f"""
for _ in range({OPENS}):
    handle = ctypes.CDLL("{OPENED}")._handle
    libc.dlclose(ctypes.c_void_p(handle))
""")
            found = target.do("result = [gc.collect(generation) for generation in (2, 0, 2, 1, 2)]")
            final = tracer.stop()
        backend = re.search(r"attached by (\w+) links", tracer.stderr)
        record_property("links", backend and backend[1])
        verified = re.search(r"at most (\d+) instructions verified", tracer.stderr)
        record_property("verified", verified and verified[1])
        assert verified and int(verified[1]) < 100000, tracer.stderr
        assert probes_left(target.pid) == []

        purge, = purges(final, "malloc_trim")
        record_property("returned", purge["returned"])
        assert purge["returned"] > 40 * MIB and abs(purge["returned"] - dropped) <= MIB // 4
        assert purge["result"] == 1 and purge["effective"] and not purge["misdirected"]
        assert churn(final, OPENED.name)["opens"] == OPENS
        assert churn(final, OPENED.name)["closes"] == OPENS
        assert churn(final, OPENED.name)["failures"] == 0
        # Where the interpreter has the probes of its collector: with counters that the kernel raises.
        if final["gc"]:
            assert [g["runs"] for g in final["gc"]["generations"]] == [1, 1, 3]
            assert sum(g["collected"] for g in final["gc"]["generations"]) == sum(found)
        assert not any(final["lost"].values()), final["lost"]
        assert backend and backend[1] == BACKEND, tracer.stderr


@pytest.mark.skipif(not TOO_OLD, reason="this kernel is served in full")
def test_attach_where_the_kernel_is_too_old(tree, record_property):  # noqa: F811
    with PythonTarget() as target:
        fill(target)
        with Tracer(tree, "attach", "--json", target.pid, 1) as tracer:
            tracer.ready()
            final = tracer.stop(signal.SIGTERM)
        record_property("says", tracer.stderr.strip())
        assert len(tracer.stderr.splitlines()) == 1, tracer.stderr
        assert "5.15" in tracer.stderr
        assert final["purgeable"] > 0


@pytest.mark.skipif(TOO_OLD, reason="needs 5.15")
def test_marks(tree):  # noqa: F811
    """A function of the program: its calls, with what was resident as the program read it itself."""
    with Target([tree.workload("mark_units")]) as target:
        with Tracer(tree, "attach", "--json", "--no-alloc", "--mark", ":unit_done", "--mark", ":tick", target.pid,
                    1) as tracer:
            tracer.ready()
            target.ask("units 10")
            truth = target.ask("ticks 3000")
            final = tracer.stop()
    done, tick = final["mark_kinds"]
    assert (done["kind"], tick["kind"]) == ("unit_done", "tick")
    assert done["count"] == 10 and tick["count"] >= 100 and tick["count"] + tick["skipped"] == 3000
    rss = [mark["rss"] for mark in final["marks"] if mark["kind"] == "unit_done"]
    assert rss == pytest.approx(truth["rss"], abs=64 << 10)
