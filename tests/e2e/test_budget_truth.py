"""Figures under a budget against a target that knows its sites: exact without one and where it suffices, between
their bounds where it does not. A few runs; many, and how far off they are: tools/prove-estimates."""
import pytest

from heap_targets import root_only
from known_sites import Load, observe, reported

# As much as a service with 500,000 pairs a second does: beside a loop of nothing else, what it does between two hits
# is less than the error of what a hit costs.
WORK_NS = 2000
FLAT_OUT = [Load("steady", work_ns=WORK_NS), Load("steady", threads=4, work_ns=WORK_NS), Load("phases", work_ns=WORK_NS),
            Load("period", period_ms=330, work_ns=WORK_NS), Load("reuse", work_ns=WORK_NS)]
GENTLE = Load("steady", rate=1000, work_ns=100000)  # what probes cost is a few hundredths of its own work


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def check_exact(final, rows):
    assert final["lost"] == {}
    # A site that was never called is in no report.
    called = [row for row in rows if row.true or row.estimate]
    assert [row for row in called if row.estimate != row.true or (row.low, row.high) != (row.true, row.true)] == []


@pytest.mark.parametrize("mode", ["steady", "leak", "period", "phases", "reuse"])
def test_without_a_budget_all_is_exact(tree, mode):
    final, rows = observe(tree, Load(mode, threads=2, rate=50000), 1, "--max-overhead", "none")
    assert len(rows) > 500
    check_exact(final, rows)
    assert not final["allocs"]["estimated"]


def test_where_the_budget_suffices_all_is_exact(tree):
    final, rows = observe(tree, GENTLE, 2)
    check_exact(final, rows)
    assert not final["allocs"]["estimated"] and final["allocs"]["duty"] == 1


@pytest.fixture(scope="module")
def flat_out(tree):
    root_only()
    return [observe(tree, load, 4) for load in FLAT_OUT]


def test_flat_out_what_is_true_lies_between_the_bounds(flat_out):
    """95 of a hundred should; those of one run are off together, so that in five runs some fewer may."""
    judged = [row.inside for final, rows in flat_out for row in rows if row.site is not None and row.inside is not None]
    assert len(judged) > 1000
    assert sum(judged) / len(judged) > 0.8


def test_flat_out_the_large_site_is_near(flat_out):
    """What is live is known less well than what was allocated: it has its bounds."""
    for final, rows in flat_out:
        large = [row for row in rows if row.site == 0 and row.share > 0.05 and row.true > 100]
        assert len(large) >= 4
        for row in large:
            assert row.estimate is not None and row.low <= row.estimate <= row.high, row
            assert not row.figure.startswith("alloc") or abs(row.error) < 0.7, row


def test_flat_out_it_says_that_and_how_it_estimates(flat_out):
    for final, rows in flat_out:
        allocs = final["allocs"]
        assert final["lost"] == {}
        assert allocs["estimated"] is True and 0 < allocs["duty"] < 0.9
        assert allocs["max_overhead"] == 10


def test_a_site_that_was_not_seen_is_not_said_to_be_zero(flat_out):
    for final, rows in flat_out:
        sites = reported(final["allocs"])
        assert all(sites[site]["allocs"] or sites[site]["frees_here"] for site in sites if site is not None)
        assert any(row.estimate != row.true for row in rows)
