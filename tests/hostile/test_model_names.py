"""Backbones that are no folder, damaged GGUF files, and names that are none."""

import json
import os
import shutil
import struct
from functools import partial

import numpy as np
import pytest

from model_damages import BYTES, COMMANDS, Damages

DAMAGES = Damages()


@DAMAGES("the folder is a file")
def _(folder):
    shutil.rmtree(folder)
    folder.write_text("x")


@DAMAGES("the folder is a pipe")
def _(folder):
    shutil.rmtree(folder)
    os.mkfifo(folder)


@DAMAGES("the folder is a link to itself")
def _(folder):
    shutil.rmtree(folder)
    folder.symlink_to(folder.name)


@DAMAGES("the folder is empty")
def _(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@DAMAGES("the folder is gone")
def _(folder):
    shutil.rmtree(folder)


@pytest.mark.parametrize(("name", "command"), DAMAGES.cases())
def test_it_is_taken_or_refused_in_a_line(isogloss, whole_home, name, command):
    DAMAGES.answered_well(isogloss, whole_home, name, command)


def gguf(path, values=(), tensors=(), counts=None, version=3):
    """The beginning of a GGUF file: settings that are texts or numbers, and entries of tensors."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    body = b"".join(
        text(key) + (struct.pack("<I", 8) + text(value) if isinstance(value, str) else struct.pack("<IQ", 10, value))
        for key, value in values
    )
    body += b"".join(
        text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape) + struct.pack("<IQ", kind, offset)
        for name, shape, kind, offset in tensors
    )
    path.write_bytes(
        struct.pack("<4sIQQ", b"GGUF", version, *(counts or (len(tensors), len(values)))) + body + bytes(64)
    )


KNOWN = [("general.architecture", "llama"), ("llama.block_count", 2), ("llama.embedding_length", 8)]
GGUFS = {
    "empty": lambda path: path.write_bytes(b""),
    "magic alone": lambda path: path.write_bytes(b"GGUF"),
    "no magic": lambda path: path.write_bytes(b"GGML" + bytes(100)),
    "wild counts": partial(gguf, counts=(2**63, 2**63)),
    "counts of a billion": partial(gguf, counts=(10**9, 10**9)),
    "version 99": partial(gguf, version=99),
    "nothing": gguf,
    "no architecture": partial(gguf, values=[("general.name", "x")]),
    "an architecture nobody knows": partial(gguf, values=[("general.architecture", "sluggish")]),
    "no tensors": partial(gguf, values=KNOWN),
    "10^9 layers": partial(gguf, values=[*KNOWN[:1], ("llama.block_count", 10**9), *KNOWN[2:]]),
    "a wild tensor": partial(gguf, values=KNOWN, tensors=[("token_embd.weight", (10**9, 10**9), 0, 0)]),
    "a tensor of a type nobody knows": partial(gguf, values=KNOWN, tensors=[("token_embd.weight", (2, 2), 999, 0)]),
    "a tensor beyond": partial(gguf, values=KNOWN, tensors=[("token_embd.weight", (2, 2), 0, 2**62)]),
    "a key twice": partial(gguf, values=[*KNOWN, *KNOWN]),
    "a pipe": os.mkfifo,
    "random": lambda path: path.write_bytes(b"GGUF" + np.random.default_rng(0).bytes(4096)),
    "a long key": lambda path: path.write_bytes(struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**62) + bytes(64)),
    "a Git LFS pointer": lambda path: path.write_bytes(BYTES["a Git LFS pointer"]),
}


@pytest.mark.parametrize("name", GGUFS)
def test_a_damaged_gguf_file_is_refused_in_a_line(isogloss, home, name):
    GGUFS[name](home / "model.gguf")
    answer = isogloss(
        *COMMANDS["run"], "--set", f"backbone={home / 'model.gguf'}", cwd=home, ISOGLOSS_CACHE=str(home / "cache")
    )
    answer.well("model.gguf", code=2)


NAMES = [
    "",
    " ",
    ".",
    "..",
    "/",
    "~nobody-at-all/x",
    "a\0b",
    "a/b/c/d",
    "x" * 5000,
    "org/../../etc",
    "/dev/null",
    "/proc/self/mem",
    "embedded/nope",
    "org/model@",
    "@",
    "org/model@../x",
    "https://example.org/model",
    "org\\model",
    "\x1b[31mred/x",
    "\u202edlrow/x",
    "nope.gguf",
    "-",
    "*",
    "[a-z]/*",
    "{x}/y",
    "org/model name",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("command", ["dry run", "run", "predict"])
def test_a_name_that_is_none_is_refused_in_a_line(isogloss, home, name, command):
    stored = home / "run" / "spec.yaml"
    if command == "predict":
        lines = [line for line in stored.read_text(encoding="utf-8").splitlines() if not line.startswith("backbone:")]
        stored.write_text("\n".join([*lines, f"backbone: {json.dumps(name)}"]), encoding="utf-8")
        isogloss(*COMMANDS[command], cwd=home, stdin=b"the cat\n").well(code=2)
        return
    spec = (home / "spec.yaml").read_text(encoding="utf-8")
    lines = [line for line in spec.splitlines() if not line.startswith("backbone:")]
    (home / "spec.yaml").write_text("\n".join([*lines, f"backbone: {json.dumps(name)}"]), encoding="utf-8")
    # What may be a model of the hub is not looked for in a dry run.
    isogloss(*COMMANDS[command], cwd=home).well(code=2 if command == "run" else None)
