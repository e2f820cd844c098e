"""Damaged and malicious model folders, through a dry run, a run and a prediction."""

import json
import os
import shutil
import socket
import struct
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders import whole
from fork_server import snapshot

CONFIG, TOKENIZER, SETTINGS = "config.json", "tokenizer.json", "tokenizer_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
WORDS = "embeddings.word_embeddings.weight"
DAMAGES = {}  # by name: what is done to the folder, whether it must be refused, and what the line names


def damage(name, *, refused=True, names=()):
    def keep(function):
        assert name not in DAMAGES, name
        DAMAGES[name] = (function, refused, names)
        return function

    return keep


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


# Sizes that cannot be. What is not used of a configuration, or is a dropout, may be anything that transformers takes.
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
         "max_position_embeddings", "type_vocab_size")  # fmt: skip
SILLY = {"zero": 0, "negative": -3, "one more": 25, "a billion": 10**9, "2^63": 2**63, "a text": "many", "a fraction": 3.5,
         "null": None, "a list": [24], "keys": {"a": 1}, "infinite": float("inf"), "no number": float("nan"),
         "5,000 digits": "@" + "9" * 5000}  # fmt: skip
for size in SIZES:
    for how, value in SILLY.items():

        @damage(f"{size} is {how}", names=["model"])
        def _(folder, size=size, value=value):
            keyed(folder, {size: value})
            text = (folder / CONFIG).read_text()
            (folder / CONFIG).write_text(text.replace('"@', "").replace("9" * 5000 + '"', "9" * 5000))


OTHERS = ("pad_token_id", "layer_norm_eps", "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob",
          "initializer_range", "architectures", "num_labels", "id2label", "is_decoder", "add_cross_attention",
          "chunk_size_feed_forward", "use_cache", "dtype", "transformers_version", "bos_token_id", "tie_word_embeddings",
          "attn_implementation", "transformers_weights", "fusion_config", "_name_or_path", "tokenizer_class",
          "output_hidden_states", "output_attentions", "return_dict", "pruned_heads", "problem_type")  # fmt: skip
WILD = {"negative": -1, "a billion": 10**9, "a text": "../../elsewhere", "a fraction": 0.5, "keys": {"a": [1]}, "a list": [1, "x"]}
for other in OTHERS:
    for how, value in WILD.items():
        DAMAGES[f"{other} is {how}"] = (partial(keyed, changes={other: value}), False, ())

PLAIN = {
    "no model_type": {"model_type": ...}, "model_type is a list": {"model_type": ["bert"]}, "model_type is 3": {"model_type": 3},
    "an architecture nobody knows": {"model_type": "sluggish-former"}, "a picture's model": {"model_type": "vit"},
    "another family": {"model_type": "llama"}, "of its kin": {"model_type": "bloom"}, "t5": {"model_type": "t5"},
    "code of its own": {"auto_map": {"AutoModel": "modeling_x.X", "AutoConfig": "configuration_x.C"}},
    "code elsewhere": {"auto_map": {"AutoModel": "org/code--modeling_x.X"}}, "quantised": {"quantization_config": {"bits": 4}},
    "quantised by nobody": {"quantization_config": "x"}, "heads that do not divide": {"num_attention_heads": 5},
    "an activation nobody knows": {"hidden_act": "swoosh"}, "a norm of nothing": {"layer_norm_eps": -1e9},
    "no pad token": {"pad_token_id": None}, "another pad token": {"pad_token_id": 3}, "a pad token beyond": {"pad_token_id": 99},
    "fewer layers": {"num_hidden_layers": 2}, "more layers": {"num_hidden_layers": 4}, "no hidden size": {"hidden_size": ...},
}  # fmt: skip
for how, changes in PLAIN.items():
    DAMAGES[how] = (partial(keyed, changes=changes), True, ("model",))

BYTES = {
    "empty": b"", "a zero byte": b"\0", "a list": b"[1]", "null": b"null", "a number": b"12", "a text": b'"x"',
    "half of it": b'{"model_type": "xlm-rob', "not UTF-8": b'{"model_type": "\xff"}', "UTF-16": '{"a": 1}'.encode("utf-16"),
    "deep": b"[" * 100_000, "deep keys": b'{"a":' * 50_000, "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a web page": b"<!DOCTYPE html><html></html>", "keys that are none": b"{}", "a lone surrogate": b'{"model_type": "\\ud800"}',
    "pickled": b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02ls\x94\x85\x94R\x94.",
}  # fmt: skip
for file in (CONFIG, TOKENIZER, SETTINGS, WEIGHTS):
    for how, data in BYTES.items():
        harmless = file == SETTINGS and how in {"keys that are none", "a lone surrogate"}
        DAMAGES[f"{file} is {how}"] = (
            lambda folder, file=file, data=data: (folder / file).write_bytes(data), not harmless, ("model",)
        )  # fmt: skip


def fifo(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def listening(path):
    path.unlink(missing_ok=True)
    before = os.getcwd()
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
    "a pipe": fifo, "a socket": listening, "a link to itself": lambda path: link(path, path.name),
    "a link to nowhere": partial(link, to="nowhere"), "/dev/zero": partial(link, to="/dev/zero"),
    "/dev/stdin": partial(link, to="/dev/stdin"), "/dev/full": partial(link, to="/dev/full"), "a folder": as_folder,
    "missing": lambda path: path.unlink(),
}  # fmt: skip
for file in (CONFIG, TOKENIZER, SETTINGS, WEIGHTS):
    for how, become in SPECIAL.items():
        DAMAGES[f"{file} is {how}!"] = (
            lambda folder, file=file, become=become: become(folder / file), (file, how) != (SETTINGS, "missing"), ("model",)
        )  # fmt: skip

for share in (0.0, 0.01, 0.1, 0.5, 0.9, 0.999):

    @damage(f"weights end after {share:.1%}", names=[WEIGHTS])
    def _(folder, share=share):
        data = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(data[: int(len(data) * share)])


HEADERS = {
    "a huge header": struct.pack("<Q", 2**63), "a header of 99 MB": struct.pack("<Q", 99_000_000) + b"{",
    "a header that is no JSON": struct.pack("<Q", 4) + b"nope", "a deep header": struct.pack("<Q", 90_000) + b"[" * 90_000,
    "a header of a list": struct.pack("<Q", 2) + b"[]", "an empty header": struct.pack("<Q", 2) + b"{}",
}  # fmt: skip
for how, data in HEADERS.items():
    DAMAGES[how] = (lambda folder, data=data: (folder / WEIGHTS).write_bytes(data), True, (WEIGHTS,) if "empty" not in how else ())

ENTRIES = {
    "a shape of 10^18": {"dtype": "F32", "shape": [10**18], "data_offsets": [0, 4]},
    "a negative shape": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
    "offsets beyond": {"dtype": "F32", "shape": [1], "data_offsets": [10**12, 10**12 + 4]},
    "offsets turned round": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
    "a type nobody knows": {"dtype": "F3", "shape": [1], "data_offsets": [0, 4]}, "no offsets": {"dtype": "F32", "shape": [1]},
    "an entry that is a text": "x",
}  # fmt: skip
for how, entry in ENTRIES.items():

    @damage(f"weights with {how}", names=[WEIGHTS])
    def _(folder, entry=entry):
        header = json.dumps({WORDS: entry}).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


NAMED = [WORDS, "encoder.layer.1.attention.self.query.weight", "encoder.layer.2.output.LayerNorm.bias"]
for name in NAMED:
    for how, value in {"NaN": float("nan"), "infinite": float("inf"), "minus infinite": -float("inf")}.items():

        @damage(f"{name} has one value that is {how}", names=[name])
        def _(folder, name=name, value=value):
            rewritten(folder, lambda tensors: tensors[name].view(-1)[5:6].fill_(value) and None)

    @damage(f"{name} is not there", names=[name])
    def _(folder, name=name):
        rewritten(folder, lambda tensors: {key: value for key, value in tensors.items() if key != name})

    for kind in (torch.int8, torch.uint8, torch.int64, torch.bool, torch.float8_e4m3fn):

        @damage(f"{name} is {kind}", names=[name])
        def _(folder, name=name, kind=kind):
            rewritten(folder, lambda tensors: set_tensor(tensors, name, tensors[name].to(kind)))

    for how, change in {
        "longer": lambda tensor: torch.cat([tensor, tensor]), "shorter": lambda tensor: tensor[:-1].clone(),
        "flat": lambda tensor: tensor.flatten()[:, None].clone(), "empty": lambda tensor: tensor[:0].clone(),
        "one number": lambda tensor: tensor.flatten()[0].clone(),
    }.items():  # fmt: skip

        @damage(f"{name} is {how}", names=[name])
        def _(folder, name=name, change=change):
            rewritten(folder, lambda tensors: set_tensor(tensors, name, change(tensors[name])))


@damage("all weights have other names", names=["checkpoint has no"])
def _(folder):
    rewritten(folder, lambda tensors: {f"x.{name}": value for name, value in tensors.items()})


@damage("a layer too many in the weights", names=["encoder.layer.3"])
def _(folder):
    rewritten(folder, lambda tensors: set_tensor(tensors, "encoder.layer.3.output.dense.weight", torch.zeros(24, 48)))


@damage("half precision", refused=False)
def _(folder):
    rewritten(folder, lambda tensors: {name: value.half() for name, value in tensors.items()})


@damage("half precision that overflowed", names=[WORDS])
def _(folder):
    rewritten(folder, lambda tensors: {name: (value * 1e6).half() for name, value in tensors.items()})


@damage("two bytes of the weights exchanged", refused=False)
def _(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-5] ^= 0xFF
    (folder / WEIGHTS).write_bytes(data)


@damage("weights are a pickle alone", names=["pytorch_model.bin", "weights: pickle"])
def _(folder):
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


@damage("weights are an adapter's", names=[WEIGHTS])
def _(folder):
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")


@damage("an adapter beside it that leads to another model", refused=False)
def _(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "org/elsewhere", "peft_type": "LORA"}')


def sharded(folder, mapping=None, shards=("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")):
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    halves = (names[: len(names) // 2], names[len(names) // 2 :])
    for file, half in zip(shards, halves, strict=True):
        save_file({name: tensors[name] for name in half}, folder / file)
    files = {name: file for file, half in zip(shards, halves, strict=True) for name in half}
    (folder / INDEX).write_text(json.dumps({"weight_map": files if mapping is None else mapping(files)}))


ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
MAPS = {
    "no map": lambda _: None, "an empty map": lambda _: {}, "a map that is a list": lambda _: [ONE],
    "a shard above": lambda files: files | {WORDS: "../model.safetensors"}, "a shard anywhere": lambda files: files | {WORDS: "/etc/passwd"},
    "a shard below": lambda files: files | {WORDS: "a/b.safetensors"}, "a shard by Windows": lambda files: files | {WORDS: "..\\x"},
    "a shard that is a number": lambda files: files | {WORDS: 3}, "a shard that is the folder": lambda files: files | {WORDS: "."},
    "a shard with a zero byte": lambda files: files | {WORDS: "a\0b"}, "a shard of no name": lambda files: files | {WORDS: ""},
    "a shard that is not there": lambda files: files | {WORDS: "model-00003-of-00003.safetensors"},
    "a shard left out": lambda files: {name: file for name, file in files.items() if file == ONE},
    "a shard that is the config": lambda files: files | {WORDS: CONFIG},
}  # fmt: skip
for how, mapping in MAPS.items():
    DAMAGES[how] = (partial(sharded, mapping=mapping), True, ("model",))
DAMAGES["whole shards"] = (sharded, False, ())


@damage("a weight in two shards", names=[TWO])
def _(folder):
    sharded(folder)
    save_file(load_file(folder / TWO) | load_file(folder / ONE), folder / TWO)


@damage("a shard is a pipe", names=[TWO])
def _(folder):
    sharded(folder)
    fifo(folder / TWO)


@damage("a shard is cut off", names=[ONE])
def _(folder):
    sharded(folder)
    os.truncate(folder / ONE, 500)


@damage("an index that is deep", names=[INDEX])
def _(folder):
    sharded(folder)
    (folder / INDEX).write_bytes(b'{"weight_map":' * 9999)


PIECES = {
    "no pieces": (["model", "vocab"], {}), "pieces that are a list": (["model", "vocab"], ["a"]), "no model": (["model"], ...),
    "a model that is a text": (["model"], "x"), "a model nobody knows": (["model", "type"], "Sluggish"),
    "a piece with a negative number": (["model", "vocab", "cat"], -1), "a piece beyond the embedding": (["model", "vocab", "cat"], 999),
    "a piece with a wild number": (["model", "vocab", "cat"], 2**40), "a piece that is a text": (["model", "vocab", "cat"], "x"),
    "an unknown token that is none": (["model", "unk_token"], "<nope>"), "no unknown token": (["model", "unk_token"], ...),
    "a pre-tokenizer nobody knows": (["pre_tokenizer"], {"type": "X"}), "a pre-tokenizer that is a list": (["pre_tokenizer"], []),
    "a pattern that is none": (["pre_tokenizer"], {"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated", "invert": False}),
    "a special token beyond the embedding": (["post_processor", "special_tokens", "<s>", "ids"], [99]),
    "a special token nobody knows": (["post_processor", "special_tokens", "<s>", "tokens"], ["<nope>"]),
    "a post-processor that is a text": (["post_processor"], "x"), "added tokens that are a text": (["added_tokens"], "x"),
    "an added token beyond the embedding": (["added_tokens"], [{"id": 25, "content": "new", "single_word": False, "lstrip": False,
                                            "rstrip": False, "normalized": True, "special": False}]),
    "an added token with a wild number": (["added_tokens"], [{"id": 2**31, "content": "new", "single_word": False, "lstrip": False,
                                          "rstrip": False, "normalized": True, "special": True}]),
    "a normalizer nobody knows": (["normalizer"], {"type": "X"}), "a charsmap that is none": (["normalizer"], {"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    "a version of tomorrow": (["version"], "9.0"), "truncation of nothing": (["truncation"], {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 9}),
    "padding to a billion": (["padding"], {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1, "pad_type_id": 0, "pad_token": "<pad>"}),
}  # fmt: skip
TAKEN = {"a special token nobody knows", "padding to a billion", "truncation of nothing"}
for how, (place, value) in PIECES.items():
    DAMAGES[how] = (partial(nested, place=place, value=value), how not in TAKEN, ("model",))

TOLD = {
    "code for the tokenizer": {"auto_map": {"AutoTokenizer": ["tokenization_x.T", None]}}, "code as a list": {"auto_map": ["x.T", None]},
    "a class that is a number": {"tokenizer_class": 3}, "a class nobody knows": {"tokenizer_class": "NopeTokenizer"},
    "the class of another": {"tokenizer_class": "BertTokenizer"}, "a class that is a module": {"tokenizer_class": "os.system"},
    "a class with bytes": {"tokenizer_class": "ByT5Tokenizer"}, "tekken": {"tokenizer_class": "MistralCommonBackend"},
    "vocabulary elsewhere": {"vocab_file": "/etc/passwd"}, "a tokenizer elsewhere": {"tokenizer_file": "/dev/zero"},
    "a template": {"chat_template": "{% for x in range(10**9) %}{{ x }}{% endfor %}"}, "a length of no number": {"model_max_length": "x"},
    "a wild length": {"model_max_length": 10**40}, "a negative length": {"model_max_length": -5},
    "names of inputs": {"model_input_names": "x"}, "names of no inputs": {"model_input_names": []}, "wild inputs": {"model_input_names": ["pixel_values"]},
    "a pad token of keys": {"pad_token": {"a": 1}}, "a pad token of another": {"pad_token": "the"}, "no pad token at all": {"pad_token": None},
    "a pad token nobody has": {"pad_token": "<new-pad>"}, "an unknown token nobody has": {"unk_token": "<new-unk>"},
    "a start nobody has": {"cls_token": "<new-cls>", "bos_token": "<new-cls>"}, "more special tokens": {"additional_special_tokens": ["<e1>", "<e2>"]},
    "extra ones": {"extra_special_tokens": {"image_token": "<image>"}}, "a token for pictures": {"image_token": "<image>"},
    "a wild decoder": {"added_tokens_decoder": {"9999": {"content": "x", "special": True}}}, "a decoder of texts": {"added_tokens_decoder": "x"},
    "the left side": {"padding_side": "left", "truncation_side": "left"}, "no side": {"padding_side": "up"}, "spaces": {"clean_up_tokenization_spaces": "x"},
    "a backend": {"backend": "sentencepiece"}, "an object": {"tokenizer_object": "x"}, "slow": {"from_slow": True}, "config": {"config": {"a": 1}},
    "mistral's": {"fix_mistral_regex": True}, "init inputs": {"init_inputs": ["a", "b"]}, "name": {"name_or_path": "../.."},
}  # fmt: skip
for how, changes in TOLD.items():
    DAMAGES[f"the tokenizer is told {how}"] = (partial(keyed, changes=changes, file=SETTINGS), "code" in how, ("model",))


@damage("no file of a tokenizer", names=["no tokenizer"])
def _(folder):
    (folder / TOKENIZER).unlink()
    (folder / SETTINGS).unlink()


@damage("pieces of sentencepiece that are none", names=["model"])
def _(folder):
    (folder / TOKENIZER).rename(folder / "sentencepiece.bpe.model")


@damage("a vocabulary by lines that no class reads", names=["model"])
def _(folder):
    (folder / TOKENIZER).unlink()
    (folder / "vocab.txt").write_text("the\na\n")


@damage("added tokens in a file of their own", refused=False)
def _(folder):
    (folder / "added_tokens.json").write_text('{"<new>": 25, "<newer>": 4000000000}')


@damage("a special tokens map that is none", names=["special_tokens_map.json"])
def _(folder):
    (folder / "special_tokens_map.json").write_text("[]")


@damage("the folder is a file", names=["model"])
def _(folder):
    shutil.rmtree(folder)
    folder.write_text("x")


@damage("the folder is a pipe", names=["model"])
def _(folder):
    shutil.rmtree(folder)
    os.mkfifo(folder)


@damage("the folder is a link to itself", names=["model"])
def _(folder):
    shutil.rmtree(folder)
    folder.symlink_to(folder.name)


@damage("the folder is empty", names=["model"])
def _(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@damage("the folder is gone", names=["model"])
def _(folder):
    shutil.rmtree(folder)


COMMANDS = {
    "dry run": ("run", "spec.yaml", "--out", "new", "--dry-run"), "run": ("run", "spec.yaml", "--out", "new"),
    "predict": ("predict", "run"),
}  # fmt: skip
# What a dry run cannot see: it reads no weights and computes nothing.
UNSEEN = ("has one value", "is not there", "other names", "a layer too many", "fewer layers", "overflowed", "a norm of nothing",
          "a shard left out")  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_taken_or_refused_in_a_line(isogloss, whole_home, name, command):
    change, refused, names = DAMAGES[name]
    change(whole_home / "model")
    before = snapshot(whole_home / "run")
    answer = isogloss(*COMMANDS[command], cwd=whole_home, stdin=b"the cat sat\n")
    must = refused and not (command == "dry run" and any(part in name for part in UNSEEN))
    answer.well(*(names if answer.code == 2 and refused else ()), code=2 if must else None)
    assert "Traceback" not in answer.err
    assert snapshot(whole_home / "run") == before


ROPES = {
    "unknown": {"rope_type": "sluggish", "rope_theta": 1e4}, "a list": [1], "no theta": {"rope_type": "default"},
    "theta of nothing": {"rope_type": "default", "rope_theta": 0}, "a text": {"rope_type": "linear", "factor": "x", "rope_theta": 1e4},
    "a factor of nothing": {"rope_type": "linear", "factor": 0.0, "rope_theta": 1e4}, "yarn without a factor": {"rope_type": "yarn", "rope_theta": 1e4},
    "a wild theta": {"rope_type": "default", "rope_theta": "x"},
}  # fmt: skip
DECODERS = {
    **{f"a rope of {how}": ("llama", {"rope_parameters": rope}) for how, rope in ROPES.items()},
    "key heads that do not divide": ("llama", {"num_key_value_heads": 3}), "no key heads": ("llama", {"num_key_value_heads": 0}),
    "a head of no width": ("qwen3", {"head_dim": 0}), "layers of no kind": ("gemma3_text", {"layer_types": ["nope"] * 3}),
    "too few kinds of layers": ("gemma3_text", {"layer_types": ["full_attention"]}), "kinds that are a text": ("gemma3_text", {"layer_types": "x"}),
    "a window of nothing": ("mistral", {"sliding_window": 0}), "a negative window": ("mistral", {"sliding_window": -4}),
    "a window of a text": ("mistral", {"sliding_window": "x"}), "no buckets": ("mt5", {"relative_attention_num_buckets": 0}),
    "no distance": ("mt5", {"relative_attention_max_distance": 0}), "layers of a decoder": ("mt5", {"num_decoder_layers": 10**9}),
    "10^9 layers": ("bloom", {"n_layer": 10**9}), "10^9 layers by another name": ("bloom", {"num_hidden_layers": 10**9}),
    "10^9 heads": ("bloom", {"n_head": 10**9}), "a table of sinusoids": ("xglm", {"max_position_embeddings": 10**9}),
    "a negative table": ("xglm", {"max_position_embeddings": -1}), "10^18 positions": ("llama", {"max_position_embeddings": 10**18}),
    "both ways": ("gemma3_text", {"use_bidirectional_attention": True}), "a cap of nothing": ("gemma3_text", {"final_logit_softcapping": 0}),
    "a wild scalar": ("gemma3_text", {"query_pre_attn_scalar": -1}), "a partial rotation": ("gpt_neox", {"rotary_pct": 7.0}),
    "more layers of no weights": ("gpt_neox", {"num_hidden_layers": 30}), "a mistake of width": ("qwen2", {"hidden_size": 23}),
}  # fmt: skip


@pytest.mark.parametrize("command", ["dry run", "run"])
@pytest.mark.parametrize("name", DECODERS)
def test_silly_configurations_of_other_families(isogloss, whole_home, name, command):
    family, changes = DECODERS[name]
    shutil.rmtree(whole_home / "model")
    whole(whole_home / "model", family)
    keyed(whole_home / "model", changes)
    isogloss(*COMMANDS[command], cwd=whole_home).well()


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
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", version, *(counts or (len(tensors), len(values)))) + body + bytes(64))


KNOWN = [("general.architecture", "llama"), ("llama.block_count", 2), ("llama.embedding_length", 8)]
GGUFS = {
    "empty": lambda path: path.write_bytes(b""), "magic alone": lambda path: path.write_bytes(b"GGUF"),
    "no magic": lambda path: path.write_bytes(b"GGML" + bytes(100)), "wild counts": partial(gguf, counts=(2**63, 2**63)),
    "counts of a billion": partial(gguf, counts=(10**9, 10**9)), "version 99": partial(gguf, version=99),
    "nothing": gguf, "no architecture": partial(gguf, values=[("general.name", "x")]),
    "an architecture nobody knows": partial(gguf, values=[("general.architecture", "sluggish")]),
    "no tensors": partial(gguf, values=KNOWN), "10^9 layers": partial(gguf, values=[*KNOWN[:1], ("llama.block_count", 10**9), *KNOWN[2:]]),
    "a wild tensor": partial(gguf, values=KNOWN, tensors=[("token_embd.weight", (10**9, 10**9), 0, 0)]),
    "a tensor of a type nobody knows": partial(gguf, values=KNOWN, tensors=[("token_embd.weight", (2, 2), 999, 0)]),
    "a tensor beyond": partial(gguf, values=KNOWN, tensors=[("token_embd.weight", (2, 2), 0, 2**62)]),
    "a key twice": partial(gguf, values=[*KNOWN, *KNOWN]), "a pipe": lambda path: os.mkfifo(path),
    "random": lambda path: path.write_bytes(b"GGUF" + np.random.default_rng(0).bytes(4096)),
    "a long key": lambda path: path.write_bytes(struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**62) + bytes(64)),
    "a Git LFS pointer": lambda path: path.write_bytes(BYTES["a Git LFS pointer"]),
}  # fmt: skip


@pytest.mark.parametrize("command", ["dry run", "run"])
@pytest.mark.parametrize("name", GGUFS)
def test_a_damaged_gguf_file_is_refused_in_a_line(isogloss, home, name, command):
    GGUFS[name](home / "model.gguf")
    answer = isogloss(*COMMANDS[command], "--set", f"backbone={home / 'model.gguf'}", cwd=home, ISOGLOSS_CACHE=str(home / "cache"))
    answer.well("model.gguf", code=None if command == "dry run" else 2)


NAMES = ["", " ", ".", "..", "/", "~nobody-at-all/x", "a\0b", "a/b/c/d", "x" * 5000, "org/../../etc", "/dev/null", "/proc/self/mem",
         "embedded/nope", "org/model@", "@", "org/model@../x", "https://example.org/model", "org\\model", "\x1b[31mred/x", "\u202edlrow/x",
         "nope.gguf", "-", "*", "[a-z]/*", "{x}/y", "org/model name"]  # fmt: skip


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
