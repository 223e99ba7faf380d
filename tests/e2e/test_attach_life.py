"""How `attach` begins and ends: whatever happens to it or to the target, the target goes on
unharmed, no probe is left, and the user gets a last report or one clear line."""
import os
import random
import re
import signal
import subprocess
from pathlib import Path

import pytest

from attach_harness import (MIB, NOBODY, PythonTarget, Target, Tracer, attach, attached, churn, probes_left,
                            purges)
from heap_targets import root_only
from test_heap_errors import refused

KILLS = int(os.environ.get("ALLOCTRACE_KILLS", "50"))


def alloctrace(tree, *words, **run):
    run.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([tree.alloctrace, *map(str, words)], stderr=subprocess.PIPE, text=True, timeout=60, **run)


def all_probed(tree, threads=2):
    return Target([tree.workload("all_probed"), threads])


def check_unharmed(target):
    """The target's own word: every answer it got and every byte it kept was right."""
    target.process.stdin.close()
    end = target.answer()
    assert end["wrong"] == 0 and end["calls"] > 0
    assert target.process.wait() == 0


def test_the_verifier_has_little_to_do(tree):
    """Newer kernels count the same programs higher: there must be room below their million."""
    with all_probed(tree) as target, attach(tree, target.pid, "--verbose") as tracer:
        tracer.ready().stop()
    said = re.search(r"at most (\d+) instructions verified", tracer.stderr)
    assert 0 < int(said[1]) < 100000


# How it ends.

@pytest.mark.parametrize("by, word", [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")],
                         ids=["SIGINT", "SIGTERM"])
def test_ended_by_signal(tree, by, word):
    with all_probed(tree) as target:
        with attached(tree, target.pid) as tracer:
            final = tracer.stop(by)
            assert word in final["ended"]
            assert final["pid"] == target.pid and final["command"] == "all_probed"
        check_unharmed(target)


@pytest.mark.parametrize("code, words", [("os._exit(3)", "exited with status 3"),
                                         ("os.kill(os.getpid(), 9)", "killed by signal 9")], ids=["exit", "killed"])
def test_ended_by_the_target(tree, code, words):
    with PythonTarget() as target, attach(tree, target.pid) as tracer:
        tracer.ready()
        target.do("purge_glibc()")
        target.process.stdin.write(f'"{code}"\n')
        final = tracer.finish()
        assert words in final["ended"]
        assert len(purges(final, "malloc_trim")) == 1
        assert final["rss"] > 0


def test_ended_by_duration(tree):
    with all_probed(tree) as target:
        with attached(tree, target.pid, "--duration", "1") as tracer:
            assert "duration" in tracer.finish()["ended"]
        check_unharmed(target)


def test_ended_by_count(tree):
    with all_probed(tree) as target:
        with Tracer(tree, "attach", "--json", target.pid, "0.2", "3") as tracer:
            tracer.finish()
            assert [report["final"] for report in tracer.objects] == [False, False, True]
        assert probes_left(target.pid) == []
        check_unharmed(target)


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "text"])
def test_reader_that_goes_away(tree, options):
    """A closed pipe: that reader has seen enough."""
    with all_probed(tree) as target:
        tracer = subprocess.Popen([tree.alloctrace, "attach", *options, str(target.pid), "0.1"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert tracer.stdout.read(1)
        tracer.stdout.close()
        assert tracer.wait(timeout=60) == 0
        assert tracer.stderr.read() == b""
        tracer.stderr.close()
        assert probes_left(target.pid) == []
        check_unharmed(target)


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "text"])
def test_full_disk(tree, options):
    with all_probed(tree) as target:
        with open("/dev/full", "w") as full:
            done = alloctrace(tree, "attach", *options, target.pid, "0.1", stdout=full)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1 and "No space left on device" in done.stderr
        assert probes_left(target.pid) == []
        check_unharmed(target)


def test_attached_and_detached_again_and_again(tree):
    with all_probed(tree) as target:
        for _ in range(10):
            with attach(tree, target.pid, "--duration", "0.05") as tracer:
                tracer.finish()
        assert probes_left(target.pid) == []
        check_unharmed(target)


def test_two_tracers_at_once(tree):
    """Each sees every purge; the first to go takes nothing from the other."""
    with PythonTarget() as target:
        with attach(tree, target.pid) as one, attach(tree, target.pid) as two:
            one.ready(), two.ready()
            target.do("purge_glibc()")
            assert len(purges(one.stop(), "malloc_trim")) == 1
            target.do("purge_glibc()")
            assert len(purges(two.stop(), "malloc_trim")) == 2
        assert probes_left(target.pid) == []


# Targets that cannot be attached to: one line, status 1. Those that no command takes: test_heap_errors.py.

def test_no_privilege(tree):
    """Without root: one line that says what is needed, even for one's own process."""
    root_only()
    own = subprocess.Popen([*NOBODY, "/bin/sleep", "1000"])
    try:
        with PythonTarget() as target, open(tree.alloctrace, "rb") as program:
            for pid in (target.pid, own.pid):
                done = subprocess.run([*NOBODY, f"/proc/self/fd/{program.fileno()}", "attach", str(pid)],
                                      pass_fds=[program.fileno()], capture_output=True, text=True, timeout=60)
                refused(done)
                assert "root" in done.stderr or "sudo" in done.stderr
    finally:
        own.kill()
        own.wait()


@pytest.mark.parametrize("words", [[], ["x"], ["1", "0"], ["1", "1", "1", "1"], ["--retained-min", "x", "1"],
                                   ["--walk-budget", "101", "1"], ["--nothing", "1"]], ids=" ".join)
def test_wrong_command_line(tree, words):
    done = alloctrace(tree, "attach", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("alloctrace attach: ") and not done.stdout


# Targets that do something uncommon.

def test_forks_1000_children(tree):
    """Children are no part of the target: they run unharmed and unseen."""
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        statuses = target.do("result = []\n"
                             "for i in range(1000):\n"
                             "    child = os.fork()\n"
                             "    if child == 0:\n"
                             "        purge_glibc(); ctypes.CDLL('libc.so.6'); os._exit(7)\n"
                             "    result.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))")
        assert statuses == [7] * 1000
        target.do("purge_glibc()")
        final = tracer.stop()
        assert len(purges(final, "malloc_trim")) == 1
        assert churn(final, "libc.so.6")["opens"] == 0


def test_a_living_child_keeps_no_probe(tree):
    with PythonTarget() as target:
        with attached(tree, target.pid) as tracer:
            child = target.do("result = os.fork()\nif result == 0:\n    import signal\n    signal.pause()")
            try:
                assert probes_left(child) == []
                tracer.stop()
                assert probes_left(child) == []
            finally:
                os.kill(child, signal.SIGKILL)


def test_exec_is_followed(tree):
    """The new program has another text, another heap and perhaps another libc: probed afresh."""
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        target.do("purge_glibc()")
        target.process.stdin.write('"import sys; os.execv(sys.executable, [sys.executable, sys.argv[0]])"\n')
        assert target.answer()["pid"] == target.pid
        tracer.until(lambda report: report["held"] is not None and report["state_age"] < 0.25)
        before = target.do("data = fill(200); keep = data[::64]; del data; result = rss()")
        tracer.until(lambda report: (report["purgeable"] or 0) > 100 * MIB)
        drop = before - target.do("purge_glibc(); result = rss()")
        found = purges(tracer.stop(), "malloc_trim")
        assert len(found) == 2
        assert abs(found[1]["returned"] - drop) <= MIB and found[1]["effective"]


# Kills the process at any system call that this libc was not written for: as systemd's
# SystemCallFilter= does with the one that ends a return probe (uretprobe, 335; uprobe, 336).
FILTER = """
import struct
prctl = libc.prctl
prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
def row(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
rows = row(0x20, 0, 0, 0) + row(0x35, 0, 2, 335) + row(0x25, 1, 0, 423) + row(0x06, 0, 0, 0x80000000) \
    + row(0x06, 0, 0, 0x7fff0000)
rows = ctypes.create_string_buffer(rows, len(rows))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 5, ctypes.addressof(rows)))
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, ctypes.addressof(program), 0, 0) == 0
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_target_under_a_seccomp_filter(tree, when):
    """Installed before or after the attach: a return probe may kill such a process, ours must not."""
    with PythonTarget() as target:
        if when == "before":
            target.do(FILTER)
        with attached(tree, target.pid) as tracer:
            if when == "after":
                target.do(FILTER)
            target.do("data = fill(100); keep = data[::64]; del data; purge_glibc(); ctypes.CDLL('libz.so.1')")
            tracer.until(lambda report: purges(report, "malloc_trim"))
            final = tracer.stop()
        purge, = purges(final, "malloc_trim")
        assert purge["returned"] > 50 * MIB
        assert churn(final, "libz.so")["opens"] == 1
        assert target.do("result = 1") == 1


def test_exits_during_attach(tree):
    """At whatever moment: a last report or one line, never a hang."""
    for _ in range(30):
        target = subprocess.Popen(["/bin/sleep", f"{random.uniform(0.001, 0.25):.3f}"])
        tracer = subprocess.Popen([tree.alloctrace, "attach", "--json", str(target.pid)],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        target.wait()
        out, err = tracer.communicate(timeout=60)
        assert tracer.returncode in (0, 1), err
        if tracer.returncode:
            assert err.count("\n") == 1 and not out, err
        else:
            assert '"final":true' in out.replace(" ", "")


# kill -9 at random moments. The sleeps are the random moment itself, nothing waits for them.

def test_tracer_killed(tree):
    with all_probed(tree, 3) as target:
        for _ in range(KILLS):
            tracer = subprocess.Popen([tree.alloctrace, "attach", "--json", str(target.pid), "0.1"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                tracer.wait(timeout=random.uniform(0, 0.5))
            except subprocess.TimeoutExpired:
                tracer.kill()
            assert tracer.wait() == -signal.SIGKILL
            assert target.process.poll() is None
            assert probes_left(target.pid) == []
        check_unharmed(target)


def keeper_of(tracer):
    """The child of the tracer that holds its probes."""
    task = Path(f"/proc/{tracer}/task/{tracer}/children")
    return next(int(pid) for pid in task.read_text().split()
                if Path(f"/proc/{pid}/comm").read_text() == "uprobe-keeper\n")


def test_killed_with_its_process_group(tree):
    """As `kill -9 -PGID`, or a terminal that closes: the probes' holder has a session of its own."""
    with all_probed(tree, 3) as target, attach(tree, target.pid, start_new_session=True) as tracer:
        tracer.ready()
        os.killpg(tracer.process.pid, signal.SIGKILL)
        tracer.process.wait()
        assert probes_left(target.pid) == []
        check_unharmed(target)


def test_keeper_killed(tree):
    with all_probed(tree, 3) as target, attached(tree, target.pid) as tracer:
        os.kill(keeper_of(tracer.process.pid), signal.SIGKILL)
        tracer.until(lambda report: any("all probes are gone" in line for line in report["missing"]))
        tracer.stop()
        assert probes_left(target.pid) == []
        check_unharmed(target)


def test_target_killed(tree):
    for _ in range(KILLS):
        with all_probed(tree) as target:
            tracer = subprocess.Popen([tree.alloctrace, "attach", "--json", str(target.pid), "0.1"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                tracer.wait(timeout=random.uniform(0, 0.5))
            except subprocess.TimeoutExpired:
                pass
            target.process.kill()
            out, err = tracer.communicate(timeout=60)
            assert tracer.returncode in (0, 1), err
            if tracer.returncode:
                assert err.count("\n") == 1, err
            else:
                assert '"final":true' in out.splitlines()[-1].replace(" ", "")
