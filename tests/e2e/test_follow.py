"""Children that are followed: from their first allocation on, however short they live, and without harm. What each
did, it says itself (tests/workload/fork_truth.c)."""
import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from attach_harness import DEADLINE, PYTHON, PythonTarget, Tracer, probes_left
from heap_targets import root_only
from test_run import reports, run

JSON = ("--json", "--max-overhead", "none")
FIGURES = ("allocs", "allocated", "frees", "freed")


@pytest.fixture(autouse=True)
def as_root():
    root_only()


@contextlib.contextmanager
def tracefs():
    with tempfile.TemporaryDirectory() as at:
        subprocess.run(["mount", "-t", "tracefs", "tracefs", at], check=True)
        try:
            yield Path(at)
        finally:
            subprocess.run(["umount", at], check=True)


def defined():
    """The events that there are of ours, by their processes."""
    with tracefs() as at:
        lines = (at / "uprobe_events").read_text().splitlines()
    names = (line.split()[0].split(":", 1)[1] for line in lines)
    return {int(name.split("/")[0].removeprefix("alloctrace_")) for name in names if name.startswith("alloctrace_")}


def definitions():
    """Of ours, by processes that are gone: what is still there when they are, as others end beside us."""
    gone = {pid for pid in defined() if not Path("/proc", str(pid)).exists()}
    return sorted(gone and gone & defined())


def run_apart(tree, said, *command, options=JSON):
    """Its output in a file of its own: reports and lines are cut into each other otherwise."""
    into = ("import os, sys; os.dup2(os.open(sys.argv[1], os.O_CREAT | os.O_APPEND | os.O_WRONLY), 1); "
            "os.execv(sys.argv[2], sys.argv[2:])")
    done = run(tree, PYTHON, "-c", into, said, *command, options=options)
    assert done.returncode == 0, done.stderr
    return [report for report in reports(done) if report["final"]]


def truth(said):
    """What each child says of itself, by PID."""
    rows = {}
    for line in said.read_text().splitlines():
        kind, pid, *figures = line.split()
        rows[int(pid)] = kind, tuple(map(int, figures))
    return rows


def seen(finals):
    return {report["pid"]: tuple(report["allocs"][figure] for figure in FIGURES) for report in finals}


def test_every_kind_of_child(tree, tmp_path):
    """Forked by main and by another thread, by a forked one, exec'd, and one that is busy while its own probes are placed."""
    finals = run_apart(tree, tmp_path / "said", tree.workload("fork_truth"), 4, 500)
    rows, found = truth(tmp_path / "said"), seen(finals)
    assert sorted({kind for kind, _ in rows.values()}) == ["busy", "exec", "fork", "nested", "parent", "thread"]
    assert {pid: found.get(pid) for pid in rows} == {pid: figures for pid, (_, figures) in rows.items()}
    assert set(finals[-1]["lost"]) <= {"stack"}  # an exec'd child's, until its tables are there
    assert definitions() == []


def test_two_hundred_short_lives(tree, tmp_path):
    """Each has ended before it can be looked at; its name and its end are known all the same."""
    code = ("import os\n"
            "for i in range(200):\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        kept = [bytearray(70001) for _ in range(i)]\n"
            "        os._exit(i)\n"
            "    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == i\n"
            "    print('child', pid, i, flush=True)\n")
    ended = {report["pid"]: report for report in run_apart(tree, tmp_path / "said", PYTHON, "-c", code)}
    children = [tuple(map(int, line.split()[1:])) for line in (tmp_path / "said").read_text().splitlines()]
    assert len(children) == 200
    for pid, i in children:
        report = ended[pid]
        assert report["command"] == "python3" and report["ended"] == f"the target exited with status {i}"
        blocks = [site for site in report["allocs"]["sites"] if "<string>:5" in "".join(site["stack"])]
        assert sum(site["allocated"] for site in blocks) >= 70001 * i
        assert report["allocs"]["allocated"] < 70002 * i + 100000
        assert report["lost"] == {}


def test_sizes_and_no_stacks_hold_for_children(tree, tmp_path):
    found = seen(run_apart(tree, tmp_path / "said", tree.workload("fork_truth"), 1, 500,
                           options=(*JSON, "--stack", "none", "-z", "300", "-Z", "400")))
    rows = truth(tmp_path / "said")
    for pid, (kind, _) in rows.items():
        if kind in ("fork", "thread", "parent", "exec"):
            sizes = [24 + i % 500 for i in range(500)]
            assert found[pid][:2] == (len([s for s in sizes if 300 <= s <= 400]),
                                      sum(s for s in sizes if 300 <= s <= 400))


def test_attach_to_many_threads(tree):
    """A child of a thread that was there before the attach."""
    with PythonTarget() as parent:
        parent.do("import threading, queue\n"
                  "orders, answers = queue.Queue(), queue.Queue()\n"
                  "def serve():\n"
                  "    while True:\n"
                  "        n = orders.get()\n"
                  "        pid = os.fork()\n"
                  "        if pid == 0:\n"
                  "            kept = [bytearray(70001) for _ in range(n)]\n"
                  "            os._exit(0)\n"
                  "        answers.put((pid, os.waitpid(pid, 0)[1]))\n"
                  "for _ in range(8): threading.Thread(target=serve, daemon=True).start()\n"
                  "result = None")
        with Tracer(tree, "attach", *JSON, "--follow", parent.pid, "0.5") as tracer:
            tracer.until(lambda report: report["state_age"] is not None)
            pids = parent.do("for n in range(1, 17): orders.put(n)\n"
                             "result = [answers.get() for _ in range(16)]")
            tracer.process.send_signal(signal.SIGINT)
            while tracer.next():
                pass
            assert tracer.wait() == 0
        assert all(status == 0 for _, status in pids)
        found = {report["pid"]: report["allocs"] for report in tracer.objects if report["final"]}
        blocks = sorted(found[pid]["allocated"] // 70001 for pid, _ in pids)
        assert blocks == list(range(1, 17))
        assert probes_left(parent.pid) == []
    assert definitions() == []


def test_without_follow_nothing_is_defined(tree):
    with PythonTarget() as target:
        with Tracer(tree, "attach", *JSON, target.pid, "0.5") as tracer:
            tracer.until(lambda report: report["state_age"] is not None)
            ours = Path(f"/proc/{tracer.process.pid}/task/{tracer.process.pid}/children").read_text().split()
            assert ours and not defined() & set(map(int, ours))


def test_killed_in_between(tree):
    """kill -9 of the tracer at any moment: forks go on, nothing stays in the parent, its children or tracefs."""
    code = ("forks = 0\nfor _ in range(60):\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n        kept = [bytearray(3000) for _ in range(300)]\n        os._exit(7)\n"
            "    forks += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7\n"
            "result = forks")
    with PythonTarget() as target:
        for _ in range(5):
            tracer = subprocess.Popen([tree.alloctrace, "attach", *JSON, "--follow", str(target.pid), "0.2"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            keeper = []
            target.process.stdin.write(json.dumps(code) + "\n")
            target.process.stdin.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                tracer.wait(timeout=random.uniform(0, 1))
            with contextlib.suppress(OSError):
                keeper = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text().split()
            tracer.kill()
            assert tracer.wait() == -signal.SIGKILL
            answer = json.loads(target.process.stdout.readline())
            assert answer["result"] == 60
            for pid in keeper:
                with contextlib.suppress(OSError):
                    os.waitid(os.P_PIDFD, os.pidfd_open(int(pid)), os.WEXITED)
            assert probes_left(target.pid) == []
            wait_for_no_definition(set(map(int, keeper)))


def wait_for_no_definition(keeper):
    """By the one that held the probes; others may be at work beside us."""
    end = DEADLINE * 10
    while left := defined() & keeper or definitions():
        end -= 1
        assert end, left
        subprocess.run(["sleep", "0.1"], check=True)
