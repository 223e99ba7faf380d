"""--html: one page that is right, safe to open, and answers clicks and keys, in a headless Chromium."""
import base64
import json
import os
import re
import subprocess
import zlib
from pathlib import Path

import pytest

from attach_harness import PYTHON
from browser import chromium
from heap_targets import ROOT

MIB = 1 << 20
STACKS = 2000

HOARD = """
import sys
def hoard(): return [bytes(1 << 20) for _ in range(48)]
def drop(kept): kept.clear()
kept = hoard()
drop(hoard())
"""


@pytest.fixture(scope="module")
def made_up(tree, tmp_path_factory):
    """The page of a made-up service (tests/bench/page.c)."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    with path.open("wb") as out:
        subprocess.run([tree.build / "tests" / "bench" / "page", str(STACKS)], stdout=out, check=True,
                       stderr=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="module")
def browser():
    with chromium() as page:
        yield page


@pytest.fixture
def page(browser, made_up):
    browser.open(made_up)
    yield browser
    assert browser.complaints() == []


def frames(page):
    return page.ask("[...document.querySelectorAll('#flame g.frame')].map((g) => g.getAttribute('name'))")


def weight(page):
    return page.text("#weights [aria-checked=true]")


def test_it_says_what_the_report_says(page):
    report = page.ask("page.data.report")
    assert page.text("#verdict .sentence") == report["verdict"][0]["sentence"]
    tiles = {tile.text.split("\n")[0]: tile.text.split("\n")[1] for tile in page.all("#verdict .tile")}
    assert tiles["RSS"] == "%.2f GiB" % (report["rss"] / (1 << 30)) or tiles["RSS"].endswith("MiB")
    assert page.ask("page.data.points.cnt") > 2000
    assert page.text("#tabs .tab:nth-child(3)") == "Purges" + str(len(report["purges"]))
    assert page.ask("document.documentElement.scrollWidth <= innerWidth"), "a laptop's screen is wide enough"


def test_names_of_the_target_stay_text(page):
    assert page.browser.title.startswith("</title><b>owned (4242)")
    assert page.text("#title") == "</title><b>owned (4242)"
    assert page.ask("document.querySelectorAll('img, #title *').length") == 0
    assert any(name.startswith("</script><script>") for name in frames(page))
    page.click("details.unseen summary")
    assert page.text("details.unseen li") == "<b>nothing</b>"


def test_zoom_by_click_and_out_again(page):
    page.wait("document.querySelectorAll('#flame g.frame').length > 10")
    before = frames(page)
    child = page.ask("page.flame.drawn.get(0).children[0].children[0].node")
    page.browser.execute_script("""
        [...document.querySelectorAll('#flame g.frame')].find((g) => g.__data__.data.node === arguments[0])
            .querySelector('rect').dispatchEvent(new MouseEvent('click', { bubbles: true }))""", child)
    assert page.ask("page.flame.focus") == child
    fades = page.all("#flame g.frame.fade")
    assert len(fades) == 2, "its callers are still there"
    widths = page.ask("""[...document.querySelectorAll('#flame g.frame')]
        .filter((g) => [0, page.tree.parent[arguments[0]], arguments[0]].includes(g.__data__.data.node))
        .map((g) => g.__data__.x1 - g.__data__.x0)""", child)
    assert widths == [1, 1, 1], "and it is as wide as they are"
    page.click("#zoom-out")
    assert page.ask("page.flame.focus") == 0
    assert frames(page) == before


def test_search_finds_and_sums(page):
    page.press("/")
    page.press("Handler0.step_0")
    page.wait("page.flame.wanted === 'Handler0.step_0'")
    assert page.text("#found") == "nothing found"
    page.find("#search").clear()
    page.press("/")
    page.press("HANDLER6.STEP_6")
    page.wait("page.flame.wanted === 'HANDLER6.STEP_6'")
    figure, share = re.match(r"([\d.]+ \w+), ([\d.<]+) %, in \d+ frames?$", page.text("#found")).groups()
    wanted = page.ask("""(() => {
        const { tree, weights } = page, { self } = weights.current();
        let sum = 0, all = 0;
        for (let i = 1; i < tree.cnt; i++) {
            all += self[i];
            sum += tree.path(i).some((n) => tree.frameOf(n).name === 'Handler6.step_6') ? self[i] : 0;
        }
        return [sum, all];
    })()""")
    assert wanted[0] > 0
    assert abs(float(share) - 100 * wanted[0] / wanted[1]) < 1


def test_another_weight_is_another_graph(page):
    totals = {}
    for button in page.all("#weights button"):
        button.click()
        totals[button.get_attribute("data-weight")] = page.ask("page.weights.current().total[0]")
        assert weight(page) == button.text
    assert len(set(totals.values())) == len(totals)
    assert totals["allocated"] == page.ask("page.data.report.allocs.allocated")
    assert totals["count"] == page.ask("page.data.report.allocs.allocs")
    assert totals["live"] == page.ask("page.data.report.allocs.live + page.data.report.allocs.unattributed")


def test_the_graph_follows_a_range_of_the_time_line(page):
    page.click("#weights [data-weight=allocated]")
    whole = page.ask("page.weights.current().total[0]")
    page.drag("#plot .u-over", 0.25, 0.5)
    first, end = page.ask("page.timeline.range")
    assert 0 < first < end < page.ask("page.data.steps.length")
    assert page.text("#range-text") and page.find("#range-clear").is_displayed()
    part = page.ask("page.weights.current().total[0]")
    assert part == page.ask("page.data.steps.slice(arguments[0], arguments[1])"
                            ".reduce((sum, s) => sum + s.allocated.reduce((a, b) => a + b, 0), 0)", first, end)
    assert 0.15 < part / whole < 0.35, "a quarter of the time, at an even pace"
    assert not page.find("#weights [data-weight=pinned]").is_enabled()
    page.press("r")
    assert page.ask("page.timeline.range") is None
    assert page.ask("page.weights.current().total[0]") == whole


def test_what_changed_in_all_steps_is_what_there_is(page):
    """Steps add up to the figures of the end: nothing is lost on the way into the page."""
    for name, column in (("allocated", "allocated"), ("freed", "freed"), ("count", "count"), ("live", "live")):
        sums = page.ask("page.data.steps.reduce((sum, s) => sum + s[arguments[0]].reduce((a, b) => a + b, 0), 0)", column)
        rest = page.ask("page.data.report.allocs.unattributed") if name == "live" else 0
        assert sums + rest == page.ask("page.weights.figures[arguments[0]].reduce((a, b) => a + b, 0)", name), name


def test_by_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    page.browser.execute_script("document.getElementById('flame').focus()")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    chosen = page.ask("page.flame.chosen")
    assert chosen == page.ask("page.flame.drawn.get(0).children[0].children[0].node")
    assert page.ask("page.flame.drawn.get(page.flame.chosen).name") in page.text("#detail")
    page.press(Keys.ARROW_RIGHT)
    assert page.ask("page.flame.chosen") == page.ask("page.flame.drawn.get(0).children[0].children[1].node")
    page.press(Keys.ARROW_LEFT, Keys.ENTER)
    assert page.ask("page.flame.focus") == chosen
    page.press("0")
    assert page.ask("page.flame.focus") == 0
    page.press("w")
    assert weight(page) == "allocated"
    page.browser.execute_script("document.getElementById('plot').focus()")
    page.press(Keys.ARROW_LEFT)
    last = page.ask("page.data.steps.length")
    assert page.ask("page.timeline.range") == [last - 1, last]
    page.press(Keys.ARROW_LEFT)
    assert page.ask("page.timeline.range") == [last - 2, last - 1]
    page.press(Keys.ESCAPE)
    assert page.ask("page.timeline.range") is None
    page.press("?")
    assert page.find("#keys").is_displayed()
    page.press(Keys.ESCAPE)
    theme = page.ask("document.documentElement.dataset.theme")
    page.press("t")
    assert {theme, page.ask("document.documentElement.dataset.theme")} == {"light", "dark"}


def test_tables_lead_to_the_graphs(page):
    page.click("#table tbody tr .number")
    assert page.ask("page.flame.focus") != 0
    page.click("#tabs .tab:nth-child(4)")
    assert len(page.all("#table tbody tr")) == len(page.ask("page.data.report.windows"))
    page.click("#table tbody tr .number")
    ends = page.ask("page.timeline.range.map((i) => page.timeline.ends[i])")
    window = page.ask("page.data.report.windows[0]")
    assert ends[0] <= window["start"] + 1 and window["end"] - 1 <= ends[1]
    page.click("#tabs .tab:nth-child(1)")
    page.click("#table th:nth-child(2) button")
    shown = page.ask("[...document.querySelectorAll('#table tbody tr')].map((tr) => tr.cells[1].textContent)")
    assert len(shown) == 50 and page.ask("document.querySelector('#table th:nth-child(2)').ariaSort") == "descending"


def data_of(path):
    """The JSON of a page and its texts, read without its code."""
    packed = re.search(r'<script type="text/plain" id="data">([A-Za-z0-9+/=]*)</script>', path.read_text()).group(1)
    data = zlib.decompress(base64.b64decode(packed))
    length, at, shift = 0, 0, 0
    while True:
        length |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return json.loads(data[at:at + length])


def test_estimates_say_how_far_off_they_are(tree, browser, tmp_path):
    """Of the recording that is a seed of the fuzzer: its first byte says that it is a file."""
    recording, path = tmp_path / "estimates.rec", tmp_path / "estimates.html"
    recording.write_bytes((ROOT / "tests" / "fuzz" / "record" / "estimates").read_bytes()[1:])
    subprocess.run([tree.alloctrace, "report", "--format", "html", "-o", path, recording], check=True)
    browser.open(path)
    assert "Figures of sites are estimates: allocation probes on 12 % of the time, budget 10 %; sites ±4 %" in \
        browser.text("#verdict")
    rows = browser.ask("[...document.querySelectorAll('#table tbody tr')].map((row) => row.textContent)")
    assert any("200 MiB ±3.0 %" in row and "make_row" in row for row in rows), rows
    assert any("768 KiB ±40 %" in row for row in rows), rows
    assert browser.complaints() == []


def test_a_real_run(tree, browser, tmp_path):
    """Its figures are the program's own, and a recording's page is the same."""
    live, later, recording = tmp_path / "live.html", tmp_path / "later.html", tmp_path / "run.rec"
    subprocess.run([tree.alloctrace, "run", "--interval", "0.2", "--html", live, "--output", recording, "--", PYTHON, "-c", HOARD],
                   check=True, stdout=subprocess.DEVNULL, timeout=60)
    subprocess.run([tree.alloctrace, "report", "--format", "html", "--output", later, recording], check=True, timeout=60)
    assert later.read_bytes() == live.read_bytes()
    assert data_of(live)["report"]["command"].startswith("python3")
    browser.open(live)
    sums = browser.ask("""((name) => {
        const { tree, weights } = page, sums = {};
        for (let i = 1; i < tree.cnt; i++)
            for (const w of ['allocated', 'freed', 'peak'])
                if (tree.frameOf(i).name.startsWith(name) && !tree.path(tree.parent[i]).some((n) =>
                    tree.frameOf(n).name.startsWith(name)))
                    sums[w] = (sums[w] ?? 0) + tree.totals(weights.selfOf(w))[i];
        return sums;
    })('hoard')""")
    assert 96 * MIB <= sums["allocated"] < 100 * MIB
    assert 96 * MIB <= sums["peak"] < 100 * MIB, "both lists live before one is dropped"
    page_freed = browser.ask("page.data.report.allocs.freed")
    assert page_freed >= 48 * MIB
    assert browser.complaints() == []


def test_without_npm_the_rest_is_made(tmp_path):
    """The build says what is missing in one line, and makes an empty page once."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "mkdir", "cp", "cmp", "grep", "touch"):
        os.symlink(f"/usr/bin/{name}", tools / name)
    page = tmp_path / "page.html"
    made = []
    for _ in range(2):
        done = subprocess.run([ROOT / "tools" / "bundle-page", ROOT / "user" / "report" / "page", tmp_path / "packages", page],
                              env={"PATH": str(tools)}, capture_output=True, text=True)
        assert done.returncode == 0
        assert done.stderr == "bundle-page: no page for --html: npm is not installed\n"
        made.append(page.stat())
    assert made[0].st_size == 0 and made[0].st_mtime_ns == made[1].st_mtime_ns
