#!/usr/bin/python3
"""Makes the images beside this file: small heaps of several allocators and versions, each with what
the target itself says of it (mallinfo2 or the allocator's own statistics, its own blocks, what its
purge then returned).

    tests/images/make.py BUILD [NAME...]   after `make BUILD=…`; needs the suites of tools/fetch-glibc
                                           and tools/fetch-allocators
"""
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from heap_targets import Target, Tree  # noqa: E402

# Image: the variant of tests/e2e/heap_targets.py, and what it does to its heap.
HEAPS = {
    "2.31": ("2.31", ["fill mixed 60000 50 2 1", "fill fast 4000 60 1 2"]),
    "2.36": ("2.36", ["fill mixed 60000 50 2 1", "fill fast 4000 60 1 2"]),
    "2.36-threads": ("2.36", ["threads 2", "fill mixed 30000 60 4 3"]),
    "2.36-foreign": ("2.36", ["fill kb 20000 50 2 4", "foreign 5008", "fill kb 20000 50 2 5"]),
    "2.41": ("2.41", ["fill mixed 60000 50 2 1", "fill fast 4000 60 1 2"]),
    "2.43": ("newest", ["fill mixed 60000 50 2 1", "fill fast 4000 60 1 2"]),
    "static": ("static", ["fill mixed 60000 50 2 1", "fill fast 4000 60 1 2"]),
}

# Image: the library that is preloaded, the C library it goes with, and what is done to its heap.
PRELOADED = {
    "jemalloc-5.3": ("libjemalloc.so.2", "2.36", ["threads 2", "fill mixed 60000 50 2 1"]),
    "jemalloc-5.3-three-levels": ("libjemalloc.so.2", "2.41", ["threads 1", "fill mixed 60000 50 2 1"]),
    "jemalloc-5.3.1": ("libjemalloc.so.2", "newest", ["threads 2", "fill big 300000 50 1 1", "fill tiny 3000 50 1 2"]),
    "gperftools-2.10": ("libtcmalloc_minimal.so.4", "2.36", ["threads 2", "fill mixed 60000 50 2 1"]),
    "gperftools-2.18": ("libtcmalloc_minimal.so.4", "newest", ["threads 2", "fill mixed 60000 50 2 1"]),
}


def make(target, commands, purge, save, name):
    with target:
        for command in commands:
            target.ask(command)
        truth = target.ask("truth")
        subprocess.run([save, str(target.pid), HERE / f"{name}.img"], check=True)
        truth["returned"] = target.ask(purge)["returned"]
    (HERE / f"{name}.json").write_text(json.dumps(truth, indent=1) + "\n")


def main():
    tree, names = Tree(sys.argv[1]), sys.argv[2:] or [*HEAPS, *PRELOADED]
    save = tree.build / "tests" / "images" / "save"
    save.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O1", "-D_GNU_SOURCE", "-I", HERE.parents[1] / "user", HERE / "save.c", "-o", save,
                    tree.build / "liballoctrace.a", "-lz"], check=True)
    for name in names:
        if name in HEAPS:
            variant, commands = HEAPS[name]
            make(Target([tree.variant("heap_truth", variant)]), commands, "trim", save, name)
        else:
            library, glibc, commands = PRELOADED[name]
            make(tree.preloaded(library, glibc), commands, "purge", save, name)


main()
