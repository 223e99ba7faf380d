"""A worker as they run in thousands of services, with the habits that keep its memory from
coming back. It downloads zipped CSV files over HTTP (from a server thread of its own),
unzips and parses them, keeps a few rows, drops the rest, and then:

    holds     does not purge: the allocator keeps what was freed
    guesses   purges an allocator that is installed but serves nobody here
    purges    calls malloc_trim(0), which works
    reopens   calls ctypes.CDLL in a loop instead of keeping the handle

It does so again and again until it is ended, and says on stdout what it does.
"""
import contextlib
import csv
import ctypes
import gc
import http.server
import io
import json
import os
import threading
import time
import urllib.request
import zipfile

DAYS = 4            # files a round
ROWS = 24000        # a file
HOLD_SECONDS = 9    # longer than --window-min
PAUSE_SECONDS = 4   # between the other habits, so that each has a summary of its own
CACHED_EVERY = 1000 # rows that stay


def say(text):
    rss = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    print(f"worker: {text} (RSS {rss / (1 << 20):.0f} MiB)", flush=True)


def make_archive():
    """A zipped CSV file; its rows carry JSON of some 2 KB, which Python gets from malloc."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["id", "document"])
    for number in range(ROWS):
        ticks = [f"{number * 7 + i:010d}" for i in range(150)]
        writer.writerow([number, json.dumps({"symbol": f"S{number}", "ticks": ticks})])
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("day.csv", table.getvalue())
    return body.getvalue()


def serve(body):
    """A local HTTP server on a free port; its URL."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/day.zip"


def download(url):
    with urllib.request.urlopen(url) as response:
        return response.read()


def parse(body):
    with zipfile.ZipFile(io.BytesIO(body)) as archive, archive.open("day.csv") as file:
        rows = csv.DictReader(io.TextIOWrapper(file, "utf-8"))
        return [(row["document"], json.loads(row["document"])["symbol"]) for row in rows]


def load_idle_mimalloc():
    """As the widespread helper does it: if it can be loaded, it must be the allocator in use."""
    for name in ("libmimalloc.so.2", "libmimalloc.so.3"):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    return None


def gather(url, cache):
    rows = []
    for _ in range(DAYS):
        rows += parse(download(url))
    cache += rows[::CACHED_EVERY]
    say(f"parsed {len(rows)} rows from {DAYS} downloads")


def guess(mimalloc):
    if mimalloc is None:
        say("libmimalloc is not installed: no purge of the wrong allocator")
        return
    mimalloc.mi_collect(ctypes.c_bool(True))
    say("called mi_collect(True): libmimalloc loads, so it must be right")


def reopen():
    for _ in range(1400):
        ctypes.CDLL("libc.so.6").getpid()
    say("called ctypes.CDLL(\"libc.so.6\") 1400 times")


def main():
    url = serve(make_archive())
    cache = []
    time.sleep(2)
    while True:
        gather(url, cache)
        gc.collect()
        say("dropped them; gc.collect(), but no purge")
        time.sleep(HOLD_SECONDS)
        guess(load_idle_mimalloc())
        time.sleep(PAUSE_SECONDS)
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        say("called malloc_trim(0)")
        time.sleep(PAUSE_SECONDS)
        reopen()
        time.sleep(PAUSE_SECONDS)


main()
