"""Targets that know the truth about their heaps, and what alloctrace says of them.

A target is built for a C library of its own: another Debian suite's, unpacked by
tools/fetch-glibc below BUILD/glibc, or the static one of that suite.
"""
import contextlib
import fcntl
import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "tests" / "workload"
LIBDIR = "x86_64-linux-gnu"

SUITES = {"2.31": "bullseye", "2.36": "bookworm", "2.41": "trixie", "newest": "sid"}

# How the same source becomes another program: glibc, further flags of gcc, stripped or not.
VARIANTS = {
    "2.31": ("2.31", [], False),
    "2.36": ("2.36", [], False),
    "2.36-no-pie": ("2.36", ["-no-pie"], False),
    "2.41": ("2.41", [], False),
    "newest": ("newest", [], False),
    "static": ("2.36", ["-static", "-no-pie"], False),
    "static-stripped": ("2.36", ["-static", "-no-pie"], True),
    "static-pie": ("2.36", ["-static-pie"], False),
    "static-pie-stripped": ("2.36", ["-static-pie"], True),
    "static-2.41": ("2.41", ["-static", "-no-pie"], True),
    "static-newest": ("newest", ["-static-pie"], True),
}


@contextlib.contextmanager
def alone(path):
    """One test at a time, of all that run beside each other: path names what they share."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unpack(build, tool, *words):
    """Has a tool of tools/ unpack packages of a suite, whose lists are read once for all of them."""
    return subprocess.run([ROOT / "tools" / tool, *words], capture_output=True, text=True,
                          env={**os.environ, "SUITE_LISTS": str(build / "lists")})


def fetched(folder, tool, *words):
    """BUILD/KIND/NAME, which a tool of tools/ has filled, now or before; skips where what is in it cannot be had."""
    with alone(folder):
        done = unpack(folder.parents[1], tool, *words, folder)
    if done.returncode:
        pytest.skip(done.stderr.strip())
    return folder


class Tree:
    """Where this run's programs are."""

    def __init__(self, build):
        self.build = Path(build).resolve()
        self.alloctrace = self.build / "alloctrace"

    def workload(self, name):
        return self.build / "tests" / "workload" / name

    def sysroot(self, glibc):
        """Another suite's C library, fetched once; skips where it cannot be had."""
        return fetched(self.build / "glibc" / SUITES[glibc], "fetch-glibc", SUITES[glibc])

    def variant(self, source, name):
        """The program built from tests/workload/SOURCE.c as VARIANTS says."""
        glibc, flags, stripped = VARIANTS[name]
        root = self.sysroot(glibc)
        out = self.build / "tests" / "workload" / name / source
        code = SOURCES / f"{source}.c"
        newest = max(path.stat().st_mtime for path in [code, *SOURCES.glob("*.h")])
        with alone(out):
            if not out.exists() or out.stat().st_mtime < newest:
                self.build_variant(root, code, out, flags, stripped)
        return out

    @staticmethod
    def build_variant(root, code, out, flags, stripped):
        lib = root / "usr" / "lib" / LIBDIR
        if "-static" not in flags and "-static-pie" not in flags:
            shared = root / "lib" / LIBDIR
            flags = flags + [f"-Wl,--dynamic-linker={shared}/ld-linux-x86-64.so.2", f"-Wl,-rpath,{shared}"]
        subprocess.run(["gcc", "-O1", "-g", "-D_GNU_SOURCE", "-fno-builtin", f"--sysroot={root}",
                        f"-B{lib}", f"-L{lib}", code, "-o", out, "-pthread", "-ldl", *flags], check=True)
        if stripped:
            subprocess.run(["strip", out], check=True)

    def preloaded(self, library, glibc="2.36", source="allocator_truth", **env):
        """A workload on another suite's C library, with that suite's allocator preloaded."""
        folders, program = [Path("/usr/lib") / LIBDIR], self.workload(source)
        if glibc != "2.36":
            suite = SUITES[glibc]
            root = fetched(self.build / "allocators" / suite, "fetch-allocators", suite)
            program = self.variant(source, glibc)
            folders = [root / "usr" / "lib" / LIBDIR, root / "lib" / LIBDIR, self.sysroot(glibc) / "lib" / LIBDIR]
            env["LD_LIBRARY_PATH"] = ":".join(map(str, folders))
        if not (folders[0] / library).exists():
            pytest.skip(f"{library} is not installed")
        return Target([program], env={**os.environ, **env, "LD_PRELOAD": str(folders[0] / library)})

    def heap(self, pid, *options):
        """What `alloctrace heap PID --json` says."""
        done = subprocess.run([self.alloctrace, "heap", str(pid), "--json", *options],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def glibc(self, pid, *options):
        """glibc's part of it."""
        return allocator(self.heap(pid, *options), "glibc")


@pytest.fixture(scope="session")
def tree(request):
    return Tree(request.config.getoption("--build", default=None) or ROOT / "build")


def allocator(report, name):
    return next(a for a in report["allocators"] if a["name"] == name)


class Target:
    """A process that obeys one command a line and answers each with a line of JSON."""

    def __init__(self, command, **popen):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1, **popen)
        self.hello = self.answer()
        self.pid = self.hello["pid"]

    def answer(self):
        line = self.process.stdout.readline()
        assert line, f"the target ended: {self.process.wait()}"
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def memory_use(pid):
    """What of a target a walk must leave as it is."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rollup = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    use = {field: status[field].split()[0] for field in ("VmPTE", "VmSwap", "VmSize", "Threads")}
    use.update({field: rollup[field].split()[0] for field in ("Rss", "Anonymous", "Swap", "LazyFree")})
    return {field: int(value) for field, value in use.items()}


def root_only():
    if os.geteuid():
        pytest.skip("needs root")


@contextlib.contextmanager
def swap_space(folder):
    """Swap of our own, or a reason to skip. One at a time: what goes brings back all that was swapped out to it."""
    root_only()
    with alone("/run/lock/alloctrace-swap"):
        with swap_on(folder / "swap"):
            yield


@contextlib.contextmanager
def swap_on(space):
    space.write_bytes(bytes(64 << 20))
    space.chmod(0o600)
    for command in (["mkswap", space], ["swapon", space]):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError as missing:
            pytest.skip(f"no swap to test with: {missing}")
        if done.returncode:
            pytest.skip(f"no swap to test with: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["swapoff", space], check=True)
