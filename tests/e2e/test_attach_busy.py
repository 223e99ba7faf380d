"""Attached in the midst of a busy program."""
from attach_harness import PythonTarget, attach, probes_left


def test_no_block_is_recorded_whose_free_is_not(tree):
    """Every probe of a free stands before the first of an allocation."""
    with PythonTarget() as target:
        target.do("import threading, time\nrunning = True\ndef go():\n"
                  "    while running: fill(1)\n"
                  "threads = [threading.Thread(target=go) for _ in range(2)]\n[t.start() for t in threads]")
        for _ in range(3):
            with attach(tree, target.pid, "--stack", "none", "--max-overhead", "none") as tracer:
                tracer.ready()
                final = tracer.until(lambda report: report["allocs"]["allocs"] > 1000) and tracer.stop()
            assert final["lost"] == {} and final["allocs"]["ghosts"] == {"count": 0, "bytes": 0}
        target.do("running = False\n[t.join() for t in threads]")
        assert probes_left(target.pid) == []
