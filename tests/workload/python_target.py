"""A Python process that does what a test says: one JSON string of statements a line on stdin,
one JSON object a line on stdout, with what they left in `result` and when they ran. The
statements share one namespace; `purge_glibc()` and `rss()` are there from the start."""
import json
import os
import sys
import time
import traceback

try:
    import ctypes
    libc = ctypes.CDLL("libc.so.6")
except ImportError:  # a Python that was only unpacked: its libffi is not here
    ctypes = libc = None


def purge_glibc():
    return libc.malloc_trim(0)


def rss():
    with open("/proc/self/smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith("Rss:"):
                return int(line.split()[1]) << 10


def fill(megabytes, size=5000):
    """Blocks that malloc serves (pymalloc's end at 512 bytes), every byte of them written."""
    return [b"x" * size for _ in range((megabytes << 20) // size)]


def answer(reply):
    print(json.dumps(reply), flush=True)


def main():
    names = {"ctypes": ctypes, "os": os, "libc": libc, "purge_glibc": purge_glibc, "rss": rss, "fill": fill}
    answer({"pid": os.getpid()})
    for line in sys.stdin:
        names["result"] = None
        reply = {"began": time.time()}
        try:
            exec(json.loads(line), names)
        except Exception:
            reply["error"] = traceback.format_exc()
        reply.update(ended=time.time(), result=names["result"])
        answer(reply)


main()
