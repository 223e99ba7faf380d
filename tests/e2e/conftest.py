"""What every end-to-end test gets: the build folder, and a time after which it is ended."""
import os
import signal

import pytest

from heap_targets import tree  # noqa: F401 (a fixture)

# No test waits for a time; this ends one that waits for what never comes. More, by hand, for many cycles.
TEST_SECONDS = int(os.environ.get("ALLOCTRACE_TEST_SECONDS", "240"))


# A suite started in a shell's background ignores SIGINT, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--build", default=None, help="the build folder (build)")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    def ring(*_):
        raise TimeoutError(f"the test did not end within {TEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
