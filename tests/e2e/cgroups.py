"""Cgroups that tests make for themselves, where the machine lets them."""
import contextlib
import time
from pathlib import Path

import pytest

from heap_targets import root_only


@contextlib.contextmanager
def memory_cgroup(name):
    """A cgroup of version 1's memory controller, or of version 2 where that has it: its folder and its limit's file."""
    root_only()
    for folder, limit in ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
                          (Path("/sys/fs/cgroup"), "memory.max")):
        made = folder / name
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            if (made / limit).exists():
                yield made, limit
                return
        finally:
            deadline = time.monotonic() + 10
            while made.exists() and time.monotonic() < deadline:
                with contextlib.suppress(OSError):  # until the last process has gone
                    made.rmdir()
    pytest.skip("no cgroup with a memory controller can be made here")


def join(pid, folder):
    (folder / "cgroup.procs").write_text(str(pid))


def limit_to(folder, limit, size):
    """Memory, and no swap beyond it."""
    (folder / limit).write_text(str(size))
    for swap, value in (("memory.memsw.limit_in_bytes", size), ("memory.swap.max", 0)):
        with contextlib.suppress(OSError):
            (folder / swap).write_text(str(value))
