"""What the default attach takes of a process's CPU time, as the process itself can tell. Bounds are twice as wide
as the budget: other tests run beside these; what it really is: make bench."""
import signal
import time

import pytest

from attach_harness import Tracer, keeper_of, probes_left
from heap_targets import Target, root_only
from known_sites import Load, KnownSites
from work_windows import alternating, flat_out, jumping, slowest

LEAST = 0.8  # of the pace without probes; the budget leaves 0.9


@pytest.fixture(autouse=True)
def as_root():
    root_only()


@pytest.fixture
def target(tree):
    with Target([tree.workload("pair_loop")]) as target:
        flat_out(target, 0.4)
        yield target


def attach(tree, *words):
    return Tracer(tree, "attach", "--json", *words, "1")


def check_within(base, rounds, final):
    """base: rounds of the same kind before and after; the machine's own slow moments are in both."""
    assert slowest(rounds) >= LEAST * slowest(base)
    allocs = final["allocs"]
    assert final["lost"] == {}
    assert allocs["estimated"] is True and 0 < allocs["duty"] < 0.5
    assert allocs["allocs"] > 10 ** 6  # all of them, although a fraction was seen


def test_one_second_idle_one_flat_out(tree, target):
    base = alternating(target, 4)
    with attach(tree, target.pid) as tracer:
        tracer.ready()
        rounds = alternating(target, 10)
        final = tracer.stop()
    assert probes_left(target.pid) == []
    base += alternating(target, 2)
    check_within(base, rounds, final)


def test_a_thousand_times_the_rate_from_one_moment_to_the_next(tree, target):
    base = flat_out(target, 3)
    with attach(tree, target.pid) as tracer:
        tracer.ready()
        rounds = jumping(target, 4, 6)
        final = tracer.stop()
    base += flat_out(target, 2)
    check_within(base, rounds, final)


def test_one_that_uses_next_to_nothing_is_seen_whole(tree):
    """Probes take more than the budget of its CPU time, which is little of a core."""
    gentle = KnownSites(tree, Load("steady", rate=400, work_ns=1000))
    with gentle, attach(tree, gentle.pid, "--max-overhead", "1") as tracer:
        tracer.ready()
        gentle.ask("begin")
        for _ in range(8):
            tracer.next()
        gentle.ask("pause")
        true = gentle.truth()
        final = tracer.stop()["allocs"]
    assert final["probe_cpu_share"] > final["max_overhead"] / 100
    assert not final["estimated"] and final["duty"] == 1
    assert final["allocs"] == true[None]["allocs"] > 1000


def cpu_seconds(pid):
    """Of all its threads, those that have ended too."""
    return time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of a process: clock_getcpuclockid(3)


def test_switching_is_within_our_own_budget(tree):
    """A process that sleeps most of the time pays next to nothing for a switch: we do."""
    asleep = KnownSites(tree, Load("steady", rate=10000, work_ns=2000))
    with asleep, attach(tree, asleep.pid, "--max-overhead", "2") as tracer:
        asleep.ask("begin")
        tracer.ready().until(lambda report: report["allocs"] and report["allocs"]["estimated"])
        keeper = keeper_of(tracer)
        begin = [time.monotonic(), cpu_seconds(asleep.pid), cpu_seconds(keeper)]
        for _ in range(10):
            tracer.next()
        wall, theirs, ours = (now - then for now, then in
                              zip([time.monotonic(), cpu_seconds(asleep.pid), cpu_seconds(keeper)], begin))
        final = tracer.stop()["allocs"]
    assert 0 < final["duty"] < 0.9
    assert ours < 2 * max(0.02 * theirs, 0.005 * wall)


def test_each_process_has_a_budget_of_its_own(tree, target):
    """One flat out does not take the probes from one that is not."""
    gentle = KnownSites(tree, Load("steady", rate=1000, work_ns=100000))
    with gentle, attach(tree, f"{target.pid},{gentle.pid}") as tracer:
        missing = {target.pid, gentle.pid}
        while missing:
            missing.discard(tracer.until(lambda report: report["state_age"] is not None)["pid"])
        gentle.ask("begin")
        flat_out(target, 3)
        gentle.ask("pause")
        true = gentle.truth()
        tracer.process.send_signal(signal.SIGINT)
        while tracer.next():
            pass
        assert tracer.wait() == 0
        finals = {report["pid"]: report["allocs"] for report in tracer.objects if report["final"]}
    assert finals[target.pid]["estimated"] and finals[target.pid]["duty"] < 0.9
    assert not finals[gentle.pid]["estimated"] and finals[gentle.pid]["duty"] == 1
    assert finals[gentle.pid]["allocs"] == true[None]["allocs"] > 1000
