"""Missing-purge windows against the target's own log of when it freed and purged."""
from attach_harness import MIB, PythonTarget, attached, mimalloc, purges, settled

OPTIONS = ["--retained-min", "64M", "--window-min", "0.5"]
FREE = "data = fill(300); keep = data[::256]; data = None"


def retaining(report):
    return (report["purgeable"] or 0) > 200 * MIB


def hold(tracer, target):
    """Waits until the tracer has seen what was freed, all of it, and the window counts: the first object that shows some."""
    seen = tracer.until(retaining)
    settled(tracer, target)
    tracer.until(lambda report: report["windows"] and report["windows"][-1]["end"] is None)
    return seen


def check(window, freed, seen, end, drop):
    """It began after the free and no later than the tracer showed it, and ended in the purge."""
    assert freed <= window["start"] <= seen["time"]
    assert end[0] <= window["end"] <= end[1] + 0.05
    assert abs(window["peak_purgeable"] - drop) <= 0.02 * drop
    assert window["peak_retained"] >= window["peak_purgeable"]
    area = window["peak_retained"] * (window["end"] - window["start"])
    assert 0.5 * area <= window["byte_seconds"] <= 1.01 * area


def test_windows_of_three_rounds(tree):
    with PythonTarget() as target, attached(tree, target.pid, *OPTIONS) as tracer:
        log = []
        for _ in range(3):
            target.do("data = fill(300); keep = data[::256]")
            target.do("data = None")
            freed = target.began
            seen = hold(tracer, target)
            drop = target.do("before = rss(); purge_glibc(); result = before - rss()")
            log.append((freed, seen, (target.began, target.ended), drop))
            tracer.until(lambda report: report["purgeable"] is not None and not retaining(report))
        final = tracer.stop()
        assert len(final["windows"]) == 3
        for window, entry in zip(final["windows"], log):
            check(window, *entry)
            assert window["ineffective_purges"] == 0


def test_ineffective_purges_do_not_close_it(tree):
    path = mimalloc()
    with PythonTarget() as target, attached(tree, target.pid, *OPTIONS) as tracer:
        target.do(f"mi = ctypes.CDLL({path!r})")
        target.do(FREE)
        seen = hold(tracer, target)
        target.do("mi.mi_collect(ctypes.c_bool(True)); mi.mi_collect(ctypes.c_bool(True))")
        tracer.until(lambda report: purges(report, "mi_collect"))
        report = tracer.next()
        window, = report["windows"]
        assert window["end"] is None and window["ineffective_purges"] == 2
        target.do("purge_glibc()")
        final = tracer.stop()
        window, = final["windows"]
        assert window["start"] <= seen["time"]
        assert target.began <= window["end"] <= target.ended + 0.05
        assert window["closed_by_purge"] is True


def test_open_at_the_end(tree):
    with PythonTarget() as target, attached(tree, target.pid, *OPTIONS) as tracer:
        target.do(FREE)
        hold(tracer, target)
        window, = tracer.stop()["windows"]
        assert window["end"] is None
        assert window["peak_purgeable"] > 200 * MIB
        assert window["byte_seconds"] > 0


def test_memory_in_use_again_ends_it(tree):
    """No purge took place: the window ends where the program uses the memory again."""
    with PythonTarget() as target, attached(tree, target.pid, *OPTIONS) as tracer:
        target.do(FREE)
        hold(tracer, target)
        target.do("data = fill(300)")
        again = target.began
        tracer.until(lambda report: report["purgeable"] is not None and report["purgeable"] < 32 * MIB)
        window, = tracer.stop()["windows"]
        assert window["end"] >= again
        assert window["closed_by_purge"] is False


def test_no_window_while_everything_lives(tree):
    with PythonTarget() as target, attached(tree, target.pid, *OPTIONS) as tracer:
        target.do("data = fill(300)")
        tracer.until(lambda report: (report["live_heap"] or 0) > 290 * MIB)
        for _ in range(4):
            tracer.next()
        assert tracer.stop()["windows"] == []


def test_below_the_default_threshold(tree):
    """The default asks for 32 MiB and 20 % of RSS, and for five seconds."""
    with PythonTarget() as target, attached(tree, target.pid, "--window-min", "0") as tracer:
        target.do("live = fill(400); data = fill(60); keep = data[::64]; data = None")
        tracer.until(lambda report: (report["purgeable"] or 0) > 40 * MIB)
        tracer.next()
        assert tracer.stop()["windows"] == []
