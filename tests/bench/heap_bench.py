"""A heap walk beside what people use instead: malloc_info called by gdb, and a read of smaps."""
import json
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from heap_targets import Target, allocator
from measure import Table

ROUNDS = 9
# (title, commands, what a unit is, units of a walk, bound in ms a unit)
HEAPS = [
    ("KB-sized chunks, half of them free", ["fill kb 400000000 50 1 1"], "100 MB",
     lambda glibc: glibc["held"] / (100 << 20), 20),
    ("KB-sized chunks, 8 threads", ["threads 8", "fill kb 50000000 50 1 1"], "100 MB",
     lambda glibc: glibc["held"] / (100 << 20), 20),
    ("small chunks", ["fill small 200000000 20 1 2"], "1 M chunks",
     lambda glibc: chunks(glibc) / 1e6, 40),
    ("fastbins", ["fill fast 60000000 80 1 3"], "1 M chunks",
     lambda glibc: chunks(glibc) / 1e6, 40),
    ("huge free runs", ["fill kb 400000000 90 4096 4"], "100 MB",
     lambda glibc: glibc["held"] / (100 << 20), 20),
]


def chunks(glibc):
    return glibc["live_blocks"] + sum(kind["blocks"] for kind in glibc["free"].values())


def spent(command):
    """What a command took: seconds on the clock and on the CPU, peak memory; and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {"wall": time.perf_counter() - start, "cpu": usage.ru_utime + usage.ru_stime,
            "memory": usage.ru_maxrss * 1024, "out": out}


def cpu_of_smaps(pid):
    start = time.thread_time()
    Path(f"/proc/{pid}/smaps").read_bytes()
    return time.thread_time() - start


def gdb(pid):
    """How long gdb keeps the target stopped to have it say what malloc_info knows."""
    # Into /dev/null: the target's own stdout is a pipe that nobody empties meanwhile.
    return spent(["gdb", "-nx", "-batch", "-p", pid, "-ex",
                  'call (int)malloc_info(0, (void *)fopen("/dev/null", "w"))'])["wall"]


def measure(tree, target):
    command = spent([tree.alloctrace, "heap", target.pid, "--json"])
    command["glibc"] = allocator(json.loads(command["out"]), "glibc")
    command["smaps"] = cpu_of_smaps(target.pid)
    if shutil.which("gdb"):
        command["gdb"] = gdb(target.pid)
    return command


def median(samples, figure):
    return statistics.median(figure(s) for s in samples)


def report(table, base, samples, heap):
    """CPU times where they can be had: waiting for a core says nothing of a walk."""
    title, _, unit, units, bound = heap
    # What the command takes on an empty heap is no cost of walking.
    per_unit = 1000 * median(samples, lambda s: (s["cpu"] - base["cpu"]) / units(s["glibc"]))
    has_gdb = "gdb" in samples[0]
    table.row(title, f"{1000 * median(samples, lambda s: s['cpu']):.1f}", f"{per_unit:.1f} / {unit}",
              f"{bound} {'ok' if per_unit <= bound else 'OVER'}",
              f"{1000 * median(samples, lambda s: s['smaps']):.1f}",
              f"{median(samples, lambda s: s['cpu'] / s['smaps']):.1f}",
              f"{1000 * median(samples, lambda s: s['wall']):.0f}",
              f"{1000 * median(samples, lambda s: s['gdb']):.0f}" if has_gdb else "–",
              f"{median(samples, lambda s: s['gdb'] / s['wall']):.1f}" if has_gdb else "–")


def run(tree):
    table = Table("Heap walk (medians, ms; the ratios are medians of the rounds')", "heap", "CPU", "CPU a unit",
                  "bound", "smaps: CPU", "walk / smaps", "wall", "gdb malloc_info", "gdb / wall")
    with Target([tree.workload("heap_truth")]) as small:
        bases = [spent([tree.alloctrace, "heap", small.pid, "--json"]) for _ in range(ROUNDS)]
    base = {name: median(bases, lambda s, name=name: s[name]) for name in ("cpu", "memory")}
    peak = 0
    for heap in HEAPS:
        with Target([tree.workload("heap_truth")]) as target:
            for command in heap[1]:
                target.ask(command)
            samples = [measure(tree, target) for _ in range(ROUNDS)]
        peak = max(peak, median(samples, lambda s: s["memory"]))
        report(table, base, samples, heap)
    extra = (peak - base["memory"]) / (1 << 20)
    print(f"\n  peak memory of `alloctrace heap` above that for a small heap ({base['memory'] / (1 << 20):.1f} MiB): "
          f"{extra:.1f} MiB, bound 16: {'ok' if extra <= 16 else 'OVER'}")
