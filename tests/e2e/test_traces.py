"""Files for other programs' viewers: what those make of them, beside what the target has counted itself."""
import re
import shutil
import subprocess

import pytest

from attach_harness import MIB, PythonTarget, attach, settled
from heap_targets import ROOT, Target, root_only, tree  # noqa: F401

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.fixture
def as_root():
    root_only()


def heaptrack_print(file, *words):
    if not shutil.which("heaptrack_print"):
        pytest.skip("heaptrack is not installed")
    done = subprocess.run(["heaptrack_print", file, "--disable-builtin-suppressions", *words],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def summed_by_heaptrack(file, cost):
    """What heaptrack's flame graph of that cost adds up to: its text output rounds."""
    stacks = file.with_suffix(".stacks")
    heaptrack_print(file, "--flamegraph-cost-type", cost, "-F", stacks)
    return sum(int(line.rsplit(" ", 1)[1]) for line in stacks.read_text().splitlines())


def test_heaptrack_says_what_the_target_counted(tree, tmp_path):
    file = tmp_path / "alloc.gz"
    with Target([tree.workload("alloc_truth")]) as target:
        with attach(tree, target.pid, "--max-overhead", "none", "--heaptrack", file) as tracer:
            tracer.ready()
            target.ask("go")
            tracer.next()
            said = target.ask("go")
            final = tracer.stop()
    allocs = final["allocs"]
    text = heaptrack_print(file)
    assert f"calls to allocation functions: {said['allocs']} (" in text
    assert f"temporary memory allocations: {allocs['temporary']['count']} (" in text
    assert f"Debuggee command was: alloc_truth ({target.pid})" in text
    assert summed_by_heaptrack(file, "leaked") == said["allocated"] - said["freed"]
    assert summed_by_heaptrack(file, "peak") == allocs["peak"]["bytes"] >= allocs["live"]
    assert summed_by_heaptrack(file, "allocations") == said["allocs"]


def decoded(file):
    """The packets of a trace, as protoc writes them."""
    protos = ROOT / "user" / "report"
    with file.open("rb") as trace:
        text = subprocess.run(["protoc", f"--proto_path={protos}", "--decode=perfetto.Trace", "perfetto.proto"],
                              stdin=trace, capture_output=True, check=True, timeout=60).stdout.decode()
    return text.split("packet {\n")[1:]


def fields(text, name):
    return [int(value) for value in re.findall(rf"\b{name}: (-?\d+)", text)]


def live_in(packets):
    """What is live by the last sample of every stack."""
    samples = {}
    for packet in packets:
        if 'heap_name: "alloctrace"\n' in packet:
            for sample in packet.split("samples {")[1:]:
                value = dict((name, int(number)) for name, number in re.findall(r"(\w+): (\d+)", sample))
                samples[value["callstack_id"]] = value.get("self_allocated", 0) - value.get("self_freed", 0)
    return sum(samples.values())


def counters(packets, name):
    uuid = [fields(packet, "uuid")[0] for packet in packets if f'name: "{name}"' in packet and "counter {" in packet]
    return [fields(packet, "counter_value")[0] for packet in packets
            if "TYPE_COUNTER" in packet and fields(packet, "track_uuid") == uuid]


def test_a_trace_has_time_lines_purges_and_the_heap(tree, tmp_path):
    file = tmp_path / "python.pftrace"
    with PythonTarget(PYTHONMALLOC="malloc") as target:
        with attach(tree, target.pid, "--max-overhead", "none", "--perfetto", file) as tracer:
            tracer.ready()
            target.do("import ctypes; keep = [bytes(4000) for _ in range(10000)]\nresult = 0")
            settled(tracer, target)
            target.do("keep = keep[::100]; ctypes.CDLL(None).malloc_trim(0)\nresult = 0")
            settled(tracer, target)
            final = tracer.stop()
    packets = decoded(file)
    purge = [packet for packet in packets if 'name: "malloc_trim"' in packet]
    assert len(purge) == 1 and fields(purge[0], "uint_value")[0] > 30 * MIB
    assert fields(purge[0], "callstack_iid")
    assert max(counters(packets, "live")) > 40_000_000 > 20_000_000 > counters(packets, "live")[-1]
    assert max(counters(packets, "RSS")) >= max(report["rss"] for report in tracer.objects)
    assert counters(packets, "RSS")[-1] == final["rss"]
    assert live_in(packets) == final["allocs"]["live"]
    assert f"process_name: \"{final['command']}\"" in packets[1]
