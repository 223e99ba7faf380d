"""What an attached alloctrace costs: the process it watches, and one that it does not."""
import contextlib
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from heap_targets import Target
from measure import Table, column, medians, noise, paired, ratio

ROUNDS = 8
REDIS_REQUESTS = 100000


@contextlib.contextmanager
def attached(tree, pid):
    """alloctrace attached to pid: entered once its first report is out."""
    tracer = subprocess.Popen([tree.alloctrace, "attach", str(pid), "1", "--json"], stdout=subprocess.PIPE)
    try:
        if not tracer.stdout.readline():
            raise SystemExit(f"alloctrace attach {pid} failed: {tracer.wait()}")
        # Read on, so that the tracer never waits for us.
        with subprocess.Popen(["cat"], stdin=tracer.stdout, stdout=subprocess.DEVNULL):
            yield tracer
            tracer.terminate()
    finally:
        tracer.terminate()
        tracer.wait()
        tracer.stdout.close()


def peak_memory(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def redis():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                   "--appendonly", "no", "--dir", folder], stdout=subprocess.PIPE, text=True)
        try:
            for line in server.stdout:
                if "Ready to accept connections" in line:
                    break
            yield server.pid, port
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()


def redis_round(port):
    """Requests a second of each test, in one redis-benchmark run."""
    out = subprocess.run(["redis-benchmark", "-p", str(port), "-n", str(REDIS_REQUESTS), "-c", "20", "-d", "512",
                          "-r", "100000", "-t", "set,get,lpush", "--csv"],
                         capture_output=True, text=True, check=True).stdout
    rows = [line.replace('"', "").split(",") for line in out.splitlines()]
    return {row[0]: float(row[1]) for row in rows if len(row) > 1 and row[1].replace(".", "", 1).isdigit()}


def show(table, name, pairs, unit):
    without, with_it = medians(pairs)
    table.row(name, f"{without:,.0f} {unit}", f"{with_it:,.0f} {unit}", f"{ratio(pairs):.3f}", f"±{noise(pairs):.1%}")


def bench_redis(tree, table):
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        print("  redis-server or redis-benchmark is not installed")
        return
    with redis() as (pid, port):
        redis_round(port)

        def watched():
            with attached(tree, pid):
                return redis_round(port)

        pairs = paired(ROUNDS, lambda: redis_round(port), watched)
    for test in pairs[0][0]:
        show(table, f"redis {test}, watched", column(pairs, test), "rq/s")


def bench_system_calls(tree, table):
    with Target([tree.workload("syscall_loop")]) as loop, Target([tree.workload("heap_truth")]) as other:
        loop.ask("warm up")

        def while_watching(pid):
            def measure():
                with attached(tree, pid):
                    return loop.ask("round")
            return measure

        for who, pid in (("unrelated process", other.pid), ("watched process", loop.pid)):
            pairs = paired(ROUNDS, lambda: loop.ask("round"), while_watching(pid))
            for call in ("getppid", "mmap"):
                show(table, f"{call}{' + munmap' if call == 'mmap' else ''}, {who}", column(pairs, call), "ns")


def bench_memory(tree):
    peaks = {}
    for name, commands in (("small", []), ("large", ["threads 8", "fill kb 50000000 50 1 1"])):
        with Target([tree.workload("heap_truth")]) as target:
            for command in commands:
                target.ask(command)
            with attached(tree, target.pid) as tracer:
                peaks[name] = peak_memory(tracer.pid)
    extra = (peaks["large"] - peaks["small"]) / (1 << 20)
    print(f"\n  peak memory of `alloctrace attach` on 400 MB of heap above that on a small one "
          f"({peaks['small'] / (1 << 20):.1f} MiB): {extra:.1f} MiB, bound 16: {'ok' if extra <= 16 else 'OVER'}")


def run(tree):
    table = Table("Attached against not (paired rounds; ratio: median of attached over not)", "", "without",
                  "with", "ratio", "noise")
    bench_redis(tree, table)
    bench_system_calls(tree, table)
    bench_memory(tree)
