"""`alloctrace heap` on a target that never stands still, and what it leaves behind: nothing."""
import os

import pytest

from heap_targets import Target, memory_use, swap_space

WALKS = int(os.environ.get("ALLOCTRACE_WALKS", "1000"))


def churn(tree):
    """Flat out, but polite: on a small machine the walks would wait for a core most of the time."""
    return Target(["nice", "-n", "19", tree.workload("heap_churn"), 4, 50])


def live_bytes(glibc):
    return sum(a["live_heap"] for a in glibc["arenas"])


def test_thousand_walks_of_a_running_target(tree):
    """Four threads replace blocks flat out; their live total is known and stays put."""
    with churn(tree) as target:
        off, retries, given_up = [], 0, 0
        for _ in range(WALKS):
            glibc = tree.glibc(target.pid)
            if not glibc["walk"]["complete"]:
                given_up += 1
                continue
            retries += glibc["walk"]["retries"]
            off.append(abs(live_bytes(glibc) / target.hello["bytes"] - 1))
        print(f"{WALKS} walks: off by {max(off):.3%} at most, {retries} retries, {given_up} incomplete")
        assert max(off) < 0.01
        assert given_up <= WALKS // 100
        assert retries > 0
        target.process.stdin.close()
        end = target.answer()
        assert end["broken"] == 0 and end["replaced"] > 0
        assert target.process.wait() == 0


def test_stopped_walks_need_no_retries(tree):
    with churn(tree) as target:
        for _ in range(WALKS // 20):
            glibc = tree.glibc(target.pid, "--stop")
            assert glibc["walk"]["complete"]
            assert glibc["walk"]["retries"] == 0
            assert all(a["walked"] == a["held"] for a in glibc["arenas"])
            assert abs(live_bytes(glibc) / target.hello["bytes"] - 1) < 0.01
        target.process.stdin.close()
        assert target.answer()["broken"] == 0
        assert target.process.wait() == 0


@pytest.mark.parametrize("commands", [
    ["fill mixed 20000000 50 3 1"],
    ["fill big 20000000 40 2 2", "discard"],
    ["fill untouched 60000000 30 2 3"],
    ["fill kb 20000000 90 64 4", "trim"],
    ["threads 4", "fill mixed 20000000 60 4 5", "trim"],
], ids=["mixed", "discarded", "untouched", "trimmed", "trimmed-arenas"])
@pytest.mark.parametrize("options", [[], ["--stop"]], ids=["", "stop"])
def test_a_walk_leaves_no_trace(tree, commands, options):
    """RSS, swap and page tables: an absent page that was read would map the zero page."""
    with Target([tree.workload("heap_truth")]) as target:
        for command in commands:
            target.ask(command)
        before = memory_use(target.pid)
        for _ in range(3):
            tree.heap(target.pid, *options)
        assert memory_use(target.pid) == before
        assert target.ask("verify") == {"broken": 0}


def test_swapped_pages_stay_swapped(tree, tmp_path):
    with swap_space(tmp_path), Target([tree.workload("heap_truth")]) as target:
        target.ask("fill mixed 30000000 30 2 1")
        truth = target.ask("truth")
        target.ask("pageout")
        before = memory_use(target.pid)
        assert before["Swap"] > 5000, "nothing was swapped out"
        glibc = tree.glibc(target.pid)
        assert memory_use(target.pid) == before
        assert sum(a["swapped"] for a in glibc["arenas"]) > 5000 << 10
        assert glibc["walk"]["estimate"] is True
        assert sum(a["held"] for a in glibc["arenas"]) == truth["arena"]
        assert target.ask("verify") == {"broken": 0}
