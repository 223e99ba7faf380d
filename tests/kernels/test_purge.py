"""`alloctrace purge` on the kernel that has been booted: which system calls it begins anew, how a
thread comes back from a call, and that one can be met at a step of its own."""
import json
import subprocess

import pytest

from attach_harness import MIB, PYTHON, PythonTarget, rss
from purge_harness import purge
from test_kernel import TOO_OLD


@pytest.mark.parametrize("name", ["remote_call_test", "wait_call_test"])
def test_unit(tree, name):
    done = subprocess.run([tree.build / "tests" / "unit" / name], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_waiting(tree):
    with PythonTarget() as target:
        target.do("kept = fill(40)[::40]")
        before = rss(target.pid)
        status, said, err = purge(tree, target.pid, "--timeout", "30")
        assert status == 0 and said["call"]["met"] == "waiting", err
        assert before - rss(target.pid) > 30 * MIB and said["predicted"] > 30 * MIB


STEPS = {
    "returning": "import select; e = select.epoll(); step = lambda: e.poll(0.02)",
    "allocating": "step = lambda: bytes(600)",
}


@pytest.mark.skipif(TOO_OLD, reason="alloctrace has no probes on this kernel")
@pytest.mark.parametrize("met", STEPS)
def test_met_at_a_step_of_its_own(tree, met):
    code = f"import os\n{STEPS[met]}\nkept = [bytes(5000) for _ in range(8000)][::40]\n" \
           "print(os.getpid(), flush=True)\nwhile True: step()"
    with subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        before = rss(pid)
        status, said, err = purge(tree, pid, "--timeout", "60")
        assert status == 0 and said["call"]["met"] == met, (json.dumps(said), err)
        assert before - rss(pid) > 20 * MIB
        process.kill()
