"""The live screen, in a terminal of its own: tmux holds it, gives it keys and says what it shows."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from attach_harness import DEADLINE, MIB, PythonTarget, probes_left, rss

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
LOOK = 0.05  # seconds between two looks at the screen


class Terminal:
    """A shell in a tmux of its own."""

    def __init__(self, folder, cols=80, rows=24):
        if not shutil.which("tmux"):
            pytest.skip("tmux is not installed")
        self.tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        subprocess.run([*self.tmux, "new-session", "-d", "-x", str(cols), "-y", str(rows), "sh"], env=env, check=True)
        self.until(str.strip)  # its prompt

    def ask(self, *words):
        return subprocess.run([*self.tmux, *words], stdout=subprocess.PIPE, text=True, check=True).stdout

    def keys(self, *keys):
        self.ask("send-keys", *keys)

    def run(self, line):
        self.keys("-l", line)
        self.keys("Enter")

    def lines(self):
        return self.ask("capture-pane", "-p").split("\n")

    def until(self, seen):
        """The lines for which seen(text) holds first."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            lines = self.lines()
            if seen("\n".join(lines)):
                return lines
            time.sleep(LOOK)
        raise AssertionError("never seen; the screen:\n" + "\n".join(self.lines()))

    def until_has(self, text):
        return self.until(lambda screen: text in screen)

    def resize(self, cols, rows):
        self.ask("resize-window", "-x", str(cols), "-y", str(rows))

    def modes(self, word):
        """The terminal's modes, between two lines that nobody else prints."""
        self.run(f"clear; echo {word}; stty -a; echo {word}.end")
        lines = self.until(lambda screen: f"\n{word}.end" in screen)
        begin, end = lines.index(word), lines.index(f"{word}.end")
        return "".join(lines[begin + 1:end])

    def is_plain(self):
        """No alternate screen, and a cursor."""
        return self.ask("display", "-p", "#{alternate_on} #{cursor_flag}").strip() == "0 1"


@contextlib.contextmanager
def terminal(tmp_path, **size):
    held = Terminal(tmp_path, **size)
    try:
        yield held
    finally:
        subprocess.run([*held.tmux, "kill-server"])


def top_line(tree, pid):
    return f"{tree.alloctrace} top --walk-budget 20 --max-overhead none {pid} 0.25"


def tracers_of(pid):
    """The PIDs of the alloctrace processes that were told to watch it: the screen's, and its keeper's."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
            if words[0].endswith(b"/alloctrace") and str(pid).encode() in words:
                found.append(int(name))
    return sorted(found)


def size(text):
    number, unit = re.fullmatch(r"[+−]?([\d.]+) (\w+)", text).groups()
    return float(number) * UNITS[unit]


def figure(screen, name):
    """Bytes on the line of the head that begins with that name; None if it is not there (yet)."""
    found = re.search(rf"^{name} +([\d.]+ [KMG]?i?B)", screen, re.M)
    return found and size(found[1])


def first_row(screen):
    """The row below the heading."""
    lines = screen.split("\n")
    head = next((i for i, line in enumerate(lines) if "allocated by" in line), None)
    return "" if head is None else lines[head + 1]


def test_figures_and_keys(tree, tmp_path):
    with PythonTarget() as target, terminal(tmp_path) as term:
        before = term.modes("before")
        term.run(top_line(tree, target.pid))
        term.until(lambda screen: re.search(r"^retained +\d", screen, re.M))
        target.do("def small(size=1000): return [b'x' * size for _ in range(2000)]\n"
                  "def large(): return [b'x' * 30000 for _ in range(1000)]\n"
                  "kept = [small(), large()]")
        term.until(lambda screen: re.match(r" +28\.\d MiB.*large", first_row(screen)))  # 1000 × 30033 bytes
        term.until(lambda screen: abs(figure(screen, "RSS") - rss(target.pid)) < MIB / 2)
        assert f"({target.pid})" in term.lines()[0]

        term.keys("6")  # by blocks: the objects, and their list
        term.until(lambda screen: "blocks▼" in screen and re.search(r" 2,001 .*small", first_row(screen)))
        term.keys("r")
        term.until(lambda screen: "blocks▲" in screen and re.search(r" 0  ", first_row(screen)))
        term.keys("1", "/", "large", "Enter")
        term.until(lambda screen: "(1 with /large" in screen and "small" not in screen)
        term.keys("Enter")  # the whole stack
        term.until(lambda screen: "Python only" in screen and re.search(r"^large.*:2\)", screen, re.M))
        term.keys("q", "Escape")
        term.until(lambda screen: "with /large" not in screen and "live▼" in screen)
        term.keys("?")
        term.until_has("Columns of sites")
        term.keys("C-z")
        term.until_has("Stopped")
        assert term.is_plain()
        term.run("fg")
        term.until_has("Columns of sites")
        term.keys("q", "q")
        term.until_has("watched for")
        assert term.is_plain() and term.modes("after") == before
    assert probes_left(target.pid) == []


def test_what_comes_is_in_the_log(tree, tmp_path):
    with PythonTarget() as target, terminal(tmp_path, cols=132, rows=43) as term:
        term.run(top_line(tree, target.pid) + "; echo left")
        term.until(lambda screen: re.search(r"^retained +\d", screen, re.M))
        target.do("a = fill(40); last = b'y' * 5000; del a; purge_glibc()")
        term.until(lambda screen: re.search(r"malloc_trim returned [\d.]+ MiB in [\d.]+ ms, effective by", screen))
        screen = tracers_of(target.pid)[0]
        with open(f"/proc/{screen}/fd/2", "w") as errors:  # what a library would say
            errors.write("alloctrace: nothing is wrong\n")
        lines = term.until_has("nothing is wrong")
        assert "RSS" in lines[1]  # where it was
        term.keys("Space")
        term.until_has("PAUSED")
        target.do("b = fill(20); del b; purge_glibc()")
        term.until(lambda screen: screen.count("malloc_trim returned") == 2)
        term.keys("Space")
        for cols, rows_ in ((40, 10), (3, 1), (10, 4), (80, 24)):
            term.resize(cols, rows_)
            bar = " q" if rows_ > 1 else " p"
            term.until(lambda screen: len(screen.split("\n")) > rows_ and screen.split("\n")[rows_ - 1].startswith(bar))
        target.process.kill()
        term.until(lambda screen: "was killed by signal 9 (Killed); q leaves" in screen.split("\n")[0])
        term.keys("q")
        lines = term.until(lambda screen: "\nleft" in screen)
        text = "".join(lines)
        assert "alloctrace: nothing is wrong" in text and "was killed by signal 9" in text


@pytest.mark.parametrize("by", [signal.SIGSEGV, signal.SIGTERM])
def test_the_terminal_is_left_as_it_was(tree, tmp_path, by):
    with PythonTarget() as target, terminal(tmp_path) as term:
        before = term.modes("before")
        term.run(top_line(tree, target.pid) + "; echo left")
        term.until(lambda screen: re.search(r"^RSS +\d", screen, re.M))
        assert not term.is_plain()
        os.kill(tracers_of(target.pid)[0], by)
        term.until(lambda screen: "\nleft" in screen)
        assert term.is_plain() and term.modes("after") == before
        assert probes_left(target.pid) == []


def test_many_processes_have_a_row_each(tree, tmp_path):
    with PythonTarget() as a, PythonTarget() as b, terminal(tmp_path) as term:
        term.run(top_line(tree, f"{a.pid},{b.pid}"))
        term.until(lambda screen: "2 processes" in screen and re.search(r"^live +\d", screen, re.M))
        term.keys("Tab")
        lines = term.until(lambda screen: f"python3 ({a.pid})" in screen and f"python3 ({b.pid})" in screen)
        line = next(line for line in lines if f"({a.pid})" in line)
        assert size(re.match(r" *([\d.]+ \w+)", line)[1]) == pytest.approx(rss(a.pid), rel=0.05)
        b.process.kill()
        term.until(lambda screen: "1 process" in screen and f"({b.pid}): the target was killed by signal 9" in screen)
        term.keys("C-c")
        term.until_has("watched for")


@pytest.mark.parametrize("env, redirect, says", [
    ("", "< /dev/null", "standard input is none"),
    ("", "| cat", "standard output is none"),
    ("TERM=no-such-thing ", "", "terminfo knows no terminal 'no-such-thing'"),
    ("TERM=dumb ", "", "a terminal 'dumb' (TERM) cannot be drawn on"),
    ("TERM= ", "", "TERM is not set"),
])
def test_where_no_screen_can_be(tree, tmp_path, env, redirect, says):
    with terminal(tmp_path, cols=200) as term:
        term.run(f"{env}{tree.alloctrace} top 1 {redirect}; echo status $?")
        lines = term.until(lambda screen: "\nstatus" in screen)
        said = [line for line in lines if line.startswith("alloctrace: ")]
        assert len(said) == 1 and says in said[0] and "alloctrace attach" in said[0]
        assert "| cat" in redirect or "status 1" in lines
