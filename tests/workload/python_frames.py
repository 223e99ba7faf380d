"""Allocates blocks of sizes that occur once, and writes down by sys._getframe which stack each had.

    python_frames.py FILE COUNT      begins at a line on stdin; a JSON line a block: size, thread, frames
"""
import functools
import json
import sys
import threading
import time

BASE = 3_000_001  # far above what anything else here allocates
STEP = 8


class Book:
    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()
        self.count = 0

    def next_size(self):
        with self.lock:
            self.count += 1
            return BASE + self.count * STEP

    def write(self, size, frames):
        line = json.dumps({"size": size, "tid": threading.get_native_id(), "frames": frames}) + "\n"
        with self.lock:
            self.file.write(line)


def frames_of_caller():
    frame, frames = sys._getframe(1), []
    while frame:
        code = frame.f_code
        frames.append([getattr(code, "co_qualname", code.co_name), code.co_filename, frame.f_lineno,
                       code.co_firstlineno])
        frame = frame.f_back
    return frames


def allocate():
    size = BOOK.next_size()
    (BOOK.write(size, frames_of_caller()), bytearray(size - 1))  # one line: the frames are the same


class Node:
    def __init__(self, depth):
        if depth:
            Node(depth - 1)
        else:
            allocate()

    def __lt__(self, other):
        allocate()
        return True

    def __getattr__(self, name):
        allocate()
        raise AttributeError(name)

    @property
    def comprehended(self):
        return [allocate() for _ in range(2)]

    def generated(self):
        for i in range(2):
            allocate()
            yield i

    @staticmethod
    def static(*_args, **_kwargs):
        allocate()

    @classmethod
    def bare(cls):
        return cls.__new__(cls)


class Dying:
    def __del__(self):
        allocate()


def spread_over_lines(_first,
                      _second=None):
    _ = (
        allocate(),
        [allocate()
         for _ in (1,)],
        {1:
            allocate()},
    )
    return functools.partial(Node.static, 1)()


def raising():
    try:
        raise ValueError(allocate())
    except ValueError:
        allocate()
    finally:
        allocate()


async def awaiting(depth):
    if depth:
        return await awaiting(depth - 1)
    return allocate()


def wrapping(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper


@wrapping
@wrapping
def decorated(depth):
    if depth:
        return decorated(depth - 1)
    return allocate()


def größe_名前_𝔫():
    allocate()


def executed(i):
    source = "\n" * i + f"def made_{i}():\n  allocate()\nmade_{i}()"
    exec(compile(source, f"<made {i}>", "exec"), {"allocate": allocate})
    source = "\n" * (300 * (i % 3)) + "def far():\n" + "  x = 1\n" * (40 * i) + "  allocate()\nfar()"
    exec(compile(source, f"<größe {i}>" if i % 2 else f"<名前 {i}>", "exec"), {"allocate": allocate})


def everything(i):
    Node(i % 7)
    sorted(Node.bare() for _ in range(3))
    Node.bare().comprehended
    list(Node(0).generated())
    spread_over_lines(1)
    raising()
    getattr(Node.bare(), "absent", 0)
    list(map(lambda _: allocate(), [1, 2]))
    try:
        awaiting(3).send(None)
    except StopIteration:
        pass
    decorated(i % 5)
    executed(i % 9)
    max([1, 2], key=lambda v: (allocate(), v)[1])
    max([Node.bare()], key=functools.cmp_to_key(lambda a, b: allocate()))
    Dying()
    eval("allocate()")
    sum(allocate() or 1 for _ in range(2))
    größe_名前_𝔫()


def run(count):
    i = 0
    while BOOK.count < count:
        everything(i)
        i += 1
        time.sleep(0.002)


BOOK = Book(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
THREADS = [threading.Thread(target=run, args=(int(sys.argv[2]),)) for _ in range(2)]
for thread in THREADS:
    thread.start()
run(int(sys.argv[2]))
for thread in THREADS:
    thread.join()
BOOK.file.close()
