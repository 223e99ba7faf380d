"""Python frames as the kernel side reads them, beside what sys._getframe says of the same allocation.

In isolation from the native unwinder and the program: tests/stack/python_truth. Every CPython
at hand is a case: the system's, pyenv's, newer Debians', and the commands in ALLOCTRACE_PYTHONS, one a line.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heap_targets import fetched

ROOT = Path(__file__).resolve().parents[2]
COUNT = 300
OLDEST, NEWEST = (3, 8), (3, 14)


def version_of(command):
    try:
        text = subprocess.run([*command, "-V"], capture_output=True, text=True, timeout=20).stdout
    except OSError:
        return None
    match = re.match(r"Python 3\.(\d+)", text)
    return (3, int(match[1])) if match else None


def pythons():
    """{name: command} of those that start."""
    commands = [["/usr/bin/python3"]]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    commands += [[str(path)] for path in sorted(pyenv.glob("3.*/bin/python3"))]
    commands += [shlex.split(line) for line in os.environ.get("ALLOCTRACE_PYTHONS", "").splitlines() if line]
    return {" ".join(c): (c, version_of(c)) for c in commands if version_of(c)}


PYTHONS = pythons()
KNOWN = {name: command for name, (command, version) in PYTHONS.items() if OLDEST <= version <= NEWEST}
OLDER = {name: command for name, (command, version) in PYTHONS.items() if (3, 7) <= version < OLDEST}


class Traced:
    """The target, and what was read of its frames."""

    def __init__(self, request, tmp_path, command, *program):
        self.tool = ROOT / (request.config.getoption("--build", None) or "build") / "tests/stack/python_truth"
        self.book = tmp_path / "book"
        program = program or (ROOT / "tests/workload/python_frames.py", self.book, str(COUNT))
        self.target = subprocess.Popen([*command, *program], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        assert self.target.stdout.readline() == "ready\n"

    def start(self):
        return subprocess.Popen([self.tool, str(self.target.pid), "3000000"], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def read(self):
        """What was read at each large malloc, and what was said on stderr."""
        tool = self.start()
        said = tool.stderr.readline()
        assert said == "attached\n", said + tool.stderr.read()
        self.target.communicate("go\n")
        out, said = tool.communicate()
        return [json.loads(line) for line in out.splitlines()], said

    def run(self):
        """[(expected, read)] of every allocation, and what was said on stderr."""
        entries, said = self.read()
        read = {entry["size"]: entry for entry in entries}
        expected = [json.loads(line) for line in self.book.read_text().splitlines()]
        return [(entry, read.get(entry["size"])) for entry in expected], said


@pytest.fixture
def traced(request, tmp_path):
    started = []

    def start(command, *program):
        started.append(Traced(request, tmp_path, command, *program))
        return started[-1]

    yield start
    for one in started:
        one.target.kill()
        one.target.communicate()


def assert_exact(pairs):
    assert len(pairs) >= COUNT
    assert len({expected["tid"] for expected, _ in pairs}) == 3
    for expected, read in pairs:
        assert read, f"no record of {expected}"
        assert (read["tid"], read["frames"]) == (expected["tid"], expected["frames"])


@pytest.mark.parametrize("name", KNOWN)
def test_names_files_and_lines_are_exact(traced, name):
    pairs, said = traced(KNOWN[name]).run()
    assert_exact(pairs)
    assert "0 frames without a name, 0 stacks dropped" in said


def debians(tree, suite, version):
    """The CPython of another Debian suite."""
    return [fetched(tree.build / "pythons" / version, "fetch-python", suite, version) / "python"]


@pytest.mark.parametrize("suite, version", [("trixie", "3.13"), ("sid", "3.14")])
def test_of_newer_debians(tree, traced, suite, version):
    pairs, said = traced(debians(tree, suite, version)).run()
    assert_exact(pairs)
    assert "0 frames without a name, 0 stacks dropped" in said


def test_a_newer_version_is_declined_in_words(tree, traced):
    assert "newer than the newest that is known" in refusal(traced(debians(tree, "sid", "3.15")))


def refusal(one):
    """Why the frames of a started target are not read."""
    tool = one.start()
    _, said = tool.communicate()
    assert tool.returncode == 3, said
    return said


def address_of_runtime(pid):
    """Of _PyRuntime, which begins with a cookie that says so, in a program's writable memory."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, *_, name = line.split(maxsplit=5)
            start, end = (int(address, 16) for address in span.split("-"))
            if rights.startswith("rw") and "python" in name:
                memory.seek(start)
                at = memory.read(end - start).find(b"xdebugpy")
                if at >= 0:
                    return start + at
    raise ValueError("no _PyRuntime")


def test_a_free_threaded_build_is_declined_in_words(tree, traced):
    """Debian has none: one with a GIL is made to say that it is."""
    one = traced(debians(tree, "trixie", "3.13"))
    with open(f"/proc/{one.target.pid}/mem", "r+b", 0) as memory:
        memory.seek(address_of_runtime(one.target.pid) + 16)  # _Py_DebugOffsets: cookie, version, free_threaded
        memory.write((1).to_bytes(8, "little"))
    assert "free-threaded" in refusal(one)


def test_musl_is_declined_in_words(traced, tmp_path):
    """What musl's threads keep lies elsewhere; a program that only looks like a CPython shows it."""
    if not shutil.which("musl-gcc"):
        pytest.skip("musl-gcc is not installed")
    source, program = tmp_path / "like_python.c", tmp_path / "like_python"
    source.write_text('#include <stdio.h>\n#include <unistd.h>\nchar _PyRuntime[4096];\n'
                      'int main(void) { puts("ready"); fflush(stdout); return (int)read(0, _PyRuntime, 1); }\n')
    subprocess.run(["musl-gcc", "-rdynamic", source, "-o", program], check=True)
    assert "runs on musl" in refusal(traced([program], "any"))


SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
print("ready", flush=True)
sys.stdin.readline()
run = getattr(interpreters, "run_string")
def host():
    run(interpreters.create(), "def inner():\\n  bytearray(3500001)\\ninner()")
    bytearray(3600001)
host()
"""


@pytest.mark.parametrize("name", KNOWN)
def test_of_two_interpreters_in_a_thread_one_is_told(traced, name):
    version = PYTHONS[name][1]
    one = traced(KNOWN[name], "-c", SUBINTERPRETER)
    read = {entry["size"]: [frame[0] for frame in entry["frames"]] for entry in one.read()[0]}
    assert read[3600002] == ["host", "<module>"]
    assert read[3500002] == (["host", "<module>"] if version < (3, 12) else ["inner", "<module>"])


def test_in_a_venv(traced, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    pairs, _ = traced([str(tmp_path / "venv/bin/python")]).run()
    assert_exact(pairs)


@pytest.mark.skipif(not OLDER, reason="no CPython 3.7 at hand")
def test_an_older_version_is_declined_in_words(traced):
    assert "before 3.8" in refusal(traced(next(iter(OLDER.values()))))
