"""`alloctrace heap` under mimalloc against the target's own list of its blocks, and what
mi_collect(true) then takes off RSS, to the byte: 2.0.9 and the newest of 3.x that Debian ships."""
import pytest

from attach_harness import MIB, PythonTarget, attached, library, purges, settled
from heap_targets import allocator, memory_use, root_only, swap_space
from heap_targets import tree  # noqa: F401

# C library of the target: where its mimalloc is from.
LIBRARIES = {"2.36": "libmimalloc.so.2.0", "2.41": "libmimalloc.so.3", "newest": "libmimalloc.so.3"}
VERSIONS = {"2.36": "2.0.9", "2.41": "3.0.1"}

# 2.0.9 does at a collect what it has put off for some time; with this that is no more than 25 ms.
SOON = {"MIMALLOC_DECOMMIT_EXTEND_DELAY": "0"}

# What a target does to its heap before it is asked. The letters: PATTERN BYTES FREE% CLUMP SEED.
HEAPS = {
    "tiny": ["fill tiny 2000000 50 1 1"],
    "small": ["fill small 8000000 60 3 2"],
    "mixed": ["fill mixed 30000000 70 30 3"],
    "big": ["fill big 40000000 50 1 4"],
    "large": ["fill large 80000000 50 1 5", "fill mixed 3000000 50 2 15"],
    "huge": ["fill mixed 1000000 50 1 16", "fill huge 200000000 40 1 7"],
    "vast": ["fill mixed 1000000 50 1 16", "fill vast 600000000 0 1 7"],
    "untouched": ["fill untouched 30000000 30 2 6"],
    "grown": ["fill grown 20000000 50 2 7"],
    "all-freed": ["fill mixed 40000000 100 1 9"],
    "refilled": ["fill mixed 20000000 70 4 10", "purge", "fill small 4000000 50 2 11"],
}

# With threads: what only they would return, and what one that has ended leaves behind.
THREADS = {
    "busy": ["fill mixed 8000000 60 4 13"],
    "emptied": ["fill kb 8000000 100 1 14"],
    "by-others": ["fill mixed 8000000 0 1 15", "drop-foreign 90 4 5"],
    "all-by-others": ["fill mixed 8000000 0 1 15", "drop-foreign 100 4 5"],
    "ended": ["fill mixed 8000000 60 4 16", "end"],
    "ended-then-freed": ["fill mixed 8000000 60 4 17", "end", "drop-foreign 90 3 6"],
}

# What an administrator may have set.
OPTIONS = {
    "never": {"MIMALLOC_PURGE_DELAY": "-1"},
    "at-once": {"MIMALLOC_PURGE_DELAY": "0", "MIMALLOC_DECOMMIT_DELAY": "0"},
    "keep-committed": {"MIMALLOC_ALLOW_DECOMMIT": "0"},
    "by-the-piece": {"MIMALLOC_MINIMAL_PURGE_SIZE": "256", "MIMALLOC_ARENA_PURGE_MIN_SIZE": "256"},
    "reserved": {"MIMALLOC_RESERVE_OS_MEMORY": "300MiB"},
    "commit-late": {"MIMALLOC_EAGER_COMMIT": "0", "MIMALLOC_ARENA_EAGER_COMMIT": "0"},
    "no-arenas": {"MIMALLOC_DISALLOW_ARENA_ALLOC": "1"},
}


@pytest.fixture
def mimalloc(tree):
    """Starts a target on the mimalloc that goes with a C library."""
    def start(glibc="2.36", options=SOON, source="allocator_truth"):
        return tree.preloaded(LIBRARIES[glibc], glibc, source, **options)
    return start


def walked(tree, target):
    found = allocator(tree.heap(target.pid), "mimalloc")
    assert found["serving"] is True and found["walk"]["complete"], found
    return found


def check_sums(heap):
    for a in [heap, *heap["arenas"]]:
        assert a["pinned"] == sum(a["pinned_by"].values()), a
        assert a["retained"] == a["purgeable"] + a["pinned"], a
        assert a["retained"] <= a["resident"] <= a["held"], a
        free = sum(kind["bytes"] for kind in a["free"].values())
        assert a["held"] == a["live_heap"] + free + a["overhead"], a
        assert a["largest_free"] <= free, a
    for field in ("held", "resident", "live_heap", "retained", "purgeable", "pinned", "live_blocks"):
        assert heap[field] == sum(a[field] for a in heap["arenas"]), field


def check_blocks(heap, before, target, own_before, threads=0):
    """As many as the target holds; beside them the C library has one for each thread, and 3.6 itself a few."""
    own, live = target.ask("truth"), heap["live_blocks"] - before["live_blocks"]
    assert 0 <= live - (own["own_blocks"] - own_before["own_blocks"]) <= 4 * threads
    if not threads:
        assert heap["live_heap"] - before["live_heap"] == own["own_bytes"] - own_before["own_bytes"]


def prove(tree, target, commands):
    target.ask("fill small 2000 0 1 99")  # a heap that holds nothing is none
    before, own_before = walked(tree, target), target.ask("truth")
    for command in [*commands, "settle"]:
        target.ask(command)
    heap = walked(tree, target)
    check_sums(heap)
    check_blocks(heap, before, target, own_before)
    assert heap["walk"]["estimate"] is False and heap["walk"]["retries"] == 0

    purged = target.ask("purge")
    assert heap["purgeable"] == purged["returned"], purged
    if heap["live_blocks"]:  # else there may be no heap any more
        after = walked(tree, target)
        check_sums(after)
        assert after["live_heap"] == heap["live_heap"]
    assert target.ask("verify") == {"broken": 0}
    return heap


@pytest.mark.parametrize("heap", HEAPS)
@pytest.mark.parametrize("glibc", LIBRARIES)
def test_truth(tree, mimalloc, glibc, heap):
    with mimalloc(glibc) as target:
        found = prove(tree, target, HEAPS[heap])
        assert found["version"] == VERSIONS.get(glibc, found["version"])


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("glibc", LIBRARIES)
def test_truth_with_options(tree, mimalloc, glibc, options):
    if (glibc, options) == ("newest", "no-arenas"):
        pytest.skip("mimalloc 3.6 without arenas is not walked")
    with mimalloc(glibc, {**SOON, **OPTIONS[options]}) as target:
        heap = prove(tree, target, ["fill mixed 20000000 60 30 1", "fill large 20000000 60 1 2"])
        if options == "never" and glibc != "2.36":
            assert heap["purgeable"] == 0 and heap["pinned_by"]["policy"] > MIB
            assert heap["settings"]["purge_delay"] == -1
        if glibc == "2.36":
            assert heap["settings"]["purge_delay"] == int(OPTIONS[options].get("MIMALLOC_DECOMMIT_DELAY", 25))


@pytest.mark.parametrize("case", THREADS)
@pytest.mark.parametrize("glibc", LIBRARIES)
def test_threads(tree, mimalloc, glibc, case):
    """What the main thread's call returns, and then the others' own."""
    with mimalloc(glibc) as target:
        target.ask("fill small 2000 0 1 99")
        before, own_before = walked(tree, target), target.ask("truth")
        target.ask("threads 4")
        for command in [*THREADS[case], "settle"]:
            target.ask(command)
        heap = walked(tree, target)
        check_sums(heap)
        check_blocks(heap, before, target, own_before, 4)
        assert heap["purgeable"] == target.ask("purge")["returned"]
        others = heap["pinned_by"]["other_threads"]
        if "end" in THREADS[case]:
            assert others == 0
            return
        assert {a["name"].split(" ")[0] for a in heap["arenas"]} >= {"main", "thread"}
        returned = target.ask("purge-workers")["returned"]
        # Where huge pages are kept whole it matters who is first.
        assert others == returned or (glibc == "newest" and abs(others - returned) < 2 * MIB)
        assert target.ask("verify") == {"broken": 0}


def test_what_other_threads_keep_is_said(tree, mimalloc):
    with mimalloc() as target:
        target.ask("threads 4")
        for command in THREADS["all-by-others"]:
            target.ask(command)
        report = tree.heap(target.pid)
        assert report["sentence"].startswith("mi_collect(true) would return ")
        assert report["sentence"].endswith("until other threads call it")
        assert allocator(report, "mimalloc")["pinned_by"]["other_threads"] > 20 * MIB


@pytest.mark.parametrize("glibc", LIBRARIES)
def test_walks_of_a_running_target(tree, mimalloc, glibc):
    """Four threads free and allocate flat out; then they stop, and the figures are exact again."""
    with mimalloc(glibc) as target:
        target.ask("threads 4")
        target.ask("fill mixed 10000000 30 2 1")
        before, own_before = walked(tree, target), target.ask("truth")
        target.ask("churn 2")
        for _ in range(12):
            heap = walked(tree, target)
            check_sums(heap)
            assert 0.3 < heap["live_heap"] / before["live_heap"] < 2
        target.answer()
        check_blocks(walked(tree, target), before, target, own_before)
        assert target.ask("verify") == {"broken": 0}


@pytest.mark.parametrize("heap", ["mixed", "untouched", "huge"])
@pytest.mark.parametrize("glibc", ["2.36", "2.41"])
def test_a_walk_leaves_no_trace(tree, mimalloc, glibc, heap):
    with mimalloc(glibc) as target:
        for command in HEAPS[heap]:
            target.ask(command)
        before = memory_use(target.pid)
        for _ in range(3):
            walked(tree, target)
        assert memory_use(target.pid) == before


def test_swapped_pages_stay_swapped(tree, mimalloc, tmp_path):
    with swap_space(tmp_path), mimalloc() as target:
        target.ask("fill mixed 30000000 30 2 1")
        target.ask("pageout")
        before = memory_use(target.pid)
        assert before["Swap"] > 3000, "nothing was swapped out"
        heap = walked(tree, target)
        assert memory_use(target.pid) == before
        assert heap["swapped"] > 3000 << 10


def pinned_by_site(report):
    return [site["pinned"] or 0 for site in report["allocs"]["sites"]]


def test_attached_to_python(tree):
    """What mi_collect returned is what was predicted, and effective; the pins are those of the walk."""
    root_only()
    # Else Python's own frees may return some of it before the call, as its delay ends.
    still = {"MIMALLOC_ALLOW_DECOMMIT": "0"}
    with PythonTarget(preload=library("libmimalloc.so.2.0"), **still) as target, \
            attached(tree, target.pid, "--max-overhead", "none") as tracer:
        target.do("data = [b'x' * 20000 for i in range(6000)]; import ctypes; mi = ctypes.CDLL(None)")
        target.do("data = None")
        seen = settled(tracer, target)
        heap = allocator(seen, "mimalloc")
        assert heap["purgeable"] > 20 * MIB
        target.do("mi.mi_collect(True)")
        settled(tracer, target)
        target.do("data = [bytes(3000) for i in range(20000)]")
        target.do("data = data[::40]")
        # One block in forty is left, on pages of 64 KiB with some 20 blocks each.
        tracer.until(lambda report: sum(pinned_by_site(report)) > 10 * MIB)
        final = tracer.stop()
        purge = purges(final, "mi_collect")[0]
        assert purge["effective"] and not purge["misdirected"] and purge["allocator"] == "mimalloc"
        # The interpreter goes on between the walk and the call.
        assert abs(purge["returned"] - purge["predicted"]) < MIB, purge
        survey = final["allocs"]["survey"]
        assert sum(pinned_by_site(final)) + survey["rest"]["pinned"] == survey["pinned"]


@pytest.mark.parametrize("glibc", ["2.41", "newest"])
def test_freeing_the_named_site_returns_what_was_named(tree, mimalloc, glibc):
    """One block in fifteen keeps its page of 64 KiB, of which nothing but the whole goes back."""
    root_only()
    with mimalloc(glibc, {}, "pinner") as target, \
            attached(tree, target.pid, "--max-overhead", "none") as tracer:
        target.ask("class")
        target.ask("trim")
        report = tracer.stop()
        named = [site for site in report["allocs"]["sites"] if any(":pin_here " in frame for frame in site["stack"])]
        pinned, alone = (sum(site[field] for site in named) for field in ("pinned", "alone"))
        assert sum(site["live_blocks"] for site in named) == 534
        assert pinned > 0.99 * allocator(report, "mimalloc")["pinned_by"]["partial"] > 30 * MIB
        before = target.ask("free")["rss"]
        returned = before - target.ask("trim")["rss"]
        assert abs(returned - alone) < alone / 40, (returned, alone)
