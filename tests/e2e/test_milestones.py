"""Milestones: calls of a target's own that are probed as long as its allocations are seen in pieces. What stands is read
from its text, where a call (0xe8) has become a breakpoint (0xcc)."""
import os
import signal
import subprocess
import time

import pytest

from attach_harness import attach, changed_text, probes_left
from heap_targets import root_only
from known_sites import KnownSites, Load

FORKS = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#define SITE(n) __attribute__((noinline, no_icf)) static void *take##n(void) { \\
	void *p = malloc(32 + n); __asm__ volatile("" : "+r"(p)); return p; }
SITE(0) SITE(1) SITE(2) SITE(3)
static volatile sig_atomic_t wanted;
static void ask(int number) { (void)number; wanted = 1; }
int main(void) {
	signal(SIGUSR1, ask);
	for (unsigned random = 1;; random = random * 1103515245 + 12345) {
		unsigned one_of = (random >> 12) % 10000;
		free(one_of < 9000 ? take0() : one_of < 9900 ? take1() : one_of < 9990 ? take2() : take3());
		if (!wanted)
			continue;
		wanted = 0;
		pid_t child = fork();
		while (!child)
			pause();
		printf("%d\\n", child);
		fflush(stdout);
	}
}
"""
CALL, BREAKPOINT = 0xe8, 0xcc
PATIENCE = 30  # seconds


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def milestones(pid):
    """Not the C library's own calls of free, which are probed too."""
    return {address: file for address, (file, was, now) in changed_text(pid).items()
            if was == CALL and now == BREAKPOINT and not file.endswith("/libc.so.6")}


def until(what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} s")


def test_they_stand_while_there_are_cells_and_go_with_the_tracer(tree):
    with KnownSites(tree, Load("steady")) as target:
        target.ask("begin")
        with attach(tree, target.pid, "--max-overhead", "10") as tracer:
            tracer.ready()
            found = until(lambda: milestones(target.pid))
            assert 1 <= len(found) <= 4
            assert {file.rsplit("/", 1)[-1] for file in found.values()} == {"known_sites"}
            tracer.stop()
        assert probes_left(target.pid) == []
        target.ask("pause")
        target.truth()


def test_there_are_none_where_all_is_seen(tree):
    with KnownSites(tree, Load("steady", rate=1000, work_ns=100000)) as target:
        target.ask("begin")
        with attach(tree, target.pid, "--max-overhead", "10") as tracer:
            tracer.ready()
            for _ in range(12):
                assert not milestones(target.pid)
                tracer.next()
            assert tracer.stop()["allocs"]["duty"] == 1
        target.ask("pause")


def test_children_are_cleared_of_them(tree, tmp_path):
    (tmp_path / "forks.c").write_text(FORKS)
    subprocess.run(["gcc", "-O1", "-fno-builtin", "-o", tmp_path / "forks", tmp_path / "forks.c"], check=True)
    child = None
    target = subprocess.Popen([tmp_path / "forks"], stdout=subprocess.PIPE, text=True)
    try:
        with attach(tree, target.pid, "--max-overhead", "10") as tracer:
            tracer.ready()
            until(lambda: milestones(target.pid))
            target.send_signal(signal.SIGUSR1)
            child = int(target.stdout.readline())
            until(lambda: not milestones(child))
            until(lambda: milestones(target.pid))  # its own come again
            tracer.stop()
        assert probes_left(target.pid) == [] and probes_left(child) == []
    finally:
        target.kill()
        target.wait()
        if child:
            os.kill(child, signal.SIGKILL)
