"""How much of its own work a process gets done for its CPU time, over every few seconds: what probes take of it is
what is missing, whoever counts it. The target is tests/workload/pair_loop.c, which counts its pairs and its CPU time."""
import dataclasses
import time

ROUND_MS = 200
WINDOW = 5  # seconds that a budget holds over


@dataclasses.dataclass(frozen=True)
class Round:
    began: float
    pairs: int
    cpu: float   # seconds
    wall: float


def work(target, ms=ROUND_MS):
    began, said = time.monotonic(), target.ask(f"round 1 {ms}")
    return Round(began, said["pairs"], said["cpu_ns"] / 1e9, said["wall_ns"] / 1e9)


def flat_out(target, seconds):
    return [work(target) for _ in range(round(seconds * 1000 / ROUND_MS))]


def alternating(target, seconds):
    """A second idle, a second flat out, and again."""
    rounds = []
    for _ in range(round(seconds / 2)):
        time.sleep(1)
        rounds += flat_out(target, 1)
    return rounds


def jumping(target, before, after):
    """A thousandth of the time at work, then all of it."""
    rounds = []
    for _ in range(before):
        rounds.append(work(target, 1))
        time.sleep(1)
    return rounds + flat_out(target, after)


def pace(rounds):
    """Pairs a second of CPU time."""
    return sum(r.pairs for r in rounds) / sum(r.cpu for r in rounds)


def windows(rounds):
    """[rounds] of every WINDOW seconds that rounds lie in; shorter only if there is no more."""
    last = rounds[-1].began
    return [[r for r in rounds if first.began <= r.began < first.began + WINDOW] for first in rounds
            if first is rounds[0] or first.began + WINDOW <= last + ROUND_MS / 1000]


def slowest(rounds, least_cpu=0):
    """The pace of the slowest window in which it used so many seconds of CPU time."""
    return min(pace(window) for window in windows(rounds) if sum(r.cpu for r in window) >= least_cpu)
