"""What Python programs do all day, as rounds that check themselves, and what an allocator that
serves them says of itself. Code for a PythonTarget; `begin()` starts a thread that goes round
until `end()`, which gives (rounds, mistakes)."""

ROUNDS = """
import threading, time, traceback
def begin():
    global rounds, mistakes, running, going
    rounds, mistakes, running = 0, [], True
    def go():
        global rounds
        while running and not mistakes:
            try:
                one()
                rounds += 1
            except Exception:
                mistakes.append(traceback.format_exc())
    going = threading.Thread(target=go)
    going.start()
def end():
    global running
    running = False
    going.join()
    return rounds, mistakes
"""

LOADS = {
    "http": """
import http.server, urllib.request, json
class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        got = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"sum": sum(got["numbers"]), "back": got}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = "http://127.0.0.1:%d/" % server.server_port
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def one():
    sent = {"numbers": list(range(3000)), "text": "x" * 50000}
    with opener.open(url, json.dumps(sent).encode()) as reply:
        got = json.load(reply)
        assert reply.status == 200 and got == {"sum": 4498500, "back": sent}
""",
    "zipfile": """
import zipfile, io
members = {"member %d" % i: os.urandom(20000) + b"x" * 60000 for i in range(15)}
def one():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == members
""",
    "numpy": """
import numpy
def one():
    rows = [numpy.arange(700, dtype=float) + i for i in range(800)]
    whole = numpy.vstack(rows)
    assert (whole.sum(axis=0) == numpy.arange(700) * 800.0 + 800 * 799 / 2).all()
    assert (numpy.sort(whole[::-1], axis=0) == whole).all()
""",
    "pandas": """
import pandas, io
def one():
    frame = pandas.DataFrame({"key": ["key %d" % (i % 100) for i in range(3000)], "value": range(3000)})
    again = pandas.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert again.equals(frame)
    assert again.groupby("key").value.sum().sum() == 2999 * 3000 // 2
""",
}

# own() gives what the allocator counts: allocated, and held or resident; purge() is its own.
ALLOCATORS = {
    "glibc": """
class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks",
                                                     "fsmblks", "uordblks", "fordblks", "keepcost")]
libc.mallinfo2.restype = Mallinfo
def own():
    # Of all arenas; what is in thread caches counts as allocated.
    said = libc.mallinfo2()
    return {"held": said.arena + said.hblkhd, "allocated": said.uordblks + said.hblkhd}
def purge():
    libc.malloc_trim(0)
""",
    "mimalloc": """
served = ctypes.CDLL(None)
def own():
    names = "elapsed", "user", "system", "rss", "peak", "commit", "peak_commit", "faults"
    said = {name: ctypes.c_size_t() for name in names}
    served.mi_process_info(*(ctypes.byref(said[name]) for name in names))
    return {"committed": said["commit"].value}
def purge():
    served.mi_collect(ctypes.c_bool(True))
""",
    "jemalloc": """
served = ctypes.CDLL(None)
def stat(name):
    value, size = ctypes.c_size_t(), ctypes.c_size_t(8)
    assert served.mallctl(name, ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)) == 0
    return value.value
def own():
    epoch = ctypes.c_uint64(1)
    assert served.mallctl(b"epoch", None, None, ctypes.byref(epoch), ctypes.c_size_t(8)) == 0
    return {name: stat(b"stats." + name.encode()) for name in ("allocated", "active", "resident", "mapped")}
def purge():
    assert served.mallctl(b"arena.4096.purge", None, None, None, ctypes.c_size_t(0)) == 0
""",
    "gperftools": """
served = ctypes.CDLL(None)
def stat(name):
    value = ctypes.c_size_t()
    assert served.MallocExtension_GetNumericProperty(name, ctypes.byref(value))
    return value.value
def own():
    return {"allocated": stat(b"generic.current_allocated_bytes"), "heap": stat(b"generic.heap_size"),
            "free": stat(b"tcmalloc.pageheap_free_bytes"), "unmapped": stat(b"tcmalloc.pageheap_unmapped_bytes")}
def purge():
    served.MallocExtension_ReleaseFreeMemory()
""",
}
