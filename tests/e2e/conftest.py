"""What every end-to-end test gets: the build folder, and a time after which it is ended."""
import os
import signal

import pytest

from heap_targets import tree  # noqa: F401 (a fixture)

# No test waits for a time; this ends one that waits for what never comes. More, by hand, for many cycles.
TEST_SECONDS = int(os.environ.get("ALLOCTRACE_TEST_SECONDS", "240"))

# Those of the files that take half a minute and more, the longest first.
LONGEST = ["test_heap_truth", "test_attach_life", "test_alloc_truth", "test_alloc_cycles", "test_allocators",
           "test_pymalloc", "test_heap_running", "test_heap_gperftools", "test_real", "test_real_python",
           "test_python_stacks", "test_unwind", "test_names", "test_many"]

# A suite started in a shell's background ignores SIGINT, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--build", default=None, help="the build folder (build)")


def pytest_collection_modifyitems(items):
    """Workers take file after file in this order: none may be left with a long one in the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    def ring(*_):
        raise TimeoutError(f"the test did not end within {TEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
