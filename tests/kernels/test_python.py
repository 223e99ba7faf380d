"""Python frames on the kernel that has been booted: its verifier takes the walk, and they are exact."""
import pytest

from test_kernel import TOO_OLD
from test_python_frames import KNOWN, assert_exact, traced  # noqa: F401 (a fixture)


@pytest.mark.skipif(TOO_OLD, reason="alloctrace has no probes on this kernel")
@pytest.mark.parametrize("name", KNOWN)
def test_names_files_and_lines_are_exact(traced, name):  # noqa: F811
    pairs, said = traced(KNOWN[name]).run()
    assert_exact(pairs)
    assert "0 frames without a name, 0 stacks dropped" in said
