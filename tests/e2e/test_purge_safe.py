"""Many purges of processes under load that check themselves, some of them by a purger that is
killed at a random moment: no hang, no crash, no error, no EINTR that the program would not see
without them. ALLOCTRACE_PURGES=1000 for the long proof."""
import json
import os
import subprocess

from attach_harness import PYTHON
from heap_targets import ROOT, Target
from postgres_server import postgres  # noqa: F401 (a fixture)
from purge_harness import purge_often
from test_redis import benchmark, redis  # noqa: F401 (a fixture)


def test_of_threads_that_check_themselves(tree):
    with Target([tree.workload("purge_checked")]) as target:
        before = target.ask("")["rounds"]

        def check():
            nonlocal before
            now = target.ask("")
            assert now["mistakes"] == 0, now["last"]

        tally = purge_often(tree, [target.pid], check)
        # None of the threads stands still.
        for _ in range(2000):
            after = target.ask("")
            if all(a > b for a, b in zip(after["rounds"], before)):
                break
        assert all(a > b for a, b in zip(after["rounds"], before)), (before, after)
    assert tally["done"] > 0 and tally["killed"] > 0 and tally["refused"] == 0, tally


def test_of_python(tree):
    with Target([PYTHON, ROOT / "tests" / "workload" / "purge_load.py"]) as target:
        before = target.ask("")["rounds"]

        def check():
            assert target.ask("")["mistakes"] == []

        tally = purge_often(tree, [target.pid], check)
        for _ in range(2000):
            after = target.ask("")["rounds"]
            if all(a > b for a, b in zip(after, before)):
                break
        assert all(a > b for a, b in zip(after, before)), (before, after)
    assert tally["done"] > 0 and tally["killed"] > 0 and tally["refused"] == 0, tally


def test_of_redis(tree, redis):
    server, socket = redis
    loads = []

    def load():
        loads.append(benchmark(socket, 20000))

    def check():
        if loads[-1].poll() is not None:
            load()
        done = subprocess.run(["redis-cli", "-s", socket, "incr", "purges"], capture_output=True, text=True)
        assert done.stdout.strip().isdigit(), done.stdout + done.stderr

    load()
    tally = purge_often(tree, [server.pid], check)
    for one in loads:
        out, err = one.communicate(timeout=120)
        assert one.returncode == 0 and "rror" not in out + err, out + err
    assert tally["done"] > 0 and tally["killed"] > 0 and tally["refused"] == 0, tally


def test_of_postgres(tree, postgres):
    with postgres.under_load():
        tally = purge_often(tree, postgres.backends(), lambda: None)
    assert tally["done"] > 0 and tally["killed"] > 0, tally
