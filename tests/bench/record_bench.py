"""What recordings take: room for an hour of summaries, time and memory to read a large one back, and
the room that heaptrack's file of the same run takes."""
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from measure import Table

MIB = 1 << 20
HOUR = [(2_000, 100), (10_000, 60), (50_000, 20)]  # sites; of a hundred, those that change in 5 s
LARGE = (1_000_000, 50)                            # sites, all changed in each of so many summaries
READS = 3
WORK = """
import json
def row(i):
    return json.loads('{"id": %d, "tags": ["a", "b"], "text": "%s"}' % (i, "x" * 600))
kept = [[row(i) for i in range(40000)][::20] for _ in range(3)]
"""


def made(tree, name, sites, pictures, changed=100):
    done = subprocess.run([tree.build / "tests" / "bench" / "recording", name, str(sites), str(pictures), str(changed)],
                          check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def hours(tree, folder):
    table = Table("An hour of recording, a summary every 5 s", "", "MiB an hour", "CPU")
    for sites, changed in HOUR:
        cost = made(tree, folder / "hour", sites, 720, changed)
        size = (folder / "hour").stat().st_size / MIB
        table.row(f"{sites:,} sites, {changed} % of them changing", f"{size:.1f}", cost.replace(" of CPU", ""))


def read(tree, name, form):
    """Seconds and MiB."""
    began = time.monotonic()
    process = subprocess.Popen([tree.alloctrace, "report", "--format", form, name], stdout=subprocess.DEVNULL)
    _, process.returncode, used = os.wait4(process.pid, 0)
    assert process.returncode == 0
    return time.monotonic() - began, used.ru_maxrss / 1024


def reads(tree, folder):
    sites, pictures = LARGE
    made(tree, folder / "large", sites, pictures)
    table = Table(f"Reading {sites:,} sites and {sites * pictures:,} changes, "
                  f"{(folder / 'large').stat().st_size / MIB:.0f} MiB", "", "seconds", "MiB")
    for form in ("text", "folded", "json"):
        rounds = [read(tree, folder / "large", form) for _ in range(READS)]
        table.row(form, *(f"{statistics.median(column):,.1f}" for column in zip(*rounds)))


def beside_heaptrack(tree, folder):
    table = Table("One run of python3 that parses JSON", "", "KiB", "seconds")
    script = folder / "work.py"
    script.write_text(WORK)
    python = ["/usr/bin/python3", script]
    tracers = {
        "without a tracer": (None, python),
        "alloctrace run -o": ("rec", [tree.alloctrace, "run", "-o", folder / "rec", "--", *python]),
        "alloctrace run -o --events": ("all", [tree.alloctrace, "run", "--events", "-o", folder / "all", "--", *python]),
    }
    if shutil.which("heaptrack"):
        tracers["heaptrack"] = ("heaptrack.*", ["heaptrack", "-o", folder / "heaptrack", *python])
    for name, (pattern, command) in tracers.items():
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took = time.monotonic() - began
        size = sum(file.stat().st_size for file in folder.glob(pattern)) / 1024 if pattern else 0
        table.row(name, f"{size:,.0f}" if pattern else "", f"{took:.1f}")


def run(tree):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hours(tree, folder)
        reads(tree, folder)
        beside_heaptrack(tree, folder)
