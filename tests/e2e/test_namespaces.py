"""A target that sees other files under the same names: its own libc is probed and walked."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from attach_harness import LIBRARIES, MIB, PythonTarget, attached, churn, probes_left, purges
from heap_targets import Target, root_only


@pytest.fixture
def unshare():
    """A prefix that runs a shell script in a mount namespace of its own."""
    root_only()
    prefix = ["unshare", "-m", "sh", "-c"]
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    done = subprocess.run([*prefix, "true"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no mount namespace: {done.stderr.strip()}")
    return prefix


@pytest.fixture
def private_libc(unshare, tmp_path):
    """A prefix that runs a command with a copy of libc of its own, and that copy's inode."""
    copy = shutil.copy(os.path.realpath(LIBRARIES / "libc.so.6"), tmp_path / "libc.so.6")
    Path(copy).chmod(0o755)
    script = f'mount --bind "$0" "{LIBRARIES / "libc.so.6"}" && exec "$@"'
    return [*unshare, script, copy], os.stat(copy).st_ino


def libc_inode(pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("/libc.so.6") and "r-x" in line:
            return int(line.split()[4])
    raise AssertionError("no libc mapped")


def test_own_libc_of_a_mount_namespace(tree, private_libc):
    prefix, inode = private_libc
    with PythonTarget() as bystander, PythonTarget(prefix=prefix) as target:
        assert libc_inode(target.pid) == inode != libc_inode(bystander.pid)
        with attached(tree, target.pid) as tracer:
            target.do("data = fill(200); keep = data[::64]; del data")
            tracer.until(lambda report: (report["purgeable"] or 0) > 100 * MIB)
            bystander.do("purge_glibc()")
            drop = target.do("before = rss(); purge_glibc(); result = before - rss()")
            target.do("ctypes.CDLL('libz.so.1')")
            final = tracer.stop()
        purge, = purges(final, "malloc_trim")
        assert abs(purge["returned"] - drop) <= MIB
        assert purge["effective"] and not purge["misdirected"]
        assert churn(final, "libz.so")["opens"] == 1
        assert probes_left(bystander.pid) == []


def test_deleted_libc(tree, private_libc):
    """As after an upgrade: the file that is mapped has no name any more."""
    prefix, _ = private_libc
    with PythonTarget(prefix=prefix) as target:
        Path(prefix[-1]).unlink()
        with attached(tree, target.pid) as tracer:
            target.do("data = fill(100); keep = data[::64]; del data; purge_glibc()")
            purge, = purges(tracer.stop(), "malloc_trim")
            assert purge["returned"] > 50 * MIB


def test_other_root(tree, unshare, tmp_path):
    """A chroot with nothing but the program's libraries in it."""
    root = tmp_path / "root"
    program = tree.workload("purge_race")
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
    for path in [*(word for word in libraries if word.startswith("/")), str(program)]:
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(path), place)
    (root / "proc").mkdir()
    enter = [*unshare, 'mount --bind /proc "$0/proc" && exec chroot "$0" "$@"', root]
    with Target([*enter, program, "0"]) as target:
        with attached(tree, target.pid) as tracer:
            truth = target.ask("round 100")
            purge, = purges(tracer.stop(), "malloc_trim")
            assert abs(purge["returned"] - truth["fell"]) <= MIB
