"""`--on-window CMD`: run when a missing-purge window counts and when it has ended, with the window in
its environment, beside the target's own log."""
import subprocess

from attach_harness import MIB, PYTHON, PythonTarget, Tracer, attached, settled

OPTIONS = ["--retained-min", "64M", "--window-min", "0.5"]
FREE = "data = fill(150); keep = data[::256]; data = None"
# A line on stdout, which is the tracer's stderr.
SAY = r"""env | grep '^ALLOCTRACE_' | sed 's/^ALLOCTRACE_//' | tr '\n' '\037' | sed 's/^/event /'; echo"""


def events(tracer):
    """What the command was given so far, one dictionary a run."""
    lines = [line for line in tracer.stderr.splitlines() if line.startswith("event ")]
    return [dict(word.split("=", 1) for word in line[6:].rstrip("\037").split("\037")) for line in lines]


def until_told(tracer, cnt):
    tracer.until(lambda report: len(events(tracer)) >= cnt)
    return events(tracer)[cnt - 1]


def test_a_window_from_its_opening_to_its_end(tree):
    with PythonTarget() as target, attached(tree, target.pid, "--max-overhead", "none", *OPTIONS, "--on-window", SAY) as tracer:
        target.do("data = fill(150); keep = data[::256]")
        settled(tracer, target)
        target.do("data = None")
        freed = target.began
        told = until_told(tracer, 1)
        assert told["EVENT"] == "open" and told["END"] == "" and told["CLOSED_BY"] == ""
        assert int(told["PID"]) == target.pid and told["COMMAND"] == "python3"
        assert freed <= float(told["START"]) and float(told["SECONDS"]) >= 0.5
        assert int(told["RETAINED"]) >= int(told["PURGEABLE"]) > 64 * MIB
        assert int(told["PEAK"]) >= int(told["RETAINED"]) and int(told["RSS"]) > int(told["RETAINED"])
        assert told["PURGE"] == "malloc_trim(0)"
        assert "<module>" in told["SITE"] and int(told["SITE_BYTES"]) > 100 * MIB
        settled(tracer, target)
        drop = target.do("before = rss(); purge_glibc(); result = before - rss()")
        then = until_told(tracer, 2)
        assert then["EVENT"] == "close" and then["CLOSED_BY"] == "purge"
        assert then["START"] == told["START"] and target.began <= float(then["END"]) <= target.ended + 0.05
        assert abs(int(then["PEAK_PURGEABLE"]) - drop) <= 0.02 * drop
        # The end of the watch ends what is open, after its last report.
        target.do(FREE)
        assert until_told(tracer, 3)["EVENT"] == "open"
        tracer.stop()
        last, = events(tracer)[3:]
        assert last["EVENT"] == "close" and last["CLOSED_BY"] == "detach" and float(last["END"]) >= target.ended


def test_a_slow_command_holds_nothing_up(tree, tmp_path):
    """Reports come while it runs; of what happens meanwhile the newest is told, and how much was not."""
    (tmp_path / "log").touch()
    script = (f"echo $ALLOCTRACE_EVENT $ALLOCTRACE_SKIPPED >> {tmp_path}/log;"
              f" while [ ! -e {tmp_path}/go ]; do sleep 0.1; done")
    with PythonTarget() as target, attached(tree, target.pid, "--no-alloc", *OPTIONS, "--on-window", script) as tracer:
        target.do(FREE)
        tracer.until(lambda report: (tmp_path / "log").read_text())
        target.do("purge_glibc()")
        target.do(FREE)
        tracer.until(lambda report: "an event between is skipped" in tracer.stderr)
        assert (tmp_path / "log").read_text() == "open 0\n"
        (tmp_path / "go").touch()
        tracer.until(lambda report: (tmp_path / "log").read_text().count("\n") == 2)
        assert (tmp_path / "log").read_text() == "open 0\nopen 1\n"
        tracer.stop()


def test_the_end_of_the_process_ends_it(tree):
    """Of a command of `run`: its own status is passed on, whatever the other command's is."""
    code = ("import os, sys; data = [b'x' * 5000 for _ in range(40000)]; keep = data[::256]; data = None;"
            "sys.stdin.read(); os._exit(7)")
    with Tracer(tree, "run", "--json", "--no-alloc", "--interval", "0.25", *OPTIONS, "--on-window", SAY + "; exit 3", "--",
                PYTHON, "-c", code, stdin=subprocess.PIPE) as tracer:
        until_told(tracer, 1)
        tracer.process.stdin.close()
        while tracer.next():
            pass
        assert tracer.wait() == 7
        first, last = events(tracer)
        assert (first["EVENT"], last["EVENT"], last["CLOSED_BY"]) == ("open", "close", "exit")
        assert tracer.stderr.count("exited with status 3") == 2
