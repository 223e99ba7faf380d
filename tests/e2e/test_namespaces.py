"""Targets in other namespaces and roots: what they map is probed and walked, whatever lies at its
path now, and they are named by our own numbers."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from attach_harness import (LIBRARIES, MIB, NOBODY, ROOT, PythonTarget, attached, churn, mimalloc,
                            probes_left, purges)
from heap_targets import SOURCES, Target, allocator, root_only
from test_names import readable  # noqa: F401 (a fixture)


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


class Contained(PythonTarget):
    """A Python that `unshare` has started in a PID namespace of its own, where it is number 1."""

    def __init__(self, flags, script='exec "$@"', *arguments, **env):
        super().__init__(prefix=["unshare", flags, "--fork", "--kill-child", "sh", "-c", script, *(arguments or ["sh"])],
                         **env)
        assert self.pid == 1
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.pid = int(children[0])


def can_unshare(flags, script="true", *arguments):
    done = subprocess.run(["unshare", flags, "--fork", "sh", "-c", script, *(arguments or ["sh"])],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"unshare {flags}: {done.stderr.strip()}")


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


def largest(report):
    """The one site with 3 MiB live and more."""
    site, = [site for site in report["allocs"]["sites"] if site["live"] >= 3 * MIB]
    return site


def test_namespaces_of_its_own(tree):
    """PID, mount and user: figures, purges, stacks and Python's collections under the host's number."""
    root_only()
    can_unshare("-Urmp")
    with Contained("-Urmp", 'mount -t proc proc /proc && exec "$@"') as target:
        target.do("data = fill(100); keep = data[::64]; del data")
        report = tree.heap(target.pid)
        assert report["pid"] == target.pid
        assert report["purgeable"] > 50 * MIB
        with attached(tree, target.pid) as tracer:
            drop = target.do("before = rss(); purge_glibc(); result = before - rss()")
            target.do("big = bytearray(3 << 20)")
            final = tracer.stop()
    purge, = purges(final, "malloc_trim")
    assert final["pid"] == target.pid
    assert abs(purge["returned"] - drop) <= MIB and purge["effective"]
    assert any("python_target.py" in frame for frame in purge["stack"])
    site = largest(final)
    assert any("python_target.py" in frame for frame in site["stack"])
    assert final["lost"] == {} and final["missing"] == []


# A root of the whole system, of which nothing but what is changed there is on another file system.
OVERLAY = """
mount --make-rprivate / && mount -t tmpfs tmpfs "$0" && mkdir "$0/up" "$0/work" "$0/root" &&
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/up,workdir=$0/work" "$0/root" && cd "$0/root" &&
mount -t proc proc proc && {enter}
"""
ENTER = {
    "chroot": 'exec chroot . "$@"',
    "pivot_root": 'mkdir old && pivot_root . old && umount -l /old && exec "$@"',
}


@pytest.mark.parametrize("enter, changed", [("chroot", False), ("pivot_root", False), ("pivot_root", True)])
def test_overlay(tree, tmp_path, enter, changed):
    """As a container has it. changed: its libc was copied up after it had been mapped, by a chmod."""
    root_only()
    mimalloc()
    script = OVERLAY.format(enter=ENTER[enter])
    can_unshare("-mp", OVERLAY.format(enter="true"), tmp_path)
    libc = (LIBRARIES / "libc.so.6").resolve()
    mode = libc.stat().st_mode
    with Contained("-mp", script, tmp_path) as target:
        if changed:
            target.do(f"os.chmod({str(libc)!r}, 0o700)")
        with attached(tree, target.pid) as tracer:
            target.do("data = fill(100); keep = data[::64]; del data")
            drop = target.do("before = rss(); purge_glibc(); result = before - rss()")
            # Purged before anybody can have heard that it is there: it lies beside what is mapped.
            target.do(f"own = ctypes.CDLL({Path(mimalloc()).name!r}); own.mi_collect(True)")
            target.do("own.mi_collect(True)")
            final = tracer.stop()
    assert libc.stat().st_mode == mode
    purge, = purges(final, "malloc_trim")
    assert abs(purge["returned"] - drop) <= MIB and purge["effective"]
    assert [purge["misdirected"] for purge in purges(final, "mi_collect")] == [True, True]
    assert churn(final, "libmimalloc.so")["opens"] == 1
    assert final["allocs"]["allocs"] > 10000
    assert final["lost"] == {} and final["missing"] == []


CALLER = "#include <stdlib.h>\nvoid *{name}(void) {{ void *p = malloc(3 << 20); return p; }}\n"


def build(folder, name):
    (folder / f"{name}.c").write_text(CALLER.format(name=name))
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", f"{name}.c", "-o", f"{name}.so"], cwd=folder, check=True)
    return folder / f"{name}.so"


@pytest.mark.parametrize("upgraded", [True, False])
def test_a_library_that_is_mapped_no_more_at_its_path(tree, tmp_path, upgraded):
    """Names come from the file that is mapped, be it deleted or another there now."""
    root_only()
    old, new = build(tmp_path, "old_name"), build(tmp_path, "new_name")
    with PythonTarget() as target:
        target.do(f"own = ctypes.CDLL({str(old)!r})")
        if upgraded:
            new.rename(old)
        else:
            old.unlink()
        with attached(tree, target.pid, "--min-size", "3000000") as tracer:
            target.do("own.old_name()")
            final = tracer.stop()
    site = largest(final)
    assert any("old_name" in frame for frame in site["stack"])
    assert not any("new_name" in frame for frame in site["stack"])


def test_a_libc_that_only_root_can_open(tree, readable):
    """Without privilege a deleted file cannot be reached: that is said, and what is there now is not taken for it."""
    root_only()
    place = readable
    copy = Path(shutil.copy(LIBRARIES / "libc.so.6", place))
    program = shutil.copy(tree.alloctrace, place)
    prefix = [*NOBODY, "env", f"LD_LIBRARY_PATH={place}"]
    with PythonTarget(prefix=prefix) as target:
        target.do("data = fill(20)")
        other = Path(shutil.copy(LIBRARIES / "libm.so.6", place / "other"))
        other.rename(copy)
        done = subprocess.run([*NOBODY, program, "heap", "--json", str(target.pid)], capture_output=True, text=True)
        if "yama" in done.stderr:
            pytest.skip("ptrace_scope does not let nobody look at nobody's process")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert not any(a["serving"] for a in report["allocators"]) and report["retained"] is None
        assert any("libc.so.6" in line and "deleted or replaced" in line for line in report["missing"])
        assert allocator(tree.heap(target.pid), "glibc")["live_heap"] > 20 * MIB


def test_musl_in_a_chroot(tree, unshare, tmp_path):
    if not shutil.which("musl-gcc"):
        pytest.skip("musl-gcc is not installed")
    root = tmp_path / "root"
    (root / "lib").mkdir(parents=True)
    subprocess.run(["musl-gcc", "-O1", "-g", "-D_GNU_SOURCE", "-fno-builtin", "-Dpvalloc=valloc",
                    SOURCES / "alloc_truth.c", "-o", root / "program", "-pthread"], check=True)
    shutil.copy(Path("/lib/ld-musl-x86_64.so.1").resolve(), root / "lib" / "ld-musl-x86_64.so.1")
    with Target([*unshare, 'exec chroot "$0" /program', root]) as target:
        with attached(tree, target.pid, "--max-overhead", "none") as tracer:
            truth = target.ask("go")
            final = tracer.stop()
    assert {key: final["allocs"][key] for key in truth} == truth
    assert [(a["name"], a["serving"]) for a in final["allocators"]] == [("musl", True)]
    assert any("step" in frame for site in final["allocs"]["sites"] for frame in site["stack"])
    assert final["lost"] == {} and final["missing"] == []


# Code that calls malloc, as a JIT would make it, and its name where perf looks for it: by the process's own number.
JIT = """
import mmap, struct
address = ctypes.cast(libc.malloc, ctypes.c_void_p).value
bytes_ = b"\\x55\\x48\\x89\\xe5\\x48\\xb8" + struct.pack("Q", address) + b"\\xff\\xd0\\x5d\\xc3"
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes_)
at = ctypes.addressof(ctypes.c_char.from_buffer(page))
open(f"/tmp/perf-{os.getpid()}.map", "w").write(f"{at:x} {len(bytes_):x} jitted\\n")
call = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(at)
"""


def test_names_of_jit_code_by_its_own_number(tree, tmp_path):
    """/tmp/perf-1.map of its own /tmp, not of ours."""
    root_only()
    can_unshare("-mp")
    script = 'mount -t tmpfs tmpfs /tmp && mount -t proc proc /proc && exec "$@"'
    if str(ROOT).startswith("/tmp/"):
        script = 'mkdir -p "$0/own" && mount -t proc proc /proc && exec "$@"'
    with Contained("-mp", script, tmp_path) as target:
        target.do(JIT)
        with attached(tree, target.pid, "--min-size", "3000000") as tracer:
            target.do("call(3 << 20)")
            final = tracer.stop()
        target.do("os.unlink(f'/tmp/perf-{os.getpid()}.map')")
    site = largest(final)
    assert any(frame.startswith("jitted") for frame in site["stack"])
