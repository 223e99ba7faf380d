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


def spent(command, **run):
    """Seconds and peak memory (bytes) of a command, and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, **run)
    out = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - start, usage.ru_maxrss * 1024, out


def read_smaps(pid):
    start = time.perf_counter()
    Path(f"/proc/{pid}/smaps").read_bytes()
    return time.perf_counter() - start


def gdb(pid, *commands):
    words = ["gdb", "-nx", "-batch", "-p", pid]
    for command in commands:
        words += ["-ex", command]
    return spent(words)[0]


def measure(tree, target):
    """Seconds: the walk alone, the whole command, smaps, gdb with and without malloc_info."""
    wall, memory, out = spent([tree.alloctrace, "heap", target.pid, "--json"])
    glibc = allocator(json.loads(out), "glibc")
    sample = {"glibc": glibc, "walk": glibc["walk"]["duration_ns"] / 1e9, "heap": wall, "memory": memory,
              "smaps": read_smaps(target.pid)}
    if shutil.which("gdb"):
        # Into /dev/null: the target's own stdout is a pipe that nobody empties meanwhile.
        sample["gdb"] = gdb(target.pid, 'call (int)malloc_info(0, (void *)fopen("/dev/null", "w"))')
        sample["attach"] = gdb(target.pid)
    return sample


def run(tree):
    table = Table("Heap walk (medians in ms; the ratios are medians of the rounds')", "heap", "walk", "a unit",
                  "bound", "whole command", "smaps", "gdb malloc_info", "gdb attach", "gdb / command", "walk / smaps")
    with Target([tree.workload("heap_truth")]) as small:
        base = statistics.median(spent([tree.alloctrace, "heap", small.pid, "--json"])[1] for _ in range(ROUNDS))
    peak = 0
    for title, commands, unit, units, bound in HEAPS:
        with Target([tree.workload("heap_truth")]) as target:
            for command in commands:
                target.ask(command)
            samples = [measure(tree, target) for _ in range(ROUNDS)]
        peak = max(peak, statistics.median(s["memory"] for s in samples))
        per_unit = 1000 * statistics.median(s["walk"] / units(s["glibc"]) for s in samples)

        def ms(name):
            return f"{1000 * statistics.median(s[name] for s in samples):.1f}" if name in samples[0] else "–"

        def over(name, base_name):
            if name not in samples[0]:
                return "–"
            return f"{statistics.median(s[name] / s[base_name] for s in samples):.2f}"

        table.row(title, ms("walk"), f"{per_unit:.1f} / {unit}", f"{bound} {'ok' if per_unit <= bound else 'OVER'}",
                  ms("heap"), ms("smaps"), ms("gdb"), ms("attach"), over("gdb", "heap"), over("walk", "smaps"))
    extra = (peak - base) / (1 << 20)
    print(f"\n  peak memory of `alloctrace heap` above that for a small heap ({base / (1 << 20):.1f} MiB): "
          f"{extra:.1f} MiB, bound 16: {'ok' if extra <= 16 else 'OVER'}")
