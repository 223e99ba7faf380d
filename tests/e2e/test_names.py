"""Functions, files and lines of those who call malloc, against what the targets say themselves."""
import http.server
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from attach_harness import LIBRARIES, NOBODY, attach
from heap_targets import root_only

FLAGS = ["-O2", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"]

C = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int line;
static __attribute__((noinline)) void *make_row(size_t size)
{
	void *row = malloc(size); line = __LINE__;
	__asm__ volatile("" :: "r"(row) : "memory");
	return row;
}
int main(void)
{
	make_row(1);
	printf("%d\\n", line);
	fflush(stdout);
	for (;;) {
		free(make_row(1000)); int call = __LINE__;
		__asm__ volatile("" :: "r"(call));
		usleep(1000);
	}
}
"""

CPP = """
#include <cstdio>
#include <cstdlib>
#include <unistd.h>
namespace store {
static int line;
template <class T> struct Pool {
	static inline __attribute__((always_inline)) T *grab(size_t cnt)
	{
		void *p = malloc(cnt * sizeof(T)); line = __LINE__;
		asm volatile("" :: "r"(p) : "memory");
		return static_cast<T *>(p);
	}
	__attribute__((noinline)) T *fill(size_t cnt)
	{
		T *p = grab(cnt); caller = __LINE__;
		asm volatile("" :: "r"(p) : "memory");
		return p;
	}
	int caller;
};
}
int main()
{
	store::Pool<long> pool;
	pool.fill(1);
	printf("%d %d\\n", store::line, pool.caller);
	fflush(stdout);
	for (;;) {
		free(pool.fill(100));
		usleep(1000);
	}
}
"""

RUST = """
mod store {
    pub struct Row { pub cells: Vec<u8> }
    impl Row {
        #[inline(never)]
        pub fn make(size: usize) -> (Row, u32) { (Row { cells: Vec::with_capacity(size) }, line!()) }
    }
}
fn main() {
    println!("{}", store::Row::make(1).1);
    loop {
        let (row, _) = store::Row::make(1000);
        std::hint::black_box(&row.cells);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
"""


def run(*words, **options):
    subprocess.run([*map(str, words)], check=True, **options)


@pytest.fixture
def built(tmp_path):
    """A function that builds a target from C, C++ or Rust source."""
    def build(name, source, *flags):
        suffix = {C: "c", CPP: "cc", RUST: "rs"}[source]
        path = tmp_path / f"{name}.{suffix}"
        path.write_text(source)
        program = tmp_path / name
        if suffix == "rs":
            if not shutil.which("rustc"):
                pytest.skip("rustc is not installed")
            run("rustc", "-O", "-g", "-C", "force-frame-pointers=yes", *flags, "-o", program, path)
        else:
            run({"c": "gcc", "cc": "g++"}[suffix], *FLAGS, *flags, "-o", program, path)
        return program
    return build


class Running:
    """A target that has printed its truth and goes on allocating."""

    def __init__(self, *command, cwd=None):
        self.process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True, cwd=cwd)
        self.truth = [int(word) for word in self.process.stdout.readline().split()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def stacks_of(tree, target, tmp_path, **options):
    """The frames of the stack that allocated most, outermost first."""
    root_only()
    out = tmp_path / "folded"
    with attach(tree, target.process.pid, "--max-overhead", "none", "--folded", out, "--weight", "count",
                **options) as tracer:
        tracer.ready()
        tracer.until(lambda report: report["allocs"]["allocs"] > 20)
        tracer.stop()
    first = out.read_text().splitlines()[0]
    return first.rsplit(" ", 1)[0].split(";")


def separate(program, place):
    """Moves the debug information of a program to place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    run("objcopy", "--only-keep-debug", program, place)
    run("strip", "--strip-all", program)


def build_id(program):
    notes = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True).stdout
    return notes.split("Build ID: ")[1].split()[0]


def test_lines_of_c(tree, built, tmp_path):
    with Running(built("rows", C)) as target:
        frames = stacks_of(tree, target, tmp_path)
        assert frames[-1] == f"rows:make_row (rows.c:{target.truth[0]})"
        assert frames[-2].startswith("rows:main (rows.c:")


def test_what_was_inlined_has_frames_and_lines(tree, built, tmp_path):
    with Running(built("pool", CPP)) as target:
        frames = stacks_of(tree, target, tmp_path)
        assert frames[-1] == f"pool:store::Pool<long>::grab (pool.cc:{target.truth[0]})"
        assert frames[-2] == f"pool:store::Pool<long>::fill (pool.cc:{target.truth[1]})"
        assert frames[-3].startswith("pool:main (pool.cc:")


@pytest.mark.parametrize("mangling", ["legacy", "v0"])
def test_rust(tree, built, tmp_path, monkeypatch, mangling):
    flags = ["-C", f"symbol-mangling-version={mangling}"]
    if mangling == "legacy":
        flags += ["-Z", "unstable-options"]  # what is no longer the default asks for it
        monkeypatch.setenv("RUSTC_BOOTSTRAP", "1")
    with Running(built("rust", RUST, *flags)) as target:
        frames = stacks_of(tree, target, tmp_path)
        assert f"rust:rust::store::Row::make (rust.rs:{target.truth[0]})" in frames or \
            f"rust:<rust::store::Row>::make (rust.rs:{target.truth[0]})" in frames, frames


def test_symbols_without_debug_information(tree, built, tmp_path):
    program = built("rows", C)
    run("strip", "--strip-debug", program)
    with Running(program) as target:
        assert stacks_of(tree, target, tmp_path)[-2:] == ["rows:main", "rows:make_row"]


def test_nothing_known(tree, built, tmp_path):
    program = built("rows", C)
    run("strip", "--strip-all", program)
    with Running(program) as target:
        frames = stacks_of(tree, target, tmp_path)
        assert [frame.split("+")[0] for frame in frames[-2:]] == ["rows", "rows"]


def test_debug_file_by_build_id(tree, built, tmp_path):
    """In the system's folder of the target's own root, which is not ours."""
    program = built("rows", C)
    root = tmp_path / "root"
    name = build_id(program)
    separate(program, root / f"usr/lib/debug/.build-id/{name[:2]}/{name[2:]}.debug")
    shutil.copy(program, root)
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
    for path in [word for word in libraries if word.startswith("/")]:
        (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(path).resolve(), root / path.lstrip("/"))
    with Running("chroot", root, "/rows") as target:
        frames = stacks_of(tree, target, tmp_path)
        assert frames[-1] == f"rows:make_row (rows.c:{target.truth[0]})"


@pytest.mark.parametrize("has_build_id", [True, False])
def test_debug_file_by_link(tree, built, tmp_path, has_build_id):
    program = built("rows", C, "-Wl,--build-id" if has_build_id else "-Wl,--build-id=none")
    separate(program, tmp_path / ".debug/rows.debug")
    run("objcopy", "--add-gnu-debuglink=.debug/rows.debug", program, cwd=tmp_path)
    with Running(program) as target:
        frames = stacks_of(tree, target, tmp_path)
        assert frames[-1] == f"rows:make_row (rows.c:{target.truth[0]})"


def test_a_debug_file_of_another_program_is_not_believed(tree, built, tmp_path):
    program = built("rows", C)
    separate(program, tmp_path / "rows.debug")
    run("objcopy", "--add-gnu-debuglink=rows.debug", program, cwd=tmp_path)
    shutil.copy(built("other", CPP), tmp_path / "rows.debug")
    with Running(program) as target:
        assert stacks_of(tree, target, tmp_path)[-1].startswith("rows+0x")


@pytest.fixture
def debug_server():
    """A debuginfod on this machine: what it serves, by path, and its address."""
    files, asked = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = files.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield files, asked, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("wanted", [True, False])
def test_debug_file_of_a_server(tree, built, tmp_path, debug_server, wanted):
    """Asked for only if DEBUGINFOD_URLS is set."""
    if not list(LIBRARIES.glob("libdebuginfod.so.1")):
        pytest.skip("libdebuginfod is not installed")
    files, asked, url = debug_server
    program = built("rows", C)
    name = build_id(program)
    separate(program, tmp_path / "elsewhere.debug")
    files[f"/buildid/{name}/debuginfo"] = (tmp_path / "elsewhere.debug").read_bytes()
    env = {word: value for word, value in os.environ.items() if not word.startswith("DEBUGINFOD")}
    env["DEBUGINFOD_CACHE_PATH"] = str(tmp_path / "cache")
    if wanted:
        env["DEBUGINFOD_URLS"] = url
    with Running(program) as target:
        frames = stacks_of(tree, target, tmp_path, env=env)
        if wanted:
            assert frames[-1] == f"rows:make_row (rows.c:{target.truth[0]})"
        else:
            assert frames[-1].startswith("rows+0x") and not asked


def test_small_symbol_table_in_the_object(tree, built, tmp_path):
    """.gnu_debugdata, as Fedora makes it."""
    program = built("rows", C)
    mini = tmp_path / "mini"
    run("objcopy", "--only-keep-debug", program, mini)
    run("strip", "--strip-debug", mini)
    run("xz", mini)
    run("strip", "--strip-all", program)
    run("objcopy", "--add-section", f".gnu_debugdata={mini}.xz", program)
    with Running(program) as target:
        assert stacks_of(tree, target, tmp_path)[-2:] == ["rows:main", "rows:make_row"]


def test_deleted_after_its_start(tree, built, tmp_path):
    program = built("rows", C)
    with Running(program) as target:
        program.unlink()
        frames = stacks_of(tree, target, tmp_path)
        assert frames[-1] == f"rows:make_row (rows.c:{target.truth[0]})"


def test_names_after_its_end(tree, built, tmp_path):
    """The file is gone too: what the tracer has open is all there is."""
    program = built("rows", C)
    root_only()
    out = tmp_path / "folded"
    with Running(program) as target:
        with attach(tree, target.process.pid, "--max-overhead", "none", "--folded", out,
                    "--weight", "count") as tracer:
            tracer.ready()
            tracer.until(lambda report: report["allocs"]["allocs"] > 20)
            program.unlink()
            target.process.kill()
            final = tracer.finish()
        assert final["ended"].startswith("the target")
        assert f"rows:make_row (rows.c:{target.truth[0]})" in out.read_text()


def test_json_has_the_same_text(tree, built, tmp_path):
    root_only()
    with Running(built("pool", CPP)) as target:
        with attach(tree, target.process.pid, "--max-overhead", "none") as tracer:
            tracer.ready()
            tracer.until(lambda report: report["allocs"]["allocs"] > 20)
            final = tracer.stop()
        stack = max(final["allocs"]["sites"], key=lambda site: site["allocs"])["stack"]
        assert stack[-1] == f"pool:store::Pool<long>::grab (pool.cc:{target.truth[0]})"


NODE = """
function hot(n) { const rows = []; for (let i = 0; i < n; i++) rows.push(Buffer.allocUnsafeSlow(5000)); return rows; }
hot(1);
console.log(1);
setInterval(() => hot(10), 5);
"""


@pytest.fixture
def readable():
    """A folder that any user may use, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.parametrize("prefix", [[], NOBODY])
def test_code_of_a_jit(tree, tmp_path, readable, prefix):
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    root_only()
    out = tmp_path / "folded"
    script = readable / "hot.js"
    script.write_text(NODE)
    with Running(*prefix, "node", "--perf-basic-prof", "--interpreted-frames-native-stack", script, cwd=readable) as target:
        try:
            with attach(tree, target.process.pid, "--max-overhead", "none", "--folded", out) as tracer:
                tracer.ready()
                tracer.until(lambda report: report["allocs"]["allocs"] > 200)
                tracer.stop()
        finally:
            Path(f"/tmp/perf-{target.process.pid}.map").unlink(missing_ok=True)
    assert "hot (hot.js:2)" in out.read_text()
