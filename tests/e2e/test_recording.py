"""Recordings: `report` says later, elsewhere and without root what the live run said, as far as
the recording came. What a replay must say is what the live run printed."""
import json
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

from attach_harness import NOBODY, PYTHON, Tracer, attach

WORK = """
import ctypes, json, sys
libc = ctypes.CDLL("libc.so.6")
def load(count):
    return [json.dumps({"row": i, "text": "x" * 700}) for i in range(count)]
def unit(count):
    rows = load(count)
    del rows[::2]
    libc.malloc_trim(0)
    return rows[:100]
sys.stdin.readline()
kept = [unit(3000) for _ in range(6)]
for _ in range(30):
    ctypes.CDLL("libm.so.6")
print("done", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "work.py"
    path.write_text(WORK)
    return path


def report(tree, recording, *words, prefix=(), status=0):
    done = subprocess.run([*prefix, tree.alloctrace, "report", *words, recording], capture_output=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done


def figures(value):
    """Without the names of frames, which a replay may know better than the live run did at that time."""
    if isinstance(value, dict):
        return {key: figures(part) for key, part in value.items() if key != "stack"}
    return [figures(part) for part in value] if isinstance(value, list) else value


def objects(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith(b"{")]


def run(tree, *words, **kwargs):
    return subprocess.run([tree.alloctrace, "run", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, **kwargs)


def test_every_object_comes_again(tree, script, tmp_path):
    live = run(tree, "--json", "-i", "0.05", "-o", tmp_path / "rec", "--", PYTHON, script)
    assert live.returncode == 0, live.stderr
    said = objects(live.stdout)
    again = objects(report(tree, tmp_path / "rec", "--json", "--all").stdout)
    assert len(said) > 2 and [figures(o) for o in again] == [figures(o) for o in said]
    assert len(said[-1]["purges"]) == 6 and said[-1]["allocs"]["sites"] and said[-1]["dlopen"]
    last = objects(report(tree, tmp_path / "rec", "--json").stdout)
    assert last == again[-1:]


def weight(folded):
    return sum(int(line.rsplit(b" ", 1)[1]) for line in folded.splitlines())


def test_the_text_of_many_processes_comes_again(tree, script, tmp_path):
    """Without stacks: a replay knows names that came too late for the live run's report."""
    command = f"{PYTHON} {script} & {PYTHON} {script} & wait; {PYTHON} {script}"
    live = run(tree, "-i", "0.2", "--stack", "none", "-o", tmp_path / "rec", "--", "sh", "-c", command)
    assert live.returncode == 0, live.stderr
    final = live.stdout[live.stdout.rindex(b"Final report"):]
    assert b"processes, 3 came, 4 went" in final
    assert report(tree, tmp_path / "rec").stdout == final


def test_the_folded_stacks_come_again(tree, script, tmp_path):
    words = ["--folded", tmp_path / "folded", "--weight", "allocated"]
    live = run(tree, *words, "-o", tmp_path / "rec", "--", PYTHON, script)
    assert live.returncode == 0, live.stderr
    form = ["--format", "folded", "--weight", "allocated"]
    again = report(tree, tmp_path / "rec", *form).stdout
    assert weight(again) == weight((tmp_path / "folded").read_bytes()) > 6 * 3000 * 700
    assert b"unit (work.py:" in again
    assert not report(tree, tmp_path / "rec", *form, "-o", tmp_path / "again").stdout
    assert (tmp_path / "again").read_bytes() == again


def test_read_by_anybody_when_everything_is_gone(tree, tmp_path):
    """The program and its source are gone, and the reader is nobody."""
    program = tmp_path / "two_sites"
    source = tmp_path / "two_sites.c"
    source.write_text("""
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline)) void *grow(size_t n) { return malloc(n); }
int main(void) { static void *kept[1000]; for (int i = 0; i < 1000; i++) kept[i] = grow(1000); return getchar() != EOF || !kept[0]; }
""")
    subprocess.run(["gcc", "-g", "-O1", "-o", program, source], check=True)
    with Tracer(tree, "run", "--json", "-i", "0.2", "--events", "-o", tmp_path / "rec", "--", program,
                stdin=subprocess.PIPE) as tracer:
        tracer.until(lambda o: o["allocs"]["live_blocks"] >= 1000)
        tracer.process.stdin.close()
        tracer.finish()
    program.unlink()
    source.unlink()
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        shutil.copy(tree.alloctrace, place)
        shutil.copy(tmp_path / "rec", place)
        done, events = [subprocess.run([*NOBODY, f"{place}/alloctrace", "report", word, f"{place}/rec"],
                                       capture_output=True, timeout=60) for word in ("--json", "--events")]
    assert done.returncode == 0 and events.returncode == 0, done.stderr + events.stderr
    grown = [event for event in objects(events.stdout) if any("grow (" in frame for frame in event["stack"])]
    assert [(event["event"], event["function"], event["size"]) for event in grown] == [("alloc", "malloc", 1000)] * 1000
    assert len({event["addr"] for event in grown}) == 1000
    (last,) = objects(done.stdout)
    top = last["allocs"]["sites"][0]
    assert top["live"] == 1000 * 1000 and top["live_blocks"] == 1000
    assert any("grow (two_sites.c:4)" in frame for frame in top["stack"]), top["stack"]


def test_a_killed_tracer_leaves_what_it_had(tree, script, tmp_path):
    work = subprocess.Popen([PYTHON, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        with attach(tree, work.pid, "-o", tmp_path / "rec") as tracer:
            tracer.ready()
            work.stdin.write(b"go\n")
            work.stdin.flush()
            tracer.until(lambda o: o["purges_total"] == 6 and o["allocs"]["sites"])
            tracer.next()
            tracer.process.send_signal(signal.SIGKILL)
            tracer.wait()
            seen = list(tracer.objects)
    finally:
        work.communicate(b"")
    done = report(tree, tmp_path / "rec", "--json", "--all")
    assert done.stderr.count(b"\n") == 1 and b"without its last picture" in done.stderr
    *again, last = objects(done.stdout)
    seen = seen[:-1]  # printed, then recorded
    assert seen and [figures(o) for o in again[:len(seen)]] == [figures(o) for o in seen]
    assert last["final"] and last["ended"] == "the recording ends here"
    assert len(last["purges"]) == 6
    assert last["allocs"]["allocs"] == again[-1]["allocs"]["allocs"]


def test_a_full_disk_costs_only_the_recording(tree, script, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "none", disk], check=True)
    try:
        live = run(tree, "--json", "-i", "0.1", "-o", disk / "rec", "--", PYTHON, script)
        assert live.returncode == 0
        assert live.stderr.count(b"\n") == 1 and b"No space left on device" in live.stderr
        assert len(objects(live.stdout)[-1]["purges"]) == 6
        done = report(tree, disk / "rec")
        assert b"without its last picture" in done.stderr and b"Final report" in done.stdout
    finally:
        subprocess.run(["umount", disk], check=True)


def test_where_nothing_can_be_recorded_the_watch_goes_on(tree, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place, why in ((tmp_path / "pipe", b""), ("/dev/full", b"no regular file"),
                       (tmp_path / "none" / "rec", b"No such file")):
        live = run(tree, "--json", "-o", place, "--", "true")
        assert live.returncode == 0 and objects(live.stdout)[-1]["final"]
        assert live.stderr.count(b"\n") == 1 and why in live.stderr and b"cannot record to" in live.stderr


@pytest.mark.parametrize("content, why", [
    (b"", b"no recording"), (b"x" * 100, b"no recording"), (b"alloctrc\x63" + bytes(15), b"a newer one"),
    (b"alloctrc\x01" + bytes(15), b"before its first picture"),
])
def test_what_is_no_recording(tree, tmp_path, content, why):
    (tmp_path / "rec").write_bytes(content)
    done = report(tree, tmp_path / "rec", status=1)
    assert why in done.stderr and not done.stdout
