"""`alloctrace purge` under test: many purges of one process, some of them killed at a random moment."""
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from attach_harness import DEADLINE, probes_left

# By hand, for the long proof: ALLOCTRACE_PURGES=1000 (and ALLOCTRACE_TEST_SECONDS).
PURGES = int(os.environ.get("ALLOCTRACE_PURGES", "12"))
KILLED_IN = 3  # one of so many purgers is killed


def purge(tree, pid, *words, **popen):
    """Its exit status, what it says as JSON (None: nothing), and stderr."""
    done = subprocess.run([str(tree.alloctrace), "purge", "--json", *map(str, words), str(pid)], capture_output=True,
                          text=True, timeout=DEADLINE, **popen)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def refused(tree, pid, *words, **popen):
    """Why it was not done; it must say so and fail."""
    status, said, err = purge(tree, pid, *words, **popen)
    assert status == 1, (said, err)
    assert said is None or not said["done"]
    return err if said is None else said["refused"] + " " + " ".join(t["why_not"] or "" for t in said["threads"])


def killed_purge(tree, pid, after):
    with subprocess.Popen([str(tree.alloctrace), "purge", "--json", str(pid)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as purger:
        time.sleep(after)
        purger.kill()
        out = purger.communicate(timeout=DEADLINE)[0]
        return purger.returncode == -signal.SIGKILL, out


def tracer_of(pid):
    found = set()
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            found |= {line for line in status.read_text().splitlines() if line.startswith("TracerPid:")}
        except OSError:  # the thread has ended
            pass
    return found


def purge_often(tree, pids, check, cnt=PURGES):
    """Purges in turn, with the kills; check() after each. How many were done, refused and killed, and how met."""
    tally = {"done": 0, "refused": 0, "killed": 0}
    met = {}
    took = 0.1
    for i in range(cnt):
        pid = pids[i % len(pids)]
        if i % KILLED_IN == KILLED_IN - 1:
            was_killed, _ = killed_purge(tree, pid, random.uniform(0, took))
            tally["killed"] += was_killed
        else:
            began = time.monotonic()
            status, said, err = purge(tree, pid)
            assert said, err
            assert (status == 0) == said["done"], (said, err)
            tally["done" if said["done"] else "refused"] += 1
            if said["done"]:
                how = said["call"]["met"], said["call"]["system_call"]
                met[how] = met.get(how, 0) + 1
                took = min(0.8 * took + 0.2 * (time.monotonic() - began), 2)
        check()
    for pid in pids:
        left = None
        for _ in range(100):
            left = tracer_of(pid)
            if left == {"TracerPid:\t0"}:
                break
            time.sleep(0.05)
        assert left == {"TracerPid:\t0"}
        assert probes_left(pid) == []
    print(tally, met)
    return tally
