"""Damage to a model folder, and what the command line makes of it."""

import json
import os
import socket
from functools import partial
from pathlib import Path

from safetensors.torch import load_file, save_file

from fork_server import snapshot

CONFIG, TOKENIZER, SETTINGS = "config.json", "tokenizer.json", "tokenizer_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
COMMANDS = {
    "dry run": ("run", "spec.yaml", "--out", "new", "--dry-run"),
    "run": ("run", "spec.yaml", "--out", "new"),
    "predict": ("predict", "run"),
}


class Damages(dict):
    """By name: what is done to a folder, whether it must be refused, and what the line has to name."""

    def add(self, name, damage, *, refused=True, names=("model",)):
        assert name not in self, name
        self[name] = (damage, refused, names)

    def __call__(self, name, **options):
        def keep(damage):
            self.add(name, damage, **options)
            return damage

        return keep

    def cases(self):
        """Every damage under a command, in turns."""
        return [(name, [*COMMANDS][number % len(COMMANDS)]) for number, name in enumerate(self)]

    def answered_well(self, isogloss, home, name, command, *, unseen=()):
        """Do it and ask; a dry run reads no weights and computes nothing, and some it cannot see."""
        damage, refused, names = self[name]
        damage(home / "model")
        before = snapshot(home / "run")
        answer = isogloss(*COMMANDS[command], cwd=home, stdin=b"the cat sat\n")
        must = refused and not (command == "dry run" and any(part in name for part in unseen))
        answer.well(*(names if answer.code == 2 and refused else ()), code=2 if must else None)
        assert snapshot(home / "run") == before


def keyed(folder, changes, file=CONFIG):
    values = json.loads((folder / file).read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is ...:
            values.pop(key, None)
        else:
            values[key] = value
    (folder / file).write_text(json.dumps(values), encoding="utf-8")


def nested(folder, place, value, file=TOKENIZER):
    values = json.loads((folder / file).read_text(encoding="utf-8"))
    at = values
    for key in place[:-1]:
        at = at[key]
    if value is ...:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    (folder / file).write_text(json.dumps(values), encoding="utf-8")


def rewritten(folder, change):
    tensors = load_file(folder / WEIGHTS)
    save_file(change(tensors) or tensors, folder / WEIGHTS, metadata={"format": "pt"})


def set_tensor(tensors, name, value):
    tensors[name] = value


BYTES = {
    "empty": b"",
    "a zero byte": b"\0",
    "a list": b"[1]",
    "null": b"null",
    "a number": b"12",
    "a text": b'"x"',
    "half of it": b'{"model_type": "xlm-rob',
    "not UTF-8": b'{"model_type": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "deep": b"[" * 100_000,
    "deep keys": b'{"a":' * 50_000,
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a web page": b"<!DOCTYPE html><html></html>",
    "keys that are none": b"{}",
    "a lone surrogate": b'{"model_type": "\\ud800"}',
    "pickled": b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02ls\x94"
    b"\x85\x94R\x94.",
}


def fifo(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def listening(path):
    path.unlink(missing_ok=True)
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.chdir(before)


def link(path, to):
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def as_folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


SPECIAL = {
    "a pipe": fifo,
    "a socket": listening,
    "a link to itself": lambda path: link(path, path.name),
    "a link to nowhere": partial(link, to="nowhere"),
    "/dev/zero": partial(link, to="/dev/zero"),
    "/dev/stdin": partial(link, to="/dev/stdin"),
    "/dev/full": partial(link, to="/dev/full"),
    "a folder": as_folder,
    "missing": lambda path: path.unlink(),
}


def sharded(folder, mapping=None, shards=("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    for file, half in zip(shards, halves, strict=True):
        save_file({name: tensors[name] for name in half}, folder / file)
    files = {name: file for file, half in zip(shards, halves, strict=True) for name in half}
    (folder / INDEX).write_text(json.dumps({"weight_map": files if mapping is None else mapping(files)}))
