"""A process for `alloctrace check`: does what its arguments say, prints a line of JSON, and waits for its input's end.

free MB: allocates that much in 600-byte objects and frees all but every 40th
sockets N: opens N sockets                grow MB: fills MB more in every second
idle: loads mimalloc without using it, as people do to purge by it
"""
import ctypes
import json
import os
import socket
import sys
import threading
import time

kept = []


def free(megabytes):
    blocks = [bytes(600) for _ in range(int(megabytes) * 1500)]
    kept.append(blocks[::40])


def sockets(number):
    kept.append([socket.socket() for _ in range(int(number))])


def grow(megabytes):
    def run():
        step = int(megabytes) << 16  # sixteen a second
        while True:
            kept.append(b"x" * step)
            time.sleep(1 / 16)

    threading.Thread(target=run, daemon=True).start()


def idle():
    kept.append(ctypes.CDLL("libmimalloc.so.2"))


words = sys.argv[1:]
while words:
    what = {"free": free, "sockets": sockets, "grow": grow, "idle": idle}[words.pop(0)]
    what(*[words.pop(0) for _ in range(what.__code__.co_argcount)])
print(json.dumps({"pid": os.getpid()}), flush=True)
sys.stdin.read()
