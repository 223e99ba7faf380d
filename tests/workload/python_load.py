"""A Python process that allocates on several threads and checks all that it keeps, until the end
of stdin: prints its pid first, and in the end how many answers it checked and how many were wrong.

    python_load.py THREADS
"""
import json
import os
import random
import re
import sys
import threading
import zlib

over = threading.Event()


class Worker(threading.Thread):
    def __init__(self, seed):
        super().__init__()
        self.random = random.Random(seed)
        self.kept = {}
        self.calls = self.wrong = 0

    def check(self, right):
        self.calls += 1
        self.wrong += not right

    def use_blocks(self):
        """Of any size, up to those that the C library maps."""
        key = self.random.randrange(300)
        data, checksum = self.kept.pop(key, (b"", zlib.crc32(b"")))
        self.check(zlib.crc32(data) == checksum)
        data = self.random.randbytes(8) * self.random.choice([1, 10, 100, 1000, 30000])
        self.kept[key] = data, zlib.crc32(data)

    def use_growth(self):
        """One block that is reallocated again and again."""
        data = bytearray()
        for value in range(2000):
            data.append(value & 255)
        self.check(all(value == index & 255 for index, value in enumerate(data)))

    def use_objects(self):
        tree = {f"key {n}": [n, str(n), {"half": n / 2}] for n in range(100)}
        self.check(json.loads(json.dumps(tree)) == tree)
        self.check(re.findall(r"key (\d+)", " ".join(tree)) == [str(n) for n in range(100)])

    def run(self):
        while not over.is_set():
            self.random.choice([self.use_blocks, self.use_growth, self.use_objects])()


def say(words):
    print(json.dumps(words), flush=True)


def main():
    workers = [Worker(seed) for seed in range(int(sys.argv[1]))]
    for worker in workers:
        worker.start()
    say({"pid": os.getpid()})
    sys.stdin.read()
    over.set()
    for worker in workers:
        worker.join()
    wrong = sum(worker.wrong for worker in workers)
    say({"calls": sum(worker.calls for worker in workers), "wrong": wrong})
    return wrong != 0


sys.exit(main())
