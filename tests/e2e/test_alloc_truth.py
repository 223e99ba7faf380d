"""Counts, bytes and live blocks against what the target itself has counted."""
import contextlib
import json
import os
import signal
import subprocess

import pytest

from attach_harness import MIB, PythonTarget, Tracer, attach, attached, library, settled
from heap_targets import Target, root_only, tree  # noqa: F401

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.fixture
def as_root():
    root_only()


def worker(program, preload=None):
    env = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    if preload:
        env.update(LD_PRELOAD=preload, **({"NO_PVALLOC": "1"} if "jemalloc" in preload else {}))
    return Target([program], env=env)


def check(final, said, before=None):
    """The figures that events give, to the last byte; `before`: what had been counted at the attach."""
    allocs, before = final["allocs"], before or dict.fromkeys(said, 0)
    assert final["lost"] == {}
    assert allocs["allocs"] == said["allocs"] - before["allocs"]
    assert allocs["allocated"] == said["allocated"] - before["allocated"]
    assert allocs["failed"] == said["failed"] - before["failed"]
    assert allocs["frees"] == said["frees"] - before["frees"]
    assert allocs["ghosts"]["count"] == 0
    assert allocs["untracked"]["count"] == 0
    assert allocs["estimated"] is (allocs["sample_bytes"] is not None)
    return allocs


def check_sites(allocs, has_header=True):
    """Sums over sites are the totals; of what was freed where, near them if only some frees' stacks are taken."""
    for field in ("live", "live_blocks", "allocs", "allocated"):
        assert sum(site[field] for site in allocs["sites"]) == allocs[field], field
    mean = allocs["free_sample_bytes"]
    for total, field, scatter in (("freed", "freed_here", (mean or 0) * allocs["freed"]),
                                  ("frees", "frees_here", (mean or 0) / 16 * allocs["frees"])):
        # Six standard deviations, of blocks of 16 bytes and more; without a word before the block that
        # tells its size many are sampled by number, and sizes scatter.
        near = 6 * scatter ** 0.5 + (0.2 * allocs[total] if mean and not has_header else 0)
        assert abs(sum(site[field] for site in allocs["sites"]) - allocs[total]) <= near, field


def run_rounds(tree, target, *options, known_sizes=True):
    """Two rounds under an attach from the first instruction of the first; exact after each."""
    with attach(tree, target.pid, "--max-overhead", "none", *options) as tracer:
        tracer.ready()
        target.ask("go")
        said = target.ask("go")
        final = tracer.stop()
    allocs = check(final, said)
    assert allocs["live"] == said["allocated"] - said["freed"]
    assert allocs["live_blocks"] == said["allocs"] - said["frees"]
    assert allocs["freed"] == said["freed"]
    assert allocs["freed_before"] == {"count": 0, "bytes": 0}
    check_sites(allocs, any(a["serving"] and a["name"] == "glibc" for a in final["allocators"]))
    return allocs


@pytest.mark.parametrize("stacks", ["all", "none"])
def test_every_entry_point_from_eight_threads(tree, stacks):
    with worker(tree.workload("alloc_truth")) as target:
        allocs = run_rounds(tree, target, "--stack", stacks)
        assert (len(allocs["sites"]) == 1) == (stacks == "none")


@pytest.mark.parametrize("names", [("libmimalloc.so.2", "libmimalloc.so.3"), ("libjemalloc.so.2",),
                                   ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4")])
def test_the_same_under_another_allocator(tree, names):
    with worker(tree.workload("alloc_truth"), preload=library(*names)) as target:
        allocs = run_rounds(tree, target)
        # How a size is rounded is known of glibc and mimalloc.
        assert (allocs["live_rounded"] is None) == (allocs["unattributed"] is None) == ("mimalloc" not in names[0])
        assert allocs["live_rounded"] is None or allocs["live_rounded"] >= allocs["live"]


def test_the_same_beside_tracers_of_another_process(tree):
    """The kernel keeps what all of them, in the order of their attaching, have to remember of a call together."""
    with worker(tree.workload("alloc_truth")) as target, worker(tree.workload("alloc_truth")) as other:
        with contextlib.ExitStack() as tracers:
            for pid in (other.pid, target.pid, other.pid, other.pid, other.pid):
                tracer = tracers.enter_context(attach(tree, pid, "--max-overhead", "none")).ready()
                if pid == target.pid:
                    ours = tracer
            said = target.ask("go")
            check(ours.stop(), said)


def test_the_same_among_many(tree):
    """Each process that is traced waits at a call's return with all others: more than a few."""
    with contextlib.ExitStack() as workers:
        targets = [workers.enter_context(worker(tree.workload("alloc_truth"))) for _ in range(12)]
        pids = [target.pid for target in targets]
        with attach(tree, ",".join(map(str, pids)), "--stack", "none", "--max-overhead", "none") as tracer:
            missing = set(pids)
            while missing:
                missing.discard(tracer.until(lambda report: report["state_age"] is not None)["pid"])
            said = {target.pid: target.ask("go") for target in targets}
            tracer.process.send_signal(signal.SIGINT)
            while tracer.next():
                pass
            assert tracer.wait() == 0
        finals = {report["pid"]: report for report in tracer.objects if report["final"]}
        for pid in pids:
            check(finals[pid], said[pid])


def test_the_same_in_a_static_program(tree):
    with worker(tree.variant("alloc_truth", "static")) as target:
        run_rounds(tree, target)


@pytest.mark.parametrize("variant", ["2.31", "2.36", "2.41", "newest", "static"])
def test_what_ending_threads_had_freed_is_not_freed_again(tree, variant):
    """What was in the C library's hands before the attach are the threads' vectors, one a thread."""
    with worker(tree.variant("thread_ends", variant)) as target:
        with attach(tree, target.pid, "--max-overhead", "none") as tracer:
            tracer.ready()
            blocks = target.ask("")["blocks"] + target.ask("")["blocks"]
            final = tracer.stop()
    allocs = final["allocs"]
    assert final["lost"] == {}
    assert allocs["freed_before"] == {"count": 0, "bytes": 0}
    assert blocks <= allocs["frees"] <= allocs["allocs"] <= blocks + 2 * 8


def test_blocks_from_before_the_attach_are_told_by_their_headers(tree):
    with worker(tree.workload("alloc_truth")) as target:
        before = target.ask("go")
        with attach(tree, target.pid, "--max-overhead", "none") as tracer:
            tracer.ready()
            said = target.ask("go")
            final = tracer.stop()
        allocs = check(final, said, before)
        known = said["freed"] - before["freed"]
        assert allocs["freed_before"]["count"] > 0
        # As the headers say: what was asked for, rounded up; of mmapped blocks up to a page more.
        assert known <= allocs["freed"] <= known * 1.05
        check_sites(allocs)


def test_live_heap_is_accounted_for(tree):
    """What the walk finds live and no event explains is the C library's own."""
    with worker(tree.workload("alloc_truth")) as target, attached(tree, target.pid, "--max-overhead", "none") as tracer:
        target.ask("go")
        final = tracer.stop()
        assert 0 <= final["allocs"]["unattributed"] < 2 * MIB
        assert final["allocs"]["live_rounded"] <= final["live_heap"]


def test_an_exec_begins_anew(tree):
    with worker(tree.workload("alloc_truth")) as target, attach(tree, target.pid, "--max-overhead", "none") as tracer:
        tracer.ready()
        first = target.ask("go")
        target.process.stdin.write("exec\n")
        target.answer()
        tracer.until(lambda report: report["allocs"]["live_blocks"] < 100)
        second = target.ask("go")
        final = tracer.stop()
        allocs = final["allocs"]
        assert final["lost"] == {}
        assert allocs["failed"] == first["failed"] + second["failed"]
        # Beside its own there are the new program's start and its threads.
        assert 0 <= allocs["allocs"] - first["allocs"] - second["allocs"] < 100
        assert 0 <= allocs["live_blocks"] - (second["allocs"] - second["frees"]) < 100


def test_run_sees_a_command_from_its_start(tree):
    command = [tree.workload("alloc_truth")]
    env = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    with Tracer(tree, "run", "--no-follow", "--json", "--interval", "1", "--", "sh", "-c", f"printf 'go\\nquit\\n' | {command[0]} >&2",
                env=env) as tracer:
        final = tracer.finish()
    assert final["allocs"]["failed"] == 0  # sh's own child is not followed
    assert final["lost"] == {}


def test_options_that_choose(tree):
    with worker(tree.workload("alloc_truth")) as target:
        with attach(tree, target.pid, "--max-overhead", "none", "-z", "100", "-Z", "1000", "-T", "3") as tracer:
            tracer.ready()
            said = target.ask("go")
            allocs = tracer.stop()["allocs"]
        assert 0 < allocs["allocs"] < said["allocs"]
        assert 100 <= allocs["allocated"] / allocs["allocs"] <= 1000
        assert len(allocs["sites"]) <= 3


def test_a_full_table_is_said_and_does_no_harm(tree):
    with PythonTarget(PYTHONMALLOC="malloc") as target:
        with attach(tree, target.pid, "--max-overhead", "none", "--max-memory", "1K") as tracer:
            tracer.ready()
            target.do("keep = [bytes(100) for _ in range(50000)]\nresult = 0")
            tracer.until(lambda report: report["allocs"]["untracked"]["count"] > 20000)
            target.do("del keep\nresult = 0")
            allocs = tracer.stop()["allocs"]
        assert allocs["allocs"] >= 50000
        # What is not in the table counts by its header when it is freed.
        assert allocs["freed"] >= 50000 * 100


def test_without_allocation_probes(tree):
    with worker(tree.workload("alloc_truth")) as target, attached(tree, target.pid, "--no-alloc") as tracer:
        target.ask("go")
        final = tracer.stop()
        assert final["allocs"] is None


@pytest.mark.parametrize("weight,field", [("live", "live"), ("allocated", "allocated"), ("freed", "freed_here"),
                                          ("count", "allocs"), ("peak", "peak"), ("temporary", "temporary"),
                                          ("pinned", "pinned")])
def test_folded_stacks_add_up(tree, tmp_path, weight, field):
    out = tmp_path / "stacks"
    with worker(tree.workload("alloc_truth")) as target:
        with attach(tree, target.pid, "--max-overhead", "none", "--folded", out, "--weight", weight) as tracer:
            tracer.ready()
            target.ask("go")
            allocs = tracer.stop()["allocs"]
    total = 0
    for line in out.read_text().splitlines():
        stack, number = line.rsplit(" ", 1)
        if not stack.startswith("[from before"):
            total += int(number)
    assert total == sum(site[field] or 0 for site in allocs["sites"])
    assert weight != "live" or "malloc" not in out.read_text().splitlines()[0].split(";")[0]


def test_a_folded_file_that_cannot_be_written_is_said_at_once(tree):
    with worker(tree.workload("alloc_truth")) as target:
        done = subprocess.run([tree.alloctrace, "attach", str(target.pid), "--folded", "/nowhere/stacks"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "cannot write /nowhere/stacks: No such file or directory" in done.stderr
        assert done.stdout == ""


def test_windows_say_who_freed(tree):
    with PythonTarget() as target, attached(tree, target.pid, "--retained-min", "8M", "--window-min", "0.1",
                                             "--max-overhead", "none") as tracer:
        target.do("keep = [bytes(4000) for _ in range(20000)]\nresult = 0")
        settled(tracer, target)
        target.do("keep = keep[::50]\nresult = 0")
        settled(tracer, target)
        final = tracer.stop()
        freed = final["windows"][-1]["freed"]
        assert freed and freed[0]["bytes"] > 60 * MIB
        assert sum(row["bytes"] for row in freed) <= final["allocs"]["freed"]


def test_old_blocks(tree):
    with PythonTarget(PYTHONMALLOC="malloc") as target, attached(tree, target.pid, "--older", "3600",
                                                                  "--max-overhead", "none") as tracer:
        target.do("keep = [bytes(1000) for _ in range(1000)]\nresult = 0")
        settled(tracer, target)
        final = tracer.stop()
        assert final["allocs"]["live"] > MIB // 2
        assert sum(site["old"] for site in final["allocs"]["sites"] if site["old"]) == 0


@pytest.mark.parametrize("preload", [None, "libjemalloc.so.2"])
def test_sampled_stacks_stand_for_all(tree, preload):
    """Totals stay exact; the sites' figures are estimates that add up to them."""
    with worker(tree.workload("alloc_truth"), preload=library(preload) if preload else None) as target:
        with attach(tree, target.pid, "--max-overhead", "none", "--stack", "sampled:4K") as tracer:
            tracer.ready()
            for _ in range(4):
                said = target.ask("go")
            final = tracer.stop()
    allocs = check(final, said)
    assert allocs["sample_bytes"] == 4096
    # Without a word before the block that tells its size, frees are sampled by number: sizes scatter.
    for total, field, near in (("allocated", "allocated", 0.03), ("freed", "freed", 0.03), ("live", "live", 0.15),
                               ("freed", "freed_here", 0.2 if preload else 0.1)):
        assert sum(site[field] for site in allocs["sites"]) == pytest.approx(allocs[total], rel=near), field
    assert sum(site["allocs"] for site in allocs["sites"]) == pytest.approx(allocs["allocs"], rel=0.3)
    assert all(site["alone"] is None for site in allocs["sites"])
