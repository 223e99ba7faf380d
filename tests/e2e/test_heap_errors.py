"""What `alloctrace heap` says of processes that it cannot read, or not in full: one clear
line and the right exit status, or null for what nobody knows. attach refuses the same ones."""
import json
import os
import shutil
import signal
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from heap_targets import Target, allocator, root_only

WALK_ONLY = ["live_heap", "retained", "purgeable", "pinned"]
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")


def alloctrace(tree, *words, **run):
    run.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([*run.pop("prefix", []), tree.alloctrace, *map(str, words)],
                          stderr=subprocess.PIPE, text=True, timeout=60, **run)


def refused(done, *words):
    """The work failed, and one line says why."""
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("\n"), done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert not done.stdout


@pytest.fixture
def child():
    """A process that waits to be ended."""
    process = subprocess.Popen(["/bin/sleep", "1000"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def target(tree):
    with Target([tree.workload("heap_truth")]) as target:
        target.ask("fill mixed 5000000 50 2 1")
        yield target


every_command = pytest.mark.parametrize("command", ["heap", "attach"])


@every_command
def test_no_such_process(tree, command):
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    refused(alloctrace(tree, command, gone.pid), "there is no process", str(gone.pid))


@every_command
def test_kernel_thread(tree, command):
    if not Path("/proc/2/comm").exists() or Path("/proc/2/comm").read_text() != "kthreadd\n":
        pytest.skip("no kernel threads in this PID namespace")
    refused(alloctrace(tree, command, 2), "kernel thread", "kthreadd")


@every_command
def test_zombie(tree, child, command):
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    refused(alloctrace(tree, command, child.pid), "zombie")


def test_thread_instead_of_process(tree):
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    try:
        refused(alloctrace(tree, "heap", thread.native_id), "is a thread of process", str(os.getpid()))
    finally:
        leave.set()
        thread.join()


def elf32(path):
    """A 32-bit program that pauses for ever: ELF header, one program header, nine bytes of code."""
    code = bytes.fromhex("b81d000000cd80ebf7")  # again: mov $29 (pause), %eax; int $0x80; jmp again
    base, entry = 0x08048000, 0x08048000 + 52 + 32
    size = 52 + 32 + len(code)
    header = struct.pack("<4s5B7xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 0, 0, 2, 3, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<8I", 1, 0, base, base, size, size, 5, 0x1000)
    path.write_bytes(header + segment + code)
    path.chmod(0o755)
    return path


@every_command
def test_32_bit_process(tree, tmp_path, command):
    try:
        process = subprocess.Popen([elf32(tmp_path / "pause32")])
    except OSError as error:
        pytest.skip(f"this kernel runs no 32-bit programs: {error}")
    try:
        refused(alloctrace(tree, command, process.pid), "32-bit")
    finally:
        process.kill()
        process.wait()


def test_no_privilege(tree, target):
    root_only()
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    # The build folder may lie where nobody may not go: the program is handed over open.
    with open(tree.alloctrace, "rb") as program:
        done = subprocess.run([*nobody, f"/proc/self/fd/{program.fileno()}", "heap", str(target.pid)],
                              pass_fds=[program.fileno()], capture_output=True, text=True)
    refused(done, "no permission", "sudo")


def test_own_process_without_root(tree):
    root_only()
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if scope.exists() and scope.read_text() != "0\n":
        pytest.skip("ptrace_scope keeps one's own processes to root")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    open_to_all = Path(shutil.copy(tree.workload("heap_truth"), "/tmp/heap_truth.%d" % os.getpid()))
    program = Path(shutil.copy(tree.alloctrace, "/tmp/alloctrace.%d" % os.getpid()))
    try:
        with Target([*nobody, open_to_all]) as target:
            target.ask("fill mixed 5000000 50 2 1")
            done = subprocess.run([*nobody, program, "heap", str(target.pid), "--json"],
                                  capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            glibc = allocator(json.loads(done.stdout), "glibc")
            truth = target.ask("truth")
            assert sum(a["held"] for a in glibc["arenas"]) == truth["arena"]
            assert glibc["purgeable"] == target.ask("trim")["returned"]
    finally:
        open_to_all.unlink()
        program.unlink()


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_full_disk(tree, target, options):
    with open("/dev/full", "w") as full:
        done = alloctrace(tree, "heap", target.pid, *options, stdout=full)
    refused(done, "No space left on device")


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_closed_pipe(tree, target, options):
    """Who closes the pipe has seen enough: that is no failure to speak of."""
    read, write = os.pipe()
    os.close(read)
    done = alloctrace(tree, "heap", target.pid, *options, stdout=write)
    os.close(write)
    assert done.returncode == 0 and not done.stderr


@pytest.mark.parametrize("words", [
    [], ["12x"], ["0"], ["-1"], ["99999999999999999999"], ["1", "2"], ["--pid"], ["--frobnicate", "1"],
    ["--interval", "1", "1"], ["--json=yes", "1"],
], ids=" ".join)
def test_wrong_command_line(tree, words):
    done = alloctrace(tree, "heap", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("alloctrace heap: ") and not done.stdout


def test_pid_by_option(tree, target):
    done = alloctrace(tree, "heap", "--json", "-p", target.pid)
    assert json.loads(done.stdout)["pid"] == target.pid


def test_text_says_it_in_a_line(tree, target):
    done = alloctrace(tree, "heap", target.pid)
    assert done.returncode == 0 and not done.stderr
    assert "malloc_trim(0) would return" in done.stdout


def test_json_is_the_documented_object(tree, target):
    report = tree.heap(target.pid)
    assert report["pid"] == target.pid and report["command"] == "heap_truth" and report["schema"] == 1
    for field in ("rss", "held", "resident", "live_heap", "retained", "purgeable", "pinned", "swap", "lazy_free"):
        assert type(report[field]) is int, field
    glibc = allocator(report, "glibc")
    assert glibc["serving"] is True
    assert min(glibc["settings"]["trim_threshold"], glibc["settings"]["mmap_threshold"]) >= 128 << 10
    assert report["purges"] == report["windows"] == report["dlopen"] == []


def test_serves_without_a_call_by_the_program(tree, child):
    """sleep calls no malloc of its own: its call slots say nothing, the heap that its C library made does."""
    while "[heap]" not in Path(f"/proc/{child.pid}/maps").read_text() or \
            " S " not in Path(f"/proc/{child.pid}/stat").read_text():
        assert child.poll() is None
    report = tree.heap(child.pid)
    assert allocator(report, "glibc")["serving"] is True
    assert report["live_heap"] == allocator(report, "glibc")["live_heap"] > 0


@pytest.mark.parametrize("name, library", [("mimalloc", "libmimalloc.so.2.0"), ("jemalloc", "libjemalloc.so.2"),
                                           ("gperftools", "libtcmalloc_minimal.so.4")])
def test_preloaded_allocator(tree, name, library):
    """It serves, and glibc does not; what its walk says holds what the program does, else it is null."""
    if not (LIBRARIES / library).exists():
        pytest.skip(f"{library} is not installed")
    env = {**os.environ, "LD_PRELOAD": str(LIBRARIES / library)}
    hold = "x = [bytes(5000) for _ in range(10000)]; print('{\"pid\": %d}' % __import__('os').getpid(), flush=True); input()"
    with Target(["/usr/bin/python3", "-c", hold], env=env) as target:
        report = tree.heap(target.pid)
        other = allocator(report, name)
        assert other["serving"] is True
        assert other["held"] >= other["resident"] > 50_000_000
        if other["walk"]:
            assert 50_000_000 < other["live_heap"] < other["resident"] < 100_000_000
        else:
            assert [other[field] for field in WALK_ONLY] == [None] * len(WALK_ONLY)
            assert [report[field] for field in WALK_ONLY] == [None] * len(WALK_ONLY)
        assert not any(a["serving"] for a in report["allocators"] if a["name"] == "glibc")
        text = alloctrace(tree, "heap", target.pid)
        assert text.returncode == 0 and name in text.stdout


def test_musl(tree, tmp_path):
    """An allocator that is not walkable and has no purge; glibc is not even there."""
    if not shutil.which("musl-gcc"):
        pytest.skip("musl-gcc is not installed")
    program = tmp_path / "sleeper"
    (tmp_path / "sleeper.c").write_text(
        "#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n"
        "int main(void) { memset(malloc(5000000), 1, 5000000); write(1, \"x\", 1); return read(0, \"\", 0) || pause(); }\n")
    for flags in ([], ["-static"]):
        subprocess.run(["musl-gcc", "-fno-builtin", *flags, tmp_path / "sleeper.c", "-o", program], check=True)
        process = subprocess.Popen([program], stdout=subprocess.PIPE)
        try:
            process.stdout.read(1)
            done = alloctrace(tree, "heap", process.pid, "--json")
            if done.returncode == 0:
                report = json.loads(done.stdout)
                assert report["purgeable"] is None
                assert not any(a["name"] == "glibc" for a in report["allocators"])
            else:
                refused(done)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_target_that_dies_meanwhile(tree):
    """Killed at whatever moment of the walk: an answer or one line, never a hang or a crash."""
    for _ in range(20):
        target = Target([tree.workload("heap_churn"), 2, 20])
        walker = subprocess.Popen([tree.alloctrace, "heap", str(target.pid)],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        target.process.kill()
        out, err = walker.communicate(timeout=60)
        assert walker.returncode in (0, 1)
        assert bool(out) == (walker.returncode == 0) and err.count("\n") == walker.returncode, err
        target.close()
