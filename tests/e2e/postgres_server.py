"""A PostgreSQL server of a test's own: in a folder that goes with it, as the user that root has to
become for it, on a socket in that folder; and its load, which checks itself."""
import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from attach_harness import DEADLINE, NOBODY


class Postgres:
    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.done("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--pgdata=data")
        self.process = self.start("postgres", "-D", "data", "-k", folder, "-c", "listen_addresses=",
                                  stderr=subprocess.PIPE)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            if "ready to accept connections" in line:
                break
        else:
            raise AssertionError("".join(self.log))
        self.client("pgbench", "--initialize", "--quiet")

    def start(self, name, *words, **popen):
        return subprocess.Popen([*NOBODY, self.programs / name, *words], text=True, cwd=self.folder, **popen)

    def start_client(self, name, *words, **popen):
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **popen}
        return self.start(name, *words, "-h", self.folder, "-U", "postgres", "postgres", **popen)

    def done(self, name, *words):
        with self.start(name, *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
            return self.said(run)

    def client(self, name, *words):
        with self.start_client(name, *words) as run:
            return self.said(run)

    @staticmethod
    def said(run):
        """What it printed until its end, which must be a good one."""
        out, _ = run.communicate(timeout=DEADLINE)
        assert run.returncode == 0, out
        return out

    def query(self, text):
        return self.client("psql", "-At", "-c", text).splitlines()

    @contextlib.contextmanager
    def under_load(self, *options):
        """pgbench beside the block. No transaction may fail, and the sums that each keeps must agree."""
        with self.start_client("pgbench", "--client=3", "--time=3600", *options) as load:
            try:
                yield
            finally:
                load.send_signal(signal.SIGALRM)  # to pgbench, the end of its time
            out = self.said(load)
        assert "number of failed transactions: 0 " in out, out
        sums = self.query("SELECT sum(abalance) FROM pgbench_accounts UNION SELECT sum(tbalance) FROM pgbench_tellers"
                          " UNION SELECT sum(bbalance) FROM pgbench_branches"
                          " UNION SELECT sum(delta) FROM pgbench_history")
        assert len(sums) == 1, sums

    def backends(self):
        """The processes that serve the load."""
        pids = []
        while len(pids) < 3:
            pids = self.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'")
        return [int(pid) for pid in pids]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.log += self.process.communicate(timeout=DEADLINE)[1]
        return self.process.returncode, "".join(self.log)


@contextlib.contextmanager
def started():
    """A server; None if there is no program for it."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), default=None,
                   key=lambda path: int(path.parts[4]))
    if not programs:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="alloctrace-postgres-") as folder:
        os.chown(folder, 65534, 65534)
        server = Postgres(programs.parent, folder)
        try:
            yield server
        finally:
            status, log = server.stop()
        assert status == 0 and "terminated by signal" not in log, log


@pytest.fixture
def postgres():
    with started() as server:
        if not server:
            pytest.skip("postgresql is not installed")
        yield server
