"""A Python process that fills pymalloc as it is told, one word of its command line after the other:

    fill N      N small objects of many sizes, of which one in ten is kept, at random
    keep N      the same, all of them kept
    drop        all that was kept
    trim        malloc_trim(0)
    twice       loads libpython a second time
    fork        a child that only waits; "child": its pid
    others      interpreters with memory of their own, three of them
    churn       without end: fills and drops, and never stops
    wait        for a signal that ends it
    stop        tells what pymalloc itself says of its memory, and stops until it is continued

What it tells is on standard error, its pid on standard output.
"""
import gc
import os
import signal
import sys

# No modules that have to be found: some CPythons under test have little more than themselves.
me = os.getpid()
kept = []
seed = 12345


def rand():
    global seed
    seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
    return seed >> 8


def made(i):
    if i % 4 == 0:
        return {i: None}
    if i % 4 == 1:
        return [i, i + 1000]
    if i % 4 == 2:
        return b"b" * (rand() % 470)
    return "text %d" % i


def fill(cnt, share):
    everything = [made(i) for i in range(cnt)]
    kept.extend([one for one in everything if rand() % 100 < share])


def others():
    from concurrent import interpreters

    for i in range(3):
        one = interpreters.create()
        one.exec("kept = [[i] for i in range(%d)][::10]" % (100000 * (i + 1)))
        kept.append(one)


def wait():
    while True:
        signal.pause()


def child():
    pid = os.fork()
    if not pid:
        wait()
    return pid


def do(word, number):
    if word == "fill":
        fill(number, 10)
    elif word == "keep":
        fill(number, 100)
    elif word == "drop":
        kept.clear()
    elif word == "trim":
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
    elif word == "twice":
        import ctypes

        kept.append(ctypes.CDLL("libpython%d.%d.so.1.0" % sys.version_info[:2]))
    elif word == "others":
        others()
    elif word == "fork":
        os.write(2, b"child %d\n" % child())
    elif word == "wait":
        wait()
    elif word == "churn":
        while True:
            fill(200000, 0)


def tell():
    """Nothing is allocated or freed between what is told and the stop."""
    for one in kept:
        if type(one).__name__ == "Interpreter":
            one.exec("import sys; sys._debugmallocstats()")
    stats, kill, pid = sys._debugmallocstats, os.kill, me
    kill(pid, 0)
    stats()
    kill(pid, 19)


words = sys.argv[1:]
gc.collect()
gc.disable()
os.write(1, b"%d\n" % me)
while words:
    word = words.pop(0)
    if word == "stop":
        tell()
    else:
        do(word, int(words.pop(0)) if words and words[0].isdigit() else 0)
