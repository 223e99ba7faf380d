"""A Python process under load that checks what a purge from outside could spoil: a pool of threads
that exchange checksums over sockets and queues, a main thread that makes garbage and answers, a
signal that keeps interrupting. Answers each line of input with a line of JSON."""
import json
import os
import queue
import random
import selectors
import signal
import socket
import sys
import threading
import time
import zlib

rounds = [0] * 4
mistakes = []


def checked(number):
    def decorate(function):
        def run():
            while True:
                try:
                    function()
                    rounds[number] += 1
                except BaseException as error:
                    mistakes.append(f"{function.__name__}: {error!r}")
                    raise
        threading.Thread(target=run, daemon=True).start()
        return function
    return decorate


tasks, results = queue.Queue(8), queue.Queue(8)
near, far = socket.socketpair()
selector = selectors.EpollSelector()
selector.register(far, selectors.EVENT_READ)


def payload():
    parts = [os.urandom(random.randrange(600, 3000)) for _ in range(300)]
    return parts[::20]  # what is freed lies between what is kept


@checked(0)
def produce():
    data = b"".join(payload())
    tasks.put((data, zlib.crc32(data)))


@checked(1)
def verify():
    data, crc = tasks.get()
    if zlib.crc32(data) != crc:
        mistakes.append("a checksum differs")
    near.sendall(crc.to_bytes(4, "big"))
    results.put(crc)


@checked(2)
def receive():
    for _ in selector.select(0.05):
        word = far.recv(4)
        if int.from_bytes(word, "big") != results.get():
            mistakes.append("a word from the socket differs")


@checked(3)
def rest():
    before = time.monotonic()
    time.sleep(0.002)
    if time.monotonic() - before < 0.002:
        mistakes.append("a sleep was short")


signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
print(json.dumps({"pid": os.getpid()}), flush=True)
for line in sys.stdin:
    print(json.dumps({"rounds": rounds, "mistakes": mistakes}), flush=True)
