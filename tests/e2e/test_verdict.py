"""The verdict of the real program: every rule beside a process that does what it is about, and beside one
that does nearly the same and must not be blamed. All of them are watched at once; each goes on when a
report shows that its last step has been seen. What they did is what they are judged by."""
import contextlib
import re
import signal

import pytest

from attach_harness import DEADLINE, MIB, PYTHON, PythonTarget, Tracer, attached, mimalloc, exact
from cgroups import join, limit_to, memory_cgroup
from heap_targets import root_only
from test_python_gc import has_probes

LEAK_SECONDS = 13  # a bit more than the shortest run in which growth can be clear


def line(number, code):
    """Runs code as line number of seeder.py; kept, since a code object's address is what names it."""
    return f"codes.append(compile({chr(10) * (number - 1) + code!r}, '/srv/seeder.py', 'exec')); exec(codes[-1])"


def said(report, rule):
    return next((entry for entry in report["verdict"] if entry["rule"] == rule), None)


class Role:
    """A process that is taken from step to step by a generator, which yields what it waits for."""

    def __init__(self, steps, needs=""):
        self.target = PythonTarget()
        self.target.do("import gc, ctypes, collections; codes = []; keep = []\n" + needs)
        self.steps = steps(self)
        self.pid = self.target.pid
        self.wait, self.over, self.reports = None, False, []

    def do(self, code):
        return self.target.do(code)

    def begin(self):
        self.wait = next(self.steps)

    def see(self, report):
        if self.wait and self.wait(report):
            self.wait = next(self.steps, None)

    def settled(self):
        """Two readings that ended after its last step: the first may have begun before."""
        ended, taken = self.target.ended + 0.002, []

        def seen(report):
            at = report["state_age"] is not None and report["time"] - report["state_age"]
            if at and at > ended and (not taken or at > taken[-1] + 0.002):
                taken.append(at)
            return len(taken) >= 2
        return seen

    @staticmethod
    def after(seconds):
        """The report that is so much later than the next one."""
        began = []

        def seen(report):
            began.append(report["time"])
            return report["time"] >= began[0] + seconds
        return seen


def figure(name, above=None, below=None):
    """The report in which that has come to be so, in MiB."""
    def seen(report):
        value = report[name]
        return value is not None and (above is None or value > above * MIB) and (below is None or value < below * MIB)
    return seen


def grows(code, until_said):
    """At a steady pace, n a second's worth at each step, until it is called a leak; or until the others are done."""
    def steps(role):
        times = []
        while True:
            yield lambda report: role.reports.append(report) or times.append(report["time"]) or True
            role.do(f"n = {min(0.5, times[-1] - times[max(0, len(times) - 2)])}\n{code}")
            if until_said and said(role.reports[-1], "leak"):
                return
            if not until_said and role.over and times[-1] > times[0] + LEAK_SECONDS:
                return
    return steps


def hoards(role):
    role.do("data = fill(40); keep = data[::256]")
    yield figure("live_heap", above=35)
    role.do(line(88, "data = None"))
    yield figure("purgeable", above=35)
    yield role.after(1)
    role.do(line(31, "mi.mi_collect(ctypes.c_bool(True)); mi.mi_collect(ctypes.c_bool(True))"))
    role.do(line(40, "for _ in range(100): ctypes.CDLL('libc.so.6')"))
    yield role.after(0)


def is_tidy(role):
    """Frees, and purges at once: both allocators, since it cannot know which one serves. Opens a library now and then."""
    for _ in range(4):
        role.do("data = fill(20); data = None; mi.mi_collect(ctypes.c_bool(True)); purge_glibc()")
        role.do("ctypes.CDLL('libc.so.6')")
        yield role.after(0.5)


def purges_late(role):
    """A purge waits for so long that many would have paid meanwhile: 300 times as long as the first one took."""
    took = 0
    for _ in range(2):
        role.do("data = fill(100); keep = data[::256]")
        yield figure("live_heap", above=90)
        role.do("data = None")
        yield figure("purgeable", above=90)
        yield role.after(min(40, max(1, 300 * took)))
        took = role.do("import time; began = time.time(); purge_glibc(); result = time.time() - began")
        yield figure("purgeable", below=10)


def purges_for_nothing(role):
    role.do("live = fill(20); purge_glibc()")
    role.do(line(50, "for _ in range(300): libc.malloc_trim(0)"))
    yield role.after(0)


def pins(between):
    """64 MiB of which each page keeps a small block, or none does."""
    def steps(role):
        if between:
            role.do(line(60, "for _ in range(16000): keep.append(bytes(600)); fillers.append(bytes(3500))"))
        else:
            role.do("keep = [bytes(600) for _ in range(16000)]; fillers = [bytes(3500) for _ in range(16000)]")
        role.do("guard = [bytes(3500) for _ in range(300)]; fillers = None")
        yield figure("retained", above=40)
        yield role.after(6)
    return steps


def fills_arenas(kept, retained):
    def steps(role):
        role.do(f"small = [(i, i) for i in range(1000000)]; keep = {kept}; small = None")
        yield retained
        yield role.after(6)
    return steps


def leaves_rings(then):
    """Two units of 40 MiB, of each of which 20 hang in reference cycles."""
    def steps(role):
        for unit in range(2):
            left = 0 if "collect" in then else 20 * unit
            role.do("rings = [Ring() for _ in range(200)]; data = fill(40)\n"
                    "for i, ring in enumerate(rings): ring.ring = ring; ring.data = data[i * 20:i * 20 + 20]")
            yield figure("live_heap", above=left + 40)
            role.do(f"del data, rings, ring; {then}")
            yield figure("live_heap", below=left + 30)
            yield role.settled()
        role.do("gc.collect()")
        yield figure("live_heap", below=15)
    return steps


RING = "gc.collect(); gc.disable()\nclass Ring: pass"
MIMALLOC = "mi = ctypes.CDLL({!r})"
# By watch: those whose call sites matter, and those of whom states and purges tell enough.
SITES = {
    "leak": lambda: Role(grows(line(12, "keep.extend(bytes(8000) for _ in range(int(n * 100)))"), True)),
    "bounded": lambda: Role(grows("kept.extend(bytes(8000) for _ in range(int(n * 100)))\n"
                                  "small.extend((i, str(i)) for i in range(int(n * 9000)))", False),
                            "kept = collections.deque(maxlen=200); small = collections.deque(maxlen=18000)"),
    "hoard": lambda: Role(hoards, MIMALLOC.format(mimalloc())),
    "pinned": lambda: Role(pins(True), "fillers = []"),
}
STATES = {
    "small": lambda: Role(grows("keep.extend((i, str(i)) for i in range(int(n * 9000)))", True)),
    "tidy": lambda: Role(is_tidy, MIMALLOC.format(mimalloc())),
    "late": lambda: Role(purges_late),
    "often": lambda: Role(purges_for_nothing),
    "apart": lambda: Role(pins(False)),
    "arenas": lambda: Role(fills_arenas("small[::2000]", figure("retained", above=60))),
    "emptied": lambda: Role(fills_arenas("small[:500]", figure("live_heap", below=30))),
    "rings": lambda: Role(leaves_rings("pass"), RING),
    "collected": lambda: Role(leaves_rings("gc.collect()"), RING),
}
ENDLESS = "bounded",


def play(tracer, roles):
    """Takes all of them to their ends."""
    by_pid = {role.pid: role for role in roles.values()}
    waiting = set(by_pid)
    while waiting:  # until each has been read
        report = tracer.until(lambda r: r["pid"] in waiting and r["state_age"] is not None)
        waiting.discard(report["pid"])
    for role in roles.values():
        role.begin()
    while any(role.wait for role in roles.values()):
        report = tracer.next()
        assert report, tracer.stderr
        assert report["time"] < report["started"] + 2 * DEADLINE, [name for name, role in roles.items() if role.wait]
        by_pid[report["pid"]].see(report)
        if all(not role.wait or name in ENDLESS for name, role in roles.items()):
            for role in roles.values():
                role.over = True


def judge(tree, made, *words):
    """{role: (its final report, {rule: line of its verdict}, the role)}, of one watch over all of these."""
    root_only()
    with contextlib.ExitStack() as stack:
        roles = {name: make() for name, make in made.items()}
        for role in roles.values():
            stack.enter_context(role.target)
        pids = ",".join(str(role.pid) for role in roles.values())
        tracer = stack.enter_context(Tracer(tree, "attach", "--json", "--top", "3", "--walk-budget", "25", "--retained-min",
                                            "16M", "--window-min", "0.5", *exact(words), *words, pids, "0.25"))
        play(tracer, roles)
        tracer.process.send_signal(signal.SIGINT)
        while tracer.next():
            pass
        assert tracer.wait() == 0, tracer.stderr
        finals = {report["pid"]: report for report in tracer.objects if report["final"]}
        yield {name: (finals[role.pid], {entry["rule"]: entry for entry in finals[role.pid]["verdict"]}, role)
               for name, role in roles.items()}


@pytest.fixture(scope="module")
def sites(tree):
    yield from judge(tree, SITES, "--max-overhead", "none")


@pytest.fixture(scope="module")
def states(tree):
    yield from judge(tree, STATES, "--no-alloc")


def rules(judged, name):
    return judged[name][1]


def test_a_leak_is_where_it_was_made(sites):
    role = sites["leak"][2]
    report = role.reports[-1]
    leak = said(report, "leak")
    assert "seeder.py:12 " in leak["sentence"] and leak["severity"] == "warning"
    assert any("seeder.py:12" in frame for frame in leak["evidence"]["stack"])
    site, = (site for site in report["allocs"]["sites"] if any("seeder.py:12" in frame for frame in site["stack"])
             and site["live"] > MIB)
    assert leak["evidence"]["site_live"] == site["live"] <= role.do("result = len(keep) * (8000 + 33)")
    span = report["time"] - role.reports[0]["time"]
    assert 0.5 * site["live"] / span <= leak["evidence"]["bytes_per_second"] <= 2 * site["live"] / span


def test_a_cache_with_a_bound_is_fine(sites):
    assert set(rules(sites, "bounded")) == {"fine"}
    assert not any(said(report, "leak") for report in sites["bounded"][2].reports)


def test_small_objects_leak_in_pymalloc(states):
    leak = said(states["small"][2].reports[-1], "leak")
    assert "pymalloc" in leak["sentence"] and "tracemalloc" in leak["advice"]


def test_retained_by_whom_and_what_purges_it(sites):
    _, found, role = sites["hoard"]
    retention = found["retention"]
    assert re.fullmatch(r"[\d.]+ MiB is retained, not leaked: malloc_trim\(0\) after seeder\.py:88 would return "
                        r"[\d.]+ MiB; the calls at :31 go to the wrong allocator", retention["sentence"])
    drop = role.do("before = rss(); purge_glibc(); result = before - rss()")
    assert retention["evidence"]["purgeable"] == pytest.approx(drop, rel=0.03)
    assert found["misdirected"]["evidence"]["misdirected"] == 2
    assert "mi_collect at seeder.py:31 went to mimalloc" in found["misdirected"]["sentence"]
    assert found["dlopen_churn"]["evidence"]["opens"] == 100
    assert "seeder.py:40" in found["dlopen_churn"]["sentence"]
    assert "leak" not in found


def test_who_purges_in_time_is_fine(states):
    assert set(rules(states, "tidy")) == {"fine"}


def test_purges_that_come_late(states):
    report, found, _ = states["late"]
    rare = found["purge_rare"]["evidence"]
    times = [purge["time"] for purge in report["purges"]]
    assert rare["purges"] == 2 and rare["every"] == pytest.approx(times[1] - times[0], rel=0.01)
    assert 0 < rare["suggested_every"] <= rare["every"] / 2
    assert "retention" not in found


def test_purges_for_nothing(states):
    often = rules(states, "often")["purge_often"]
    assert often["evidence"]["purges"] == 301 and "seeder.py:50" in often["sentence"]
    assert often["evidence"]["suggested_every"] == 0


def test_pinned_by_whom(sites):
    pinned = rules(sites, "pinned")["fragmentation"]
    assert "seeder.py:60" in pinned["sentence"] and "retention" not in rules(sites, "pinned")
    assert pinned["evidence"]["pinned"] > 40 * MIB
    assert pinned["evidence"]["site_blocks"] == pytest.approx(16000, rel=0.01)


def test_the_same_blocks_apart_pin_nothing(states):
    assert "fragmentation" not in rules(states, "apart") and "retention" in rules(states, "apart")


def test_arenas_that_few_objects_hold(states):
    arenas = rules(states, "arenas")["pymalloc"]
    assert arenas["evidence"]["retained"] > 60 * MIB and arenas["evidence"]["sparse"] > 40
    assert "pymalloc" not in rules(states, "emptied")


def test_garbage_that_waits_for_a_collection(states):
    if not has_probes(PYTHON):
        pytest.skip(f"{PYTHON} was built without the collector's probes")
    missing = rules(states, "rings")["no_collection"]
    assert missing["severity"] == "warning" and missing["evidence"]["collected"] >= 400
    assert missing["evidence"]["phases"] == 2
    assert "no_collection" not in rules(states, "collected")


def test_who_needs_all_of_its_limit(tree):
    with memory_cgroup("alloctrace-verdict") as (folder, limit), PythonTarget() as target:
        join(target.pid, folder)
        limit_to(folder, limit, 400 * MIB)
        target.do("live = fill(60)")
        with attached(tree, target.pid, "--no-alloc") as tracer:
            assert not said(tracer.next(), "limit")
            size = target.do("result = rss()") * 100 // 94
            limit_to(folder, limit, size)
            found = said(tracer.until(lambda report: said(report, "limit")), "limit")
            assert found["evidence"]["limit"] == pytest.approx(size, abs=4096)


def test_what_does_not_fit_makes_sites_uncertain(tree):
    """None of the others had anything of the kind: there, all fits."""
    with PythonTarget() as target, attached(tree, target.pid, "--max-overhead", "none", "--max-memory", "1M") as tracer:
        assert not said(tracer.next(), "uncertain")
        target.do("live = fill(18, 600)")
        found = said(tracer.until(lambda report: said(report, "uncertain")), "uncertain")
        assert found["severity"] == "note" and 0 < found["evidence"]["untracked"] < 18 * MIB // 600
