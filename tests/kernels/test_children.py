"""Followed children, from their first allocation on, on this kernel: what they say themselves is what is seen."""
import pytest

from test_follow import run_apart, seen, truth
from test_kernel import BACKEND, TOO_OLD


@pytest.mark.skipif(TOO_OLD or BACKEND == "perf", reason="children inherit events from Linux 6.6 on only")
def test_every_kind_of_child(tree, tmp_path):
    found = seen(run_apart(tree, tmp_path / "said", tree.workload("fork_truth"), 2, 500))
    rows = truth(tmp_path / "said")
    assert len(rows) == 12
    assert {pid: found.get(pid) for pid in rows} == {pid: figures for pid, (_, figures) in rows.items()}
