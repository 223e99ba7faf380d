"""`alloctrace heap` against jemalloc's own books, to the byte: mallctl's statistics, the target's own
list of its blocks, and what arena.4096.purge then takes off RSS. Every layout that Debian ships."""
import os
from pathlib import Path

import pytest

from heap_targets import LIBDIR, Target, allocator, memory_use, swap_space

# C library of the target: where its jemalloc is from.
LIBRARIES = ["2.36", "2.41", "newest"]

# What a target does to its heap before it is asked. The letters: PATTERN BYTES FREE% CLUMP SEED.
HEAPS = {
    "started": [],
    "tiny": ["fill tiny 2000000 50 1 1"],
    "small": ["fill small 8000000 60 3 2"],
    "mixed": ["fill mixed 30000000 60 3 3"],
    "big": ["fill big 40000000 50 1 4"],
    "large": ["fill large 80000000 50 1 5"],
    "untouched": ["fill untouched 30000000 30 2 6"],
    "grown": ["fill grown 20000000 50 2 7"],
    "aligned": ["fill aligned 20000000 50 1 8"],
    "all-freed": ["fill mixed 20000000 100 1 9"],
    "refilled": ["fill mixed 20000000 70 4 10", "purge", "fill small 4000000 50 2 11"],
    "flushed": ["threads 4", "fill mixed 8000000 60 2 12", "flush"],
    "8-threads": ["threads 8", "fill mixed 8000000 60 4 13", "fill small 2000000 60 1 14"],
}

# What an administrator may have set.
OPTIONS = {
    "no-tcache": "tcache:false",
    "large-tcache": "lg_tcache_max:20",
    "unmapping": "retain:false",
    "muzzy": "dirty_decay_ms:0,muzzy_decay_ms:60000",
    "one-arena": "narenas:1",
    "break": "dss:primary",
    "slab-sizes": "slab_sizes:1-4096:17",
    "huge-pages": "thp:always,metadata_thp:always",
    "background": "background_thread:true,dirty_decay_ms:-1",
}


@pytest.fixture
def jemalloc(tree):
    """Starts a target on the jemalloc that goes with a C library: start(glibc, MALLOC_CONF) → Target."""
    return lambda glibc="2.36", options="": tree.preloaded("libjemalloc.so.2", glibc, MALLOC_CONF=options)


def walked(tree, target):
    found = allocator(tree.heap(target.pid), "jemalloc")
    assert found["serving"] is True and found["walk"]["complete"], found
    return found


def check_books(heap, truth):
    """What mallctl says: cached blocks are allocated to it, and its own structures are apart."""
    free = heap["free"]
    assert {
        "stats.allocated": heap["live_heap"] + free["tcache"]["bytes"],
        "stats.arenas.4096.tcache_bytes": free["tcache"]["bytes"],
        "stats.retained": free["retained"]["bytes"],
        "stats.mapped": heap["held"] - free["retained"]["bytes"],
        "unused pages": free["extents"]["bytes"] // 4096,
    } == {
        **{name: truth[name] for name in ("stats.allocated", "stats.arenas.4096.tcache_bytes", "stats.retained",
                                          "stats.mapped")},
        "unused pages": truth["stats.arenas.4096.pdirty"] + truth["stats.arenas.4096.pmuzzy"],
    }


def check_sums(heap):
    for a in [heap, *heap["arenas"]]:
        assert a["pinned"] == sum(a["pinned_by"].values()), a
        assert a["retained"] == a["purgeable"] + a["pinned"], a
        assert a["retained"] <= a["resident"] <= a["held"], a
        free = sum(kind["bytes"] for kind in a["free"].values())
        assert a["held"] == a["live_heap"] + free + a["overhead"], a
    for field in ("held", "resident", "live_heap", "retained", "purgeable", "pinned", "live_blocks"):
        assert heap[field] == sum(a[field] for a in heap["arenas"]), field


def prove(tree, target, commands):
    setup = [c for c in commands if c.startswith("threads")]
    for command in setup:
        target.ask(command)
    before, own_before = walked(tree, target), target.ask("truth")
    for command in commands[len(setup):]:
        target.ask(command)

    heap, truth = walked(tree, target), target.ask("truth")
    check_books(heap, truth)
    check_sums(heap)
    assert heap["live_blocks"] - before["live_blocks"] == truth["own_blocks"] - own_before["own_blocks"]
    assert heap["live_heap"] - before["live_heap"] == truth["own_bytes"] - own_before["own_bytes"]

    purged = target.ask("purge")
    assert heap["purgeable"] == purged["returned"], purged
    after = walked(tree, target)
    check_books(after, target.ask("truth"))
    check_sums(after)
    assert after["purgeable"] == 0
    assert after["pinned"] == heap["pinned"]
    assert target.ask("verify") == {"broken": 0}
    return heap


@pytest.mark.parametrize("heap", HEAPS)
@pytest.mark.parametrize("glibc", LIBRARIES)
def test_truth(tree, jemalloc, glibc, heap):
    with jemalloc(glibc) as target:
        found = prove(tree, target, HEAPS[heap])
        assert found["version"] == "5.3"
        assert found["walk"]["estimate"] is False
        assert found["walk"]["retries"] == 0


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("glibc", ["2.36", "newest"])
def test_truth_with_options(tree, jemalloc, glibc, options):
    with jemalloc(glibc, OPTIONS[options]) as target:
        heap = prove(tree, target, ["threads 3", "fill mixed 10000000 60 3 1", "fill large 20000000 50 1 2"])
        # Where no thread has a cache, that none was found is no proof.
        assert heap["walk"]["estimate"] is (options == "no-tcache")


def test_huge_page_allocator_is_an_estimate(tree, jemalloc):
    """What is free inside its huge pages is in no extent: live is exact, the rest is a lower bound."""
    with jemalloc("2.36", "hpa:true") as target:
        target.ask("fill mixed 20000000 60 3 1")
        heap, truth = walked(tree, target), target.ask("truth")
        assert heap["walk"]["estimate"] is True
        assert heap["live_heap"] + heap["free"]["tcache"]["bytes"] == truth["stats.allocated"]
        assert heap["purgeable"] <= target.ask("purge")["returned"]


def test_walks_of_a_running_target(tree, jemalloc):
    """Four threads free and allocate flat out; then they stop, and the books are exact again."""
    with jemalloc() as target:
        target.ask("threads 4")
        target.ask("fill mixed 10000000 30 2 1")
        before = walked(tree, target)
        target.ask("churn 3")
        for _ in range(30):
            heap = walked(tree, target)
            check_sums(heap)
            assert 0.3 < heap["live_heap"] / before["live_heap"] < 2
        target.answer()
        heap, truth = walked(tree, target), target.ask("truth")
        check_books(heap, truth)
        assert target.ask("verify") == {"broken": 0}


@pytest.mark.parametrize("heap", ["mixed", "untouched", "refilled", "8-threads"])
def test_a_walk_leaves_no_trace(tree, jemalloc, heap):
    with jemalloc() as target:
        for command in HEAPS[heap]:
            target.ask(command)
        before = memory_use(target.pid)
        for _ in range(3):
            walked(tree, target)
        assert memory_use(target.pid) == before


def test_swapped_pages_stay_swapped(tree, jemalloc, tmp_path):
    with swap_space(tmp_path), jemalloc() as target:
        target.ask("fill mixed 30000000 30 2 1")
        target.ask("pageout")
        before = memory_use(target.pid)
        assert before["Swap"] > 3000, "nothing was swapped out"
        heap = walked(tree, target)
        assert memory_use(target.pid) == before
        assert heap["swapped"] > 3000 << 10
        check_books(heap, target.ask("truth"))
        assert heap["purgeable"] == target.ask("purge")["returned"]


PYTHON = """
import ctypes, os, random
random.seed(1)
held = [b"x" * random.choice((600, 1500, 5000, 40000)) for _ in range(8000)]
purge = ctypes.CDLL(None).mallctl
purge(b"arena.4096.purge", None, None, None, ctypes.c_size_t(0))
held = [b for b in held if random.random() < 0.3]
os.write(1, b'{"pid": %d}\\n' % os.getpid())
os.read(0, 1)
purge(b"arena.4096.purge", None, None, None, ctypes.c_size_t(0))
os.write(1, b"{}\\n")
os.read(0, 1)
"""


def test_python_on_jemalloc(tree):
    library = Path("/usr/lib") / LIBDIR / "libjemalloc.so.2"
    if not library.exists():
        pytest.skip("libjemalloc2 is not installed")
    with Target(["/usr/bin/python3", "-c", PYTHON], env={**os.environ, "LD_PRELOAD": str(library)}) as target:
        heap, before = walked(tree, target), memory_use(target.pid)["Rss"]
        target.ask("purge")
        returned = (before - memory_use(target.pid)["Rss"]) << 10
        assert heap["purgeable"] > 20 << 20
        # The interpreter itself goes on for a few instructions.
        assert abs(returned - heap["purgeable"]) < 64 << 10
