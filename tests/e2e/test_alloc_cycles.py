"""Attached with allocation probes and detached, again and again, half of the times by kill -9:
programs that check themselves, servers and a compiler under load go on unharmed, and nothing is
left in them."""
import contextlib
import itertools
import os
import random
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from attach_harness import DEADLINE, PYTHON, attach, probes_left
from heap_targets import ROOT, Target, root_only
from postgres_server import postgres  # noqa: F401 (a fixture)
from test_alloc_truth import check_sites
from test_attach_life import all_probed, check_unharmed
from test_redis import benchmark, redis  # noqa: F401 (a fixture)

CYCLES = int(os.environ.get("ALLOCTRACE_CYCLES", "6"))  # with each target; 200 by hand


def seen_and_left(tree, pid):
    """Attached until allocations were seen under load, and ended with a right last report."""
    with attach(tree, pid, "--max-overhead", "none") as tracer:
        tracer.ready().until(lambda report: report["allocs"]["allocs"] > 0)
        final = tracer.stop()
    assert final["pid"] == pid and final["ended"] == "interrupted", final["ended"]
    assert final["allocs"]["estimated"] is False
    check_sites(final["allocs"])


def killed(tree, pid):
    """Killed at whatever moment: the time is that moment, nothing waits for it."""
    tracer = subprocess.Popen([tree.alloctrace, "attach", "--json", "--max-overhead", "none", str(pid), "0.1"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        tracer.wait(timeout=random.uniform(0, 0.5))
    tracer.kill()
    assert tracer.wait() == -signal.SIGKILL


def cycles(tree, pid, count):
    for end in itertools.islice(itertools.cycle([killed, seen_and_left]), count):
        end(tree, pid)
        assert probes_left(pid) == []
        assert Path(f"/proc/{pid}/exe").exists()


@contextlib.contextmanager
def again_and_again(job):
    """Does the job beside the block, as often as it fits, and once at least; raises what it raised."""
    over = Event()

    def repeat():
        while True:
            job()
            if over.is_set():
                return

    with ThreadPoolExecutor(1) as pool:
        repeated = pool.submit(repeat)
        try:
            yield
        finally:
            over.set()
        repeated.result()


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def test_eight_threads(tree):
    with all_probed(tree, 8) as target:
        cycles(tree, target.pid, CYCLES)
        check_unharmed(target)


def test_python(tree):
    load = [PYTHON, ROOT / "tests" / "workload" / "python_load.py", 3]
    with Target(load, env={**os.environ, "PYTHONMALLOC": "malloc"}) as target:
        cycles(tree, target.pid, CYCLES)
        check_unharmed(target)


def test_redis(tree, redis):  # noqa: F811
    server, socket = redis

    def job():
        with benchmark(socket, 10000) as load:
            out, err = load.communicate(timeout=DEADLINE)
        assert load.returncode == 0 and "rror" not in out + err, out + err

    with again_and_again(job):
        cycles(tree, server.pid, CYCLES)
    assert server.poll() is None


# Every compilation is a new process; it takes longer than two cycles.

SOURCE = """
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <regex>
#include <string>

std::map<std::string, std::function<bool(const std::string &)>> rules;

int main()
{
        for (std::string word; std::cin >> word;)
                rules[word] = [word](const std::string &line) { return std::regex_search(line, std::regex(word)); };
        return std::count_if(rules.begin(), rules.end(), [](auto &rule) { return rule.second(rule.first); }) == 0;
}
"""


def compiler(source, out, *options):
    return subprocess.Popen(["g++", *options, "-O2", "-c", source, "-o", out], stdout=subprocess.PIPE, text=True)


def test_compiler(tree, tmp_path):
    source, plain, seen = (tmp_path / name for name in ("rules.cc", "plain.o", "seen.o"))
    source.write_text(SOURCE)
    with compiler(source, plain) as run:
        assert run.wait() == 0
    for _ in range(0, CYCLES, 2):
        # Whatever g++ starts says first who it is, and that is the compiler proper.
        with compiler(source, seen, "-wrapper", 'sh,-c,echo $$; exec "$0" "$@"') as run:
            cycles(tree, int(run.stdout.readline()), 2)
            assert run.wait() == 0
        assert seen.read_bytes() == plain.read_bytes()
        seen.unlink()


def test_postgres_backend(tree, postgres):  # noqa: F811
    with postgres.under_load():
        cycles(tree, postgres.backends()[0], CYCLES)


def test_postgres_that_forks_for_each_transaction(tree, postgres):  # noqa: F811
    with postgres.under_load("--connect"):
        cycles(tree, postgres.process.pid, CYCLES)
