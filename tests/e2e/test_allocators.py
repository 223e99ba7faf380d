"""Every name and every purge of every allocator, preloaded, linked into the program, under a prefix:
against what the program itself has called (tests/workload/names_truth.c)."""
import os

import pytest

from attach_harness import MIB, attach, library
from heap_targets import Target, root_only, tree  # noqa: F401

PRELOADS = {"jemalloc": ("libjemalloc.so.2",), "gperftools": ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4"),
            "mimalloc": ("libmimalloc.so.2", "libmimalloc.so.3"), "glibc": None}


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def environment(preload=None):
    env = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    return {**env, **({"LD_PRELOAD": library(*preload)} if preload else {})}


def check_names(tree, target, *options):
    """Two rounds under an attach: each call of each name is one event."""
    with attach(tree, target.pid, "--max-overhead", "none", *options) as tracer:
        tracer.ready()
        target.ask("go")
        said = target.ask("go")
        final = tracer.stop()
    allocs = final["allocs"]
    assert final["lost"] == {}
    assert {name: allocs[name] - said[name] for name in ("allocs", "frees", "allocated", "freed")} == {
        "allocs": 0, "frees": 0, "allocated": 0, "freed": 0}
    assert allocs["live"] == allocs["live_blocks"] == 0
    assert allocs["freed_before"] == {"count": 0, "bytes": 0}
    return final


def check_purges(tree, target, allocator, *options):
    """Each is seen once, by its name, with what it gave back; nothing else is."""
    with attach(tree, target.pid, "--no-alloc", *options) as tracer:
        tracer.ready()
        said = target.ask("purge")["purges"]
        final = tracer.stop()
    assert said and final["lost"] == {}
    assert [(p["function"], p["argument"]) for p in final["purges"]] == [
        (p["function"], p["argument"]) for p in said]
    for purge, truth in zip(final["purges"], said):
        assert purge["allocator"] == allocator and purge["misdirected"] is False
        assert abs(purge["returned"] - max(truth["drop"], 0)) <= MIB // 4, (purge, truth)
        assert purge["effective"] is (purge["returned"] >= MIB)
    assert any(purge["returned"] >= MIB for purge in final["purges"]) or allocator == "glibc"
    return final


@pytest.mark.parametrize("allocator", PRELOADS)
def test_every_name_of_a_preloaded_allocator(tree, allocator):
    with Target([tree.workload("names_truth")], env=environment(PRELOADS[allocator])) as target:
        check_names(tree, target)


@pytest.mark.parametrize("allocator", PRELOADS)
def test_every_purge_of_a_preloaded_allocator(tree, allocator):
    with Target([tree.workload("names_truth")], env=environment(PRELOADS[allocator])) as target:
        check_purges(tree, target, allocator)


@pytest.mark.parametrize("allocator,env", [
    ("jemalloc", {"MALLOC_CONF": "dirty_decay_ms:500"}),
    ("jemalloc", {"MALLOC_CONF": "dirty_decay_ms:500,background_thread:true"}),
    ("gperftools", {"TCMALLOC_RELEASE_RATE": "10"}),
    ("mimalloc", {"MIMALLOC_DECOMMIT_DELAY": "0", "MIMALLOC_SEGMENT_DECOMMIT_DELAY": "0", "MIMALLOC_PURGE_DELAY": "0"}),
    ("glibc", {})], ids=lambda value: value if isinstance(value, str) else "-".join(value.values()))
def test_what_allocators_return_by_themselves(tree, allocator, env):
    """Decay, release at a free, a background thread, trim at a free: charged to who did it, and as good as a purge."""
    with Target([tree.workload("names_truth")], env={**environment(PRELOADS[allocator]), **env}) as target:
        with attach(tree, target.pid, "--no-alloc") as tracer:
            tracer.ready()
            drop = target.ask("idle")["drop"]
            final = tracer.stop()
    own, = final["returned"]["by_allocator"]
    assert drop > 24 * MIB
    assert final["purges"] == [] and final["returned"]["purge"] == 0
    assert own["allocator"] == allocator and own["purges"] >= 1
    returned = final["returned"]
    assert drop - MIB <= own["bytes"] <= returned["trim"] + returned["munmap"] + returned["madvise"]
