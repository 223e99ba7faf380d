"""`alloctrace attach` and `run` under test: the tracer as an object that is waited for, Python
targets that do what a test says and know when they did it, and what a tracer may not leave
behind. Tests wait for objects and answers, never for a time."""
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from heap_targets import ROOT, Target

PYTHON = "/usr/bin/python3"
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
DEADLINE = 60  # seconds for anything that is waited for; reaching it is a failure
MIB = 1 << 20
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def library(*names):
    """The first of these that is installed; skips if none is."""
    for name in names:
        if (LIBRARIES / name).exists():
            return str(LIBRARIES / name)
    pytest.skip(f"{names[0]} is not installed")


def mimalloc():
    return library("libmimalloc.so.2", "libmimalloc.so.3")


class Tracer:
    """A running alloctrace whose JSON objects are read as they come."""

    def __init__(self, tree, *words, **popen):
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("stdout", subprocess.PIPE)
        self.process = subprocess.Popen([*popen.pop("prefix", []), str(tree.alloctrace), *map(str, words)],
                                        stderr=subprocess.PIPE, **popen)
        self.objects = []
        self.complaints = []
        self.arrived = queue.Queue()
        self.readers = [threading.Thread(target=self.read_complaints, daemon=True)]
        if self.process.stdout:
            self.readers.append(threading.Thread(target=self.read_objects, daemon=True))
        for reader in self.readers:
            reader.start()

    def read_objects(self):
        for line in self.process.stdout:
            self.arrived.put(line)
        self.arrived.put(None)

    def read_complaints(self):
        for line in self.process.stderr:
            self.complaints.append(line.decode(errors="replace"))

    @property
    def stderr(self):
        return "".join(self.complaints)

    def next(self):
        """The next object; None after the last."""
        try:
            line = self.arrived.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError(f"no object within {DEADLINE} s; stderr: {self.stderr}") from None
        if line is None:
            return None
        self.objects.append(json.loads(line))
        return self.objects[-1]

    def until(self, seen):
        """The first object from now on for which seen(object) holds."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            report = self.next()
            assert report, f"the tracer ended before; stderr: {self.stderr}"
            if seen(report):
                return report
        raise AssertionError(f"no such object within {DEADLINE} s; the last: {self.objects[-1]}")

    def ready(self):
        """Waits until the probes are placed and the heap has been read."""
        self.until(lambda report: report["state_age"] is not None)
        return self

    def wait(self):
        """Waits for its end; its exit status."""
        status = self.process.wait(timeout=DEADLINE)
        for reader in self.readers:
            reader.join(timeout=DEADLINE)
        return status

    def finish(self):
        """Reads on to its end; the final object. Its exit status must be 0."""
        while self.next():
            pass
        assert self.wait() == 0, self.stderr
        finals = [report for report in self.objects if report["final"]]
        assert len(finals) == 1 and self.objects[-1] is finals[0]
        return finals[0]

    def stop(self, by=signal.SIGINT):
        self.process.send_signal(by)
        return self.finish()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        if exc[0]:
            sys.stderr.write(self.stderr)


def exact(words):
    """No budget for the probes, unless the words have one."""
    return () if "--max-overhead" in words else ("--max-overhead", "none")


def attach(tree, pid, *words, **popen):
    """Attached to pid, with an object every quarter of a second, and heaps read more often than a user would want.
    Figures are exact unless the words ask for a budget: what the default makes of them is tested in test_budget*.py."""
    return Tracer(tree, "attach", "--json", "--walk-budget", "20", *exact(words), *words, pid, "0.25", **popen)


@contextlib.contextmanager
def attached(tree, pid, *words):
    """Attached and ready; in the end no probe may be left."""
    with attach(tree, pid, *words) as tracer:
        yield tracer.ready()
    assert probes_left(pid) == []


class PythonTarget(Target):
    """A Python process that runs what it is told to (tests/workload/python_target.py)."""

    def __init__(self, preload=None, prefix=(), python=PYTHON, **env):
        env = {**os.environ, **env}
        env.pop("LD_PRELOAD", None)
        if preload:
            env["LD_PRELOAD"] = preload
        super().__init__([*prefix, python, ROOT / "tests" / "workload" / "python_target.py"], env=env)

    def do(self, code):
        """Runs the statements; what they assigned to `result`, and when they began and ended."""
        answer = self.ask(json.dumps(code))
        assert "error" not in answer, answer["error"]
        self.began, self.ended = answer["began"], answer["ended"]
        return answer["result"]


def settled(tracer, target):
    """An object whose heap state was read after what the target did last: the second state that
    ended after that, since the first may have begun before."""
    def taken(report):
        return report["time"] - report["state_age"]

    first = tracer.until(lambda report: taken(report) > target.ended + 0.002)
    return tracer.until(lambda report: taken(report) > taken(first) + 0.002)


def rss(pid):
    """Bytes, exact (VmRSS lags behind on kernels that batch the counter)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) << 10
    raise ValueError(f"no Rss of {pid}")


def changed_text(pid):
    """{address: (file, byte there, byte in memory)} where a target's program text differs from its files."""
    found = {}
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, offset, _, inode, *name = line.split(maxsplit=5)
            if "x" not in rights or inode == "0":
                continue
            start, end = (int(address, 16) for address in span.split("-"))
            with open(f"/proc/{pid}/map_files/{start:x}-{end:x}", "rb") as file:
                file.seek(int(offset, 16))
                expected = file.read(end - start)
            memory.seek(start)
            actual = memory.read(len(expected))
            if actual != expected:
                found |= {start + i: (name[0].strip(), expected[i], actual[i])
                          for i in range(len(actual)) if actual[i] != expected[i]}
    return found


def text_differences(pid):
    """Addresses where a target's program text differs from its files: a probe is an int3 there."""
    return list(changed_text(pid))


def keeper_of(tracer):
    """The process that holds the probes: the tracer's child."""
    children = Path(f"/proc/{tracer.process.pid}/task/{tracer.process.pid}/children").read_text().split()
    keeper, = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "uprobe-keeper\n"]
    return keeper


def probes_left(pid):
    """What a tracer that has ended left in the target's text. The kernel may take a moment after kill -9."""
    left = None
    for _ in range(50):
        try:
            left = text_differences(pid)
        except OSError:  # a library was unmapped meanwhile
            if not Path(f"/proc/{pid}/exe").exists():
                return []
        if left == []:
            return []
        time.sleep(0.1)
    return left


def purges(report, function):
    return [purge for purge in report["purges"] if purge["function"] == function]


def churn(report, name):
    """Figures of all rows whose library's file name begins with name, added up."""
    rows = [row for row in report["dlopen"] if Path(row["library"]).name.startswith(name)]
    return {key: sum(row[key] for row in rows)
            for key in ("opens", "closes", "repeats", "new_mappings", "failures", "ns")}
