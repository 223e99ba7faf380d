"""One malloc and its free at a time, below Python functions and C callbacks; run with PYTHONMALLOC=malloc.

For each line "round MS" one answer: pairs, and the ns of CPU that they took."""
import json
import os
import time

SIZE = 600
BATCH = 100


def pairs(length_ns):
    """Loops until the clock says so; a bytes object is one block."""
    began, count = time.monotonic_ns(), 0
    cpu = time.thread_time_ns()
    while time.monotonic_ns() - began < length_ns:
        for _ in range(BATCH):
            bytes(SIZE)
        count += BATCH
    return {"pairs": count, "cpu_ns": time.thread_time_ns() - cpu}


def called_back(length_ns):
    return next(map(pairs, [length_ns]))


def nested(depth, length_ns):
    return nested(depth - 1, length_ns) if depth else called_back(length_ns)


print(json.dumps({"pid": os.getpid()}), flush=True)
while True:
    try:
        _, ms = input().split()
    except EOFError:
        break
    print(json.dumps(nested(3, int(ms) * 1000000)), flush=True)
