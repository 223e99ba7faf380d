"""Several processes in one watch: chosen by PIDs, by name, by cgroup or unit, and followed from a parent."""
import contextlib
import os
import re
import signal
import subprocess

from attach_harness import DEADLINE, MIB, PYTHON, PythonTarget, Tracer, probes_left, purges, text_differences, exact
from cgroups import join, limit_to, memory_cgroup
from heap_targets import ROOT, Target

BLOCK = 5000


@contextlib.contextmanager
def watching(tree, *words, command="attach"):
    with Tracer(tree, command, "--json", "--walk-budget", "20", *exact(words), *words) as tracer:
        yield tracer


def ready(tracer, *pids):
    """Waits until each has been read."""
    missing = set(pids)
    while missing:
        report = tracer.until(lambda r: r["pid"] in missing and r["state_age"] is not None)
        missing.discard(report["pid"])


def finals(tracer, by=signal.SIGINT):
    """The final object of each process, by PID."""
    if by:
        tracer.process.send_signal(by)
    while tracer.next():
        pass
    assert tracer.wait() == 0, tracer.stderr
    last = {report["pid"]: report for report in tracer.objects if report["final"]}
    assert len(last) == sum(report["final"] for report in tracer.objects)
    return last


def allocate(target, blocks):
    target.do(f"kept = fill(0) + [b'x' * {BLOCK} for _ in range({blocks})]")


def line_bytes(report):
    """Live bytes of the sites whose innermost frame is the targets' own."""
    return sum(site["live"] for site in report["allocs"]["sites"] if "<listcomp>" in "".join(site["stack"]))


def test_each_has_what_it_allocated(tree):
    with PythonTarget() as a, PythonTarget() as b, PythonTarget() as other:
        with watching(tree, f"{a.pid},{b.pid}", "0.25") as tracer:
            ready(tracer, a.pid, b.pid)
            assert text_differences(other.pid) == []  # who was not chosen has no probe
            allocate(a, 1000)
            allocate(b, 3000)
            last = finals(tracer)
        assert set(last) == {a.pid, b.pid}
        for target, blocks in ((a, 1000), (b, 3000)):
            live = line_bytes(last[target.pid])
            assert blocks * BLOCK <= live < blocks * (BLOCK + 64) + 100000, (blocks, live)
        for pid in (a.pid, b.pid):
            assert probes_left(pid) == []


def test_a_summary_has_a_row_each_and_all_together(tree):
    with PythonTarget() as a, PythonTarget() as b:
        with Tracer(tree, "attach", f"{a.pid},{b.pid}", "-d", "2") as tracer:
            for target in (a, b):
                target.do("libc.malloc_trim(0)")
            lines = [line.decode() for line in iter(tracer.arrived.get, None)]
            assert tracer.wait() == 0
    text = "".join(lines)
    assert "2 processes" in text and f"python3 ({a.pid})" in text and f"python3 ({b.pid})" in text
    assert len(re.findall(r"glibc [\d.]+ +[\d.]+", text)) == 1  # one row for both


def test_a_name_means_those_that_come_later(tree, tmp_path):
    named = tmp_path / "attach_many"
    named.symlink_to(PYTHON)

    def start():
        return Target([named, ROOT / "tests" / "workload" / "python_target.py"])

    with start() as first, PythonTarget() as other, watching(tree, "--comm", "attach_many", "0.25") as tracer:
        ready(tracer, first.pid)
        with start() as second:
            ready(tracer, second.pid)
        ended = tracer.until(lambda r: r["pid"] == second.pid and r["final"])
        assert ended["ended"].startswith("the target ")
        last = finals(tracer)
        assert set(last) == {first.pid, second.pid} and other.pid not in last


def test_a_unit_as_it_comes_and_goes(tree):
    with memory_cgroup(f"many-{os.getpid()}.service") as (folder, limit):
        limit_to(folder, limit, 512 * MIB)
        with PythonTarget() as a, PythonTarget() as b, PythonTarget() as outside:
            join(a.pid, folder)
            with watching(tree, "--unit", folder.name, "0.25") as tracer:
                ready(tracer, a.pid)
                join(b.pid, folder)
                ready(tracer, b.pid)
                cgroup = tracer.objects[-1]["cgroup"]
                assert cgroup["path"] == f"/{folder.name}" and cgroup["max"] == 512 * MIB
                assert 0 < cgroup["current"] < 512 * MIB
                last = finals(tracer)
            assert set(last) == {a.pid, b.pid} and outside.pid not in last


def test_what_a_purge_takes_off_the_cgroup(tree):
    with memory_cgroup(f"purge-{os.getpid()}") as (folder, _), PythonTarget() as target:
        join(target.pid, folder)
        with watching(tree, "--cgroup", f"/{folder.name}", "0.25") as tracer:
            ready(tracer, target.pid)
            target.do("kept = fill(64)\ndel kept[::2]\nlast = kept.pop()\ndel kept\npurge_glibc()")
            report = tracer.until(lambda r: purges(r, "malloc_trim"))
            purge = purges(report, "malloc_trim")[-1]
            assert purge["returned"] > 20 * MIB
            # The kernel keeps up to 64 pages a CPU charged.
            assert abs(purge["cgroup_drop"] - purge["returned"]) <= (os.cpu_count() + 1) * 64 * 4096
            finals(tracer)


def test_the_report_after_an_oom_kill(tree):
    with memory_cgroup(f"oom-{os.getpid()}.service") as (folder, limit):
        with PythonTarget() as victim, PythonTarget() as survivor:
            join(victim.pid, folder)
            limit_to(folder, limit, 96 * MIB)
            with watching(tree, f"{victim.pid},{survivor.pid}", "0.25") as tracer:
                ready(tracer, victim.pid, survivor.pid)
                victim.process.stdin.write('"kept = fill(40)\\nlast = []\\nwhile True: last += fill(1)"\n')
                ended = tracer.until(lambda r: r["pid"] == victim.pid and r["final"])
                assert ended["ended"] == "the target was killed by the OOM killer (signal 9, Killed)"
                assert ended["allocs"]["live"] > 40 * MIB  # what it held then, and who held it
                assert any("fill" in "".join(site["stack"]) for site in ended["allocs"]["sites"])
                last = finals(tracer)
            assert last[survivor.pid]["ended"] == "interrupted"


def test_a_parent_with_24_workers(tree):
    """One report; each worker's blocks are its own, the sites of all are one."""
    with PythonTarget() as parent:
        with watching(tree, "--follow", "--max-overhead", "none", parent.pid, "0.5") as tracer:
            ready(tracer, parent.pid)
            pids = parent.do("go, ready, end = os.pipe(), os.pipe(), os.pipe()\npids = []\n"
                      "for i in range(24):\n"
                      "    pid = os.fork()\n"
                      "    if pid == 0:\n"
                      "        os.read(go[0], 1)\n"
                      f"        kept = [b'x' * {BLOCK} for _ in range(100 + i)]\n"
                      "        os.write(ready[1], b'.')\n"
                      "        os.read(end[0], 1)\n"
                      "        os._exit(0)\n"
                      "    pids.append(pid)\n"
                      "result = pids")
            ready(tracer, *pids)
            parent.do("os.write(go[1], b'.' * 24)\ngot = 0\nwhile got < 24: got += len(os.read(ready[0], 24))")
            last = finals(tracer)
        assert set(last) == {parent.pid, *pids}
        for i, pid in enumerate(pids):
            live = line_bytes(last[pid])
            assert (100 + i) * BLOCK <= live < (100 + i) * (BLOCK + 64) + 20000, (i, live)
        parent.do("os.write(end[1], b'.' * 24)\nfor pid in pids: os.waitpid(pid, 0)")


def test_stacks_of_all_in_one_file_or_apart(tree, tmp_path):
    code = ("import os, time\n"
            "def work(n):\n    return [b'x' * 5000 for _ in range(n)]\n"
            "pids = []\n"
            "for i in range(2):\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        time.sleep(1)\n        kept = work(500)\n        time.sleep(0.5)\n        os._exit(0)\n"
            "    pids.append(pid)\n"
            "for pid in pids: os.waitpid(pid, 0)\n")
    merged, apart = tmp_path / "merged", tmp_path / "apart"
    for words in (["--folded", merged], ["--folded", apart, "--apart"]):
        subprocess.run([tree.alloctrace, "run", *words, "--weight", "allocated", "--", PYTHON, "-c", code], check=True,
                       stdout=subprocess.DEVNULL, timeout=DEADLINE)

    def of_work(path):
        return sum(int(line.rsplit(" ", 1)[1]) for line in path.read_text().splitlines() if ";work" in line)

    both = 2 * 500 * 5000
    assert both <= of_work(merged) < both * 1.1
    files = sorted(tmp_path.glob("apart.*"))
    assert len(files) == 3 and not apart.exists()
    assert sorted(of_work(path) > 0 for path in files) == [False, True, True]
    assert both <= sum(of_work(path) for path in files) < both * 1.1


def test_an_idle_process_is_charged_nothing(tree):
    """Hits that leave no record, here of small blocks, are those of whoever had any."""
    with PythonTarget() as idle, PythonTarget() as busy:
        with watching(tree, f"{idle.pid},{busy.pid}", "--max-overhead", "none", "--min-size", "2000", "0.25") as tracer:
            ready(tracer, idle.pid, busy.pid)
            allocate(idle, 300)
            allocate(busy, 300)
            tracer.until(lambda r: r["pid"] == idle.pid and r["allocs"]["allocs"] >= 300)
            tracer.until(lambda r: r["pid"] == idle.pid and r["allocs"]["probe_cpu_share"] == 0)
            seen = len(tracer.objects)
            busy.do("import time\nend = time.monotonic() + 3\n"
                    "while time.monotonic() < end: last = [b'x' * (600 + n) for n in range(1000)]")
            last = finals(tracer)
        shares = [r["allocs"]["probe_cpu_share"] for r in tracer.objects[seen:] if r["pid"] == idle.pid]
        assert len(shares) > 4 and not any(shares), shares
        assert last[busy.pid]["allocs"]["probe_cpu_share"] > 0.05


def test_children_that_were_there_before(tree):
    """A parent is followed to those it has had for long, and theirs."""
    with PythonTarget() as parent:
        pids = parent.do("go, tell, end = os.pipe(), os.pipe(), os.pipe()\n"
                         "if os.fork() == 0:\n"
                         "    for i in range(3):\n"
                         "        if os.fork() == 0: break\n"
                         "    os.write(tell[1], b'%d ' % os.getpid())\n"
                         "    os.read(go[0], 1)\n"
                         f"    kept = [b'x' * {BLOCK} for _ in range(500)]\n"
                         "    os.write(tell[1], b'done ')\n"
                         "    os.read(end[0], 1)\n"
                         "    os._exit(0)\n"
                         "def hear():\n"
                         "    said = b''\n"
                         "    while said.count(b' ') < 4: said += os.read(tell[0], 100)\n"
                         "    return said.decode().split()\n"
                         "result = [int(pid) for pid in hear()]")
        with watching(tree, "--follow", parent.pid, "0.25") as tracer:
            ready(tracer, parent.pid, *pids)
            parent.do("os.write(go[1], b'....'); hear()")
            last = finals(tracer)
        assert set(last) == {parent.pid, *pids}
        for pid in pids:
            assert 500 * BLOCK <= line_bytes(last[pid]) < 500 * (BLOCK + 64) + 20000
            assert probes_left(pid) == []
        parent.do("os.write(end[1], b'....')")


def test_a_row_for_who_has_ended(tree):
    """The last report still has those that came and went before it."""
    worker = f"{PYTHON} -c \"kept = [b'x' * 5000 for _ in range(8000)]; import os, time; time.sleep(1.5); os._exit(0)\""
    done = subprocess.run([tree.alloctrace, "run", "-i", "0.25", "--stack", "none", "--", "sh", "-c",
                           f"{worker}; sleep 1; true"], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0
    last = (done.stdout + done.stderr).rpartition("Final report")[2]
    row, = [line for line in last.splitlines() if re.match(r" +python3 \(\d+\) ", line)]
    words = row.split()
    assert words[3] == "MiB" and float(words[2]) > 40 and "exited with status 0" in row, last
    assert "of it live when its process ended" in last
    assert re.search(r"sh and its children, \d processe?s?, 2 came, 3 went", last), last
