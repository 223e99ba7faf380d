"""Purges as `attach` reports them: what came back, whether it was predicted, and whether the
allocator that was asked is the one that serves the process."""
import pytest

from attach_harness import MIB, PythonTarget, Target, attached, mimalloc, purges, settled

FREE_MOST = "data = fill(300); keep = data[::64]; del data"


def test_right_purge(tree):
    """malloc_trim under glibc: the target's own RSS drop, predicted by the walk before."""
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        target.do(FREE_MOST)
        state = settled(tracer, target)
        drop = target.do("before = rss(); returns = purge_glibc(); result = before - rss()")
        final = tracer.stop()
        purge, = purges(final, "malloc_trim")
        assert drop > 250 * MIB
        assert abs(purge["returned"] - drop) <= MIB
        assert abs(purge["predicted"] - purge["returned"]) <= 0.01 * drop
        assert abs(state["purgeable"] - drop) <= 0.01 * drop
        assert purge["effective"] is True and purge["misdirected"] is False
        assert purge["result"] == 1
        assert target.began <= purge["time"] <= target.ended
        assert 0 < purge["duration_ns"] <= (target.ended - target.began) * 1e9
        assert purge["prediction_age"] >= 0
        # Who called it: ctypes, and the line of Python.
        assert any(frame.startswith("purge_glibc (python_target.py:") for frame in purge["stack"])
        assert "libffi" in purge["stack"][-1]
        assert final["returned"]["purge"] == purge["returned"]


def test_purge_of_nothing_is_ineffective(tree):
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        target.do(FREE_MOST + "; purge_glibc()")
        settled(tracer, target)
        target.do("purge_glibc()")
        first, second = purges(tracer.stop(), "malloc_trim")
        assert first["effective"] and not second["effective"]
        assert second["returned"] < MIB
        assert not second["misdirected"]


def test_misdirected_to_an_idle_mimalloc(tree):
    """The document's own helper where libmimalloc is installed but not preloaded."""
    path = mimalloc()
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        target.do(FREE_MOST)
        settled(tracer, target)
        target.do(f"mi = ctypes.CDLL({path!r}); mi.mi_collect(ctypes.c_bool(True))")
        tracer.until(lambda report: purges(report, "mi_collect"))
        target.do("mi.mi_collect(ctypes.c_bool(True)); purge_glibc()")
        final = tracer.stop()
        wrong = purges(final, "mi_collect")
        right, = purges(final, "malloc_trim")
        assert len(wrong) == 2
        for purge in wrong:
            assert purge["misdirected"] is True
            assert purge["effective"] is False
            assert purge["returned"] < MIB
        assert right["effective"] is True and right["misdirected"] is False
        assert right["returned"] > 250 * MIB
        glibc = next(a for a in final["allocators"] if a["name"] == "glibc")
        assert glibc["serving"] is True
        for idle in final["allocators"]:
            assert idle["name"] == "glibc" or idle["serving"] is False


def test_misdirected_under_a_preloaded_mimalloc(tree):
    with PythonTarget(preload=mimalloc()) as target, attached(tree, target.pid) as tracer:
        target.do("data = fill(200); del data")
        settled(tracer, target)
        target.do("purge_glibc()")
        drop = target.do("before = rss(); ctypes.CDLL(None).mi_collect(ctypes.c_bool(True)); result = before - rss()")
        final = tracer.stop()
        wrong, = purges(final, "malloc_trim")
        right, = purges(final, "mi_collect")
        assert wrong["misdirected"] is True and wrong["effective"] is False
        assert wrong["returned"] < MIB
        assert right["misdirected"] is False
        assert abs(right["returned"] - drop) <= MIB
        assert right["effective"] is (right["returned"] >= MIB)
        assert next(a for a in final["allocators"] if a["name"] == "mimalloc")["serving"] is True


def test_both_allocators_walked_or_null(tree):
    """What only a walk knows is null where the serving allocator is not walkable."""
    with PythonTarget(preload=mimalloc()) as target, attached(tree, target.pid) as tracer:
        target.do("data = fill(100)")
        final = (settled(tracer, target), tracer.stop())[1]
        assert final["held"] >= final["resident"] >= 100 * MIB
        served = next(a for a in final["allocators"] if a["serving"])
        if served["live_heap"] is None:
            assert final["retained"] is final["purgeable"] is final["live_heap"] is final["pinned"] is None
            assert final["windows"] == []


@pytest.mark.parametrize("threads", [0, 1, 3], ids="{} others".format)
def test_returned_against_the_drop_and_what_others_faulted(tree, threads):
    """The target reads its RSS outside the purge and counts what its other threads touched: what
    the purge returned lies between two bounds."""
    with Target([tree.workload("purge_race"), threads]) as target, attached(tree, target.pid) as tracer:
        rounds = [target.ask("round 300") for _ in range(3)]
        found = purges(tracer.stop(), "malloc_trim")
        assert len(found) == len(rounds)
        for purge, truth in zip(found, rounds):
            slack = MIB + truth["most"] // 100
            assert truth["least"] - slack <= purge["returned"] <= truth["most"] + slack, truth
            assert purge["effective"] is True


def test_purge_on_every_thread(tree):
    """Purges in several threads at once: each is seen once and none takes another's bytes twice."""
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        target.do(FREE_MOST)
        drop = target.do("import threading; before = rss(); threads = [threading.Thread(target=purge_glibc) for _ in "
                         "range(8)]; [t.start() for t in threads]; [t.join() for t in threads]; result = before - rss()")
        found = purges(tracer.stop(), "malloc_trim")
        assert len(found) == 8
        assert abs(sum(purge["returned"] for purge in found) - drop) <= 2 * MIB


def test_thousand_purges(tree):
    """Every one is counted, in an interval or the next; the final object has them all."""
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        target.do("for _ in range(1000): purge_glibc()")
        final = tracer.stop()
        assert final["purges_total"] == len(purges(final, "malloc_trim")) == 1000
        times = [purge["time"] for purge in final["purges"]]
        assert times == sorted(times)
        assert sum(len(report["purges"]) for report in tracer.objects[:-1]) <= 1000
        assert final["lost"] == {}
