"""`alloctrace diff A B` on recordings of a program that knows what it holds, edited between them."""
import json
import re
import subprocess

import pytest

from attach_harness import Tracer
from heap_targets import ROOT, Tree

PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void *kept[4096];
static int cnt;
%(lines)s
__attribute__((noinline)) void grow(int n) { while (n--) kept[cnt++] = strcpy(malloc(1000), "x"); }
__attribute__((noinline)) void same(void) { kept[cnt++] = strcpy(malloc(5000), "x"); }
__attribute__((noinline)) void only(void) { kept[cnt++] = strcpy(malloc(%(size)d), "x"); }
__attribute__((noinline)) void churn(int n) { while (n--) free(strcpy(malloc(200), "x")); }
int main(void)
{
	grow(%(grow)d);
	same();
	%(only)s
	churn(%(churn)d);
	return getchar() == 'x';
}
"""


@pytest.fixture(scope="module")
def recordings(request, tmp_path_factory):
    """A before the edit, B after it: lines have moved, one grows, one has come and one has gone."""
    tree = Tree(request.config.getoption("--build", default=None) or ROOT / "build")
    versions = {"a": {"lines": "", "grow": 100, "size": 300, "only": "only();", "churn": 50, "marks": 2},
                "b": {"lines": "\n\n", "grow": 400, "size": 300, "only": "kept[cnt++] = malloc(70000);", "churn": 100,
                      "marks": 3}}
    return [record(tree, tmp_path_factory.mktemp(name), values) for name, values in versions.items()]


def record(tree, folder, values):
    """Each in a folder of its own, the program always under the same name."""
    (folder / "program.c").write_text(PROGRAM % values)
    subprocess.run(["gcc", "-g", "-O1", "-fno-builtin", "-o", "program", "program.c"], cwd=folder, check=True)
    with Tracer(tree, "run", "--json", "-i", "0.2", "-o", folder / "rec", "--", folder / "program",
                stdin=subprocess.PIPE) as tracer:
        pid = tracer.until(lambda report: named(report, "program:main"))["pid"]
        for unit in range(values["marks"]):
            subprocess.run([tree.alloctrace, "mark", "--no-wait", str(pid), f"unit {unit}"], check=True, timeout=60)
        tracer.process.stdin.close()
        tracer.finish()
    return folder / "rec"


def named(report, function):
    sites = report["allocs"]["sites"] if report["allocs"] else []
    return any(frame.startswith(function) for site in sites for frame in site["stack"])


def diff(tree, recordings, *words, status=0, **kwargs):
    done = subprocess.run([tree.alloctrace, "diff", *words, *recordings], capture_output=True, text=True, timeout=60,
                          **kwargs)
    assert done.returncode == status, done.stderr
    return done


def rows(report, figure="live"):
    """By the innermost function of the program: (match, a, b) of its sites added up."""
    found = {}
    for site in report["sites"]:
        names = [frame[len("program:"):].split(" ")[0] for frame in site["stack"] if frame.startswith("program:")]
        if names:
            match, a, b = found.get(names[-1], (site["match"], 0, 0))
            found[names[-1]] = (match, a + site[figure]["a"], b + site[figure]["b"])
    return found


def test_what_grew_and_what_is_gone(tree, recordings):
    report = json.loads(diff(tree, recordings, "--json").stdout)
    assert report["by"] == "nothing" and report["factor"] == 1
    found = rows(report)
    assert found["grow"] == ("moved", 100 * 1000, 400 * 1000)
    assert found["same"] == ("moved", 5000, 5000)
    assert found["only"] == ("gone", 300, 0)
    assert found["main"] == ("new", 0, 70000)
    assert rows(report, "allocated")["churn"] == ("moved", 50 * 200, 100 * 200)
    assert report["totals"]["live"]["change"] == 300 * 1000 + 70000 - 300
    assert report["totals"]["allocs"]["change"] == 300 + 50
    changes = [abs(site["live"]["change"]) for site in report["sites"]]
    assert changes == sorted(changes, reverse=True)


def test_by_allocations(tree, recordings):
    report = json.loads(diff(tree, recordings, "--json", "--by", "allocations").stdout)
    counts = report["totals"]["allocs"]
    assert counts["a"] == counts["b"]
    assert abs(report["factor"] - counts["b"] / (counts["b"] - 350)) < 1e-6
    assert rows(report)["same"] == ("moved", round(5000 * report["factor"]), 5000)


def test_by_marks(tree, recordings):
    """A has two, B three: A is taken half as much again."""
    report = json.loads(diff(tree, recordings, "--json", "--by", "marks").stdout)
    assert (report["a"]["marks"], report["b"]["marks"], report["factor"]) == (2, 3, 1.5)
    assert rows(report)["grow"] == ("moved", 150 * 1000, 400 * 1000)
    assert report["totals"]["rss"] == json.loads(diff(tree, recordings, "--json").stdout)["totals"]["rss"]


def test_text_and_folded_say_the_same(tree, recordings, tmp_path):
    text = diff(tree, recordings).stdout.splitlines()
    first = text[next(i for i, line in enumerate(text) if "live by site" in line) + 1]
    assert first.split()[:2] == ["+293", "KiB"] and "grow (program.c:" in first and "moved" in first
    assert diff(tree, recordings, "--format", "folded", "-o", tmp_path / "out").stdout == ""
    page = diff(tree, recordings, "--format", "html").stdout
    assert "<b>+293 KiB</b>" in page and "<li>program:grow (program.c:" in page and "<script" not in page
    lines = (tmp_path / "out").read_text().splitlines()
    # What flamegraph.pl takes apart: a stack without blanks at its ends, and two whole numbers.
    parts = [re.fullmatch(r"(\S(?:.*\S)?) (\d+) (\d+)", line).groups() for line in lines]
    grown = [part for part in parts if "program:grow" in part[0]]
    assert [(part[1], part[2]) for part in grown] == [("100000", "400000")]


def test_one_with_itself(tree, recordings):
    report = json.loads(diff(tree, (recordings[0], recordings[0]), "--json").stdout)
    assert {site["match"] for site in report["sites"]} == {"same"}
    assert all(site[figure]["change"] == 0 for site in report["sites"] for figure in ("live", "allocated", "count"))
    assert all(pair["change"] in (0, None) for pair in report["totals"].values())
    assert "has not changed" in diff(tree, (recordings[0], recordings[0])).stdout


def test_what_cannot_be_compared(tree, recordings, tmp_path):
    (tmp_path / "text").write_text("no recording")
    for words, why in (((recordings[0], tmp_path / "text"), "text"), ((tmp_path / "none", recordings[1]), "No such file"),
                       (("-o", "/nowhere/x", *recordings), "/nowhere/x")):
        done = diff(tree, (), *words, status=1)
        assert done.stderr.count("\n") == 1 and why in done.stderr and not done.stdout
    assert diff(tree, (), recordings[0], status=2).stderr.startswith("alloctrace diff: there are no two")
    assert "needs nothing, time" in diff(tree, recordings, "--by", "size", status=2).stderr
