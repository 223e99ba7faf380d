"""The harness is the end-to-end tests'; the results are lines that tools/boot-kernel counts."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from heap_targets import tree  # noqa: E402, F401 (a fixture)


def pytest_terminal_summary(terminalreporter):
    for outcome, word in ("passed", "PASS"), ("failed", "FAIL"), ("error", "FAIL"), ("skipped", "SKIP"):
        for report in terminalreporter.getreports(outcome):
            facts = "".join(f", {name} {value}" for name, value in report.user_properties)
            terminalreporter.write_line(f"{word} {report.nodeid}{facts}")
