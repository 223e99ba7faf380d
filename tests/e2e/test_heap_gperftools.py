"""`alloctrace heap` against gperftools' own books, to the byte: MallocExtension's properties, the target's
own list of its blocks, and what ReleaseFreeMemory then takes off RSS. Every layout that Debian ships."""
import os
from pathlib import Path

import pytest

from heap_targets import LIBDIR, Target, allocator, memory_use, swap_space

MINIMAL, FULL = "libtcmalloc_minimal.so.4", "libtcmalloc.so.4"

# C library of the target, where its gperftools is from, and what it calls itself.
VERSIONS = {"2.31": "2.8–2.15", "2.36": "2.8–2.15", "2.41": "2.16–2.18", "newest": "2.16–2.18"}

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
    "mmap": {"TCMALLOC_SKIP_SBRK": "1"},
    "large-transfers": {"TCMALLOC_TRANSFER_NUM_OBJ": "512"},
    "large-caches": {"TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES": "200000000"},
    "fast-release": {"TCMALLOC_RELEASE_RATE": "100"},
    "decommit": {"TCMALLOC_AGGRESSIVE_DECOMMIT": "t"},
}


def walked(tree, target):
    found = allocator(tree.heap(target.pid), "gperftools")
    assert found["serving"] is True and found["walk"]["complete"], found
    return found


def check_books(heap, truth):
    """What MallocExtension says: ends of spans that no object fits into are free to it, overhead to us."""
    free, own = heap["free"], heap["pinned_by"]["overhead"]
    assert {
        "generic.current_allocated_bytes": heap["live_heap"],
        "tcmalloc.thread_cache_free_bytes": free["thread_caches"]["bytes"],
        "tcmalloc.pageheap_free_bytes": free["spans"]["bytes"],
        "tcmalloc.pageheap_unmapped_bytes": free["returned"]["bytes"],
        "generic.heap_size": heap["held"] - own,
        "central": free["central"]["bytes"] + heap["overhead"] - own,
    } == {
        **{name: truth[name] for name in ("generic.current_allocated_bytes", "tcmalloc.thread_cache_free_bytes",
                                          "tcmalloc.pageheap_free_bytes", "tcmalloc.pageheap_unmapped_bytes",
                                          "generic.heap_size")},
        "central": truth["tcmalloc.central_cache_free_bytes"] + truth["tcmalloc.transfer_cache_free_bytes"],
    }


def check_sums(heap):
    for a in [heap, *heap["arenas"]]:
        assert a["pinned"] == sum(a["pinned_by"].values()), a
        assert a["retained"] == a["purgeable"] + a["pinned"], a
        assert a["retained"] <= a["resident"] <= a["held"], a
        free = sum(kind["bytes"] for kind in a["free"].values())
        assert a["held"] == a["live_heap"] + free + a["overhead"], a


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
    assert heap["walk"]["estimate"] is False and heap["walk"]["retries"] == 0

    purged = target.ask("purge")
    assert heap["purgeable"] == purged["returned"], purged
    after = walked(tree, target)
    check_books(after, target.ask("truth"))
    check_sums(after)
    assert after["purgeable"] == 0
    assert target.ask("verify") == {"broken": 0}
    return heap


@pytest.mark.parametrize("heap", HEAPS)
@pytest.mark.parametrize("glibc", ["2.36", "2.41", "newest"])
def test_truth(tree, glibc, heap):
    with tree.preloaded(MINIMAL, glibc) as target:
        found = prove(tree, target, HEAPS[heap])
        if heap == "8-threads":  # one thread's cache alone does not tell
            assert found["version"] == VERSIONS[glibc]


@pytest.mark.parametrize("library", [MINIMAL, FULL])
def test_truth_of_an_older_one(tree, library):
    with tree.preloaded(library, "2.31") as target:
        assert prove(tree, target, HEAPS["8-threads"])["version"] == VERSIONS["2.31"]


@pytest.mark.parametrize("glibc", ["2.41", "newest"])
def test_truth_of_the_one_that_samples(tree, glibc):
    """A sampled block has a span of its own, however small it is."""
    with tree.preloaded(FULL, glibc, TCMALLOC_SAMPLE_PARAMETER="524288") as target:
        for command in HEAPS["8-threads"]:
            target.ask(command)
        heap, truth = walked(tree, target), target.ask("truth")
        check_books(heap, truth)
        check_sums(heap)
        assert heap["live_heap"] > truth["own_bytes"]
        assert heap["purgeable"] == target.ask("purge")["returned"]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("glibc", ["2.36", "newest"])
def test_truth_with_options(tree, glibc, options):
    with tree.preloaded(MINIMAL, glibc, **OPTIONS[options]) as target:
        prove(tree, target, ["threads 3", "fill mixed 10000000 60 3 1", "fill large 20000000 50 1 2"])


@pytest.mark.parametrize("glibc", ["2.36", "newest"])
def test_walks_of_a_running_target(tree, glibc):
    """Four threads free and allocate flat out; then they stop, and the books are exact again."""
    with tree.preloaded(MINIMAL, glibc) as target:
        target.ask("threads 4")
        target.ask("fill mixed 10000000 30 2 1")
        before = walked(tree, target)
        target.ask("churn 2")
        for _ in range(20):
            heap = walked(tree, target)
            assert heap["retained"] == heap["purgeable"] + heap["pinned"]
            assert 0.3 < heap["live_heap"] / before["live_heap"] < 2
        target.answer()
        heap, truth = walked(tree, target), target.ask("truth")
        check_books(heap, truth)
        assert target.ask("verify") == {"broken": 0}


@pytest.mark.parametrize("heap", ["mixed", "untouched", "refilled", "8-threads"])
def test_a_walk_leaves_no_trace(tree, heap):
    with tree.preloaded(MINIMAL) as target:
        for command in HEAPS[heap]:
            target.ask(command)
        before = memory_use(target.pid)
        for _ in range(3):
            walked(tree, target)
        assert memory_use(target.pid) == before


def test_swapped_pages_stay_swapped(tree, tmp_path):
    with swap_space(tmp_path), tree.preloaded(MINIMAL) as target:
        target.ask("fill mixed 30000000 30 2 1")
        target.ask("pageout")
        before = memory_use(target.pid)
        assert before["Swap"] > 3000, "nothing was swapped out"
        heap = walked(tree, target)
        assert memory_use(target.pid) == before
        assert heap["swapped"] > 3000 << 10 and heap["walk"]["estimate"] is True
        check_books(heap, target.ask("truth"))
        assert heap["purgeable"] == target.ask("purge")["returned"]


PYTHON = """
import ctypes, os, random
random.seed(1)
held = [b"x" * random.choice((600, 1500, 5000, 40000)) for _ in range(8000)]
purge = ctypes.CDLL(None).MallocExtension_ReleaseFreeMemory
purge()
held = [b for b in held if random.random() < 0.3]
os.write(1, b'{"pid": %d}\\n' % os.getpid())
os.read(0, 1)
purge()
os.write(1, b"{}\\n")
os.read(0, 1)
"""


def test_python_on_gperftools(tree):
    library = Path("/usr/lib") / LIBDIR / MINIMAL
    if not library.exists():
        pytest.skip("libtcmalloc-minimal4 is not installed")
    with Target(["/usr/bin/python3", "-c", PYTHON], env={**os.environ, "LD_PRELOAD": str(library)}) as target:
        heap, before = walked(tree, target), memory_use(target.pid)["Rss"]
        target.ask("purge")
        returned = (before - memory_use(target.pid)["Rss"]) << 10
        assert heap["purgeable"] > 20 << 20
        # The interpreter itself goes on for a few instructions.
        assert abs(returned - heap["purgeable"]) < 64 << 10
