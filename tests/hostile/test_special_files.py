"""What a path names may be a pipe, a device, a socket, a link to nowhere or a file without end: nothing hangs."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fork_server import snapshot


def listener(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def sparse(path):
    with path.open("wb") as stream:
        stream.truncate(10 << 30)


def linked(to):
    return lambda path: path.symlink_to(to)


SPECIAL = {
    "a pipe": os.mkfifo,
    "a socket": listener,
    "a loop": lambda path: path.symlink_to(path.name),
    "a broken link": linked("gone"),
    "a sparse file": sparse,
    "a folder": Path.mkdir,
    "zeros": linked("/dev/zero"),
    "a full device": linked("/dev/full"),
    "a null device": linked("/dev/null"),
    "random bytes": linked("/dev/urandom"),
    "memory": linked("/proc/self/mem"),
}
FILES = {"a folder": Path.mkdir, "a file": Path.touch}
READERS = {
    "predict": ["predict", "run", "x"],
    "data": ["data", "sib200", "--path", "x"],
    "data-card": ["data-card", "x"],
    "report": ["report", "x"],
    "analyze": ["analyze", "x"],
    "predict from": ["predict", "x", "in.txt"],
    "parallel": ["analyze", "run", "representation", "--parallel", "x"],
    "data.path": ["run", "spec.yaml", "--set", "data.path=x"],
    "backbone": ["run", "spec.yaml", "--set", "backbone=./x", "--set", "name=y"],
}
WRITERS = {
    "run": ["run", "spec.yaml", "--out", "x"],
    "run below": ["run", "spec.yaml", "--out", "x/run"],
    "report": ["report", "run", "--out", "x"],
    "report below": ["report", "run", "--out", "x/page.html"],
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_read_is_a_file_that_ends(isogloss, home, reader, kind):
    SPECIAL[kind](home / "x")
    (home / "in.txt").write_text("the cat\n")
    before = snapshot(home / "run")
    answer = isogloss(*READERS[reader], cwd=home, seconds=60)
    if reader == "parallel" and answer.code == 0:  # an analysis that lacks its sentences is left out, and said
        return
    answer.well("x", code=2)
    assert snapshot(home / "run") == before or reader == "parallel"


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_table_of_texts_is_a_file_that_ends(isogloss, home, suffix, kind):
    path = home / f"x{suffix}"
    SPECIAL[kind](path)
    isogloss("predict", "run", path.name, cwd=home, seconds=60).well(path.name, code=2)


@pytest.mark.parametrize("kind", [kind for kind in SPECIAL if kind not in {"a sparse file", "memory"}])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_answers_replace_files_alone(isogloss, home, suffix, kind):
    path = home / f"x{suffix}"
    SPECIAL[kind](path)
    before = os.lstat(path)
    (home / "in.txt").write_text("the cat\n")
    answer = isogloss("predict", "run", "in.txt", "--output", path.name, cwd=home, seconds=60)
    if kind == "a broken link":  # where it leads there is nothing
        answer.well(code=0)
        return
    answer.well(path.name, code=2)
    assert (os.lstat(path).st_ino, os.lstat(path).st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("kind", [*SPECIAL, "a file"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_there_is_not_replaced(isogloss, home, writer, kind):
    path = home / "x"
    {**SPECIAL, **FILES}[kind](path)
    before = os.lstat(path)
    answer = isogloss(*WRITERS[writer], cwd=home, seconds=60)
    may = (kind == "a folder" and writer != "report") or (
        kind in {"a file", "a sparse file", "memory"} and writer == "report"
    )
    answer.well(*([] if may else ["x"]), code=0 if may else 2)
    assert may or (os.lstat(path).st_ino, os.lstat(path).st_mode) == (before.st_ino, before.st_mode)


OUTS = [
    "",
    " ",
    "/",
    ".",
    "..",
    "run",
    "run/report",
    "x" * 300,
    "spec.yaml/x.html",
    "/dev/full",
    "/dev/null",
    "/proc/x.html",
    "a\0b",
]


@pytest.mark.parametrize("out", OUTS[:-1])
@pytest.mark.parametrize("command", ["run", "report"])
def test_an_out_that_cannot_be_is_refused(isogloss, home, command, out):
    before = snapshot(home)
    what = "spec.yaml" if command == "run" else "run"
    if out.startswith("run") and (command == "run" or out == "run/report"):  # a new name, or the run itself
        return
    isogloss(command, what, "--out", out, cwd=home).well(code=2)
    assert {name: held for name, held in snapshot(home).items() if name in before} == before
    assert not [name for name in snapshot(home) if name not in before and not name.startswith("run/")]


def test_a_link_in_a_run_directory_is_not_written_through(isogloss, home):
    outside = home / "outside"
    outside.mkdir()
    (home / "run" / "report").symlink_to(outside)
    isogloss("report", "run", cwd=home).well("report", code=2)
    assert not list(outside.iterdir())
    (home / "run" / "report").unlink()
    (home / "kept.txt").write_text("kept")
    (home / "run" / "report.html").symlink_to(home / "kept.txt")
    isogloss("report", "run", cwd=home).well("report.html", code=2)
    assert (home / "kept.txt").read_text() == "kept"


TEXTS = {
    "nothing": (b"", 0),
    "a line feed": (b"\n", 0),
    "spaces": (b"  \n", 0),
    "no end": (b"the cat", 0),
    "CRLF": (b"the cat\r\n", 0),
    "a mark": (b"\xef\xbb\xbfthe cat\n", 0),
    "latin-1": (b"caf\xe9\n", 2),
    "UTF-16": ("the cat\n".encode("utf-16"), 2),
    "zeros": (bytes(100), 0),
    "an empty line": (b"the\n\ncat\n", 0),
    "late bad bytes": (b"the cat\n" * 3000 + b"\xff\n", 2),
    "late and empty": (b"the cat\n" * 3000 + b"\n", 0),
    "half a pair": (b"\xed\xa0\x80\n", 2),
    "a long line": (b"cat " * (5 << 20), 2),
    "long words": (b"a" * (1 << 20) + b"\n", 0),
    "many": (b"the cat\n" * 3000, 0),
    "a cut letter": (b"the \xe4\xb8", 2),
    "a late mark": (b"the\n\xef\xbb\xbfcat\n", 0),
    "separators": ("a\u2028b\x85c\x0cd\n".encode(), 0),
    "a carriage return": (b"a\rb\n", 0),
}


@pytest.mark.parametrize("through", ["file", "standard input"])
@pytest.mark.parametrize("name", TEXTS)
def test_texts_as_they_come(isogloss, home, name, through):
    data, code = TEXTS[name]
    (home / "in.txt").write_bytes(data)
    if through == "file":
        answer = isogloss("predict", "run", "in.txt", cwd=home)
    else:
        answer = isogloss("predict", "run", cwd=home, stdin=data)
    answer.well(code=code)
    if code == 0:
        assert answer.out.count("\n") == data.count(b"\n") + (bool(data) and not data.endswith(b"\n"))


def program(*arguments, cwd, more=None, **options):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **(more or {})}
    return subprocess.Popen(
        [sys.executable, "-m", "isogloss", *arguments],
        cwd=cwd,
        env=environment,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def test_texts_without_end_flow_through(home):
    """As many as there is time for, in no more memory, until nobody reads on."""
    endless = "import sys\nwhile True: sys.stdout.write('the cat sat\\n' * 1000)"
    with (
        subprocess.Popen([sys.executable, "-c", endless], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as source,
        program("predict", "run", cwd=home, stdin=source.stdout) as running,
    ):
        for _ in range(5000):
            assert '"label"' in running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read().count("\n") == 1  # which model it is
        assert running.wait() == 1
        source.kill()


@pytest.mark.parametrize(
    ("arguments", "stream"),
    [
        (["list", "tasks"], "stdout"),
        (["list", "nope"], "stderr"),
        (["predict", "run", "in.txt"], "stdout"),
        (["--help"], "stdout"),
    ],
)
def test_a_stream_that_takes_nothing_is_no_traceback(home, arguments, stream):
    (home / "in.txt").write_text("the cat\n" * 10)
    with Path("/dev/full").open("w") as full, program(*arguments, cwd=home, **{stream: full}) as running:
        out, err = running.communicate()
    assert "Traceback" not in f"{out}{err}"
    assert running.returncode in {0, 2}


@pytest.mark.parametrize(
    ("arguments", "closed"),
    [("list tasks", ">&-"), ("list nope", "2>&-"), ("predict run", "<&-"), ("report run", "<&- >&- 2>&-")],
)
def test_a_closed_stream_is_no_traceback(home, arguments, closed):
    line = f"'{sys.executable}' -m isogloss {arguments} {closed}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=home, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 2}
    assert done.returncode == (2 if "nope" in arguments else 0)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_an_output_of_another_encoding_is_no_traceback(home, encoding):
    for arguments in (["list", "tasks"], ["data", "sib200", "--path", "nowhere-\u0153"]):
        with program(*arguments, cwd=home, more={"PYTHONIOENCODING": encoding}, encoding=encoding) as running:
            assert "Traceback" not in "".join(running.communicate())
            assert running.returncode == (0 if "list" in arguments else 2)


@pytest.mark.parametrize(("number", "wait"), [(signal.SIGINT, 0.5), (signal.SIGTERM, 1.0), (signal.SIGINT, 3.0)])
@pytest.mark.parametrize("arguments", [["report", "run"], ["predict", "run"], ["run", "spec.yaml", "--out", "new"]])
def test_asked_to_stop_it_says_so_in_a_line(home, arguments, wait, number):
    with program(*arguments, cwd=home, stdin=subprocess.PIPE) as running:
        time.sleep(wait)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert "Traceback" not in f"{out}{err}"
    if running.returncode == -number and not err:  # before Python had begun
        return
    assert running.returncode in {0, 130}, err
    if running.returncode == 130:
        assert err.splitlines()[-1].startswith("isogloss: stopped")


PLACES = {
    "a cache that is a file": {"ISOGLOSS_CACHE": "spec.yaml"},
    "a cache in a file": {"ISOGLOSS_CACHE": "spec.yaml/cache"},
    "a cache of nobody": {"ISOGLOSS_CACHE": "~nobody-of-that-name/x"},
    "a cache of the system": {"ISOGLOSS_CACHE": "/proc/x"},
    "a cache that is a device": {"ISOGLOSS_CACHE": "/dev/full"},
    "a long cache": {"ISOGLOSS_CACHE": "x" * 300},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_cache_that_cannot_be_is_named(isogloss, home, place):
    answer = isogloss("data", "voice-intents", cwd=home, **PLACES[place])
    answer.well(code=2)
    assert "ISOGLOSS_CACHE" in answer.err or PLACES[place]["ISOGLOSS_CACHE"][:50] in answer.err
