"""A real server under load: redis on jemalloc, attached to while redis-benchmark talks to it."""
import os
import shutil
import subprocess
import time

import pytest

from attach_harness import MIB, attach, probes_left, rss

# redis-tools ships the server's binary under another name; it goes by argv[0].
SERVER = shutil.which("redis-server") or shutil.which("redis-check-rdb")


@pytest.fixture
def redis(tmp_path):
    """A server on a socket of its own; yields (process, socket)."""
    if not SERVER or not shutil.which("redis-benchmark"):
        pytest.skip("redis-tools is not installed")
    socket = str(tmp_path / "redis.sock")
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", tmp_path],
                              executable=os.path.realpath(SERVER), stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if "ready to accept connections" in line.lower():
            break
    else:
        pytest.skip(f"redis-server does not start: {server.wait()}")
    yield server, socket
    server.terminate()
    server.stdout.close()
    server.wait()


def benchmark(socket, requests):
    return subprocess.Popen(["redis-benchmark", "-s", socket, "-t", "set,get,lpush,lpop", "-n", str(requests), "-d",
                             "600", "-r", "50000", "-c", "20", "--csv"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def info(socket):
    """What `INFO memory` says of jemalloc's statistics, which the server takes ten times a second."""
    def read():
        said = subprocess.run(["redis-cli", "-s", socket, "info", "memory"], capture_output=True, text=True).stdout
        return {key: int(value) for key, value in (line.split(":") for line in said.splitlines() if ":" in line)
                if key in ("used_memory", "allocator_allocated", "allocator_active", "allocator_resident")}

    # Its client's own buffers come and go.
    first = read()
    for _ in range(100):
        time.sleep(0.05)
        if (second := read()) == first:
            return second
        first = second
    return first


def test_attached_under_load(tree, redis):
    server, socket = redis
    load = benchmark(socket, 60000)
    with attach(tree, server.pid) as tracer:
        tracer.ready()
        out, err = load.communicate(timeout=120)
        own = info(socket)
        final = tracer.stop()
    assert load.returncode == 0 and "rror" not in out + err, out + err
    assert probes_left(server.pid) == []
    served, = [a for a in final["allocators"] if a["serving"]]
    assert served["name"] == "jemalloc"
    assert final["held"] >= final["resident"] > 10 << 20
    # Its statistics count what thread caches keep as allocated.
    counted = served["live_heap"] + served["free"]["tcache"]["bytes"]
    assert abs(counted - own["allocator_allocated"]) <= MIB // 16, (counted, own)
    assert served["live_heap"] >= own["used_memory"] - MIB // 2
    # What is active and dirty, as if all of it were touched.
    assert served["resident"] <= own["allocator_resident"] + MIB
    assert served["retained"] == served["purgeable"] + served["pinned"]
    assert final["command"].startswith("redis-")
    # It still answers, and with what it was given.
    for words, answer in ((["set", "word", "kept"], "OK"), (["get", "word"], "kept"), (["ping"], "PONG")):
        done = subprocess.run(["redis-cli", "-s", socket, *words], capture_output=True, text=True)
        assert done.stdout.strip() == answer


def test_its_own_purge_is_seen_and_works(tree, redis):
    """MEMORY PURGE is mallctl("arena.N.purge"); what it returned is what its RSS fell by."""
    server, socket = redis

    def cli(*words):
        return subprocess.run(["redis-cli", "-s", socket, *map(str, words)], capture_output=True, text=True).stdout

    cli("eval", "for i = 1, 300000 do redis.call('set', 'key' .. i, string.rep('x', 600)) end", 0)
    with attach(tree, server.pid, "--no-alloc") as tracer:
        tracer.ready()
        cli("eval", "for i = 1, 300000 do redis.call('del', 'key' .. i) end", 0)  # flushall would purge itself
        taken = time.time()
        tracer.until(lambda report: report["time"] - report["state_age"] > taken)
        before = rss(server.pid)
        assert cli("memory", "purge").strip() == "OK"
        drop = before - rss(server.pid)
        purge, = tracer.stop()["purges"]
    assert drop > 50 * MIB
    assert (purge["function"], purge["allocator"]) == ("mallctl", "jemalloc")
    assert purge["argument"].startswith("arena.") and purge["argument"].endswith(".purge")
    assert purge["effective"] is True and purge["misdirected"] is False and purge["result"] == 0
    assert abs(purge["returned"] - drop) <= MIB
    # Decay may return some of it between the reading and the purge.
    assert drop - MIB <= purge["predicted"] <= 1.2 * drop
