"""Every name and every purge of every allocator, preloaded, linked into the program, under a prefix:
against what the program itself has called (tests/workload/names_truth.c)."""
import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from attach_harness import MIB, NOBODY, attach, library, text_differences
from heap_targets import LIBDIR, SOURCES, Target, root_only, tree, unpack  # noqa: F401

PRELOADS = {"jemalloc": ("libjemalloc.so.2",), "gperftools": ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4"),
            "mimalloc": ("libmimalloc.so.2", "libmimalloc.so.3"), "glibc": None}


@pytest.fixture(autouse=True)
def as_root():
    root_only()


def environment(preload=None):
    env = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    return {**env, **({"LD_PRELOAD": library(*preload)} if preload else {})}


def check_purges(seen, called, allocator):
    """Each is seen once, by its name, with what it gave back; nothing else is."""
    assert [(p["function"], p["argument"]) for p in seen] == [(p["function"], p["argument"]) for p in called]
    for purge, truth in zip(seen, called):
        trims = purge["function"] == "malloc_trim"  # glibc is there too
        assert purge["allocator"] == ("glibc" if trims else allocator)
        assert purge["misdirected"] is False or trims
        assert abs(purge["returned"] - max(truth["drop"], 0)) <= MIB // 4, (purge, truth)
        assert purge["effective"] is (purge["returned"] >= max(MIB, (purge["predicted"] or 0) // 4)), purge


def check_all(tree, target, allocator, *options, background=False):
    """Each call of each name is one event; each purge is one; what left RSS without a purge (decay, release
    or trim at a free, a background thread) is charged to the allocator, and counts as one."""
    with attach(tree, target.pid, "--max-overhead", "none", "--stack", "none", *options) as tracer:
        tracer.ready()
        target.ask("go")
        target.ask("go")
        # Beside a thread that purges in the background, no drop is one call's.
        purges = target.ask("purge")["purges"] if not background else []
        drop = target.ask("idle")["drop"]
        said = target.ask("count")
        final = tracer.stop()
    allocs = final["allocs"]
    assert final["lost"] == {}
    assert {name: allocs[name] - said[name] for name in ("allocs", "frees", "allocated", "freed")} == {
        "allocs": 0, "frees": 0, "allocated": 0, "freed": 0}, said
    assert allocs["live"] == allocs["live_blocks"] == 0
    assert allocs["freed_before"] == {"count": 0, "bytes": 0}
    check_purges(final["purges"], purges, allocator)
    assert purges or background
    assert [a["serving"] for a in final["allocators"] if a["name"] == allocator] == [True]
    own, = [row for row in final["returned"]["by_allocator"] if row["allocator"] == allocator]
    assert drop > 12 * MIB and own["purges"] >= 1
    assert drop - MIB <= own["bytes"] <= sum(final["returned"][way] for way in ("trim", "munmap", "madvise"))


@pytest.mark.parametrize("allocator,env", [
    ("jemalloc", {"MALLOC_CONF": "dirty_decay_ms:200"}),
    ("jemalloc", {"MALLOC_CONF": "dirty_decay_ms:200,background_thread:true"}),
    ("gperftools", {"TCMALLOC_RELEASE_RATE": "10"}),
    ("mimalloc", {"MIMALLOC_DECOMMIT_DELAY": "0", "MIMALLOC_SEGMENT_DECOMMIT_DELAY": "0", "MIMALLOC_PURGE_DELAY": "0"}),
    ("glibc", {})], ids=lambda value: value if isinstance(value, str) else "-".join(value.values()))
def test_a_preloaded_allocator(tree, allocator, env):
    with Target([tree.workload("names_truth")], env={**environment(PRELOADS[allocator]), **env}) as target:
        check_all(tree, target, allocator, background="background" in str(env))


def test_what_an_allocator_returns_by_itself_ends_a_window(tree):
    """Two seconds of decay: what it takes ends the window that the frees have opened."""
    env = {**environment(PRELOADS["jemalloc"]), "MALLOC_CONF": "dirty_decay_ms:2000"}
    with Target([tree.workload("names_truth")], env=env) as target:
        with attach(tree, target.pid, "--no-alloc", "--retained-min", "4M", "--window-min", "0") as tracer:
            tracer.ready()
            target.ask("idle")
            final = tracer.stop()
    first = final["windows"][0]
    assert first["closed_by_allocator"] is True and first["closed_by_purge"] is False
    assert first["end"] and final["purges"] == []


# What an allocator can be linked into: its archive, in which Debian package; static or not; under a prefix.
LINKED = {
    "jemalloc-static": ("libjemalloc-dev", "libjemalloc_pic.a", ["-static"], ""),
    "jemalloc-rust": ("libjemalloc-dev", "libjemalloc_pic.a", [], "_rjem_"),
    "jemalloc-rust-static": ("libjemalloc-dev", "libjemalloc_pic.a", ["-static-pie"], "_rjem_"),
    "jemalloc-other": ("libjemalloc-dev", "libjemalloc_pic.a", [], "other_"),
    "gperftools": ("libgoogle-perftools-dev", "libtcmalloc_minimal.a", [], ""),
    "gperftools-static": ("libgoogle-perftools-dev", "libtcmalloc_minimal.a", ["-static"], ""),
}


@functools.lru_cache
def unpacked(build, package):
    """The package's files, unpacked below BUILD/packages, once; or why they cannot be had."""
    root = build / "packages" / package
    root.parent.mkdir(exist_ok=True)
    done = root.exists() or unpack(build, "suite-unpack", "bookworm", root, package)
    return root if root.exists() else done.stderr.strip()


def rename(archive, prefix, out):
    """A copy whose C functions have the prefix, as jemalloc's own build makes them."""
    names = subprocess.run(["nm", "--defined-only", "-g", archive], capture_output=True, text=True).stdout
    plain = sorted({words[2] for words in map(str.split, names.splitlines())
                    if len(words) == 3 and words[1] == "T" and not words[2].startswith(("je_", "_Z"))})
    table = out.with_suffix(".names")
    table.write_text("".join(f"{name} {prefix}{name}\n" for name in plain))
    subprocess.run(["objcopy", f"--redefine-syms={table}", archive, out], check=True)
    return out


def linked(tree, name):
    """The program that counts, with the allocator linked in."""
    package, archive, flags, prefix = LINKED[name]
    root = unpacked(tree.build, package)
    if isinstance(root, str):
        pytest.skip(root)
    archive = root / "usr" / "lib" / LIBDIR / archive
    out = tree.build / "tests" / "workload" / "linked" / name
    source = SOURCES / "names_truth.c"
    if out.exists() and out.stat().st_mtime > source.stat().st_mtime:
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    if prefix:
        archive = rename(archive, prefix, out.with_suffix(".a"))
    subprocess.run(["gcc", "-O1", "-g", "-D_GNU_SOURCE", "-fno-builtin", "-w", "-DSTATIC", f"-DPREFIX={prefix}", *flags,
                    source, "-o", out, "-Wl,--whole-archive", archive, "-Wl,--no-whole-archive", "-lpthread", "-ldl",
                    "-lm", "-lstdc++"], check=True)
    return out


DECAYS = {"MALLOC_CONF": "dirty_decay_ms:200", "TCMALLOC_RELEASE_RATE": "10"}


@pytest.mark.parametrize("name", LINKED)
def test_an_allocator_linked_in(tree, name):
    named = ["-S", LINKED[name][3]] if name == "jemalloc-other" else []
    with Target([linked(tree, name)], env={**environment(), **DECAYS}) as target:
        check_all(tree, target, name.split("-")[0], *named)


def check_counts(tree, target, *options):
    """Each call is one event, where there is no purge to look at; the last object."""
    with attach(tree, target.pid, "--max-overhead", "none", "--stack", "none", *options) as tracer:
        tracer.ready()
        target.ask("go")
        target.ask("go")
        said = target.ask("count")
        final = tracer.stop()
    fields = ("allocs", "frees", "allocated", "freed")
    assert {field: final["allocs"][field] for field in fields} == {field: said[field] for field in fields}
    assert final["lost"] == {}
    return final, said


def unknown(tree, name, *flags):
    """A library with an allocator that no row names, and a program that calls it by its prefix."""
    folder = tree.build / "tests" / "workload" / "unknown"
    folder.mkdir(parents=True, exist_ok=True)
    pool, program = folder / f"lib{name}.so", folder / name
    subprocess.run(["gcc", "-O1", "-g", "-shared", "-fPIC", "-fno-builtin", *flags, SOURCES / "preload" / "pool.c", "-o",
                    pool], check=True)
    subprocess.run(["gcc", "-O1", "-g", "-D_GNU_SOURCE", "-fno-builtin", "-w", *flags, SOURCES / "names_truth.c", "-o",
                    program, "-ldl"], check=True)
    return pool, program


@pytest.mark.parametrize("name,flags,options,shown", [
    ("prefixed", ["-DPREFIX=pool_"], ["-S", "pool_", "-O", "libprefixed.so"], "libprefixed.so pool_malloc"),
    ("plain", [], ["-O", "{pool}"], "libplain.so")])
def test_an_allocator_that_the_user_names(tree, name, flags, options, shown):
    pool, program = unknown(tree, name, *flags)
    with Target([program], env={**environment(), "LD_PRELOAD": str(pool)}) as target:
        final, said = check_counts(tree, target, *(option.format(pool=pool) for option in options))
    assert said["calls"].keys() == {flags[0].split("=")[1] + call if flags else call for call in (
        "malloc", "calloc", "realloc", "free", "memalign", "posix_memalign")}
    allocator, = [a for a in final["allocators"] if a["name"] == shown]
    assert allocator["serving"] is True
    assert final["missing"] == []


def test_one_that_is_not_there(tree):
    with Target([tree.workload("names_truth")], env=environment()) as target:
        with attach(tree, target.pid, "-S", "nowhere_") as tracer:
            tracer.ready()
            final = tracer.stop()
    assert final["missing"] == ["no object of this process holds the allocator that was named (nowhere_malloc)"]


@pytest.mark.parametrize("flags", [[], ["-static", "-DSTATIC"]], ids=["dynamic", "static"])
def test_musl(tree, tmp_path, flags):
    if not shutil.which("musl-gcc"):
        pytest.skip("musl-gcc is not installed")
    program = tmp_path / "on_musl"
    subprocess.run(["musl-gcc", "-O1", "-g", "-D_GNU_SOURCE", "-fno-builtin", "-w", *flags, SOURCES / "names_truth.c",
                    "-o", program], check=True)
    with Target([program], env=environment()) as target:
        final, said = check_counts(tree, target)
    assert [(a["name"], a["serving"]) for a in final["allocators"]] == [("musl", True)]
    assert {"malloc", "realloc", "free"} <= said["calls"].keys()
    assert final["missing"] == []


def test_a_static_program_without_symbols(tree, tmp_path):
    """Nothing can be probed, which one line says; its heap is read all the same."""
    program = tmp_path / "stripped"
    subprocess.run(["gcc", "-static", "-s", "-O1", "-D_GNU_SOURCE", "-fno-builtin", "-w", "-DSTATIC",
                    SOURCES / "names_truth.c", "-o", program], check=True)
    with Target([program], env=environment()) as target:
        target.ask("go")
        said = allocators(tree, target.pid)
        with attach(tree, target.pid, "-S", "my_") as tracer:
            tracer.ready()
            final = tracer.stop()
    line = f"{program} is a static program without symbols: none of its calls is seen"
    assert said["missing"] == [line] and line in final["missing"]
    assert [(a["name"], a["object"], a["serving"], a["probes"]) for a in said["allocators"]] == [("glibc", None, True, [])]


def test_several_allocators_in_one_process(tree):
    """mimalloc preloaded, jemalloc linked in under a prefix, one that the user names, glibc idle below."""
    pool, _ = unknown(tree, "prefixed", "-DPREFIX=pool_")
    preload = f"{library(*PRELOADS['mimalloc'])}:{pool}"
    with Target([linked(tree, "jemalloc-rust")], env={**environment(), "LD_PRELOAD": preload}) as target:
        final, said = check_counts(tree, target, "-S", "pool_")
        rows = {a["name"]: a["serving"] for a in allocators(tree, "-S", "pool_", target.pid)["allocators"]}
    assert {a["name"]: a["serving"] for a in final["allocators"]} == rows
    assert rows == {"mimalloc": True, "jemalloc": True, "pool_malloc": True, "glibc": False}
    assert all(name.startswith(("_rjem_", "_Z")) for name in said["calls"])


def allocators(tree, *words, **popen):
    """What `alloctrace allocators --json` says."""
    done = subprocess.run([tree.alloctrace, "allocators", "--json", *map(str, words)], capture_output=True, text=True,
                          timeout=60, **popen)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def patched(pid):
    """The instructions of a process that are breakpoints: (path, offset in the file)."""
    places, starts = set(), []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, offset, _, inode, *name = line.split()
        if inode != "0":
            start, end = (int(address, 16) for address in span.split("-"))
            starts.append((start, end, int(offset, 16), name[0]))
    for address in text_differences(pid):
        start, end, offset, name = next(m for m in starts if m[0] <= address < m[1])
        places.add((name, address - start + offset))
    return places


@pytest.mark.parametrize("allocator", ["jemalloc", "glibc"])
def test_the_outlook_is_where_attach_places_probes(tree, allocator):
    with Target([tree.workload("names_truth")], env=environment(PRELOADS[allocator])) as target:
        said = allocators(tree, target.pid)
        assert patched(target.pid) == set()
        with attach(tree, target.pid) as tracer:
            tracer.ready()
            probed = patched(target.pid)
            tracer.stop()
    serving = [a for a in said["allocators"] if a["serving"]]
    assert [a["name"] for a in serving] == [allocator] and said["allocators"][0] == serving[0]
    assert serving[0]["version"]
    probes = [p for a in said["allocators"] for p in a["probes"]] + said["probes"]
    expected = {(p["object"], int(p["file_offset"], 16) + p["entry"]) for p in probes}
    assert expected <= probed
    # What else there is are their exits, each of which may be that of several; frees called anew by glibc itself.
    assert len(probed - expected) <= sum(p["exits"] for p in probes) + 2
    assert {"malloc", "free"} <= {p["function"] for p in serving[0]["probes"]}
    for probe in probes:
        assert probe["cost_ns"] >= said["costs"]["free_ns"]


def test_what_is_known(tree):
    said = allocators(tree)["known"]
    assert {"glibc", "mimalloc", "jemalloc", "gperftools", "musl"} <= {a["name"] for a in said}
    jemalloc, = [a for a in said if a["name"] == "jemalloc"]
    assert jemalloc["purge_functions"] == ["mallctl", "mallctlbymib"] and "_rjem_" in jemalloc["prefixes"]
    text = subprocess.run([tree.alloctrace, "allocators"], capture_output=True, text=True).stdout
    assert all(a["name"] in text for a in said)


def test_the_outlook_of_others_processes_and_of_none(tree):
    with Target([tree.workload("names_truth")], env=environment()) as target:
        text = subprocess.run([tree.alloctrace, "allocators", str(target.pid)], capture_output=True, text=True).stdout
        assert text.startswith(f"names_truth ({target.pid}): 1 allocator,") and "malloc_trim" in text
        done = subprocess.run([*NOBODY, tree.alloctrace, "allocators", str(target.pid)], capture_output=True, text=True)
        assert done.returncode == 1 and "run as that user, or with sudo" in done.stderr
    with Target([*NOBODY, tree.workload("names_truth")], env=environment()) as target:
        done = subprocess.run([*NOBODY, tree.alloctrace, "allocators", "--json", str(target.pid)], capture_output=True,
                              text=True)
        said = json.loads(done.stdout)  # where, but not what it costs
        assert said["costs"] is None and "permission denied" in said["costs_unknown"]
        assert said["allocators"][0]["probes"][0]["cost_ns"] is None
    done = subprocess.run([tree.alloctrace, "allocators", "4194304"], capture_output=True, text=True)
    assert done.returncode == 1 and "4194304" in done.stderr and done.stdout == ""
