"""Stacks against libdwfl, on the very same events: tests/stack/unwind_truth runs our unwinder in the
kernel and has libdwfl unwind the registers and the stack that it saw."""
import json
import os
import shutil
import subprocess

import pytest

from attach_harness import LIBRARIES, PYTHON, attach
from heap_targets import SOURCES, Target, root_only
from postgres_server import postgres  # noqa: F401 (a fixture)
from test_alloc_cycles import again_and_again, compiler, SOURCE
from test_redis import benchmark, redis  # noqa: F401 (a fixture)

EVENTS = int(os.environ.get("ALLOCTRACE_STACKS", "1000"))  # of each target; 20000 by hand
LIBC = LIBRARIES / "libc.so.6"
CUT = ["no mapping", "no row", "unreadable"]  # of enum stack_end in bpf/event.h, the last three


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def compare(tree, pid, library=LIBC, function="malloc", every=7):
    """What unwind_truth says of EVENTS stacks; of fewer, if the target ends before."""
    done = subprocess.run([tree.build / "tests" / "stack" / "unwind_truth", str(pid), library, function, str(EVENTS),
                           "60", str(every)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return json.loads(done.stdout)


def check(said, least=EVENTS):
    """The same as libdwfl's wherever it has the whole stack, and hardly any that is cut."""
    assert said["compared"] >= least, said
    whole = said["compared"] - said["theirs_cut"]
    assert said["same"] >= whole * 0.999, said
    assert sum(said["ended"][3:]) <= said["compared"] * 0.005, dict(zip(CUT, said["ended"][3:]))


@pytest.mark.parametrize("flags", [("-O1",), ("-O2",), ("-O3", "-flto"), ("-O2", "-static"), ("-O2", "-no-pie"),
                                   ("-O2", "-fno-omit-frame-pointer")], ids=" ".join)
def test_every_odd_frame(tree, tmp_path, flags):
    program = tmp_path / "odd_stacks"
    subprocess.run(["g++", *flags, SOURCES / "odd_stacks.cc", "-o", program, "-pthread"], check=True)
    with Target([program]) as target:
        check(compare(tree, target.pid, program if "-static" in flags else LIBC))


def test_rbx_is_restored(tree, tmp_path):
    """libdwfl does not get through: it takes rbx for lost where nothing is said of it."""
    program = tmp_path / "odd_stacks"
    subprocess.run(["g++", "-O1", "-g", SOURCES / "odd_stacks.cc", "-o", program, "-pthread"], check=True)
    with Target([program]) as target, attach(tree, target.pid, "--max-overhead", "none") as tracer:
        tracer.ready().until(lambda report: report["allocs"]["allocs"] > 10000)
        sites = tracer.stop()["allocs"]["sites"]
    stacks = [" ".join(site["stack"]) for site in sites if "uses_rbx" in " ".join(site["stack"])]
    assert stacks
    for stack in stacks:
        assert "main" in stack or "std::thread" in stack, stack
        assert stack.index("work") < stack.index("round_of") < stack.index("frame_by_rbx") < stack.index("uses_rbx"), stack


@pytest.mark.parametrize("flags", [("-O",), ("-g",), ("-O", "-C", "panic=unwind", "-C", "lto")], ids=" ".join)
def test_rust(tree, tmp_path, flags):
    if not shutil.which("rustc"):
        pytest.skip("rustc is not installed")
    program = tmp_path / "odd_stacks"
    subprocess.run(["rustc", *flags, SOURCES / "odd_stacks.rs", "-o", program], check=True)
    with Target([program]) as target:
        check(compare(tree, target.pid, every=31))


def test_python(tree):
    load = [PYTHON, SOURCES / "python_load.py", 3]
    with Target(load, env={**os.environ, "PYTHONMALLOC": "malloc"}) as target:
        check(compare(tree, target.pid, every=101))


def test_redis(tree, redis):  # noqa: F811
    server, socket = redis

    def job():
        with benchmark(socket, 20000) as load:
            load.communicate()

    with again_and_again(job):
        check(compare(tree, server.pid, LIBRARIES / "libjemalloc.so.2", every=3))


def test_postgres(tree, postgres):  # noqa: F811
    with postgres.under_load():
        check(compare(tree, postgres.backends()[0], every=1))


def test_compiler(tree, tmp_path):
    source = tmp_path / "rules.cc"
    source.write_text(SOURCE)
    with compiler(source, tmp_path / "rules.o", "-wrapper", 'sh,-c,echo $$; exec "$0" "$@"') as run:
        pid = int(run.stdout.readline())
        while "cc1plus" not in os.readlink(f"/proc/{pid}/exe"):
            pass
        check(compare(tree, pid, every=31), least=EVENTS // 2)
        assert run.wait() == 0
