"""Profiles for other tools, in files and pushed, against what the target itself has counted."""
import base64
import email
import json
import shutil
import socket
import subprocess
import time
import urllib.parse

import pytest

from attach_harness import DEADLINE, PYTHON, attach
from heap_targets import root_only, tree  # noqa: F401
from profiles import Profile, serving
from test_alloc_truth import worker

pytestmark = pytest.mark.usefixtures("as_root")

WEIGHTS = ["live", "allocated", "freed", "count", "pinned", "peak", "temporary", "retained"]


@pytest.fixture
def as_root():
    root_only()


def check(profile, said):
    """What happened since the attach, to the last byte; who freed is sampled."""
    assert profile.sum("count") == said["allocs"]
    assert profile.sum("allocated") == said["allocated"]
    assert profile.sum("live") == said["allocated"] - said["freed"]
    assert profile.sum("live_objects") == said["allocs"] - said["frees"]


def test_files_have_every_weight(tree, tmp_path):
    pprof, speedscope, folded, recording = (tmp_path / name for name in ("pprof", "speedscope", "folded", "recording"))
    with worker(tree.workload("alloc_truth")) as target:
        with attach(tree, target.pid, "--max-overhead", "none", "--pprof", pprof, "--speedscope", speedscope,
                    "--folded", folded, "--weight", "retained", "--output", recording) as tracer:
            tracer.ready()
            said = target.ask("go")
            final = tracer.stop()
        program = target.pid
    profile = Profile(pprof.read_bytes())
    check(profile, said)
    assert profile.default == "live"
    assert {name: profile.units[name] for name in WEIGHTS} == {
        name: "count" if name == "count" else "bytes" for name in WEIGHTS}
    assert f"process {program} (alloc_truth)" in profile.comments
    assert abs(profile.time - final["time"]) < 1 and abs(profile.duration - (final["time"] - final["started"])) < 1
    sites = final["allocs"]["sites"]
    for name, field in (("freed", "freed_here"), ("peak", "peak"), ("temporary", "temporary")):
        assert profile.sum(name) == sum(site[field] for site in sites), name
    assert profile.whole("retained") == final["retained"]
    # The program is the first object, and known by its build-id.
    path, build_id = profile.mappings[0]
    assert path == str(tree.workload("alloc_truth"))
    assert build_id in subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout
    # The other forms are of the same snapshot.
    assert sum(int(line.rsplit(" ", 1)[1]) for line in folded.read_text().splitlines()) == final["retained"]
    scopes = json.loads(speedscope.read_text())
    frames = len(scopes["shared"]["frames"])
    for scope in scopes["profiles"]:
        assert sum(scope["weights"]) == scope["endValue"] == profile.whole(scope["name"])
        assert len(scope["samples"]) == len(scope["weights"])
        assert all(0 <= frame < frames for sample in scope["samples"] for frame in sample)
    assert sorted(scope["name"] for scope in scopes["profiles"]) == sorted(WEIGHTS)

    def replayed(form):
        return subprocess.run([tree.alloctrace, "report", recording, "--format", form], capture_output=True,
                              timeout=DEADLINE, check=True).stdout

    # And a recording tells the same, later.
    assert replayed("speedscope") == speedscope.read_bytes()
    again = Profile(replayed("pprof"))
    assert again.samples == profile.samples and again.comments == profile.comments
    assert [build_id for _, build_id in again.mappings] == [build_id for _, build_id in profile.mappings]


SCRIPT = """
def hoard():
    return [bytes(5000) for _ in range(3000)]

def main():
    keep = hoard()
    return len(keep)

main()
"""


@pytest.fixture(scope="module")
def of_script(tree, tmp_path_factory):
    """A profile of a script, and the script's path."""
    root_only()
    folder = tmp_path_factory.mktemp("profiles")
    script, out = folder / "app.py", folder / "app.pb.gz"
    script.write_text(SCRIPT)
    subprocess.run([tree.alloctrace, "run", "--interval", "60", "--pprof", out, "--", PYTHON, script], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=DEADLINE)
    return out, script


def test_python_frames_are_functions_in_their_files(of_script):
    out, script = of_script
    profile = Profile(out.read_bytes())
    assert 3000 <= profile.sum("count", within="hoard") <= 3100
    frames = next(frames for frames, values in profile.samples
                  if values["count"] >= 3000 and any(frame[0] == "hoard" for frame in frames))
    ours = [frame for frame in frames if frame[1] == str(script)]
    assert [frame[0] for frame in ours][-3:] == ["hoard", "main", "<module>"]  # innermost first
    assert [frame[2] for frame in ours][-3:] == [3, 6, 9]


def test_go_tool_pprof_reads_it(of_script):
    out, script = of_script
    if not shutil.which("go"):
        pytest.skip("go is not installed")
    top = subprocess.run(["go", "tool", "pprof", "-top", "-cum", "-lines", "-sample_index=count", out],
                         capture_output=True, text=True, timeout=DEADLINE)
    assert top.returncode == 0, top.stderr
    assert f"main {script}:6" in top.stdout and f"<module> {script}:9" in top.stdout
    assert "Type: count" in top.stdout and "(python3)" in top.stdout


def pushed_form(request):
    """Of a form as Pyroscope takes it: the query's fields, the profile, the types' configuration."""
    path, headers, body = request
    address = urllib.parse.urlsplit(path)
    assert address.path == "/ingest"
    query = dict(urllib.parse.parse_qsl(address.query, strict_parsing=True))
    form = email.message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
    parts = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
             for part in form.get_payload()}
    assert sorted(parts) == ["profile", "sample_type_config"]
    return query, Profile(parts["profile"]), json.loads(parts["sample_type_config"])


def test_pushed_to_pyroscope(tree):
    """Profiles follow each other in time without a gap, and what they count adds up to the truth."""
    with worker(tree.workload("alloc_truth")) as target, serving() as server:
        with attach(tree, target.pid, "--max-overhead", "none", "--push", f"{server.url}/ingest?tenant=a",
                    "--push-interval", "0.25") as tracer:
            first = server.next()
            tracer.ready()
            target.ask("go")
            second = server.next()
            said = target.ask("go")
            final = tracer.stop()
        forms = [pushed_form(request) for request in (first, second, *server.rest())]
        assert "cannot push" not in tracer.stderr
    for name in ("count", "allocated"):
        assert sum(profile.sum(name) for _, profile, _ in forms) == said[{"count": "allocs"}.get(name, name)]
    query, last, config = forms[-1]
    assert last.sum("live") == final["allocs"]["live"]
    assert len(forms) > 2 and last.sum("count") < said["allocs"]
    assert config["live"] == {"units": "bytes", "aggregation": "average", "sampled": False,
                              "display-name": "inuse_live"}
    assert config["count"] == {"units": "objects", "aggregation": "sum", "sampled": False}
    assert set(last.types) <= set(config)
    assert query["tenant"] == "a" and query["name"].startswith(f"alloc_truth{{pid={target.pid},hostname=")
    for before, after in zip(forms, forms[1:]):
        assert before[0]["until"] == after[0]["from"]
    assert abs(int(query["until"]) - final["time"]) < 2


def test_pushed_to_parca(tree):
    with worker(tree.workload("alloc_truth")) as target, serving() as server:
        with attach(tree, target.pid, "--max-overhead", "none", "--push",
                    f"{server.url}/api/profiles/writeraw") as tracer:
            tracer.ready()
            said = target.ask("go")
            tracer.stop()
        path, headers, body = server.next()
        assert server.rest() == []  # a minute has not passed
    assert path == "/api/profiles/writeraw" and headers["Content-Type"] == "application/json"
    request = json.loads(body)
    assert request["normalized"] is True
    labels = {label["name"]: label["value"] for label in request["series"][0]["labels"]["labels"]}
    assert labels["__name__"] == "memory" and labels["job"] == "alloc_truth" and labels["pid"] == str(target.pid)
    check(Profile(base64.b64decode(request["series"][0]["samples"][0]["rawProfile"], validate=True)), said)


def test_a_server_that_refuses_is_said_once(tree):
    with worker(tree.workload("alloc_truth")) as target, serving(status=503) as server:
        with attach(tree, target.pid, "--max-overhead", "none", "--push",
                    f"{server.url.replace('//', '//me:secret@')}/ingest", "--push-interval", "0.1") as tracer:
            tracer.ready()
            for _ in range(3):
                server.next()
            said = target.ask("go")
            final = tracer.stop()
        # Nothing was taken: the last one has it all.
        last = pushed_form(server.rest()[-1])[1]
    check(last, said)
    assert final["allocs"]["allocs"] == said["allocs"]
    complaint, total = [line for line in tracer.complaints if "push" in line]
    assert complaint == (f"alloctrace: cannot push to {server.url}/ingest: HTTP status 503: the stand-in says so; "
                         "the next profile is tried again\n")
    assert "profiles 0 were pushed" in total and "secret" not in tracer.stderr


def test_a_server_that_never_answers_delays_nothing(tree):
    """Reports go on, and the end waits for it a few seconds; the port of nobody is known at once."""
    with worker(tree.workload("alloc_truth")) as target, serving(status=None) as server:
        with attach(tree, target.pid, "--max-overhead", "none", "--push", f"{server.url}/ingest",
                    "--push-interval", "0.1") as tracer:
            server.next()  # and it hangs
            tracer.ready()
            said = target.ask("go")
            tracer.until(lambda report: report["allocs"]["allocs"] == said["allocs"])
            tracer.next()
            began = time.monotonic()
            tracer.stop()
            assert time.monotonic() - began < 30  # the request's own end
        assert server.rest() == []
    assert "no answer yet at the end" in tracer.stderr and "profiles 0 were pushed" in tracer.stderr


def test_what_is_no_endpoint_is_said_at_once(tree):
    for url in ("localhost:4040", "http://localhost:4040/", "ftp://localhost/ingest", "http://localhost/writeraw"):
        done = subprocess.run([tree.alloctrace, "attach", "1", "--push", url], capture_output=True, text=True,
                              timeout=DEADLINE)
        assert done.returncode == 2 and "--push needs an URL that ends in /ingest (Pyroscope)" in done.stderr
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/ingest"
        done = subprocess.run([tree.alloctrace, "run", "--push", url, "--", "true"], capture_output=True, text=True,
                              timeout=DEADLINE)
    assert done.returncode == 0 and done.stderr.count(" push") == 1
