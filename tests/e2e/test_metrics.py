"""`--prometheus FILE`: what node_exporter would find there, read strictly, beside what the kernel and
the target itself say."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from attach_harness import MIB, PythonTarget, attach, rss, settled

OPTIONS = ["--retained-min", "64M", "--window-min", "0.5"]
FREE = "data = fill(300); keep = data[::256]; data = None"

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})\{{((?:{NAME}=\"(?:[^\"\\\n]|\\[\\n\"])*\",?)*)\}} (-?[0-9.]+(?:e[+-]?[0-9]+)?)")
LABEL = re.compile(rf"({NAME})=\"((?:[^\"\\\n]|\\[\\n\"])*)\"(?:,|$)")


def parse(text):
    """{(name, labels): value}; fails at anything that the format does not allow, or that promtool's linter minds."""
    assert text.endswith("\n")
    samples, seen, kind, name = {}, set(), None, None
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("#"):
            word, name, words = re.fullmatch(rf"# (\w+) ({NAME}) (.+)", line).groups()
            assert word == "HELP" and words and name not in seen, line
            seen.add(name)
            kind = re.fullmatch(rf"# TYPE {name} (counter|gauge)", next(lines)).group(1)
            assert (kind == "counter") == name.endswith("_total")
            continue
        found, labels, value = SAMPLE.fullmatch(line).groups()
        assert found == name, f"{found} stands below {name}"
        key = (found, frozenset(LABEL.findall(labels)))
        assert key not in samples, f"{key} is there twice"
        samples[key] = float(value)
    return samples


def of(samples, name, **labels):
    """The one sample of that name with those labels among its own."""
    found = [value for (sample, own), value in samples.items()
             if sample == f"alloctrace_{name}" and set(labels.items()) <= own]
    assert len(found) == 1, f"{name} {labels}: {found}"
    return found[0]


def has(samples, name):
    return any(sample == f"alloctrace_{name}" for sample, _ in samples)


def lint(text):
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=True)


def test_of_a_process(tree, tmp_path):
    path = tmp_path / "worker.prom"
    path.write_text("what a tracer that was killed has left\n")
    with PythonTarget() as target, attach(tree, target.pid, "--max-overhead", "none", *OPTIONS,
                                        "--prometheus", path) as tracer:
        tracer.ready()
        before = parse(path.read_text())
        assert of(before, "window_open", pid=str(target.pid)) == 0 and not has(before, "window_start_timestamp_seconds")
        target.do(FREE)
        settled(tracer, target)
        report = tracer.until(lambda report: report["windows"])
        text = path.read_text()
        lint(text)
        now = parse(text)
        assert os.listdir(tmp_path) == ["worker.prom"]
        assert all(now[key] >= before[key] for key in before if key[0].endswith("_total"))
        labels = {"pid": str(target.pid), "comm": "python3"}
        assert abs(of(now, "rss_bytes", **labels) - rss(target.pid)) < 4 * MIB
        assert of(now, "retained_bytes", **labels) > 280 * MIB
        assert of(now, "allocator_purgeable_bytes", allocator="glibc", role="serves", **labels) > 250 * MIB
        assert of(now, "allocated_bytes_total", **labels) > 300 * MIB
        assert of(now, "window_open", **labels) == 1
        assert abs(of(now, "window_start_timestamp_seconds", **labels) - report["windows"][0]["start"]) < 0.002
        assert of(now, "processes", tracer=str(tracer.process.pid)) == 1
        drop = target.do("before = rss(); purge_glibc(); result = before - rss()")
        tracer.until(lambda report: report["purges"])
        tracer.next()
        then = parse(path.read_text())
        assert of(then, "purges_total", **labels) == of(then, "effective_purges_total", **labels) == 1
        assert abs(of(then, "returned_bytes_total", way="purge", **labels) - drop) <= 0.02 * drop
        assert 0 < of(then, "purge_seconds_total", **labels) < target.ended - target.began
        assert of(then, "window_open", **labels) == 0 and of(then, "windows_total", **labels) == 1
        tracer.stop()
    assert os.listdir(tmp_path) == []


def test_of_several(tree, tmp_path):
    """One that has ended has no series any more; a name that needs escaping comes out as it was."""
    path = tmp_path / "all.prom"
    with PythonTarget() as first, PythonTarget() as second:
        second.do(r"open('/proc/self/comm', 'w').write('a\"b\\c')")
        with attach(tree, f"{first.pid},{second.pid}", "--prometheus", path) as tracer:
            for _ in range(4):
                tracer.next()
            samples = parse(path.read_text())
            assert of(samples, "rss_bytes", pid=str(first.pid)) > MIB
            assert of(samples, "rss_bytes", pid=str(second.pid), comm=r"a\"b\\c") > MIB
            first.process.kill()
            tracer.until(lambda report: report["pid"] == first.pid and report["final"])
            for _ in range(2):
                tracer.until(lambda report: report["pid"] == second.pid)
            samples = parse(path.read_text())
            assert not any(("pid", str(first.pid)) in labels for _, labels in samples)
            assert of(samples, "rss_bytes", pid=str(second.pid)) > MIB
            assert of(samples, "processes_ended_total") == 1


@pytest.mark.parametrize("place, why", [("/nowhere/x.prom", "No such file"), ("/dev/null", "no regular file")])
def test_a_place_that_cannot_be_written(tree, place, why):
    """It is said before anything is done to a target."""
    done = subprocess.run([tree.alloctrace, "attach", "--prometheus", place, "-d", "1", str(os.getpid())],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and place in done.stderr and why in done.stderr


def test_a_disk_that_is_full_for_a_while(tree, tmp_path):
    """It is said once, and the watch goes on."""
    path = tmp_path / "gone" / "x.prom"
    path.parent.mkdir()
    with PythonTarget() as target, attach(tree, target.pid, "--no-alloc", "--prometheus", path) as tracer:
        tracer.ready()
        shutil.rmtree(path.parent)
        tracer.until(lambda report: "cannot write" in tracer.stderr)
        for _ in range(3):
            tracer.next()
        path.parent.mkdir()
        tracer.until(lambda report: path.exists())
        tracer.stop(signal.SIGTERM)
        assert tracer.stderr.count("cannot write") == 1
    assert not path.exists()
