"""dlopen churn, counted exactly, and that a probed loader still works as before."""
import json
import os
import subprocess

import pytest

from attach_harness import ROOT, PythonTarget, Target, attached, churn, library, mimalloc, purges

PLUGIN = ROOT / "tests" / "workload" / "plugin"


def build(*command):
    subprocess.run([str(word) for word in command], check=True)


def test_churn_of_1400_opens(tree):
    """Every open, close, repeat, new mapping and failure is counted."""
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        target.do("import _ctypes\n"
                  "handles = [ctypes.CDLL('libbz2.so.1.0')._handle for _ in range(1400)]")
        target.do("for handle in handles[400:]: _ctypes.dlclose(handle)")
        target.do("for _ in range(30):\n"
                  "    try: ctypes.CDLL('libdoesnotexist.so.9')\n"
                  "    except OSError: pass")
        target.do("ctypes.CDLL(None)")
        final = tracer.stop()
        bz2 = churn(final, "libbz2.so")
        assert bz2["opens"] == 1400 and bz2["failures"] == 0
        assert bz2["new_mappings"] + bz2["repeats"] == 1400
        assert bz2["new_mappings"] == 1
        assert bz2["closes"] == 1000
        assert bz2["ns"] > 0
        gone = churn(final, "libdoesnotexist.so.9")
        assert (gone["opens"], gone["failures"], gone["repeats"], gone["new_mappings"]) == (30, 30, 0, 0)
        assert churn(final, "(main program)")["opens"] == 1
        flagged = {row["library"] for row in final["dlopen"] if row["flagged"]}
        assert len(flagged) == 2 and any("libbz2.so" in name for name in flagged)
        assert all(row["stack"] for row in final["dlopen"])
        assert final["lost"] == {}


def test_open_and_close_maps_anew(tree):
    """A library that is closed for good is mapped again by the next open."""
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        fresh = target.do(
            "import _ctypes\nname = 'libbz2.so.1.0'\n"
            "result = name not in open('/proc/self/maps').read()\n"
            "for _ in range(50): _ctypes.dlclose(ctypes.CDLL(name)._handle)\n")
        rows = churn(tracer.stop(), "libbz2.so")
        assert fresh
        assert (rows["opens"], rows["closes"], rows["new_mappings"], rows["repeats"]) == (50, 50, 50, 0)


def test_opening_a_dependency_maps_nothing(tree):
    """The first dlopen of a library that is there already, as a dependency: a full run of the loader, nothing new."""
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        mapped = target.do("result = 'libexpat.so.1' in open('/proc/self/maps').read()\n"
                           "for _ in range(3): ctypes.CDLL('libexpat.so.1')")
        rows = churn(tracer.stop(), "libexpat.so")
        assert mapped
        assert (rows["opens"], rows["repeats"], rows["new_mappings"]) == (3, 3, 0)


def test_flagged_from_churn_min(tree):
    with PythonTarget() as target, attached(tree, target.pid, "--churn-min", "5") as tracer:
        target.do("for _ in range(5): ctypes.CDLL('libc.so.6')\nfor _ in range(4): ctypes.CDLL('libm.so.6')")
        final = tracer.stop()
        flagged = [row["library"] for row in final["dlopen"] if row["flagged"]]
        assert len(flagged) == 1 and "libc.so.6" in flagged[0]
        assert final["dlopen"][0]["opens"] == 5


def test_libraries_loaded_later_are_probed(tree):
    """From a file that nobody saw before: its first calls may come before the probes, later ones do not."""
    path = mimalloc()
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        target.do("import shutil, tempfile\nfolder = tempfile.mkdtemp()\n"
                  f"mi = ctypes.CDLL(shutil.copy({path!r}, folder))\nshutil.rmtree(folder)")

        def seen(report):
            target.do("mi.mi_collect(ctypes.c_bool(True))")
            return purges(report, "mi_collect")

        tracer.until(seen)
        assert all(purge["misdirected"] for purge in purges(tracer.stop(), "mi_collect"))


def test_runpath_plugin_loads_while_probed(tree, tmp_path):
    """dlopen reads its own return address to find the caller's RUNPATH: a return probe would break this."""
    leaves = tmp_path / "leaves"
    leaves.mkdir()
    build("gcc", "-shared", "-fPIC", PLUGIN / "leaf.c", "-o", leaves / "libleaf.so")
    build("gcc", "-shared", "-fPIC", PLUGIN / "branch.c", "-o", tmp_path / "libbranch.so",
          "-Wl,-rpath,$ORIGIN/leaves,--enable-new-dtags", "-ldl")
    build("gcc", PLUGIN / "trunk.c", "-o", tmp_path / "trunk", f"-L{tmp_path}", "-lbranch",
          "-Wl,-rpath,$ORIGIN,--enable-new-dtags")
    with Target([tmp_path / "trunk"]) as target:
        assert target.ask("open") == {"loaded": True}
        with attached(tree, target.pid) as tracer:
            for _ in range(50):
                assert target.ask("open") == {"loaded": True}
            rows = churn(tracer.stop(), "libleaf.so")
        assert (rows["opens"], rows["closes"], rows["new_mappings"], rows["failures"]) == (50, 50, 50, 0)
        assert target.ask("open") == {"loaded": True}


@pytest.mark.parametrize("preload", [None, "libjemalloc.so.2"])
def test_throws_through_everything_probed(tree, tmp_path, preload):
    """A C++ program that throws inside, between and around every call that is probed; jemalloc has an
    operator new of its own, which throws too (mimalloc's aborts)."""
    env = {**os.environ, **({"LD_PRELOAD": library(preload)} if preload else {})}
    build("g++", "-O1", "-shared", "-fPIC", PLUGIN / "thrower.cc", "-o", tmp_path / "libthrower.so")
    build("g++", "-O1", PLUGIN / "catcher.cc", "-o", tmp_path / "catcher", "-ldl")
    with Target([tmp_path / "catcher", tmp_path / "libthrower.so"], env=env) as target:
        alone = target.ask("throw 20")
        assert alone["caught"] == alone["thrown"] > 0
        with attached(tree, target.pid, "--max-overhead", "none") as tracer:
            probed = target.ask("throw 200")
            assert probed["caught"] == probed["thrown"] == 10 * alone["thrown"]
            final = tracer.stop()
        assert churn(final, "libthrower.so")["opens"] == 200
        assert len(final["purges"]) == 400
        assert target.ask("throw 20") == alone


def test_loader_and_dlopen_from_many_threads(tree):
    with PythonTarget() as target, attached(tree, target.pid) as tracer:
        target.do("import threading\n"
                  "def work():\n    for _ in range(250): ctypes.CDLL('libbz2.so.1.0')\n"
                  "threads = [threading.Thread(target=work) for _ in range(8)]\n"
                  "[t.start() for t in threads]; [t.join() for t in threads]")
        final = tracer.stop()
        bz2 = churn(final, "libbz2.so")
        assert bz2["opens"] == 2000 and bz2["new_mappings"] == 1 and bz2["repeats"] == 1999, json.dumps(final["lost"])
