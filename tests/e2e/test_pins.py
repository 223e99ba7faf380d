"""Who keeps free memory from going back, proved by letting it go."""
import subprocess

import pytest

from attach_harness import attach
from heap_targets import SOURCES, Target, root_only, tree  # noqa: F401


@pytest.fixture
def pinner(tree, tmp_path):
    """Linked where the kernel can probe it."""
    root_only()
    program = tmp_path / "pinner"
    subprocess.run(["gcc", "-O1", "-g", "-D_GNU_SOURCE", "-fno-builtin", SOURCES / "pinner.c", "-o", program],
                   check=True)
    with Target([program]) as target:
        yield target


def site_of(report, function):
    """The sites whose stack has the function in it, as one."""
    sites = [site for site in report["allocs"]["sites"]
             if any(frame.split(" ")[0].endswith(f":{function}") for frame in site["stack"])]
    return {field: sum(site[field] or 0 for site in sites)
            for field in ("live", "live_blocks", "pinned", "alone")}


def test_freeing_the_named_site_returns_what_was_named(tree, pinner):
    with attach(tree, pinner.pid, "--max-overhead", "none") as tracer:
        tracer.ready()
        pinner.ask("pin")
        pinner.ask("others")
        pinner.ask("trim")
        report = tracer.stop()
    named, other = site_of(report, "pin_here"), site_of(report, "hold_elsewhere")
    assert named["live_blocks"] == 8000 and named["live"] == 8000 * 24
    assert other["live_blocks"] == 500
    # One survivor a page, and nearly all of the page free.
    assert named["pinned"] > 8000 * 3900
    assert abs(named["alone"] - 8000 * 4096) < 8000 * 41
    assert other["pinned"] < named["pinned"] / 10
    total = sum(site["pinned"] or 0 for site in report["allocs"]["sites"])
    survey = report["allocs"]["survey"]
    assert total + survey["rest"]["pinned"] == survey["pinned"]

    before = pinner.ask("free")["rss"]
    returned = before - pinner.ask("trim")["rss"]
    assert abs(returned - named["alone"]) < named["alone"] / 100, (returned, named["alone"])


def test_pins_sum_to_what_the_walk_calls_pinned(tree, pinner):
    pinner.ask("pin")
    pinner.ask("trim")
    with attach(tree, pinner.pid) as tracer:
        tracer.ready()
        report = tracer.stop()
    glibc = report["allocators"][0]
    survey = report["allocs"]["survey"]
    assert site_of(report, "pin_here")["pinned"] == 0  # all from before the attach: by size, not by name
    assert survey["rest"]["pinned"] == survey["pinned"]
    held = glibc["pinned_by"]["partial"] + glibc["pinned_by"]["top"]
    assert 0.99 * held < survey["pinned"] <= held
    largest = max(survey["rest"]["classes"], key=lambda row: row["pinned"])
    assert largest["min"] == 32 and largest["pinned"] > 8000 * 3900
