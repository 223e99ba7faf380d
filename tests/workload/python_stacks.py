"""Allocates a block of its own size at each place that a stack can lead to through Python and C
in turns, when a line on stdin asks for it. Prints, for each size, the Python frames that
sys._getframe gave there, and which C function stood between which two of them.

    python_stacks.py     prints {"pid"}, then a list of {"size", "frames", "between"} a line on stdin
"""
import ctypes
import functools
import json
import os
import sys
import threading

FIRST = 1_000_001
libc = ctypes.CDLL(None)
kept, book = [], []


def allocate(between=None):
    """A block that malloc serves; innermost first, who leads here."""
    size = FIRST + 1000 * len(book)
    frame, frames = sys._getframe(1), []
    while frame:
        code = frame.f_code
        frames.append([getattr(code, "co_qualname", code.co_name), os.path.basename(code.co_filename), frame.f_lineno])
        frame = frame.f_back
    entry = {"size": size, "frames": frames, "between": between}
    book.append(entry)
    kept.append(ctypes.create_string_buffer(1) and libc.malloc(ctypes.c_size_t(size)))


def plain():
    allocate()


def recursive(depth):
    if depth:
        recursive(depth - 1)
    else:
        allocate()


def through_sorted():
    sorted([1], key=lambda _: allocate())


def through_generator():
    def generate():
        allocate()
        yield

    list(generate())


def through_exec():
    exec(compile("def made():\n    allocate()\nmade()", "<made>", "exec"), {"allocate": allocate})


def through_partial():
    functools.partial(map, lambda _: allocate())([1]).__next__()


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def compare(_, __):
    if not compare.called:
        compare.called = True
        allocate(between=["compare", "through_qsort"])
    return 0


def through_qsort():
    compare.called = False
    libc.qsort((ctypes.c_int * 2)(1, 2), ctypes.c_size_t(2), ctypes.c_size_t(4), compare)


def in_a_thread():
    thread = threading.Thread(target=plain)
    thread.start()
    thread.join()


def main():
    print(json.dumps({"pid": os.getpid()}), flush=True)
    for _ in sys.stdin:
        for step in (plain, lambda: recursive(10), through_sorted, through_generator, through_exec, through_partial,
                     through_qsort, in_a_thread):
            step()
        print(json.dumps(book), flush=True)


main()
