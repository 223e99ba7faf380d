"""Servers and tools that were not made for this: nginx, PostgreSQL, node, g++. Attached to under load, all
processes of one in one report, and nothing of it seen by their clients."""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from attach_harness import DEADLINE, MIB, Tracer, attach, probes_left
from heap_targets import allocator, root_only
from postgres_server import postgres  # noqa: F401 (a fixture)
from test_many import finals, ready, watching


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def program(name, *more):
    """The first of these that is installed; skips if none is."""
    for one in (name, *more):
        if found := shutil.which(one, path="/usr/sbin:/usr/bin:/bin"):
            return found
    pytest.skip(f"{name} is not installed")


class Client(threading.Thread):
    """Asks a server again and again, some requests a connection, and checks each answer."""

    def __init__(self, port, path, expected):
        super().__init__()
        self.port, self.path, self.expected = port, path, expected
        self.answered, self.mistakes, self.over = 0, [], False
        self.heard = threading.Condition()

    def ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        for _ in range(10):
            connection.request("GET", self.path)
            reply = connection.getresponse()
            body = reply.read()
            assert reply.status == 200 and body == self.expected, (reply.status, len(body))
            with self.heard:
                self.answered += 1
                self.heard.notify()
        connection.close()

    def run(self):
        while not self.over and not self.mistakes:
            try:
                self.ask()
            except Exception as mistake:
                self.mistakes.append(repr(mistake))

    def answers(self, cnt):
        """Waits for so many more."""
        with self.heard:
            until = self.answered + cnt
            assert self.heard.wait_for(lambda: self.answered >= until or self.mistakes, DEADLINE)


@contextlib.contextmanager
def under_load(port, path, expected, clients=3):
    """Clients beside the block; none may see a mistake."""
    running = [Client(port, path, expected) for _ in range(clients)]
    for client in running:
        client.start()
    try:
        yield running
    finally:
        for client in running:
            client.over = True
        for client in running:
            client.join()
    assert [client.mistakes for client in running] == [[]] * clients


def children(pid):
    """Those that say so of themselves."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
    return sorted(found)


def port_of(pids):
    """Where one of them listens, on IPv4."""
    inodes = set()
    for pid in pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(fd))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
            return int(words[1].split(":")[1], 16)
    return None


NGINX = """
user root;
worker_processes {workers};
daemon off;
pid {folder}/pid;
error_log {folder}/errors notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ root {folder}; }}
    }}
}}
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def nginx(tmp_path_factory):
    """A master with 24 workers: its process, its port, the file that it serves."""
    binary = program("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    content = bytes(range(256)) * 400
    (folder / "file").write_bytes(content)
    port = free_port()
    (folder / "conf").write_text(NGINX.format(workers=24, folder=folder, port=port))
    server = subprocess.Popen([binary, "-p", folder, "-c", folder / "conf", "-e", folder / "errors"])
    while len(children(server.pid)) < 24 or not port_of([server.pid]):
        assert server.poll() is None, (folder / "errors").read_text()
    yield server, port, content
    server.send_signal(signal.SIGQUIT)
    assert server.wait(timeout=DEADLINE) == 0
    log = (folder / "errors").read_text()
    assert not any(word in log for word in ("[alert]", "[crit]", "[error]", "exited on signal")), log


def test_nginx_with_24_workers(tree, nginx):
    """One report of the master and its workers, though they were there before."""
    server, port, content = nginx
    workers = children(server.pid)
    with under_load(port, "/file", content) as clients:
        with watching(tree, "--follow", server.pid, "0.5") as tracer:
            ready(tracer, server.pid, *workers)
            for client in clients:
                client.answers(60)
            last = finals(tracer)
        clients[0].answers(20)
    assert set(last) == {server.pid, *workers}
    assert sum(last[pid]["allocs"]["allocs"] for pid in workers) > 60
    for pid in (server.pid, *workers):
        glibc = allocator(last[pid], "glibc")
        assert glibc["serving"] and 0 < glibc["live_heap"] < MIB
        # posix_memalign calls malloc: one block, not two, however many processes are traced.
        assert last[pid]["allocs"]["ghosts"]["count"] == 0 and last[pid]["lost"] == {}
        assert probes_left(pid) == []


def test_nginx_in_one_text(tree, nginx):
    server, port, content = nginx
    with under_load(port, "/file", content):
        with Tracer(tree, "attach", "--follow", server.pid, "-d", "2") as tracer:
            text = b"".join(iter(tracer.arrived.get, None)).decode()
            assert tracer.wait() == 0
    assert "nginx and its children, 25 processes  RSS" in text  # none of them is new
    assert text.count("nginx (") == 25 and text.count("glibc 2.") == 1


def shared_memory(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssShmem:\s+(\d+) kB", status).group(1)) << 10


def test_postgres_with_its_backends(tree, postgres):
    """Statements of new sessions are seen from backends that fork now; pgbench checks all of its sums."""
    server = int(Path(postgres.folder, "data", "postmaster.pid").read_text().split()[0])
    with postgres.under_load():
        backends = postgres.backends()
        with watching(tree, "--follow", server, "0.5") as tracer:
            ready(tracer, server, *backends)
            # A sort in a backend that is new, and its own view of what it has.
            came = int(postgres.query("SELECT pg_backend_pid() FROM (SELECT 1 FROM generate_series(1, 3000) n "
                                      "ORDER BY md5(n::text) LIMIT 1) sorted")[0])
            last = finals(tracer)
        assert {server, *backends, came} <= set(last)
        for pid in backends:
            assert last[pid]["allocs"]["allocs"] > 0
            # Buffers that all of them share: each has touched some.
            assert MIB < last[pid]["shmem"] <= shared_memory(pid)
            assert allocator(last[pid], "glibc")["serving"]
            assert probes_left(pid) == []
    assert last[came]["ended"] == "the target exited with status 0"


# What its own contexts have from malloc, in blocks of whole sizes; the C library's few are beside.
CONTEXTS = "SELECT sum(total_bytes) FROM pg_backend_memory_contexts"


def test_postgres_beside_its_own_memory_contexts(tree, postgres):
    with postgres.start_client("psql", "-At", stdin=subprocess.PIPE) as client:
        def ask(query):
            client.stdin.write(query + ";\n")
            client.stdin.flush()
            return client.stdout.readline().strip()

        pid = int(ask("SELECT pg_backend_pid()"))
        ask(CONTEXTS)
        own = int(ask(CONTEXTS))
        live = tree.glibc(pid)["live_heap"]
        client.stdin.close()
        assert client.wait(timeout=DEADLINE) == 0
    assert own <= live <= own + MIB


NODE = """
const http = require("http");
let kept = [];
http.createServer((request, response) => {
    kept.push(Buffer.alloc(20000, "x"));
    if (kept.length > 200) kept = [];
    response.end("y".repeat(50000));
}).listen(0, "127.0.0.1", function () { console.log(this.address().port); });
"""


def test_node(tree):
    binary = program("node", "nodejs")
    with subprocess.Popen([binary, "-e", NODE], stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline())
            with under_load(port, "/", b"y" * 50000, 1) as clients:
                with attach(tree, server.pid) as tracer:
                    tracer.ready()
                    clients[0].answers(200)
                    final = tracer.stop()
                clients[0].answers(20)
            assert probes_left(server.pid) == []
        finally:
            server.kill()
    served = next(a for a in final["allocators"] if a["serving"])
    assert served["name"] == "glibc" and final["held"] >= final["resident"] > 0
    # Buffers beyond 8 KiB are malloc's: each request's is seen.
    assert final["allocs"]["allocated"] > 190 * 20000


def test_compile(tree, tmp_path):
    """g++ runs cc1plus, as and ld: the same program comes out, and its compiler is in the report."""
    program("g++")
    source = tmp_path / "map.cc"
    source.write_text("#include <map>\n#include <string>\nint main() { std::map<std::string, int> m; m[\"a\"] = 1;"
                      " return m.size() - 1; }\n")
    words = ["g++", "-O1", source, "-o"]
    subprocess.run([*words, tmp_path / "plain"], check=True)
    done = subprocess.run([tree.alloctrace, "run", "--json", "--stack", "none", "--", *words, tmp_path / "watched"],
                          capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "watched").read_bytes() == (tmp_path / "plain").read_bytes()
    subprocess.run([tmp_path / "watched"], check=True)
    last = {report["command"]: report for report in map(json.loads, done.stderr.splitlines() + done.stdout.splitlines())
            if report["final"]}
    assert last["cc1plus"]["allocs"]["allocs"] > 10000
    assert last["cc1plus"]["ended"] == "the target exited with status 0"
