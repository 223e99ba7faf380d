"""A target that knows what each of its sites has allocated, freed and holds (tests/workload/known_sites.c),
and how an attach's figures stand beside that: between their bounds, and how far off."""
import dataclasses
import re
import time

from attach_harness import Tracer
from heap_targets import Target

SITE_CNT = 101
FIGURES = ("allocated", "allocs", "freed", "frees", "live", "live_blocks")
OF_ALL = ("allocated", "allocs", "live", "live_blocks")  # what of all is freed has blocks from before the attach in it
WARM_UP = 0.5     # seconds of load before the attach: there are blocks that it has not seen
LEAST_SHARE = 0.01  # of a figure's total: a site of more must have been seen


@dataclasses.dataclass(frozen=True)
class Load:
    """The target's command line."""
    mode: str
    threads: int = 1
    rate: int = 0
    work_ns: int = 0
    period_ms: int = 650

    def __str__(self):
        return (f"{self.mode}{f' {self.period_ms} ms' if self.mode == 'period' else ''}, {self.threads} thread"
                f"{'s' if self.threads > 1 else ''}, {f'{self.rate:,} pairs/s' if self.rate else 'flat out'}")


@dataclasses.dataclass
class Row:
    """One figure of one site (None: of all)."""
    site: int | None
    figure: str
    true: int
    share: float  # of the figure's true total
    estimate: int | None  # None: the site was not seen
    low: int = 0
    high: int = 0

    @property
    def inside(self):
        """None: says nothing, neither by its bounds nor by its absence."""
        if self.estimate is None:
            return False if self.share > LEAST_SHARE else None
        return None if self.true == self.estimate == 0 else self.low <= self.true <= self.high

    @property
    def error(self):
        return ((self.estimate or 0) - self.true) / self.true


class KnownSites(Target):
    def __init__(self, tree, load):
        super().__init__([tree.workload("known_sites"), *map(str, dataclasses.astuple(load))])

    def truth(self):
        """{site: {figure: value}} since begin; None: of all sites. The target is paused."""
        said = self.ask("report")
        self.pairs, self.cpu = said.pop("pairs"), said.pop("cpu_ns") / 1e9
        sites = {}
        for name, value in said.items():
            number, figure = name.split(".")
            sites.setdefault(int(number), {})[figure] = value
        for site in sites.values():
            site["live"] = site["allocated"] - site["freed"]
            site["live_blocks"] = site["allocs"] - site["frees"]
        return {**sites, None: {f: sum(site[f] for site in sites.values()) for f in FIGURES}}


def reported(allocs):
    """{site: its row in the report}; None: the report's totals."""
    sites = {None: allocs}
    for row in allocs["sites"]:
        found = re.search(r"known_sites:site_(\d+)\b", " ".join(row["stack"] or []))
        if found:
            assert int(found[1]) not in sites, f"two stacks of site_{found[1]}: {row['stack']}"
            sites[int(found[1])] = row
    return sites


def compare(allocs, truth):
    """[Row] of every figure of every site, and of the totals. A figure without bounds is said to be exact."""
    rows, said = [], reported(allocs)
    for site, true in truth.items():
        for figure in FIGURES if site is not None else OF_ALL:
            share = true[figure] / truth[None][figure] if truth[None][figure] else 0
            row = Row(site, figure, true[figure], share, said[site][figure] if site in said else None)
            if site in said:
                row.low = said[site].get(f"{figure}_low", row.estimate)
                row.high = said[site].get(f"{figure}_high", row.estimate)
            rows.append(row)
    return rows


def observe(tree, load, seconds, *options):
    """One attach to one target for so long: (the final report, [Row])."""
    with KnownSites(tree, load) as target:
        target.ask("begin")
        time.sleep(WARM_UP)
        target.ask("pause")
        with Tracer(tree, "attach", "--json", *options, target.pid, "1") as tracer:
            tracer.ready()
            target.ask("begin")
            time.sleep(seconds)
            target.ask("pause")
            final = tracer.stop()
        return final, compare(final["allocs"], target.truth())
