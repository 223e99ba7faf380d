"""`alloctrace heap` against glibc's own books, to the byte: mallinfo2, the target's own list
of its blocks, and what malloc_trim(0) then takes off RSS. Quiet targets, every layout."""
import os
import subprocess

import pytest

from heap_targets import VARIANTS, Target, memory_use

# What a target does to its heap before it is asked. The letters: PATTERN BYTES FREE% CLUMP SEED.
HEAPS = {
    "started": [],
    "mixed": ["fill mixed 20000000 50 3 1"],
    "small-tcache": ["fill small 4000000 40 1 2"],
    "fastbins": ["fill fast 8000000 70 1 3"],
    "fastbin-runs": ["fill fast 8000000 70 500 3"],
    "kb": ["fill kb 20000000 60 8 4"],
    "big": ["fill big 40000000 50 1 5"],
    "mmapped": ["fill mmapped 60000000 40 1 6", "fill mixed 5000000 50 2 7"],
    "grown-mmapped": ["fill grown-mmapped 40000000 40 1 29"],
    "aligned-mmapped": ["fill aligned-mmapped 40000000 40 1 30"],
    "untouched": ["fill untouched 30000000 30 2 8"],
    "grown": ["fill grown 20000000 50 2 9"],
    "aligned": ["fill aligned 20000000 50 1 10"],
    "all-freed": ["fill mixed 20000000 100 1 11"],
    "refilled": ["fill mixed 20000000 70 4 12", "trim", "fill small 4000000 50 2 13", "fill fast 2000000 60 1 14"],
    "discarded": ["fill big 20000000 40 2 15", "discard"],
    "8-threads": ["threads 8", "fill mixed 8000000 60 4 16"],
    "8-threads-fastbins": ["threads 8", "fill fast 2000000 60 1 17"],
    "8-threads-freed": ["threads 8", "fill kb 8000000 100 1 18"],
    "every-bin": ["fill all-sizes 300000000 40 1 32", "fill small 8000000 40 1 33",
                  "fill mmapped 9000000 0 1 34"],
    "top-of-pages": ["fill big 20000000 100 1 31", "top 0"],
    "top-of-pages-and-16": ["fill big 20000000 100 1 31", "top 16"],
    "top-of-pages-and-32": ["fill big 20000000 100 1 31", "top 32"],
    "top-of-pages-and-48": ["fill big 20000000 100 1 31", "top 48"],
    "heaps-of-an-arena": ["threads 1", "fill mixed 150000000 60 4 19"],
    "heaps-emptied": ["threads 2", "fill big 150000000 0 1 20", "drop 95 16 21"],
    "foreign-sbrk": ["fill mixed 5000000 50 2 22", "foreign 300000", "fill mixed 5000000 50 2 23",
                     "foreign 5008", "fill kb 5000000 50 2 24"],
    "foreign-sbrk-last": ["fill mixed 20000000 100 1 28", "foreign 300000"],
    "blocked-break": ["fill mixed 5000000 50 2 25", "block", "fill mixed 10000000 50 2 26", "fill kb 10000000 70 8 27"],
}


def check_books(glibc, truth):
    """The walk's totals are mallinfo2's, which counts thread caches and headers as used."""
    arenas = glibc["arenas"]
    free = {kind: sum(a["free"][kind]["bytes"] for a in arenas) for kind in ("bins", "fastbins", "tcache", "top")}
    binned = free["bins"] + free["fastbins"] + free["top"]
    said = {
        "arena": sum(a["held"] for a in arenas),
        "fordblks": binned,
        "uordblks": sum(a["held"] for a in arenas) - binned,
        "fsmblks": free["fastbins"],
        "keepcost": next(a for a in arenas if a["main"])["free"]["top"]["bytes"],
        "hblks": glibc["mmapped"]["blocks"],
        "hblkhd": glibc["mmapped"]["bytes"],
    }
    assert said == {field: truth[field] for field in said}


def check_sums(glibc):
    """Every figure is the sum of the ones it is said to be made of."""
    for a in glibc["arenas"]:
        assert a["inconsistent"] is None, a
        assert a["walked"] == a["held"], a
        free = sum(kind["bytes"] for kind in a["free"].values())
        assert a["held"] == a["live_heap"] + free + a["overhead"], a
        assert a["pinned"] == sum(a["pinned_by"].values()), a
        assert a["retained"] == a["purgeable"] + a["pinned"], a
        assert a["retained"] <= a["resident"] <= a["held"], a
        assert a["largest_free"] <= free, a
    for field in ("live_heap", "held", "resident"):
        mmapped = glibc["mmapped"]["resident" if field == "resident" else "bytes"]
        assert glibc[field] == sum(a[field] for a in glibc["arenas"]) + mmapped, field
    for field in ("purgeable", "pinned"):
        assert glibc[field] >= sum(a[field] for a in glibc["arenas"]), field


def live_blocks(glibc):
    return sum(a["live_blocks"] for a in glibc["arenas"])


def live_bytes(glibc):
    return sum(a["live_heap"] for a in glibc["arenas"])


def prove(tree, target, commands):
    # What the C library holds itself is there before the first fill, thread starts included.
    setup = [c for c in commands if c.startswith("threads")]
    for command in setup:
        target.ask(command)
    before, own_before = tree.glibc(target.pid), target.ask("truth")
    for command in commands[len(setup):]:
        target.ask(command)

    glibc = tree.glibc(target.pid)
    truth = target.ask("truth")
    assert glibc["serving"] is True
    check_books(glibc, truth)
    check_sums(glibc)
    assert live_blocks(glibc) - live_blocks(before) == truth["own_blocks"] - own_before["own_blocks"]
    assert live_bytes(glibc) - live_bytes(before) == truth["own_bytes"] - own_before["own_bytes"]

    trimmed = target.ask("trim")
    assert glibc["purgeable"] == trimmed["returned"], trimmed
    after = tree.glibc(target.pid)
    check_books(after, target.ask("truth"))
    check_sums(after)
    assert after["purgeable"] == 0
    assert target.ask("verify") == {"broken": 0}


@pytest.mark.parametrize("heap", HEAPS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_truth(tree, variant, heap):
    with Target([tree.variant("heap_truth", variant)]) as target:
        prove(tree, target, HEAPS[heap])


# What an administrator may have set, and the heaps that it shows in.
LARGE_TOP = "glibc.malloc.trim_threshold=1000000000"
TUNABLES = {
    "huge-pages": ("glibc.malloc.hugetlb=1", ["mixed", "kb", "8-threads", "heaps-of-an-arena"]),
    "large-top": (LARGE_TOP, ["all-freed", "8-threads-freed", "refilled", "foreign-sbrk-last", "blocked-break",
                                "top-of-pages", "top-of-pages-and-16", "top-of-pages-and-32",
                                "top-of-pages-and-48"]),
    "huge-pages-large-top": ("glibc.malloc.hugetlb=1:" + LARGE_TOP, ["all-freed", "8-threads-freed", "kb"]),
    "no-tcache": ("glibc.malloc.tcache_count=0", ["small-tcache", "8-threads"]),
    "long-tcache": ("glibc.malloc.tcache_count=100", ["small-tcache", "8-threads"]),
    "large-tcache": ("glibc.malloc.tcache_max=4194304", ["mixed", "big"]),
    "one-arena": ("glibc.malloc.arena_max=1", ["8-threads"]),
    "explicit-huge-pages": ("glibc.malloc.hugetlb=2", ["mixed", "8-threads", "heaps-of-an-arena"]),
    "every-bin": ("glibc.malloc.mmap_threshold=30000000:" + LARGE_TOP, ["every-bin"]),
    "top-pad": ("glibc.malloc.top_pad=3000000", ["all-freed", "8-threads"]),
    "all-mmapped": ("glibc.malloc.mmap_threshold=5000", ["mixed", "8-threads", "aligned"]),
    "no-fastbins": ("glibc.malloc.mxfast=0", ["fastbins"]),
}


@pytest.mark.parametrize("tunables, heap", [(t, h) for t, (_, heaps) in TUNABLES.items() for h in heaps])
@pytest.mark.parametrize("variant", ["2.31", "2.36", "2.41", "newest", "static"])
def test_truth_with_tunables(tree, variant, tunables, heap):
    env = {**os.environ, "GLIBC_TUNABLES": TUNABLES[tunables][0]}
    with Target([tree.variant("heap_truth", variant)], env=env) as target:
        prove(tree, target, HEAPS[heap])


@pytest.mark.parametrize("heap", ["mixed", "8-threads", "fastbins"])
def test_truth_while_stopped(tree, heap):
    with Target([tree.variant("heap_truth", "2.36")]) as target:
        for command in HEAPS[heap]:
            target.ask(command)
        glibc = tree.glibc(target.pid, "--stop")
        check_books(glibc, target.ask("truth"))
        check_sums(glibc)
        assert glibc["purgeable"] == target.ask("trim")["returned"]


def test_version_is_named(tree):
    for variant in ("2.31", "2.36", "2.41"):
        with Target([tree.variant("heap_truth", variant)]) as target:
            target.ask("fill mixed 2000000 50 1 1")
            glibc = tree.glibc(target.pid)
            assert glibc["version"] == variant
            assert glibc["serving"] is True


def test_shared_pages_of_a_fork(tree):
    """A child shares every page until one of the two writes: said apart, and purged all the same."""
    with Target([tree.variant("heap_truth", "2.36")]) as target:
        target.ask("fill mixed 20000000 60 8 1")
        assert sum(a["shared"] for a in tree.glibc(target.pid)["arenas"]) == 0
        child = target.ask("fork")["child"]
        glibc = tree.glibc(target.pid)
        main = glibc["arenas"][0]
        assert main["shared"] > 0.9 * main["resident"]
        assert tree.glibc(child)["live_heap"] == glibc["live_heap"]
        assert glibc["purgeable"] == target.ask("trim")["returned"]


PYTHON = """
import ctypes, os, random, sys
megabytes, keep = int(sys.argv[1]), float(sys.argv[2])
libc = ctypes.CDLL(None)
random.seed(1)
libc.malloc_trim(0)
held, size = [], 0
while size < megabytes << 20:
    held.append(b"x" * random.choice((600, 1500, 5000, 40000)))
    size += len(held[-1])
held = [b for b in held if random.random() < keep]
os.write(1, b"%d\\n" % os.getpid())
os.read(0, 1)
libc.malloc_trim(0)
os.write(1, b"trimmed\\n")
os.read(0, 1)
"""


def python_trims(tree, megabytes, keep):
    """Predicted and real drop of a Python process that frees most of what it allocated."""
    python = subprocess.Popen(["/usr/bin/python3", "-c", PYTHON, str(megabytes), str(keep)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        pid = int(python.stdout.readline())
        predicted = tree.glibc(pid)["purgeable"]
        before = memory_use(pid)["Rss"]
        python.stdin.write(b"x")
        python.stdin.flush()
        assert python.stdout.readline() == b"trimmed\n"
        return predicted, (before - memory_use(pid)["Rss"]) * 1024
    finally:
        python.kill()
        python.wait()


@pytest.mark.parametrize("megabytes, keep", [(200, 0.1), (200, 0.5), (1000, 0.2)])
def test_python(tree, megabytes, keep):
    predicted, real = python_trims(tree, megabytes, keep)
    assert predicted > megabytes << 17
    assert predicted == real
