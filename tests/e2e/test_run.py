"""`alloctrace run -- COMMAND`: seen from the first instruction on, and to the command and its
caller as if nobody watched."""
import json
import signal
import subprocess

import pytest

from attach_harness import PYTHON, purges

FIRST_ACT = """
#include <malloc.h>
__attribute__((constructor(101))) static void first(void) { malloc_trim(0); }
int main(void) { return malloc_trim(0) < 0; }
"""


def run(tree, *command, options=("--json",), **kwargs):
    return subprocess.run([tree.alloctrace, "run", *options, "--", *map(str, command)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **kwargs)


def reports(done):
    """The objects among what was printed."""
    lines = (done.stdout + done.stderr).decode().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def final(done):
    last = [report for report in reports(done) if report["final"]]
    assert len(last) == 1, done.stderr
    return last[0]


def output(done):
    """What the command itself printed."""
    return b"".join(line for line in done.stdout.splitlines(True) if not line.startswith(b"{"))


@pytest.mark.parametrize("script, status", [
    ("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143),
    ("kill -2 $$", 130), ("kill -6 $$", 134),
])
def test_exit_status_is_passed_through(tree, script, status):
    done = run(tree, "sh", "-c", script)
    assert done.returncode == status
    final(done)


def test_command_not_found(tree):
    done = run(tree, "there-is-no-such-command")
    assert done.returncode == 127
    assert done.stderr.count(b"\n") == 1 and b"there-is-no-such-command" in done.stderr


def test_command_that_cannot_be_run(tree, tmp_path):
    (tmp_path / "text").write_text("no program")
    done = run(tree, tmp_path / "text")
    assert done.returncode == 126
    assert done.stderr.count(b"\n") == 1 and b"text" in done.stderr


@pytest.mark.parametrize("words", [[], ["--"], ["--interval", "x", "--", "true"], ["--pid", "1", "--", "true"]],
                         ids=lambda words: " ".join(words) or "nothing")
def test_wrong_command_line(tree, words):
    done = subprocess.run([tree.alloctrace, "run", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("alloctrace run: ") and not done.stdout


def test_from_the_first_instruction(tree, tmp_path):
    """A program that purges in its first constructor and again in main, and ends."""
    (tmp_path / "first.c").write_text(FIRST_ACT)
    subprocess.run(["gcc", "-o", tmp_path / "first", tmp_path / "first.c"], check=True)
    for _ in range(10):
        done = run(tree, tmp_path / "first")
        assert done.returncode == 0, done.stderr
        assert len(purges(final(done), "malloc_trim")) == 2


def test_exec_is_followed(tree):
    """The shell becomes Python, twice over; what the last one does is seen."""
    code = "import ctypes; ctypes.CDLL('libc.so.6').malloc_trim(0)"
    done = run(tree, "sh", "-c", f'exec sh -c "exec {PYTHON} -c \\"{code}\\""')
    assert done.returncode == 0, done.stderr
    report = final(done)
    assert len(purges(report, "malloc_trim")) == 1
    assert report["command"].startswith("python3")


def test_each_ends_once(tree):
    """However often reports come: the one that is due when it has just ended is not another last one."""
    done = run(tree, "sh", "-c", "for i in $(seq 60); do sleep 0.0$((i % 10)); done",
               options=("--json", "--no-alloc", "--stack", "none", "--interval", "0.01"))
    ended = [report["pid"] for report in reports(done) if report["final"]]
    assert len(ended) > 20 and len(ended) == len(set(ended))


def test_stdin_and_stdout_are_the_commands_own(tree):
    text = b"".join(b"line %d\n" % i for i in range(10000))
    done = run(tree, "cat", input=text)
    assert done.returncode == 0
    assert output(done) == text
    final(done)


def test_arguments_and_environment_arrive(tree):
    done = run(tree, "sh", "-c", 'printf "%s\\n" "$0" "$@" "$WORD"', "a b", "--json", "", "-x",
               env={"PATH": "/usr/bin:/bin", "WORD": "from outside"})
    assert output(done).split(b"\n") == [b"a b", b"--json", b"", b"-x", b"from outside", b""]


def test_signal_reaches_the_command(tree):
    """Ctrl-C and SIGTERM are for the command: it decides, and its status is passed through."""
    code = ("import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
            "print('ready', flush=True)\nsignal.pause()")
    tracer = subprocess.Popen([tree.alloctrace, "run", "--json", "--", PYTHON, "-c", code],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while tracer.stdout.readline().strip() != b"ready":
            assert tracer.poll() is None
        tracer.send_signal(signal.SIGTERM)
        tracer.communicate(timeout=60)
        assert tracer.returncode == 9
    finally:
        tracer.kill()
        tracer.wait()


def test_dlopen_and_returned_are_counted_from_the_start(tree):
    code = ("import ctypes\nfor _ in range(25): ctypes.CDLL('libz.so.1')\n"
            "data = [bytes(5000) for _ in range(20000)]; keep = data[::64]; del data\n"
            "ctypes.CDLL('libc.so.6').malloc_trim(0)")
    report = final(run(tree, PYTHON, "-c", code))
    row = next(row for row in report["dlopen"] if "libz.so" in row["library"])
    assert row["opens"] == 25 and row["flagged"]
    assert report["returned"]["purge"] > 80 << 20
    assert "exited with status 0" in report["ended"]


def test_static_command(tree, tmp_path):
    (tmp_path / "first.c").write_text(FIRST_ACT)
    subprocess.run(["gcc", "-static", "-o", tmp_path / "first", tmp_path / "first.c"], check=True)
    done = run(tree, tmp_path / "first")
    assert done.returncode == 0
    assert len(purges(final(done), "malloc_trim")) == 2
