"""Model folders with damaged weights, weights of another model, and weights that would run something."""

import json
import os
import struct
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file

from model_damages import BYTES, CONFIG, INDEX, SPECIAL, WEIGHTS, Damages, fifo, rewritten, set_tensor, sharded

DAMAGES, FILE = Damages(), WEIGHTS
WORDS = "embeddings.word_embeddings.weight"
for how, data in BYTES.items():
    DAMAGES.add(f"it is {how}", lambda folder, data=data: (folder / FILE).write_bytes(data))
for how, become in SPECIAL.items():
    DAMAGES.add(f"it is {how}!", lambda folder, become=become: become(folder / FILE))
for share in (0.0, 0.01, 0.1, 0.5, 0.9, 0.999):

    @DAMAGES(f"weights end after {share:.1%}", names=[WEIGHTS])
    def _(folder, share=share):
        data = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(data[: int(len(data) * share)])


HEADERS = {
    "a huge header": struct.pack("<Q", 2**63),
    "a header of 99 MB": struct.pack("<Q", 99_000_000) + b"{",
    "a header that is no JSON": struct.pack("<Q", 4) + b"nope",
    "a deep header": struct.pack("<Q", 90_000) + b"[" * 90_000,
    "a header of a list": struct.pack("<Q", 2) + b"[]",
    "an empty header": struct.pack("<Q", 2) + b"{}",
}
for how, data in HEADERS.items():
    DAMAGES.add(how, lambda folder, data=data: (folder / WEIGHTS).write_bytes(data))

ENTRIES = {
    "a shape of 10^18": {"dtype": "F32", "shape": [10**18], "data_offsets": [0, 4]},
    "a negative shape": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
    "offsets beyond": {"dtype": "F32", "shape": [1], "data_offsets": [10**12, 10**12 + 4]},
    "offsets turned round": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
    "a type nobody knows": {"dtype": "F3", "shape": [1], "data_offsets": [0, 4]},
    "no offsets": {"dtype": "F32", "shape": [1]},
    "an entry that is a text": "x",
}
for how, entry in ENTRIES.items():

    @DAMAGES(f"weights with {how}", names=[WEIGHTS])
    def _(folder, entry=entry):
        header = json.dumps({WORDS: entry}).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


NAMED = [WORDS, "encoder.layer.1.attention.self.query.weight", "encoder.layer.2.output.LayerNorm.bias"]
for name in NAMED:
    for how, value in {"NaN": float("nan"), "infinite": float("inf"), "minus infinite": -float("inf")}.items():

        @DAMAGES(f"{name} has one value that is {how}", names=[name])
        def _(folder, name=name, value=value):
            rewritten(folder, lambda tensors: tensors[name].view(-1)[5:6].fill_(value) and None)

    @DAMAGES(f"{name} is not there", names=[name])
    def _(folder, name=name):
        rewritten(folder, lambda tensors: {key: value for key, value in tensors.items() if key != name})

    for kind in (torch.int8, torch.uint8, torch.int64, torch.bool, torch.float8_e4m3fn):

        @DAMAGES(f"{name} is {kind}", names=[name])
        def _(folder, name=name, kind=kind):
            rewritten(folder, lambda tensors: set_tensor(tensors, name, tensors[name].to(kind)))

    for how, change in {
        "longer": lambda tensor: torch.cat([tensor, tensor]),
        "shorter": lambda tensor: tensor[:-1].clone(),
        "flat": lambda tensor: tensor.flatten()[:, None].clone(),
        "empty": lambda tensor: tensor[:0].clone(),
        "one number": lambda tensor: tensor.flatten()[0].clone(),
    }.items():

        @DAMAGES(f"{name} is {how}", names=[name])
        def _(folder, name=name, change=change):
            rewritten(folder, lambda tensors: set_tensor(tensors, name, change(tensors[name])))


@DAMAGES("all weights have other names", names=["checkpoint has no"])
def _(folder):
    rewritten(folder, lambda tensors: {f"x.{name}": value for name, value in tensors.items()})


@DAMAGES("a layer too many in the weights", names=["encoder.layer.3"])
def _(folder):
    rewritten(folder, lambda tensors: set_tensor(tensors, "encoder.layer.3.output.dense.weight", torch.zeros(24, 48)))


@DAMAGES("half precision", refused=False)
def _(folder):
    rewritten(folder, lambda tensors: {name: value.half() for name, value in tensors.items()})


@DAMAGES("half precision that overflowed", names=[WORDS])
def _(folder):
    rewritten(folder, lambda tensors: {name: (value * 1e6).half() for name, value in tensors.items()})


@DAMAGES("two bytes of the weights exchanged", refused=False)
def _(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-5] ^= 0xFF
    (folder / WEIGHTS).write_bytes(data)


@DAMAGES("weights are a pickle alone", names=["pytorch_model.bin", "weights: pickle"])
def _(folder):
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


@DAMAGES("weights are an adapter's", names=[WEIGHTS])
def _(folder):
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")


@DAMAGES("an adapter beside it that leads to another model", refused=False)
def _(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/elsewhere", "peft_type": "LORA"}')


ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
MAPS = {
    "no map": lambda _: None,
    "an empty map": lambda _: {},
    "a map that is a list": lambda _: [ONE],
    "a shard above": lambda files: files | {WORDS: "../model.safetensors"},
    "a shard anywhere": lambda files: files | {WORDS: "/etc/passwd"},
    "a shard below": lambda files: files | {WORDS: "a/b.safetensors"},
    "a shard by Windows": lambda files: files | {WORDS: "..\\x"},
    "a shard that is a number": lambda files: files | {WORDS: 3},
    "a shard that is the folder": lambda files: files | {WORDS: "."},
    "a shard with a zero byte": lambda files: files | {WORDS: "a\0b"},
    "a shard of no name": lambda files: files | {WORDS: ""},
    "a shard that is not there": lambda files: files | {WORDS: "model-00003-of-00003.safetensors"},
    "a shard left out": lambda files: {name: file for name, file in files.items() if file == ONE},
    "a shard that is the config": lambda files: files | {WORDS: CONFIG},
}
for how, mapping in MAPS.items():
    DAMAGES.add(how, partial(sharded, mapping=mapping))
DAMAGES.add("whole shards", sharded, refused=False)


@DAMAGES("a weight in two shards", names=[TWO])
def _(folder):
    sharded(folder)
    save_file(load_file(folder / TWO) | load_file(folder / ONE), folder / TWO)


@DAMAGES("a shard is a pipe", names=[TWO])
def _(folder):
    sharded(folder)
    fifo(folder / TWO)


@DAMAGES("a shard is cut off", names=[ONE])
def _(folder):
    sharded(folder)
    os.truncate(folder / ONE, 500)


@DAMAGES("an index that is deep", names=[INDEX])
def _(folder):
    sharded(folder)
    (folder / INDEX).write_bytes(b'{"weight_map":' * 9999)


# What a dry run cannot see: it reads no weights.
UNSEEN = ("has one value", "other names", "a layer too many", "overflowed", "a shard left out")


@pytest.mark.parametrize(("name", "command"), DAMAGES.cases())
def test_it_is_taken_or_refused_in_a_line(isogloss, whole_home, name, command):
    DAMAGES.answered_well(isogloss, whole_home, name, command, unseen=UNSEEN)
