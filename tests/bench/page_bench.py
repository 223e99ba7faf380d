"""The page of 100,000 distinct stacks and twenty minutes of history (page.c): how large it is, and how soon a headless
Chromium has it ready and answers."""
import subprocess
import tempfile
from pathlib import Path

STACKS = 100000
ROUNDS = 3

# What a reader does, in ms until the page has been laid out anew.
STEPS = {
    "another weight": "page.setWeight('allocated')",
    "a range": "page.timeline.choose([20, 60])",
    "zoom in": "page.flame.zoom(page.flame.drawn.get(0).children[0].node)",
    "search": "page.flame.search('step_3')",
    "whole again": "page.timeline.choose(null)",
}


def timed(page, step):
    return page.ask(f"(() => {{ const began = performance.now(); {step}; document.body.offsetHeight;"
                    " return performance.now() - began; })()")


def run(tree):
    from browser import chromium

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        with path.open("wb") as out:
            subprocess.run([tree.build / "tests" / "bench" / "page", str(STACKS)], stdout=out, check=True)
        print(f"page: {path.stat().st_size / (1 << 20):.2f} MiB for {STACKS} stacks (5 at most)")
        with chromium() as page:
            ready = []
            for _ in range(ROUNDS):
                page.open(path)
                ready.append(int(page.ask("document.documentElement.dataset.ready")))
            print(f"page: ready after {min(ready)} to {max(ready)} ms (2000 at most)")
            for name, step in STEPS.items():
                print(f"page: {name}: {timed(page, step):.0f} ms")
