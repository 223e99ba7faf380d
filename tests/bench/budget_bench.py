"""What is left of a program's throughput under the default attach, whose probes have a budget; beside it memleak and
heaptrack, which have none. And what the budget is held to over every 5 s."""
import contextlib
import functools
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from alloc_bench import HEAPTRACK, MEMLEAK, HeaptrackTarget, attached, memleak, memleak_command, verdict
from attach_bench import free_port
from attach_harness import PythonTarget
from heap_targets import Target
from measure import Table
from postgres_server import started as postgres_started
from python_loads import LOADS
from test_alloc_cycles import SOURCE
from work_windows import alternating, flat_out, jumping, pace, slowest

ROUNDS = 5
PEER_ROUNDS = 2      # of them also with those that take minutes
SECONDS = 4          # that a load is measured for
REQUESTS = 60000     # of redis, of each kind
LEAST = 0.88         # of the throughput without
BUSY = 0.5           # seconds of CPU time in 5: of one that uses less, probes may take 0.5 % of a core
BASE, OURS = "without", "alloctrace"

CSV = """
import csv, io
rows = [["row %d" % i, i, i * i, "text of some length, in quotes"] for i in range(3000)]
def one():
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    assert sum(int(row[1]) for row in csv.reader(io.StringIO(out.getvalue()))) == 2999 * 3000 // 2
"""
ROUNDS_A_SECOND = f"""
import time
began, rounds = time.monotonic(), 0
while time.monotonic() < began + {SECONDS}:
    one()
    rounds += 1
result = rounds / (time.monotonic() - began)
"""


# Loads. Each is entered once, for all its rounds, below a prefix of the command line if it has one (heaptrack), and
# gives a function: its throughput while watch(pid) is entered. None: not here.

@contextlib.contextmanager
def pairs(tree, prefix):
    command = [*prefix, tree.workload("pair_loop")]
    with HeaptrackTarget(command, stderr=subprocess.DEVNULL) if prefix else Target(command) as target:
        target.ask("round 1 200")

        def measure(watch):
            with watch(target.pid):
                said = target.ask(f"round 1 {SECONDS * 1000}")
            return said["pairs"] / said["wall_ns"] * 1e9

        yield measure


@contextlib.contextmanager
def redis(tree, prefix, **env):
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen([*prefix, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              env={**os.environ, **env}) as server:
            for line in server.stdout:
                if "Ready to accept connections" in line:
                    break
            pid = int(redis_says(port, "info", "server").partition("process_id:")[2].split()[0])

            def measure(watch):
                redis_says(port, "flushall")
                with watch(pid):
                    return requests_a_second(port)

            try:
                measure(lambda pid: contextlib.nullcontext())
                yield measure
            finally:
                redis_says(port, "shutdown", "nosave")
                server.stdout.read()


def redis_says(port, *words):
    return subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True).stdout


def requests_a_second(port):
    out = subprocess.run(["redis-benchmark", "-p", str(port), "-n", str(REQUESTS), "-c", "20", "-d", "512", "-r", "100000",
                          "-t", "set,get,lpush,lpop", "--csv"], capture_output=True, text=True, check=True).stdout
    rows = [line.replace('"', "").split(",") for line in out.splitlines()[1:]]
    return statistics.harmonic_mean(float(row[1]) for row in rows)


@contextlib.contextmanager
def postgres(tree, prefix):
    with contextlib.ExitStack() as stack:
        server = None if prefix else stack.enter_context(postgres_started())  # below heaptrack its children are lost
        if not server:
            yield None
            return
        load = stack.enter_context(server.start_client("pgbench", "--client=1", "--time=3600", "--progress=1", "-S"))
        while not load.stdout.readline().startswith("progress:"):  # until then another connection looks around
            pass
        pid, = server.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'")

        def measure(watch):
            with watch(int(pid)):
                begun = time.monotonic()
                rates = []
                while len(rates) < SECONDS:
                    line = load.stdout.readline()
                    # Seconds that began before are another round's.
                    if line.startswith("progress:") and time.monotonic() > begun + 1:
                        rates.append(float(line.split()[3]))
            return statistics.mean(rates)

        try:
            yield measure
        finally:
            load.kill()


def python(code):
    class HeaptrackPython(HeaptrackTarget, PythonTarget):
        """Heaptrack's own lines stand among its answers."""

    @contextlib.contextmanager
    def load(tree, prefix):
        with HeaptrackPython(prefix=prefix) if prefix else PythonTarget() as target:
            target.do(f"import os, threading\n{code}\none()\nresult = 0")

            def measure(watch):
                with watch(target.pid):
                    return target.do(ROUNDS_A_SECOND)

            yield measure

    return load


@contextlib.contextmanager
def compiler(tree, prefix):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "rules.cc")
        source.write_text(SOURCE)
        # The compiler proper says who it is, and waits until it is watched.
        wrapper = ",".join(["sh", "-c", 'echo $$; read go; exec "$0" "$@"', *prefix])

        def measure(watch):
            with subprocess.Popen(["g++", "-wrapper", wrapper, "-O2", "-S", source, "-o", Path(folder, "out.s")],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
                pid = int(run.stdout.readline())
                with watch(pid):
                    began = time.monotonic()
                    run.stdin.write("go\n")
                    run.stdin.close()
                    run.stdout.read()
                    took = time.monotonic() - began
                if run.wait() != 0:  # below heaptrack it was seen to end with bad_alloc
                    assert prefix, "g++ failed"
                    raise CannotWatch
                return 1 / took

        yield measure


ALL = {
    "malloc and free, nothing else": pairs,
    "redis-server, redis-benchmark": redis,
    "the same on the C library's malloc": functools.partial(redis, LD_PRELOAD="libc.so.6"),
    "postgres, pgbench -S": postgres,
    "python3: zipfile": python(LOADS["zipfile"]),
    "python3: csv": python(CSV),
    "python3: pandas": python(LOADS["pandas"]),
    "g++ -O2": compiler,
}


# Watchers.

class CannotWatch(Exception):
    """This process cannot be watched in this way."""


def watchers(tree, finals):
    @contextlib.contextmanager
    def nothing(pid):
        yield

    @contextlib.contextmanager
    def ours(pid):
        final, began = {}, time.monotonic()
        with attached(tree, pid, final) as watcher:
            yield
            final["tracer"] = watcher.cpu() / (time.monotonic() - began)
        finals.append(final)

    @contextlib.contextmanager
    def peer(pid):
        # An allocator in an object without mmap is none to it.
        if "/libjemalloc" in Path(f"/proc/{pid}/maps").read_text():
            raise CannotWatch
        with memleak(tree, pid):
            yield

    found = {BASE: nothing, OURS: ours}
    if memleak_command(tree):
        found[MEMLEAK] = peer
    return found


def watched(measure, watch):
    with contextlib.suppress(CannotWatch):
        return measure(watch)
    return None


def rounds_of(load, tree, finals):
    """[{watcher: throughput}]; empty: the load is not here."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        measure = stack.enter_context(load(tree, []))
        if not measure:
            return []
        sides = {name: functools.partial(watched, measure, watch) for name, watch in watchers(tree, finals).items()}
        below = None
        if shutil.which("heaptrack"):
            below = stack.enter_context(load(tree, ["heaptrack", "-o", f"{folder}/out"]))
        if below:
            sides[HEAPTRACK] = functools.partial(watched, below, lambda pid: contextlib.nullcontext())
        rounds = []
        for n in range(ROUNDS):
            order = list(sides)[::-1 if n % 2 else 1]
            rounds.append({name: sides[name]() for name in order if n < PEER_ROUNDS or name in (BASE, OURS)})
        return rounds


def ratio(rounds, name):
    ratios = [r[name] / r[BASE] for r in rounds if r.get(name)]
    return statistics.median(ratios) if ratios else None


def mean_of(finals, figure):
    known = [value for final in finals if (value := figure(final)) is not None]
    return f"{statistics.mean(known):.1%}" if known else "–"


def bench_throughput(tree):
    table = Table(f"Throughput (medians of {ROUNDS} paired rounds; ratios to that without)", "", BASE, OURS, MEMLEAK,
                  HEAPTRACK, "probes on", "probes took", "tracer's CPU")
    left = {}
    for name, load in ALL.items():
        finals = []
        rounds = rounds_of(load, tree, finals)
        if not rounds:
            print(f"  {name} is left out: not installed")
            continue
        left[name] = ratio(rounds, OURS)
        ratios = [f"{value:.3f}" if (value := ratio(rounds, who)) else "–" for who in (OURS, MEMLEAK, HEAPTRACK)]
        table.row(name, f"{statistics.median(r[BASE] for r in rounds):,.2f} /s", *ratios,
                  mean_of(finals, lambda final: final["allocs"].get("duty")),
                  mean_of(finals, lambda final: final["allocs"]["probe_cpu_share"]),
                  mean_of(finals, lambda final: final["tracer"]))
    print()
    for name, value in left.items():
        verdict(name, [value], LEAST, True)


def bench_windows(tree):
    """Every 5 s of a load that comes and goes: what is left of the work done for a second of CPU."""
    table = Table("Over every 5 s (pairs for a second of the target's CPU)", "", "base", "noise", "mean", "slowest 5 s")
    left = []
    for name, load in (("1 s idle, 1 s flat out", lambda target: alternating(target, 20)),
                       ("a thousand times the rate at once", lambda target: jumping(target, 5, 10))):
        with Target([tree.workload("pair_loop")]) as target:
            base = flat_out(target, 1) and load(target)
            with attached(tree, target.pid, {}):
                rounds = load(target)
            base += load(target)
        table.row(name, f"{pace(base) / 1e6:,.1f} M", f"{1 - slowest(base, BUSY) / pace(base):.1%}",
                  f"{pace(rounds) / pace(base):.3f}", f"{slowest(rounds, BUSY) / pace(base):.3f}")
        left.append(slowest(rounds, BUSY) / pace(base))
    print()
    verdict("what is left in the slowest 5 s", left, 0.9, True)


def run(tree):
    bench_throughput(tree)
    bench_windows(tree)
