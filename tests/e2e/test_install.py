"""`make install` and `uninstall`, the man page and the completion."""
import os
import shutil
import subprocess

import pytest

from heap_targets import ROOT

FILES = ["bin/alloctrace", "share/man/man8/alloctrace.8", "share/bash-completion/completions/alloctrace"]
MAN = ROOT / "user" / "command" / "alloctrace.8"
COMPLETION = ROOT / "user" / "command" / "alloctrace.bash"


def make(tree, *words):
    build = os.path.relpath(tree.build, ROOT)
    subprocess.run(["make", "-C", ROOT, f"BUILD={build}", *words], check=True, stdout=subprocess.DEVNULL)


def installed(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("prefix", ["/usr/local", "/opt/tools"])
def test_install_and_uninstall(tree, tmp_path, prefix):
    words = [f"DESTDIR={tmp_path}", f"PREFIX={prefix}"]
    make(tree, "install", *words)
    assert installed(tmp_path) == sorted(f"{prefix}/{name}".lstrip("/") for name in FILES)
    program = tmp_path / prefix.lstrip("/") / "bin" / "alloctrace"
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("alloctrace ")
    make(tree, "uninstall", *words)
    assert installed(tmp_path) == []


def test_man_page_renders_without_warnings(tree):
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    done = subprocess.run(["man", "--warnings", "-l", MAN], capture_output=True, text=True,
                          env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"})
    assert done.returncode == 0
    assert done.stderr == ""
    for word in ("attach", "run", "heap", "misdirected", "purgeable", "final"):
        assert word in done.stdout, word


def option_words(text):
    words = text.replace("[", " ").replace("]", " ").replace(",", " ").split()
    return {word for word in words if word.startswith("--") and len(word) > 2}


@pytest.mark.parametrize("command", ["attach", "top", "run", "diff", "heap", "check"])
def test_every_option_is_documented_and_completed(tree, command):
    usage = subprocess.run([tree.alloctrace, command, "--help"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in usage.splitlines() if line.startswith("  ") and "--" in line[:12]]
    options = {word for line in lines for word in option_words(line[:26])}
    assert ("--json" in options) == (command != "top") and "--help" in options
    manual = MAN.read_text().replace("\\-", "-")
    missing = {option for option in options if option not in manual}
    assert not missing
    script = (f'source "{COMPLETION}"; COMP_WORDS=(alloctrace {command} --); COMP_CWORD=2; COMP_LINE="alloctrace {command} --"; '
              'COMP_POINT=${#COMP_LINE}; f=$(complete -p alloctrace | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
              '"$f" alloctrace -- ' + command + '; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert options <= {word.rstrip("= ") for word in done.stdout.split()}


def test_completion_sources_alone(tree):
    done = subprocess.run(["bash", "--norc", "-euc", f'source "{COMPLETION}"; complete -p alloctrace'],
                          capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("words, status", [(["--help"], 0), (["--version"], 0), ([], 2), (["frobnicate"], 2),
                                           (["--frobnicate"], 2)], ids=lambda value: str(value))
def test_first_level(tree, words, status):
    done = subprocess.run([tree.alloctrace, *words], capture_output=True, text=True)
    assert done.returncode == status
    if status:
        assert done.stderr and not done.stdout
    else:
        assert done.stdout and not done.stderr
