"""What files of many call stacks cost to write: time, and memory beyond what the figures take anyway."""
import json
import subprocess
import tempfile
from pathlib import Path

from measure import Table

FORMS = ["folded", "pprof", "speedscope", "perfetto", "heaptrack"]
SITES = [100_000, 1_000_000]


def spent(program, form, sites, file):
    done = subprocess.run([program, form, file, str(sites)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def run(tree):
    table = Table("Output forms: 16 frames a stack, 20 summaries", "", "time", "memory", "file")
    with tempfile.TemporaryDirectory() as folder:
        for sites in SITES:
            for form in FORMS:
                took = spent(tree.build / "tests" / "bench" / "forms", form, sites, Path(folder) / form)
                table.row(f"{form}, {sites:,} sites", f"{took['seconds']:.2f} s",
                          f"{took['memory'] / (1 << 20):,.0f} MiB", f"{took['bytes'] / (1 << 20):,.1f} MiB")
