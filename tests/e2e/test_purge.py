"""`alloctrace purge`: what it returns, beside RSS and what the target says itself; and where it
must not be made, that nothing is changed."""
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from attach_harness import DEADLINE, MIB, NOBODY, PYTHON, PythonTarget, library, mimalloc, rss
from heap_targets import Target, root_only
from purge_harness import purge, refused, tracer_of

# What a Python target does to have much that a purge returns, and to be at rest afterwards.
FREE_MUCH = "kept = fill(120)[::40]"


def switches(pid):
    """Of every thread: a stop is one more."""
    counts = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        counts[task.name] = [line for line in lines if "ctxt_switches" in line]
    return counts


def wait_for(seen):
    end = time.monotonic() + DEADLINE
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.01)


def waits_in(pid, number, thread=None):
    words = Path(f"/proc/{pid}/task/{thread or pid}/syscall").read_text().split()
    return words[0] == str(number)


@pytest.fixture
def script(tmp_path):
    """Runs Python code that prints its own number of process first; ended with the test."""
    started = []

    def start(code, **popen):
        process = subprocess.Popen([*popen.pop("prefix", []), PYTHON, "-c", code], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True, **popen)
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def anonymous(pid):
    """Bytes. Code that runs for the first time maps file pages, 16 at once, which RSS counts too."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) << 10
    raise ValueError(f"no Anonymous of {pid}")


def test_returns_what_was_predicted(tree):
    with PythonTarget() as target:
        target.do(FREE_MUCH)
        wait_for(lambda: waits_in(target.pid, 0))
        before, before_rss = anonymous(target.pid), rss(target.pid)
        status, said, err = purge(tree, target.pid)
        fell, fell_rss = before - anonymous(target.pid), before_rss - rss(target.pid)
        assert status == 0 and said["done"], err
        assert said["allocator"] == "glibc" and said["function"] == "malloc_trim(0)"
        assert said["predicted"] == fell > 100 * MIB
        # Code that runs for the first time maps pages of files: in the call, and after it before we look.
        assert fell_rss <= said["call"]["returned"] <= fell <= fell_rss + (256 << 10)
        assert said["call"]["met"] == "waiting" and said["call"]["system_call"] == "read"
        assert said["call"]["thread"] == target.pid
        assert 0 < said["call"]["duration_ns"] <= said["call"]["away_ns"]
        assert said["refused"] is None and said["stops"] == 0
        # Little is left to return, and the target still does what it is told.
        assert target.do("result = len(kept)") == 120 * MIB // 5000 // 40 + 1
        status, said, err = purge(tree, target.pid)
        assert status == 0 and said["predicted"] < MIB and said["call"]["returned"] < MIB, err


def test_dry_run_stops_nothing(tree):
    with PythonTarget() as target:
        target.do(FREE_MUCH)
        wait_for(lambda: waits_in(target.pid, 0))
        before, memory = switches(target.pid), rss(target.pid)
        status, said, err = purge(tree, target.pid, "--dry-run")
        assert status == 0, err
        assert switches(target.pid) == before and rss(target.pid) == memory
        assert said["dry_run"] and not said["done"] and said["call"] is None and said["refused"] is None
        assert said["predicted"] > 100 * MIB
        assert said["threads"] == [{"tid": target.pid, "name": "python3", "system_call": "read", "why_not": None}]


def test_in_words(tree):
    with PythonTarget() as target:
        target.do(FREE_MUCH)
        done = subprocess.run([tree.alloctrace, "purge", str(target.pid)], capture_output=True, text=True)
        first, second, third = done.stdout.splitlines()
        assert first.startswith(f"python3 ({target.pid})  RSS 1") and "malloc_trim(0) would return 1" in first
        assert ", in about " in first
        assert second.startswith("returned 1") and " MiB (RSS " in second
        assert third.startswith(f"thread {target.pid} (python3), ") and third.endswith("; the others ran on")


@pytest.mark.parametrize("name", ["mimalloc", "jemalloc", "gperftools"])
def test_other_allocators(tree, name):
    preload = mimalloc() if name == "mimalloc" else library(
        *{"jemalloc": ["libjemalloc.so.2"], "gperftools": ["libtcmalloc_minimal.so.4"]}[name])
    with PythonTarget(preload=preload) as target:
        # mimalloc 2.0.9 returns whole segments only
        target.do("kept = fill(120); del kept" if name == "mimalloc" else FREE_MUCH)
        wait_for(lambda: waits_in(target.pid, 0))
        before = rss(target.pid)
        status, said, err = purge(tree, target.pid)
        assert status == 0 and said["done"], err
        assert said["allocator"] == name
        assert abs(before - rss(target.pid) - said["call"]["returned"]) < MIB
        if name != "mimalloc" or said["predicted"]:
            assert said["call"]["returned"] > 40 * MIB
        target.do("kept = fill(10)")


@pytest.mark.parametrize("name", ["2.31", "2.41", "newest", "static-pie"])
def test_other_libraries(tree, name):
    with Target([tree.variant("purge_checked", name)]) as target:
        for _ in range(3):
            status, said, err = purge(tree, target.pid)
            assert status == 0 and said["done"], (said, err)
            assert target.ask("")["mistakes"] == 0


def test_stripped_program(tree):
    with Target([tree.variant("heap_truth", "static-stripped")]) as target:
        assert "stripped of names" in refused(tree, target.pid)


def test_threads_in_bad_places(tree, tmp_path):
    source = tmp_path / "plugin.c"
    source.write_text("int wait_in_constructor(void);\n"
                      "__attribute__((constructor)) static void begin(void) { wait_in_constructor(); }\n")
    plugin = tmp_path / "plugin.so"
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", plugin], check=True)
    with Target([tree.workload("purge_places"), plugin]) as target:
        def names():
            return {task.name: (task / "comm").read_text().strip()
                    for task in Path(f"/proc/{target.pid}/task").iterdir()}

        wait_for(lambda: any(waits_in(target.pid, 202, tid) for tid, name in names().items() if name == "malloc"))
        status, said, err = purge(tree, target.pid, "--timeout", "1")
        assert status == 1 and not said["done"], err
        why = {thread["name"]: thread["why_not"] for thread in said["threads"]}
        assert why["handler"] == "is in a signal handler"
        assert why["constructor"] == "is in the dynamic loader"
        assert "coroutine" in why["coroutine"]
        assert why["fork"] == "is in fork"
        assert "waits in write" in why["holder"]
        assert why["malloc"] == "is in malloc"
        assert "rt_sigtimedwait" in why["purge_places"]
        # All of them end well, and the main thread has seen no EINTR.
        os.kill(target.pid, signal.SIGUSR1)
        assert target.answer() == {"ended": 6, "results": 0}


IDLE = {
    "epoll_wait": (232, "import select; e = select.epoll(); e.register(0, select.EPOLLIN); call = lambda: len(e.poll())"),
    "poll": (7, "import select; p = select.poll(); p.register(0, select.POLLIN); call = lambda: len(p.poll())"),
}


@pytest.mark.parametrize("name", IDLE)
def test_idle_where_a_stop_would_disturb(tree, script, name):
    number, code = IDLE[name]
    process, pid = script(f"import os\n{code}\nprint(os.getpid(), flush=True)\nprint(call(), flush=True)")
    wait_for(lambda: waits_in(pid, number))
    before = switches(pid)
    why = refused(tree, pid, "--timeout", "0.6")
    assert f"waits in {name}" in why and "within 0.6 s" in why
    assert switches(pid) == before
    assert tracer_of(pid) == {"TracerPid:\t0"}
    process.stdin.write("x")
    process.stdin.flush()
    assert process.stdout.readline() == "1\n"


def test_caught_as_it_comes_back(tree, script):
    root_only()
    _, pid = script("import os, select; e = select.epoll(); kept = [bytes(5000) for _ in range(20000)][::40]\n"
                    "print(os.getpid(), flush=True)\nwhile True: e.poll(0.02)")
    before = rss(pid)
    status, said, err = purge(tree, pid)
    assert status == 0 and said["done"], err
    assert said["call"]["met"] == "returning" and said["call"]["system_call"] == "epoll_wait"
    assert before - rss(pid) > 50 * MIB


def test_caught_as_it_allocates(tree, script):
    root_only()
    _, pid = script("import os; kept = [bytes(5000) for _ in range(20000)][::40]\nprint(os.getpid(), flush=True)\n"
                    "while True: x = bytes(600)")
    before = rss(pid)
    status, said, err = purge(tree, pid)
    assert status == 0 and said["done"], err
    assert said["call"]["met"] == "allocating" and said["call"]["system_call"] is None
    assert before - rss(pid) > 50 * MIB


def test_one_tracer_is_enough(tree):
    with PythonTarget() as target:
        tracer = subprocess.Popen([PYTHON, "-c", "import ctypes, sys, time\n"
                                   f"print(ctypes.CDLL(None).ptrace(0x4206, {target.pid}, 0, 0), flush=True)\n"
                                   "time.sleep(1000)"], stdout=subprocess.PIPE, text=True)
        try:
            assert tracer.stdout.readline() == "0\n"
            assert f"traced by process {tracer.pid}" in refused(tree, target.pid)
        finally:
            tracer.kill()
            tracer.communicate()
        wait_for(lambda: tracer_of(target.pid) == {"TracerPid:\t0"})
        assert purge(tree, target.pid)[0] == 0


def test_stopped_process(tree):
    with PythonTarget() as target:
        os.kill(target.pid, signal.SIGSTOP)
        wait_for(lambda: "State:\tT" in Path(f"/proc/{target.pid}/status").read_text())
        assert "continue it first" in refused(tree, target.pid)
        os.kill(target.pid, signal.SIGCONT)
        wait_for(lambda: "State:\tS" in Path(f"/proc/{target.pid}/status").read_text())
        assert purge(tree, target.pid)[0] == 0


def test_frozen_process(tree):
    root_only()
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    trees = [fields[1] for fields in mounts if fields[2] == "cgroup2"]
    if not trees:
        pytest.skip("there is no cgroup v2")
    group = Path(trees[0]) / f"alloctrace-purge-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        if not (group / "cgroup.freeze").exists():
            pytest.skip("cgroups here have no freezer")
        with PythonTarget() as target:
            (group / "cgroup.procs").write_text(str(target.pid))
            (group / "cgroup.freeze").write_text("1")
            wait_for(lambda: "frozen 1" in (group / "cgroup.events").read_text())
            assert "thaw it first" in refused(tree, target.pid)
            (group / "cgroup.freeze").write_text("0")
            wait_for(lambda: "frozen 0" in (group / "cgroup.events").read_text())
            assert purge(tree, target.pid)[0] == 0
    finally:
        wait_for(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


# A filter: jeq number → action, else allow.
FILTER = """
import ctypes, struct
code = b"".join(struct.pack("HBBI", *i) for i in [(0x20, 0, 0, 0), (0x15, 0, 1, {number}), (0x06, 0, 0, {action:#x}),
                                                  (0x06, 0, 0, 0x7fff0000)])
text = ctypes.create_string_buffer(code, len(code))
prog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(text)))
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, prog, 0, 0) == 0
"""


@pytest.mark.parametrize("number, action, passes", [(28, 0x80000000, False), (28, 0x00050001, False),
                                                    (62, 0x80000000, True)])
def test_under_a_seccomp_filter(tree, number, action, passes):
    root_only()
    with PythonTarget() as target:
        target.do(FREE_MUCH)
        target.do(FILTER.format(number=number, action=action))
        if passes:
            status, said, err = purge(tree, target.pid)
            assert status == 0 and said["call"]["returned"] > 100 * MIB, err
        else:
            assert "seccomp filter" in refused(tree, target.pid)
        target.do("result = rss()")


def test_without_root(tree, tmp_path):
    root_only()
    if subprocess.run([*NOBODY, tree.alloctrace, "--version"], capture_output=True).returncode:
        pytest.skip("nobody may not run the program where it is")
    with PythonTarget(prefix=NOBODY) as target:
        target.do(FREE_MUCH)
        before = rss(target.pid)
        done = subprocess.run([*NOBODY, tree.alloctrace, "purge", str(target.pid)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert before - rss(target.pid) > 100 * MIB


def test_no_such_thing(tree):
    for words, text in (([str(2 ** 22 + 1)], "no process"), (["2"], "kernel thread"), ([], "no PID"),
                        (["--timeout", "x", "1"], "needs seconds")):
        done = subprocess.run([tree.alloctrace, "purge", *words], capture_output=True, text=True)
        assert done.returncode in (1, 2) and text in done.stderr, done


def test_process_that_ends_meanwhile(tree, script):
    process, pid = script("import os, signal; print(os.getpid(), flush=True)\nwhile True: signal.sigwait({10})")
    killer = threading.Timer(0.3, process.kill)
    killer.start()
    status, said, err = purge(tree, pid, "--timeout", "20")
    killer.join()
    assert status == 1 and said is None and "has ended" in err
