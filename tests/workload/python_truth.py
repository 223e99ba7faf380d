"""A Python process that allocates as programs do, in rounds between which it rests: the preloaded
counter (preload/counter.c) prints there what it has counted, and waits for a line.

    python_truth.py THREADS     how many threads come and go in a round, beside the main one
"""
import ctypes
import decimal
import importlib
import itertools
import json
import os
import random
import re
import sys
import threading

own = ctypes.CDLL(None)
kept = []


def use_objects():
    tree = {f"key {n}": [n, str(n), n / 7, {"word" * (n % 50): None}] for n in range(2000)}
    assert json.loads(json.dumps(tree)) == tree
    assert len(re.findall(r"(key) (\d+)", " ".join(tree))) == 2000
    assert sum(decimal.Decimal(n) for n in range(1000)) == 499500
    return sorted(tree)[::20]


def use_growth():
    data, parts = bytearray(), []
    for n in range(20000):
        data.append(n & 255)
        parts.append(n)
    del data[100:], parts[1000:]
    return data, parts, bytes(5_000_000), "é" * 300000


def use_aligned_blocks():
    """Python asks for none itself."""
    block = ctypes.c_void_p()
    for power in range(3, 13):
        assert own.posix_memalign(ctypes.byref(block), 1 << power, 1000 + power) == 0
        if power % 3:
            own.free(block)


def use_failures():
    for power in (60, 61, 62):
        try:
            bytes(1 << power)
        except MemoryError:
            continue
        raise AssertionError("a block larger than memory")


def use_modules(names):
    """Code is read, libraries are mapped, the libraries work."""
    for name in names:
        importlib.import_module(name)
    base = sys.modules["sqlite3"].connect(":memory:")
    base.execute("CREATE TABLE numbers (n, word)")
    base.executemany("INSERT INTO numbers VALUES (?, ?)", ((n, f"word {n}") for n in range(3000)))
    assert base.execute("SELECT count(DISTINCT word) FROM numbers").fetchone() == (3000,)
    return base


def forget_some():
    """Of what this round and those before have kept."""
    random.shuffle(kept)
    del kept[::2]


def work(modules):
    kept.extend([use_objects(), use_growth(), use_modules(modules)])
    use_aligned_blocks()
    use_failures()
    forget_some()


def main():
    thread_cnt = int(sys.argv[1])
    print(json.dumps({"pid": os.getpid()}), flush=True)
    for modules in itertools.chain([["sqlite3"], ["xml.dom.minidom", "bz2", "unittest.mock"]], itertools.repeat([])):
        threads = [threading.Thread(target=lambda: kept.append(use_objects())) for _ in range(thread_cnt)]
        for thread in threads:
            thread.start()
        work(modules)
        for thread in threads:
            thread.join()
        own.counter_rest()


main()
