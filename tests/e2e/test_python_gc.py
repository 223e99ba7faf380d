"""Python's garbage collector by the probes that the interpreter brings itself: what its runs came to,
beside gc.get_stats() and gc.callbacks, and whether a full one was missing between freeing phases."""
import json
import re
import struct
import subprocess
import time
from pathlib import Path

import pytest

from attach_harness import MIB, PYTHON, ROOT, PythonTarget, Tracer, attach, attached, settled
from heap_targets import Target, fetched, root_only
from test_python_frames import PYTHONS


def notes(program):
    """{name: (address of the place, address of the semaphore)} of the SDT probes of provider python."""
    text = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"Provider: python\s+Name: (\w+)\s+Location: (\w+), Base: \w+, Semaphore: (\w+)", text)
    return {name: (int(place, 16), int(semaphore, 16)) for name, place, semaphore in found}


def has_probes(program):
    return {"gc__start", "gc__done"} <= set(notes(program))


@pytest.fixture(autouse=True)
def probes():
    root_only()
    if not has_probes(PYTHON):
        pytest.skip(f"{PYTHON} was built without the collector's probes")


class Others(PythonTarget):
    """The same target, run by another interpreter."""

    def __init__(self, command):
        Target.__init__(self, [*command, ROOT / "tests" / "workload" / "python_target.py"])


# Runs of every generation by hand, and those that come by themselves; the callbacks' times are around ours.
PREPARE = """
import gc, time
gc.collect(); gc.disable()
class Ring:
    pass
def rings(n):
    for _ in range(n):
        ring = Ring(); ring.ring = ring
took = [0, 0, 0]
def called(phase, info):
    global begun
    if phase == "start":
        begun = time.monotonic_ns()
    else:
        took[info["generation"]] += time.monotonic_ns() - begun
gc.callbacks.append(called)
before = gc.get_stats()
"""
WORK = """
rings(100); gc.collect(0)
gc.collect(1)
kept = [[] for _ in range(200000)]
rings(3000); found = gc.collect()
gc.enable()
more = [[] for _ in range(20000)]
gc.disable()
after = gc.get_stats()
result = {"found": found, "took": took, "runs": [[b["collections"] - a["collections"],
    b["collected"] + b["uncollectable"] - a["collected"] - a["uncollectable"]] for a, b in zip(before, after)]}
"""


def interpreters():
    yield pytest.param(None, id="system")
    yield pytest.param(("trixie", "3.13"), id="3.13")
    yield pytest.param(("sid", "3.14"), id="3.14")


@pytest.mark.parametrize("other", interpreters())
def test_runs_objects_and_time(tree, other):
    if other:
        command = [fetched(tree.build / "pythons" / other[1], "fetch-python", *other) / "python"]
    with Others(command) if other else PythonTarget() as target:
        target.do(PREPARE)
        with attached(tree, target.pid, "--no-alloc") as tracer:
            truth = target.do(WORK)
            final = tracer.stop()
    gc = final["gc"]
    assert [[g["runs"], g["collected"]] for g in gc["generations"]] == truth["runs"]
    assert truth["found"] >= 3000 and gc["generations"][2]["collected"] == truth["found"]
    assert target.began <= gc["last_full"] <= target.ended
    for ours, theirs in zip(gc["generations"], truth["took"]):
        assert ours["longest_ns"] <= ours["ns"] <= theirs
    full = gc["generations"][2]
    assert full["ns"] == full["longest_ns"] > truth["took"][2] / 2
    assert final["lost"] == {} and not any("garbage" in line for line in final["missing"])


UNIT = "ring = Ring(); ring.ring = ring; data = fill(100); ring.data = data[:len(data) // 2]"


def units(tree, then):
    """Three units of 100 MiB that leave half of it in a ring each, and what follows each; gc of the last report."""
    with PythonTarget() as target:
        target.do("import gc; gc.collect(); gc.disable()\nclass Ring: pass")
        with attached(tree, target.pid, "--no-alloc", "--retained-min", "32M") as tracer:
            for _ in range(3):
                target.do(UNIT)
                settled(tracer, target)
                target.do(f"del data, ring; {then}")
                settled(tracer, target)
            found = target.do("result = gc.collect()")
            settled(tracer, target)
            return tracer.stop()["gc"], found


def test_a_collection_is_missed_between_units(tree):
    gc, found = units(tree, "purge_glibc()")
    gap, = gc["gaps"]
    assert gap["phases"] == 3 == gap["purges"] and gap["flagged"]
    assert 45 * MIB < gap["live_first"] < 65 * MIB
    assert gap["live_last"] - gap["live_first"] == pytest.approx(100 * MIB, rel=0.1)
    assert gap["collected"] == found >= 3
    assert gap["end"] == gc["last_full"]
    assert gc["purges"] == 2 == gc["purges_without"]


def test_none_is_missed_where_each_unit_collects(tree):
    gc, _ = units(tree, "gc.collect(); purge_glibc()")
    assert gc["gaps"] == []
    assert gc["generations"][2]["runs"] == 4
    assert gc["purges"] == 3 and gc["purges_without"] == 0


def eventually(holds):
    """Whether it comes to hold: the kernel takes a moment, and nothing tells when."""
    for _ in range(200):
        if holds():
            return True
        time.sleep(0.05)
    return False


class Semaphores:
    """The counters without which an interpreter does not reach its probes, as a process has them."""

    def __init__(self):
        program = Path(PYTHON).resolve()
        self.addresses = [notes(program)[name][1] for name in ("gc__start", "gc__done")]
        self.fixed = program.read_bytes()[16] == 2  # ET_EXEC

    def read(self, pid):
        bias = 0 if self.fixed else int(Path(f"/proc/{pid}/maps").read_text().split("-", 1)[0], 16)
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            return [struct.unpack("H", self.at(memory, bias + address))[0] for address in self.addresses]

    @staticmethod
    def at(memory, address):
        memory.seek(address)
        return memory.read(2)


def test_the_interpreter_is_as_it_was(tree):
    """Its counters are raised while we are attached, in this process alone, and then no more."""
    semaphores = Semaphores()
    with PythonTarget() as bystander, PythonTarget() as target:
        assert semaphores.read(target.pid) == [0, 0]
        with attached(tree, target.pid, "--no-alloc") as tracer:
            assert semaphores.read(target.pid) == [1, 1]
            assert semaphores.read(bystander.pid) == [0, 0]
            tracer.stop()
        assert semaphores.read(target.pid) == [0, 0]
        with attach(tree, target.pid, "--no-alloc") as tracer:
            tracer.ready()
            assert semaphores.read(target.pid) == [1, 1]
            tracer.process.kill()
            tracer.wait()
            assert eventually(lambda: semaphores.read(target.pid) == [0, 0])


def test_children_are_cleared(tree):
    semaphores = Semaphores()
    with PythonTarget() as target:
        with attached(tree, target.pid, "--no-alloc") as tracer:
            child = target.do("child = os.fork()\nif not child:\n  import signal\n  signal.pause()\nresult = child")
            assert eventually(lambda: semaphores.read(child) == [0, 0])
            assert semaphores.read(target.pid) == [1, 1]
            tracer.stop()
        assert semaphores.read(target.pid) == [0, 0]
        target.do(f"os.kill({child}, 9); os.waitpid({child}, 0)")


def test_an_interpreter_without_probes(tree):
    for name, (command, _) in PYTHONS.items():
        program = Path(command[0]).resolve()
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        library = re.search(r"libpython\S+ => (\S+)", libraries)
        if len(command) == 1 and not has_probes(library[1] if library else program):
            break
    else:
        pytest.skip("every CPython here has the collector's probes")
    with Tracer(tree, "run", "--json", "--no-alloc", "--", *command, "-c", "import gc; gc.collect()") as tracer:
        final = tracer.finish()
    assert final["gc"] is None
    line, = [line for line in final["missing"] if "garbage collector" in line]
    assert "was built without its probes" in line and name


def test_other_programs_say_nothing_of_it(tree):
    with Tracer(tree, "run", "--json", "--no-alloc", "--", "/bin/true") as tracer:
        final = tracer.finish()
    assert final["gc"] is None
    assert not any("garbage" in line for line in final["missing"])


def test_from_the_start_and_through_exec(tree):
    """A shell that becomes Python: the runs of the new program, to the one at its end that frees its modules."""
    code = "import gc, json; gc.disable(); gc.collect(); print(json.dumps(gc.get_stats()), flush=True)"
    with Tracer(tree, "run", "--json", "--no-alloc", "--", "sh", "-c", f"exec {PYTHON} -c '{code}' >&2") as tracer:
        final = tracer.finish()
        told = json.loads(tracer.stderr.splitlines()[0])
    assert final["gc"]["generations"][2]["runs"] >= told[2]["collections"] >= 1
