"""Marks: moments that a script names or a function's call is, and what memory was at them, beside what
the targets know themselves."""

import json
import os
import socket
import subprocess
import time

import pytest

from attach_harness import MIB, NOBODY, PYTHON, PythonTarget, Tracer, attach, attached, probes_left
from heap_targets import Target
from test_namespaces import Contained, can_unshare, unshare  # noqa: F401 (a fixture)
from test_redis import redis  # noqa: F401 (a fixture)

# A unit of work in a worker, marked by a shell script that it calls: what it says of itself is taken at the mark.
WORKER = """
import json, subprocess
kept, truth = [], []
class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc.mallinfo2.restype = Mallinfo
def unit(keeps, frees=0):
    if keeps:
        kept.append(fill(5))
    if frees:
        freed = fill(frees)
        kept.append(fill(0) + [b"y" * 5000])
        del freed
    truth.append((rss(), libc.mallinfo2().fordblks))
    subprocess.run(["sh", "-c", f'exec {alloctrace} mark $PPID "unit {len(truth)} done"'], check=True)
"""


def worker(tree, **popen):
    target = PythonTarget(**popen)
    target.do(f"alloctrace = {str(tree.alloctrace)!r}" + WORKER)
    return target


def mark(tree, *words, prefix=()):
    return subprocess.run([*prefix, str(tree.alloctrace), "mark", *map(str, words)], capture_output=True, text=True)


def kind_of(final, name):
    found, = [kind for kind in final["mark_kinds"] if kind["kind"] == name and not kind["purges"]]
    return found


def near(value, wanted, off):
    return abs(value - wanted) <= off


def test_a_worker_that_grows(tree, tmp_path):
    recording = tmp_path / "worker.rec"
    with worker(tree) as target:
        with attached(tree, target.pid, "--output", recording) as tracer:
            truth = target.do("[unit(True) for _ in range(6)]; result = truth")
            final = tracer.stop()
    kind, marks = kind_of(final, "mark"), final["marks"]
    assert [m["text"] for m in marks] == [f"unit {i + 1} done" for i in range(6)]
    assert all(near(m["rss"], rss, MIB // 2) for m, (rss, _) in zip(marks, truth)), (marks, truth)
    assert kind["count"] == 6 and kind["skipped"] == 0
    for figure in ("rss", "live", "live_heap"):
        assert kind[figure]["trend"] == "grows"
        assert near(kind[figure]["slope"], 5 * MIB, MIB // 5)
    assert kind["words"].startswith("RSS grows 5.") and " a unit, live grows" in kind["words"]
    # In one of the intervals each of them has come, with the same figures.
    seen = [m for report in tracer.objects if not report["final"] for m in report["marks"]]
    assert all(m in marks for m in seen) and len({m["text"] for m in seen}) == len(seen)
    assert final["marks_total"] == 6
    # A recording says the same.
    said = subprocess.run([str(tree.alloctrace), "report", "--format", "json", recording], capture_output=True, text=True)
    replayed = json.loads(said.stdout.splitlines()[-1])
    assert all(replayed[field] == final[field] for field in ("marks", "marks_total", "mark_kinds"))


def test_a_worker_that_is_at_rest(tree):
    """What is retained at a mark is what the worker knows to be free, since it stands still meanwhile. Then it
    grows from purge to purge: these are marks too."""
    with worker(tree) as target:
        with attached(tree, target.pid, "--no-alloc") as tracer:
            truth = target.do("[unit(False, 30) for _ in range(6)]; result = truth")
            after = target.do("result = []\n"
                              "for _ in range(6):\n"
                              "    kept.append(fill(3)); freed = fill(20); kept.append([b'z' * 5000]); del freed\n"
                              "    purge_glibc(); result.append(rss())")
            final = tracer.stop()
    kind = kind_of(final, "mark")
    assert kind["rss"]["trend"] in ("steady", "plateau") and kind["rss"]["slope"] is None
    assert near(kind["rss"]["level"], truth[-1][0], MIB)
    for m, (_, free) in zip(final["marks"], truth):
        assert 0 < m["read_after"] <= 2.5
        assert near(m["retained"], free, free / 20 + MIB), (m, free)
    purge, = [k for k in final["mark_kinds"] if k["purges"]]
    assert purge["kind"] == "malloc_trim" and purge["count"] == 6
    assert near(purge["rss"]["first"], after[0], MIB // 2) and near(purge["rss"]["last"], after[-1], MIB // 2)
    assert purge["rss"]["trend"] == "grows" and near(purge["rss"]["slope"], 3 * MIB, MIB // 5)
    assert " a purge" in purge["words"]


def disturb(tracer):
    """What anybody may send there: nothing that makes sense, and connections that say nothing."""
    for packet in (b"x", bytes(10), b"\xff" * 276, bytes([1, 0, 0, 0]) + b"\xff" * 2000, b"A" * 100_000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(f"/run/alloctrace/{tracer}")
            client.send(packet)
            assert client.recv(1000) == b""
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(100)]
    for client in silent:
        client.connect(f"/run/alloctrace/{tracer}")
    for client in silent[:50]:
        client.close()


def test_who_may(tree):
    """The user whom the process runs as, from inside it; nobody else."""
    with worker(tree, prefix=NOBODY) as target:
        with attach(tree, target.pid, "--no-alloc") as tracer:
            tracer.ready()
            disturb(tracer.process.pid)
            target.do("unit(False)")
            refused = mark(tree, target.pid, "not mine", prefix=["setpriv", "--reuid=12345", "--clear-groups"])
            by_root = mark(tree, "--kind", "other", target.pid, "from\x1b[31m outside" + "x" * 500)
            final = tracer.stop()
    assert refused.returncode == 1 and refused.stdout == ""
    assert refused.stderr == (f"alloctrace: uid 12345 may not mark process {target.pid} (python3), which runs as uid "
                              "65534: only that user and root may\n")
    assert by_root.returncode == 0 and by_root.stderr == ""
    first, second = final["marks"]
    assert first["text"] == "unit 1 done" and first["kind"] == "mark"
    assert second["kind"] == "other" and second["text"].startswith("from?[31m outsidexxx")
    assert len(second["text"]) <= 200
    assert first["live"] is None and first["live_heap"] is not None


def test_who_hears(tree, unshare):  # noqa: F811
    """Every tracer of that process, and none of another; without a place to listen all else goes on."""
    with PythonTarget() as target, PythonTarget() as other:
        alone = mark(tree, target.pid, "nobody hears")
        assert alone.returncode == 1
        assert alone.stderr == (f"alloctrace: no alloctrace watches process {target.pid}: start `alloctrace attach "
                                f"{target.pid}` first\n")
        deaf = attach(tree, target.pid, "--no-alloc", "-v",
                      prefix=[*unshare, 'mount -t tmpfs -o ro none /run && exec "$@"', "sh"])
        with deaf, attach(tree, target.pid, "--no-alloc") as one, attach(tree, target.pid, "--no-alloc") as two, \
                attach(tree, other.pid, "--no-alloc") as of_other:
            for tracer in (deaf, one, two, of_other):
                tracer.ready()
            heard = mark(tree, "--no-wait", "-v", target.pid)
            assert heard.returncode == 0 and heard.stderr == "alloctrace: noted by 2 tracers\n"
            finals = [tracer.stop() for tracer in (one, two, of_other, deaf)]
        assert [final["marks_total"] for final in finals] == [1, 1, 0, 0]
        assert "`alloctrace mark` will not be heard: cannot make /run/alloctrace" in deaf.stderr
        assert finals[0]["marks"][0]["text"] == ""
        assert mark(tree, target.pid).returncode == 1
        assert not [name for name in os.listdir("/run/alloctrace") if name == str(one.process.pid)]


def test_from_inside_a_container(tree):
    """A PID is as whoever marks knows it; --ns-of says it from outside."""
    can_unshare("--pid")
    with Contained("--pid") as target:
        target.do(f"import subprocess\nalloctrace = {str(tree.alloctrace)!r}")
        with attach(tree, target.pid, "--no-alloc") as tracer:
            tracer.ready()
            target.do("subprocess.run([alloctrace, 'mark', '1', 'inside'], check=True)")
            outside = mark(tree, "--ns-of", target.pid, 1, "outside")
            final = tracer.stop()
    assert outside.returncode == 0, outside.stderr
    assert [m["text"] for m in final["marks"]] == ["inside", "outside"]


def test_functions_of_a_program(tree):
    """What the kernel counts at each call, and that a function which is called all the time is only counted."""
    with Target([tree.workload("mark_units")]) as target:
        with attached(tree, target.pid, "--mark", ":unit_done", "--mark", "mark_units:tick") as tracer:
            target.ask("units 30")
            begun = time.monotonic()
            truth = target.ask("ticks 20000")
            seconds = time.monotonic() - begun
            final = tracer.stop()
    done, tick = kind_of(final, "unit_done"), kind_of(final, "tick")
    marks = [m for m in final["marks"] if m["kind"] == "unit_done"]
    assert done["count"] == 30 and done["skipped"] == 0 and len(marks) == 30
    assert [m["rss"] for m in marks] == pytest.approx(truth["rss"], abs=64 << 10)
    assert done["rss"]["trend"] == done["live"]["trend"] == "grows"
    assert near(done["live"]["slope"], MIB, MIB / 50)
    assert tick["count"] + tick["skipped"] == 20000
    assert 100 <= tick["count"] <= 100 * (seconds + 2)
    assert final["lost"] == {} and not [line for line in final["missing"] if line.startswith("calls of")]


def test_functions_of_libraries(tree):
    """Also of one that comes later; until then it is said."""
    with PythonTarget() as target:
        with attach(tree, target.pid, "--no-alloc", "--mark", "libc.so.6:getpid",
                    "--mark", "libbz2.so.1.0:BZ2_bzlibVersion") as tracer:
            first = tracer.ready().objects[-1]
            assert [line for line in first["missing"] if line == "calls of libbz2.so.1.0:BZ2_bzlibVersion (not loaded)"]
            target.do("for _ in range(20): os.getpid()")
            target.do("bz2 = ctypes.CDLL('libbz2.so.1.0')")
            tracer.until(lambda report: not [line for line in report["missing"] if "libbz2" in line])
            target.do("for _ in range(3): bz2.BZ2_bzlibVersion()")
            final = tracer.stop()
        assert probes_left(target.pid) == []
    assert kind_of(final, "getpid")["count"] == 20
    assert kind_of(final, "BZ2_bzlibVersion")["count"] == 3


@pytest.mark.parametrize("given, of", [(":no_such", "its program"), ("libc.so.6:no_such", "libc.so.6")])
def test_wrong_names(tree, given, of):
    with PythonTarget() as target:
        done = subprocess.run([str(tree.alloctrace), "attach", "--no-alloc", "--mark", given, str(target.pid)],
                              capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (f"alloctrace: cannot mark calls of {given} in process {target.pid}: there is no such "
                           f"function in the symbol tables of {of}\n")


def test_run_says_what_is_missing(tree):
    script = f"import os, subprocess; subprocess.run([{str(tree.alloctrace)!r}, 'mark', str(os.getpid()), 'here'])"
    with Tracer(tree, "run", "--no-follow", "--no-alloc", "--json", "--mark", ":no_such", "--", PYTHON, "-c",
                script) as tracer:
        final = tracer.finish()
    assert [line for line in final["missing"] if line.startswith("calls of :no_such (no such function")]
    assert [m["text"] for m in final["marks"]] == ["here"]
    assert kind_of(final, "no_such")["count"] == 0


def test_a_server_by_its_symbols(tree, redis):  # noqa: F811
    server, socket = redis
    with attach(tree, server.pid, "--no-alloc", "--mark", ":flushallCommand") as tracer:
        tracer.ready()
        for _ in range(5):
            subprocess.run(["redis-cli", "-s", socket, "flushall"], capture_output=True, check=True)
        final = tracer.stop()
    assert kind_of(final, "flushallCommand")["count"] == 5
    assert probes_left(server.pid) == []


def test_text(tree):
    """The report for people: a row a mark while it runs, and in the end what they come to."""
    with worker(tree) as target:
        process = subprocess.Popen([str(tree.alloctrace), "attach", "--no-alloc", "--walk-budget", "20",
                                    str(target.pid), "0.2"],
                                   stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if " live, " in line:
                break
        target.do("[unit(True) for _ in range(5)]")
        for line in process.stdout:
            if "  mark unit 5 done  " in line:
                break
        process.terminate()
        said = process.stdout.read()
        process.stdout.close()
        assert process.wait() == 0
    row, = [line for line in said.splitlines() if "RSS grows 5.0" in line]
    assert " MiB → " in row and " a unit, live grows 5.0" in row
