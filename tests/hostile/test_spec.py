"""Specs as files: YAML that is none, that never ends, or that is no spec. Each is refused in a line that names it."""

import json
import os
import socket

import pytest

from fork_server import snapshot

GOOD = "name: x\ntask: sib200\nmethods: {linear-probe: {}}\n"


def aliases(lines: int, copies: int) -> str:
    """The first stands for one value, each later one for some copies of that before it."""
    text = ["data: {card: {a0: &a0 x"]
    text += [f", a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * copies)}]" for i in range(1, lines)]
    return GOOD + "".join(text) + "}}\n"


def merges(lines: int) -> str:
    text = [f", a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, lines)]
    return GOOD + "data: {card: {a0: &a0 {k: v}" + "".join(text) + "}}\n"


TEXTS = {
    "nothing": b"",
    "a comment": b"# nothing\n",
    "null": b"null\n",
    "a word": b"word\n",
    "a number": b"3\n",
    "a list": b"- a\n- b\n",
    "true": b"true\n",
    "a date": b"2024-01-01\n",
    "a set": b"!!set {a, b}\n",
    "two documents": (GOOD + "---\n" + GOOD).encode(),
    "only an end": b"...\n",
    "only a beginning": b"---\n",
    "a key twice": (GOOD + "task: xnli\n").encode(),
    "an inner key twice": b"name: x\ndata: {path: a, path: b}\n",
    "a tab": b"name: x\n\ttask: sib200\n",
    "no colon": b"name x\ntask: sib200\n",
    "an open bracket": b"methods: {a: [\n",
    "an open quote": b"name: 'x\n",
    "a bad indent": b"a: 1\n  b: 2\n",
    "an unknown alias": b"name: *nobody\n",
    "an unknown tag": b"name: !mine x\n",
    "python/object": b"name: !!python/object/apply:os.system ['touch pwned']\n",
    "python/name": b"name: !!python/name:os.system\n",
    "python/module": b"!!python/module:this\n",
    "python/object/new": b"!!python/object/new:os.popen ['touch pwned']\n",
    "an alias of itself": b"name: &a [*a]\n",
    "an anchor of the whole": b"&a {name: *a}\n",
    "a null byte": b"name: x\0\n",
    "an escaped null": b'name: "x\\0"\n',
    "an escape": b"name: \x1b[31mx\n",
    "half a pair": b'name: "\\uD800"\n',
    "a bell": b"name: \x07\n",
    "latin-1": "name: é\n".encode("latin-1"),
    "UTF-16": GOOD.encode("utf-16"),
    "a cut letter": b"name: \xc3",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "zeros": bytes(5000),
    "many digits": b"seeds: [" + b"9" * 6000 + b"]\n",
    "no such date": b"name: 2024-99-99\n",
    "no integer": b"a: !!int x\n",
    "no truth": b"a: !!bool x\n",
    "no float": b"a: !!float x\n",
    "no binary": "a: !!binary é\n".encode(),
    "no time": b"a: !!timestamp 2024-13-45T99:99:99Z\n",
    "no omap": b"!!omap [a]\n",
    "no merge": b"<<: 3\n",
    "YAML 9": b"%YAML 9.9\n---\na: b\n",
    "a key that is a list": (GOOD + "[a]: b\n").encode(),
    "a key that is a mapping": (GOOD + "? {a: 1}\n: b\n").encode(),
    "a key that is a number": (GOOD + "1: b\n").encode(),
    "a key that is null": (GOOD + "~: b\n").encode(),
    "a key that is true": (GOOD + "true: b\n").encode(),
    "a key that is NaN": (GOOD + ".nan: b\n").encode(),
    "an empty key": (GOOD + "'': b\n").encode(),
    "a key that is long": (GOOD + "k" * 900 + ": b\n").encode(),
    "a key that steers": (GOOD + '"\\e[2J": b\n').encode(),
    "laughs": aliases(30, 9).encode(),
    "a chain": aliases(900, 1).encode(),
    "merges": merges(40).encode(),
    "HTML": b"<!doctype html><html><body>404: not found</body></html>\n",
    "JSON lines": b'{"a": 1}\n{"a": 2}\n',
    "TSV": b"index_id\tcategory\ttext\n1\tsports\tabc\n",
    "conflict marks": b"<<<<<<< HEAD\nname: x\n=======\nname: y\n>>>>>>> z\n",
    "a template": b"name: {{ name }}\ntask: {% raw %}\n",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    **{
        f"{depth} {what}": (mark * depth).encode()
        for depth in (61, 999, 5000)
        for what, mark in {"lists": "[", "mappings": "{", "dashes": "- ", "questions": "? ", "keys": "{a: "}.items()
    },
}
TEXTS |= {
    f"no {key}": "\n".join(line for line in GOOD.splitlines() if not line.startswith(key)).encode()
    for key in ("name", "task", "methods")
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_no_spec_is_named(isogloss, tmp_path, name):
    (tmp_path / "the spec.yaml").write_bytes(TEXTS[name])
    before = snapshot(tmp_path)
    line = isogloss("run", "the spec.yaml", "--dry-run", cwd=tmp_path).well("the spec.yaml", code=2)
    assert len(line) < 600
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in line)
    assert snapshot(tmp_path) == before


NAMES = [
    ".",
    "..",
    "...",
    "",
    " ",
    "/",
    "~",
    "a/b",
    "x y",
    "x\n",
    "é",
    "con",
    "NUL",
    "aux.txt",
    "COM1",
    "x" * 101,
    "x" * 300,
    "\u202ex",
    "*",
    "[1]",
    "$(id)",
    "a\tb",
    "..%2f",
    "-\u0000",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_folders_is_refused(isogloss, tmp_path, name):
    answer = isogloss("run", "demo", "--dry-run", f"--set=name={json.dumps(name)}", cwd=tmp_path)
    answer.well("name", code=2)
    assert not snapshot(tmp_path)


OVERRIDES = [
    "",
    "=",
    "=x",
    "name",
    ".=x",
    "a.=x",
    ".a=x",
    "a..b=x",
    "methods..lr=1",
    "task.x=1",
    "seeds.0=1",
    "methods.x.y.z=1",
    "nonsense=1",
    "data.nonsense=1",
    "data.train.nonsense=1",
    "dynamics.parallel.nonsense=1",
    "verbalizer.nonsense=1",
    "__class__=x",
    "data.__dict__=1",
    "methods.linear-probe.__init__=1",
    "model_config=1",
    "seeds=[",
    "name={",
    "name='",
    "name=!!python/name:os.system",
    "name=&a [*a]",
    "data=&a {path: *a}",
    "\u202e=1",
    "\x1b[2J=1",
    "a=\x1b[2J",
    "version=2",
    "version=one",
    "version=true",
]


@pytest.mark.parametrize("override", OVERRIDES)
def test_a_change_that_is_none_is_refused(isogloss, tmp_path, override):
    line = isogloss("run", "demo", "--dry-run", "--set", override, cwd=tmp_path).well(code=2)
    assert "\x1b" not in line
    assert "\u202e" not in line


def fifo(path):
    os.mkfifo(path)


def listener(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def loop(path):
    path.symlink_to(path.name)


def nowhere(path):
    path.symlink_to("gone")


def sparse(path):
    with path.open("wb") as stream:
        stream.truncate(10 << 30)


def folder(path):
    path.mkdir()


SPECIAL = {
    "fifo": fifo,
    "socket": listener,
    "loop": loop,
    "nowhere": nowhere,
    "sparse": sparse,
    "folder": folder,
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "full": lambda path: path.symlink_to("/dev/full"),
    "null": lambda path: path.symlink_to("/dev/null"),
    "random": lambda path: path.symlink_to("/dev/urandom"),
    "of the system": lambda path: path.symlink_to("/proc/self/mem"),
    "a file as folder": lambda path: path.touch(),
}


@pytest.mark.parametrize("suffix", [".yaml", ""])
@pytest.mark.parametrize("kind", SPECIAL)
def test_a_spec_that_is_no_file_is_refused(isogloss, tmp_path, kind, suffix):
    path = tmp_path / f"spec{suffix}"
    SPECIAL[kind](path)
    name = f"{path.name}/x.yaml" if kind == "a file as folder" else path.name
    isogloss("run", name, "--dry-run", cwd=tmp_path, seconds=30).well(name, code=2)


def test_a_spec_may_come_through_a_pipe(isogloss, home):
    text = (home / "spec.yaml").read_bytes()
    isogloss("run", "/dev/stdin", "--dry-run", cwd=home, stdin=text).well(code=0)
