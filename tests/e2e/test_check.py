"""`alloctrace check` on real processes, each with one thing that is wrong and known to be."""
import contextlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from cgroups import join, limit_to, memory_cgroup
from heap_targets import ROOT, Target

PYTHON = "/usr/bin/python3"
TARGET = ROOT / "tests" / "workload" / "check_target.py"
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
MIMALLOC = LIBRARIES / "libmimalloc.so.2"
JEMALLOC = LIBRARIES / "libjemalloc.so.2"
TCMALLOC = LIBRARIES / "libtcmalloc_minimal.so.4"
DONE, FAILED, USAGE, WARNINGS = range(4)


def target(*words, **environment):
    """check_target.py with nothing of an allocator in its environment but what is given."""
    env = {name: value for name, value in os.environ.items() if "MALLOC" not in name and name != "LD_PRELOAD"}
    return Target([PYTHON, TARGET, *words], env={**env, **environment})


def check_all(tree, *words):
    """The processes' reports, and the exit status."""
    done = subprocess.run([tree.alloctrace, "check", "--json", *map(str, words)], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode in (DONE, WARNINGS), done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode == WARNINGS) == any(report["warnings"] for report in reports)
    return reports


# As process titles do it: written over; the C library's own variable still has it.
OVERWRITE = """
import ctypes, json, os, sys
fields = open('/proc/self/stat').read().rsplit(')', 1)[1].split()
start, end = int(fields[47]), int(fields[48])  # env_start and env_end, fields 50 and 51
copy = (ctypes.c_char_p * 3)(b'MALLOC_ARENA_MAX=2', b'LANG=C', None)
ctypes.c_void_p.in_dll(ctypes.CDLL(None), 'environ').value = ctypes.addressof(copy)
ctypes.memset(start, ord(' '), end - start)
print(json.dumps({'pid': os.getpid()}), flush=True)
sys.stdin.read()
"""

GLIBCS = ["2.31", "2.36", "2.41", "newest", "static"]


def settled(t):
    """Waits until it waits for its input."""
    while Path(f"/proc/{t.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "S":
        time.sleep(0.01)
    return t


def namespaced(program):
    """thread_arenas in a PID namespace of its own, with its numbers made ours."""
    t = Target(["unshare", "--pid", "--fork", program, "23"])
    t.pid = int(Path(f"/proc/{t.process.pid}/task/{t.process.pid}/children").read_text())
    ours = {}
    for status in Path(f"/proc/{t.pid}/task").glob("*/status"):
        numbers = re.search(r"^NSpid:(.*)$", status.read_text(), re.MULTILINE)[1].split()
        ours[int(numbers[-1])] = int(numbers[0])
    for thread in t.hello["threads"]:
        thread["tid"] = ours[thread["tid"]]
    return t


class Scene:
    """All the targets, each started for one thing, and what one run of `check` says of them."""

    def __init__(self, tree, stack):
        def start(t):
            return settled(stack.enter_context(t))

        self.targets = {
            "quiet": start(target()),
            "free": start(target("free", "100")),
            "nowhere": start(target(LD_PRELOAD="/usr/lib/nowhere/libmimalloc.so.2", MIMALLOC_PURGE_DELAY="-1")),
            "glibc": start(target(GLIBC_TUNABLES="glibc.malloc.arena_max=3:glibc.malloc.nonsense=4:"
                                  "glibc.malloc.top_pad=131072", MALLOC_TRIM_THRESHOLD_="-1",
                                  MALLOC_TRIM_THRESHOLD="65536", MALLOC_MMAP_THRESHOLD_="64K")),
            "overwritten": start(Target([PYTHON, "-c", OVERWRITE],
                                        env={"PATH": os.environ["PATH"], "MALLOC_ARENA_MAX": "2"})),
            "sockets": start(target("sockets", "600")),
            "grow": start(target("grow", "16")),
        }
        if MIMALLOC.exists():
            self.targets["idle"] = start(target("idle"))
            self.targets["mimalloc"] = start(target(LD_PRELOAD=str(MIMALLOC), MIMALLOC_PURGE_DELAY="1000",
                                                    MALLOC_ARENA_MAX="2"))
        if JEMALLOC.exists():
            self.targets["jemalloc"] = start(target(LD_PRELOAD=JEMALLOC.name,
                                                    MALLOC_CONF="dirty_decay_ms:-1,background_thread:true,bogus:1"))
        if TCMALLOC.exists():
            self.targets["tcmalloc"] = start(target(LD_PRELOAD=TCMALLOC.name, TCMALLOC_RELEASE_RATE="0",
                                                    TCMALLOC_NONSENSE="1"))
        for glibc in GLIBCS:
            with contextlib.suppress(pytest.skip.Exception):
                self.targets[glibc] = start(Target([tree.variant("thread_arenas", glibc), "23"]))
        if not os.geteuid():
            self.targets["namespaced"] = start(namespaced(tree.workload("thread_arenas")))
        self.status = {name: self.read_status(name) for name in self.targets}
        reports = check_all(tree, ",".join(str(t.pid) for t in self.targets.values()))
        self.status_after = {name: self.read_status(name) for name in self.targets}
        self.reports = dict(zip(self.targets, reports, strict=True))

    def read_status(self, name):
        text = Path(f"/proc/{self.targets[name].pid}/status").read_text()
        return dict(line.split(":", 1) for line in text.splitlines())

    def __getitem__(self, name):
        if name not in self.reports:
            pytest.skip(f"what the target '{name}' needs is not installed")
        return self.reports[name]


@pytest.fixture(scope="module")
def scene(tree):
    with contextlib.ExitStack() as stack:
        yield Scene(tree, stack)


def said(report, name, status):
    """What the check of that name found, of that status."""
    return [f"{f['evidence']} → {f['fix']}" for f in report["findings"] if (f["check"], f["status"]) == (name, status)]


def warned(report, name, *texts):
    found = said(report, name, "warn")
    assert any(all(text in line for text in texts) for line in found), report["findings"]


def test_a_quiet_process_passes(scene):
    report = scene["quiet"]
    for name in ("rss", "allocator", "variables", "arenas", "retained", "descriptors"):
        assert said(report, name, "pass"), (name, report["findings"])
    assert len(report["samples"]) == 3
    seconds = report["samples"][2]["time"] - report["samples"][0]["time"]
    assert seconds > 1.9


def test_people_read_warnings_first(tree, scene):
    done = subprocess.run([tree.alloctrace, "check", str(scene.targets["glibc"].pid)], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) <= 25 and f"({scene.targets['glibc'].pid})" in lines[0]
    states = [line.split()[0] for line in lines[1:] if line.split()[0] in ("warn", "unknown", "pass")]
    assert states == sorted(states, key=["warn", "unknown", "pass"].index) and {"warn", "pass"} <= set(states)
    assert sum(line.strip().startswith("→") for line in lines) == states.count("warn")
    assert done.stderr == "" and done.returncode == WARNINGS


def test_nothing_of_the_targets_changes(scene):
    """They run on: not a page more or less, and no thread was stopped, traced or even woken."""
    for name in scene.targets:
        fields = {"VmRSS", "VmSize", "VmPTE", "VmSwap", "TracerPid", "voluntary_ctxt_switches"}
        if name == "grow":
            fields = {"TracerPid"}
        for field in fields:
            assert scene.status[name][field] == scene.status_after[name][field], (name, field)


def test_free_memory(tree, scene):
    report, pid = scene["free"], scene.targets["free"].pid
    warned(report, "retained", "malloc_trim(0)", f"attach {pid}")
    assert report["heap"]["purgeable"] == tree.heap(pid)["purgeable"]


def test_a_mimalloc_that_serves_nobody(scene):
    warned(scene["idle"], "allocator", "libmimalloc.so.2", "serves nobody", "call malloc_trim(0)")


def test_preload_that_took_and_a_setting_that_came_later(scene):
    report = scene["mimalloc"]
    assert "mimalloc" in said(report, "allocator", "pass")[0]
    assert "and it serves" in said(report, "preload", "pass")[0]
    warned(report, "variables", "MALLOC_ARENA_MAX=2 has no effect")
    # Debian 12's is 2.0.9, which has no such option; from 2.1 on there is one
    knows = b"\0purge_delay\0" in MIMALLOC.read_bytes()
    assert bool(said(report, "variables", "pass")) == knows
    if not knows:
        warned(report, "variables", "MIMALLOC_PURGE_DELAY=1000 is ignored", "MIMALLOC_DECOMMIT_DELAY")


def test_preload_that_did_not_take(scene):
    report = scene["nowhere"]
    warned(report, "preload", "/usr/lib/nowhere/libmimalloc.so.2", "no such file")
    warned(report, "variables", "MIMALLOC_PURGE_DELAY=-1 has no effect", "glibc")
    if MIMALLOC.exists():
        warned(report, "preload", f"it is in {MIMALLOC}")


def test_glibcs_settings(scene):
    report = scene["glibc"]
    warned(report, "variables", "glibc.malloc.nonsense=4 is ignored")
    warned(report, "variables", "MALLOC_TRIM_THRESHOLD=65536 is ignored", "with the underscore")
    warned(report, "variables", "MALLOC_TRIM_THRESHOLD_=-1", "returns nothing by itself")
    warned(report, "variables", "MALLOC_MMAP_THRESHOLD_=64K is not in force", "131072")
    good = said(report, "variables", "pass")[0]
    assert "glibc.malloc.arena_max=3" in good and "glibc.malloc.top_pad=131072" in good
    assert "at most 3 (arena_max)" in said(report, "arenas", "pass")[0]


def test_jemallocs_settings(scene):
    report = scene["jemalloc"]
    warned(report, "variables", "dirty_decay_ms:-1", "never returned")
    warned(report, "variables", "bogus:1 is ignored")
    assert "background_thread:true" in said(report, "variables", "pass")[0]


def test_tcmallocs_settings(scene):
    report = scene["tcmalloc"]
    warned(report, "variables", "TCMALLOC_RELEASE_RATE=0", "nothing by itself")
    warned(report, "variables", "TCMALLOC_NONSENSE=1 is ignored")


def test_an_environment_that_was_overwritten(scene):
    assert "MALLOC_ARENA_MAX=2" in said(scene["overwritten"], "variables", "pass")[0]


def test_many_sockets(scene):
    report = scene["sockets"]
    warned(report, "descriptors", "600 sockets")
    assert report["samples"][0]["by_kind"]["sockets"] == 600
    assert report["samples"][0]["descriptors"] == len(os.listdir(f"/proc/{scene.targets['sockets'].pid}/fd"))


def test_growth(scene):
    report = scene["grow"]
    warned(report, "rss", "a second", f"attach {scene.targets['grow'].pid}")
    grown = [s["rss"] for s in report["samples"]]
    assert grown == sorted(grown) and grown[2] - grown[0] > 8 << 20


@pytest.mark.parametrize("glibc", GLIBCS + ["namespaced"])
def test_which_thread_an_arena_belongs_to(tree, scene, glibc):
    """The truth is where a thread's block lies: in the heap of its arena, or at the break."""
    report = scene[glibc]
    arenas = {int(a["addr"], 16): a for a in tree.glibc(scene.targets[glibc].pid)["arenas"]}
    main = next(addr for addr, a in arenas.items() if a["main"])
    found = {thread["tid"]: thread["arena"] for thread in report["threads"]}
    assert len(found) == 24
    if glibc == "static":
        assert set(found.values()) == {None} and said(report, "arena-threads", "unknown")
        return
    for thread in scene.targets[glibc].hello["threads"]:
        base = thread["block"] & ~((64 << 20) - 1)
        own = next((addr for addr in arenas if addr != main and addr & ~((64 << 20) - 1) == base), main)
        name = "main arena" if own == main else f"arena {own:#x}"
        assert found[thread["tid"]] == (name if thread["block"] else None), thread
    assert said(report, "arena-threads", "pass")


def test_the_limit_of_a_cgroup(tree):
    with memory_cgroup(f"check-{os.getpid()}") as (folder, limit):
        inner = folder / "inner.service"
        inner.mkdir()
        try:
            (folder / limit).write_text(str(256 << 20))
            with target() as small, target("free", "60") as large:
                join(small.pid, inner)
                join(large.pid, inner)
                report, other = check_all(tree, f"{large.pid},{small.pid}")
                assert (report["pid"], other["pid"]) == (large.pid, small.pid)
                assert report["cgroup"]["max"] == 256 << 20
                assert report["cgroup"]["max_of"] == f"/{folder.name}"
                assert report["cgroup"]["path"] == f"/{folder.name}/inner.service"
                assert any("256 MiB" in line for line in said(report, "memory-max", "pass"))
                if limit == "memory.max":
                    warned(report, "memory-high", "MemoryHigh=153M")
                else:
                    assert said(report, "memory-high", "unknown")
                names = (["--cgroup", f"/{folder.name}"], ["--cgroup", str(folder)], ["--unit", "inner"])
                for run in [subprocess.Popen([tree.alloctrace, "check", *words], stdout=subprocess.PIPE, text=True)
                            for words in names]:
                    first = run.communicate(timeout=60)[0].splitlines()[0]
                    assert f"({large.pid})" in first and "the largest of 2 processes" in first
        finally:
            inner.rmdir()


def test_an_oom_kill_is_remembered(tree):
    with memory_cgroup(f"check-oom-{os.getpid()}") as (folder, limit):
        limit_to(folder, limit, 64 << 20)
        victim = subprocess.Popen(["/bin/sh", "-c", f"echo $$ > {folder}/cgroup.procs; exec {PYTHON} -c "
                                   "'x = b\"x\" * (200 << 20)'"])
        assert victim.wait(timeout=60) == -9
        with target() as t:
            join(t.pid, folder)
            report = check_all(tree, t.pid)[0]
            warned(report, "events", "OOM killer has struck 1 time")
            assert report["cgroup"]["events"]["oom_kill"] == 1


def test_what_cannot_be_done_is_said(tree):
    for words, status, text in ((["1,x"], USAGE, "needs process ids"), (["4194000"], FAILED, "no process"),
                                (["--unit", "no-such-unit"], FAILED, "no unit no-such-unit.service"),
                                (["--cgroup", "/no/such"], FAILED, "no cgroup /no/such"), ([], USAGE, "no PID"),
                                (["--unit", "x", "-p", "1"], USAGE, "exclude each other")):
        done = subprocess.run([tree.alloctrace, "check", *words], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (status, ""), (words, done)
        assert text in done.stderr
    with target() as t:  # one of two that is not there: the other's report, and failed
        done = subprocess.run([tree.alloctrace, "check", f"4194000,{t.pid}"], capture_output=True, text=True)
        assert done.returncode == FAILED and f"({t.pid})" in done.stdout and "4194000" in done.stderr
