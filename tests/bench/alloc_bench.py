"""What a malloc and its free cost under allocation events, beside the least that probes can cost,
memleak and heaptrack; what is lost at the full rate; and how fast the events are consumed.

Costs are the threads' CPU time: the wall clock shows also who else wanted the cores, first of all
the tracer itself.
"""
import contextlib
import json
import os
import pty
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from attach_bench import show
from heap_targets import ROOT, Target
from measure import Table

ROUNDS = 7
ROUND_MS = 500
FULL_RATE_MS = 4000
THREADS = (1, 2, 8)
TICKS = os.sysconf("SC_CLK_TCK")
BASE, FLOOR, PLAIN, STACKS = "nothing attached", "floor: empty programs", "alloctrace, no stacks", "alloctrace"
MEMLEAK, SHAPE, HEAPTRACK = "memleak", "memleak's programs, our places", "heaptrack"


class Watcher:
    """Whatever observes a target; its processes' CPU time is what it costs beside."""

    def __init__(self, *pids):
        self.pids = pids

    def cpu(self):
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids]
        return sum(int(f[11]) + int(f[12]) for f in fields) / TICKS


@contextlib.contextmanager
def nothing(tree, pid):
    yield Watcher()


@contextlib.contextmanager
def attached(tree, pid, final, *options):
    """Entered once its first report is out; its last one goes into final."""
    with tempfile.TemporaryFile("w+") as out:
        tracer = subprocess.Popen([tree.alloctrace, "attach", str(pid), "1", "--json", *options], stdout=out)
        try:
            while not os.fstat(out.fileno()).st_size:
                if tracer.poll() is not None:
                    raise SystemExit(f"alloctrace attach {pid} failed: {tracer.returncode}")
                time.sleep(0.02)
            yield Watcher(tracer.pid)
        finally:
            tracer.terminate()
            tracer.wait()
        out.seek(0)
        final.update(json.loads(out.readlines()[-1]))


def alloctrace(tree, pid, stack="all", final=None, *options):
    """All events, whatever they cost."""
    return attached(tree, pid, {} if final is None else final, "--max-overhead", "none", "--stack", stack, *options)


@contextlib.contextmanager
def alloctrace_plain(tree, pid):
    with alloctrace(tree, pid, "none") as watcher:
        yield watcher


@contextlib.contextmanager
def shape(tree, pid, name):
    """Other programs at the places that ours choose: tests/bench/shapes.c."""
    with subprocess.Popen([tree.build / "tests" / "bench" / "shapes", name, str(pid)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as loader:
        if loader.stdout.readline() != "attached\n":
            raise SystemExit(f"shapes {name} failed: {loader.wait()}")
        yield Watcher(loader.pid)
        loader.stdin.close()


@contextlib.contextmanager
def memleak(tree, pid, *options):
    # To a terminal it prints at once, so that we know when its probes are in place.
    ours, its = pty.openpty()
    process = subprocess.Popen([memleak_command(tree), "-p", str(pid), *options, "1000"], stdin=subprocess.DEVNULL,
                               stdout=its, stderr=its)
    os.close(its)
    said = b""
    try:
        while b"Tracing outstanding" not in said:
            said += os.read(ours, 4096)
        yield Watcher(process.pid)
    finally:
        process.terminate()
        process.wait()
        os.close(ours)


def memleak_command(tree):
    """libbpf-tools memleak: the machine's, or the one of a newer suite. None: cannot be had."""
    installed = shutil.which("memleak-libbpf")
    folder = tree.build / "peers" / "memleak"
    if installed or not subprocess.run([ROOT / "tools" / "fetch-memleak", folder]).returncode:
        return installed or folder / "memleak"
    return None


class HeaptrackTarget(Target):
    """The target below heaptrack, whose own lines stand among its answers."""

    def answer(self):
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit(f"heaptrack ended: {self.process.wait()}")
            if line.startswith("{"):
                return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.stdout.close()
        self.process.wait()


def descendants(pid):
    children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]


def heaptrack_rounds(tree):
    with tempfile.TemporaryDirectory() as folder:
        command = ["heaptrack", "-o", f"{folder}/out", tree.workload("pair_loop")]
        with HeaptrackTarget(command, stderr=subprocess.DEVNULL) as target:
            return rounds_of(target, Watcher(*(pid for pid in descendants(target.process.pid) if pid != target.pid)))


def figures(count, share=0.0):
    return {"cpu": count["cpu_ns"] / count["pairs"], "wall": count["wall_ns"] / count["pairs"], "share": share}


def measured(target, watcher, threads, ms):
    cpu, start = watcher.cpu(), time.monotonic()
    count = target.ask(f"round {threads} {ms}")
    return count, (watcher.cpu() - cpu) / (time.monotonic() - start)


def rounds_of(target, watcher):
    return {threads: figures(*measured(target, watcher, threads, ROUND_MS)) for threads in THREADS}


def bystanders(target, other):
    """A child that the target forks, and a process that maps the same library."""
    child = target.ask(f"child {ROUND_MS}")
    return {"child_first": figures(child["first"])["cpu"], "child": figures(child["after"])["cpu"],
            "other": figures(other.ask(f"round 1 {ROUND_MS}"))["cpu"]}


WATCHERS = {
    BASE: nothing,
    FLOOR: lambda tree, pid: shape(tree, pid, "floor"),
    PLAIN: alloctrace_plain,
    STACKS: alloctrace,
    SHAPE: lambda tree, pid: shape(tree, pid, "memleak"),
    MEMLEAK: memleak,
    HEAPTRACK: None,  # starts a target of its own
}


def available(tree):
    watchers = dict(WATCHERS)
    if not memleak_command(tree):
        print("  memleak is left out: no package libbpf-tools of Debian 13 can be had")
        del watchers[MEMLEAK]
    if not shutil.which("heaptrack"):
        print("  heaptrack is left out: apt-get install heaptrack")
        del watchers[HEAPTRACK]
    return watchers


def one_round(tree, watchers, order, target, other):
    """{watcher: {threads: figures}}, and what became of bystanders without and with us."""
    costs, beside = {}, {}
    for name in order:
        if name == HEAPTRACK:
            costs[name] = heaptrack_rounds(tree)
            continue
        with watchers[name](tree, target.pid) as watcher:
            costs[name] = rounds_of(target, watcher)
            if name in (BASE, STACKS):
                beside[name] = bystanders(target, other)
    return costs, (beside[BASE], beside[STACKS])


def ratio(rounds, name, to, threads):
    return statistics.median(r[name][threads]["cpu"] / r[to][threads]["cpu"] for r in rounds)


def show_costs(table, rounds):
    for threads in THREADS:
        for name in rounds[0]:
            cpu, wall, share = (statistics.median(r[name][threads][figure] for r in rounds)
                                for figure in ("cpu", "wall", "share"))
            table.row(f"{threads} thread{'s' if threads > 1 else ''}: {name}", f"{cpu:,.0f} ns",
                      f"{ratio(rounds, name, FLOOR, threads):.2f}", f"{wall:,.0f} ns",
                      "–" if name == BASE else f"{share:.0%}")


def verdict(text, values, bound, at_least=False):
    if any(value < bound if at_least else value > bound for value in values):
        end = "UNDER" if at_least else "OVER"
    else:
        end = "ok"
    print(f"  {text}: {', '.join(f'{value:.4g}' for value in values)}, bound {bound}: {end}")


def judge(rounds):
    at = f"at {', '.join(map(str, THREADS))} threads"
    print()
    verdict(f"no stacks / floor {at}", [ratio(rounds, PLAIN, FLOOR, t) for t in THREADS], 1.2)
    for ours in (PLAIN, STACKS):
        if MEMLEAK in rounds[0]:
            verdict(f"memleak / {ours} {at}", [ratio(rounds, MEMLEAK, ours, t) for t in THREADS], 6, True)
        verdict(f"memleak's programs / {ours} {at}", [ratio(rounds, SHAPE, ours, t) for t in THREADS], 1.5, True)


def bench_costs(tree):
    watchers = available(tree)
    table = Table("One malloc and its free (medians of paired rounds; the ratio is the rounds' median)", "",
                  "CPU of a pair", "/ floor", "wall", "CPU of the tracer")
    results = []
    with Target([tree.workload("pair_loop")]) as target, Target([tree.workload("pair_loop")]) as other:
        rounds_of(target, Watcher())
        for n in range(ROUNDS):
            order = list(watchers)[::-1 if n % 2 else 1]
            results.append(one_round(tree, watchers, order, target, other))
    rounds = [{name: costs[name] for name in watchers} for costs, _ in results]
    show_costs(table, rounds)
    judge(rounds)
    return [beside for _, beside in results]


def show_bystanders(pairs):
    table = Table("One malloc and its free, beside a process that is watched", "", "without", "with", "ratio", "noise")
    for name, figure in (("forked child, from its first call", "child_first"),
                         (f"forked child, {ROUND_MS} ms later", "child"), ("unrelated process", "other")):
        show(table, name, [(a[figure], b[figure]) for a, b in pairs], "ns")


def bench_full_rate(tree):
    table = Table(f"At the full rate for {FULL_RATE_MS // 1000} s", "", "events / s", "CPU of the tracer",
                  "events a CPU s", "lost")
    for threads in THREADS:
        for name, stack in ((PLAIN, "none"), (STACKS, "all")):
            final = {}
            with Target([tree.workload("pair_loop")]) as target:
                with alloctrace(tree, target.pid, stack, final) as watcher:
                    count, share = measured(target, watcher, threads, FULL_RATE_MS)
            lost = sum(final["lost"].values())
            bound = f", bound 0: {'OVER' if lost else 'ok'}" if threads == 1 else ""
            rate = 2 * count["pairs"] / (FULL_RATE_MS / 1000)
            table.row(f"{threads} thread{'s' if threads > 1 else ''}: {name}", f"{rate:,.0f}", f"{share:.0%}",
                      f"{rate / share:,.0f}" if share else "–", f"{lost:,}{bound}")


def bench_consumer(tree):
    out = subprocess.run([tree.build / "tests" / "bench" / "consumer"], stdout=subprocess.PIPE, check=True).stdout
    *rates, memory = map(json.loads, out.splitlines())
    print("\nThe consumer: decoding and booking on one core\n")
    for row in rates:
        verdict(f"M events/s at {row['live']:,} live blocks", [row["events_per_s"] / 1e6], 5, True)
    verdict("bytes a live block, at most", [memory["bytes_per_block"]], 48)
    verdict("longest pause, ms", [memory["pause_ns"] / 1e6], 50)


def run(tree):
    show_bystanders(bench_costs(tree))
    bench_full_rate(tree)
    bench_consumer(tree)
