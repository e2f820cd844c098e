"""The tokenizer in a model folder: read as its files say, and refused where it cannot be the model's.

transformers builds many tokenizers anew from the pieces in `tokenizer.json`, by the class that a configuration names.
Where that class is another's, the ids are too: what `tokenizer.json` itself makes of a text is what counts.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from isogloss.backbones.checkpoint.config import ModelConfig, reason
from isogloss.backbones.checkpoint.folder import ModelFolder
from isogloss.backbones.families.bert import FIRST_POSITION_AFTER_PAD
from isogloss.runtime.console import err

WHOLE = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
KEYED = (SETTINGS, "special_tokens_map.json", "added_tokens.json")  # of keys and values
VOCABULARIES = (
    "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model", "sentencepiece.model",
    "tokenizer.model",
)  # fmt: skip
CONVERTERS = ("sentencepiece", "tiktoken", "protobuf")  # what transformers makes fast tokenizers of these with
SAVE = "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
FILES = (WHOLE, *KEYED, *VOCABULARIES, "merges.txt")
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
RARE = "\U000103a0\ua840\U00012000"  # letters of Old Persian, Phags-pa and cuneiform
# Scripts, cases, accents, widths and spaces that tokenizers treat unlike.
PROBES = (
    "Größe Hello, World! 12345", "ĐÁY Été İstanbul straße", "世界は広い 한국어", "नमस्ते दुनिया", "ไทยแลนด์ สวัสดี",
    "مرحبا بالعالم שלום", "Привет, мир", "తెలుగు ქართული", "\uff21\uff22\uff23\uff11\uff12 \uff76\uff85",
    "naïve co-operate don't", "two  spaces",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FolderTokenizer:
    """The tokenizer of a checkpoint.

    Args:
        tokens: transformers' fast tokenizer.
        fingerprint: sha256 over all pieces, and over what it makes of texts in many scripts.
    """

    tokens: Any
    fingerprint: str


def load_tokenizer(folder: ModelFolder, config: ModelConfig, rows: int) -> FolderTokenizer:
    """The fast tokenizer of a checkpoint.

    Args:
        folder: the checkpoint.
        config: of its model.
        rows: of the word embedding.

    Raises:
        IsoglossError: there is none, it cannot be read, or it cannot be the model's.
    """
    whole = folder.has(WHOLE)
    found = [name for name in VOCABULARIES if folder.has(name)]
    if not whole and not found:
        folder.refuse(f"there is no tokenizer in {folder.path}; expected {WHOLE} beside its weights")
    settings = folder.json(SETTINGS) if folder.has(SETTINGS) else {}
    if settings.get("auto_map"):
        folder.refuse(f"{SETTINGS} brings code of its own (auto_map), which isogloss never runs")
    tokenizer = _read(folder, config, settings, WHOLE if whole else found[0])
    if not whole:
        _check_class(folder, tokenizer, found)
    vocabulary = _fitting(folder, tokenizer, settings, rows)
    ids = _check(folder, tokenizer, config, rows)
    if rows > 2 * len(vocabulary):
        err.print(
            f"{folder.name}: the embedding has {rows:,} rows, the tokenizer knows {len(vocabulary):,} pieces: is it "
            "this model's?", markup=False, soft_wrap=True,
        )  # fmt: skip
    pieces = [""] * rows
    for piece, number in vocabulary.items():
        pieces[number] = piece
    made = "\n".join([*pieces, *map(str, ids)]).encode(errors="surrogatepass")
    return FolderTokenizer(tokenizer, hashlib.sha256(made).hexdigest())


def _read(folder: ModelFolder, config: ModelConfig, settings: dict[str, Any], file: str) -> Any:
    with _alone(folder) as path:
        try:
            tokenizer = _by_class(path, config, file)
            if file == WHOLE and type(tokenizer) is not PreTrainedTokenizerFast:  # which reads the file as it is
                tokenizer = _as_written(folder, tokenizer, path, settings)
        except BaseException as error:  # what is written in Rust panics, with an exception of its own
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            if file.endswith(".model") and any(find_spec(name) is None for name in CONVERTERS):
                raise folder.refusal(
                    f"its tokenizer is in {file} alone, which takes more packages: pip install sentencepiece protobuf; "
                    f"or save {WHOLE} beside it, once, where they are installed: {SAVE}"
                ) from error
            told = reason(error).replace(str(path), str(folder.path))
            raise folder.refusal(f"its tokenizer could not be read ({told}); expected {file} as published") from error
    if not tokenizer.is_fast:
        folder.refuse("it has no fast tokenizer, which isogloss needs to know where words lie")
    return tokenizer


def _by_class(path: Path, config: ModelConfig, file: str) -> Any:
    """As the class makes it that a configuration names, or that the family of the model usually has.

    Where there is a `tokenizer.json` that the class cannot be made of, for it is of another kind (BPE in a model of
    XLM-R's), that file is enough.
    """
    try:
        return AutoTokenizer.from_pretrained(str(path), config=config.values, trust_remote_code=False)
    except Exception:
        if file != WHOLE:
            raise
        tokenizer = PreTrainedTokenizerFast.from_pretrained(str(path), trust_remote_code=False)
        unknown = getattr(tokenizer.backend_tokenizer.model, "unk_token", None)
        if tokenizer.unk_token is None and unknown in tokenizer.get_vocab():
            tokenizer.unk_token = unknown
        return tokenizer


@contextmanager
def _alone(folder: ModelFolder) -> Iterator[Path]:
    """A folder with the tokenizer's files and nothing else, in which no path leads elsewhere."""
    with tempfile.TemporaryDirectory(prefix="isogloss-tokenizer-") as name:
        path = Path(name)
        for file in FILES:
            if not folder.has(file):
                continue
            if file in KEYED:  # without files elsewhere, without templates, and without a length: texts are cut by us
                dropped = ("_file", "_template", "model_max_length")
                kept = {key: value for key, value in folder.json(file).items() if not key.endswith(dropped)}
                (path / file).write_text(json.dumps(kept), encoding="utf-8")
            else:
                (path / file).write_bytes(folder.read(file))
        yield path


def _as_written(folder: ModelFolder, tokenizer: Any, path: Path, settings: dict[str, Any]) -> Any:
    """The tokenizer, or where it makes other ids than `tokenizer.json` says, one of that file alone."""
    written = Tokenizer.from_str(json.dumps(_with_settings(json.loads((path / WHOLE).read_text("utf-8")), settings)))
    written.no_padding()
    written.no_truncation()
    if not tokenizer.is_fast or _same(tokenizer.backend_tokenizer, written):
        return tokenizer
    plain = PreTrainedTokenizerFast.from_pretrained(str(path), trust_remote_code=False)
    other_kind = type(tokenizer.backend_tokenizer.model) is not type(written.model)
    if not other_kind and not _same(plain.backend_tokenizer, written):
        return tokenizer
    err.print(
        f"{folder.name}: its tokenizer is read as {WHOLE} has it; {type(tokenizer).__name__}, which it is said to be, "
        "makes other ids", markup=False, soft_wrap=True,
    )  # fmt: skip
    return plain


def _with_settings(written: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """What `tokenizer.json` says, but for what `tokenizer_config.json` says otherwise in so many words."""
    said = {
        "BertNormalizer": {
            "do_lower_case": "lowercase", "strip_accents": "strip_accents",
            "tokenize_chinese_chars": "handle_chinese_chars",
        },
        "ByteLevel": {"add_prefix_space": "add_prefix_space"},
    }  # fmt: skip
    for part in ("normalizer", "pre_tokenizer"):
        stage = written.get(part)
        if isinstance(stage, dict) and stage.get("type") in said:
            changed = {theirs: settings[ours] for ours, theirs in said[stage["type"]].items() if ours in settings}
            written = {**written, part: {**stage, **changed}}
    return written


def _same(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether two make the same of texts, special tokens aside."""
    one.no_padding()  # as it is before each call anyway
    one.no_truncation()
    return all(
        one.encode(text, add_special_tokens=False).ids == other.encode(text, add_special_tokens=False).ids
        for text in PROBES
    )


def _check_class(folder: ModelFolder, tokenizer: Any, found: list[str]) -> None:
    """Without `tokenizer.json`, a class that reads none of the files there makes a tokenizer of nothing."""
    read = {name for key, name in tokenizer.vocab_files_names.items() if key == "vocab_file"}
    if not read & set(found):
        folder.refuse(
            f"{type(tokenizer).__name__} reads {', '.join(sorted(read)) or WHOLE}, but there is {', '.join(found)}; "
            f"put the model's own tokenizer_class into {SETTINGS}, such as XLMRobertaTokenizer"
        )


def _fitting(folder: ModelFolder, tokenizer: Any, settings: dict[str, Any], rows: int) -> dict[str, int]:
    """Refuse a tokenizer with pieces that the embedding has no rows for.

    Tokens with a role that no text gives them, such as Gemma's for a picture or a mask that a class of transformers
    adds of its own, are left out instead: where one stands in a text, it is read as the text it is.

    Returns:
        The ids of all pieces.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if not vocabulary or min(vocabulary.values()) < 0:
        folder.refuse("its tokenizer knows no pieces; fetch it again")
    beyond = {piece: number for piece, number in vocabulary.items() if number >= rows}
    if not beyond:
        return vocabulary
    roles = {str(value) for key, value in settings.items() if key.endswith("_token")}
    roles |= {str(getattr(tokenizer, role, None)) for role in ROLES}
    used = set(tokenizer("a b", "c d")["input_ids"])
    written = json.loads(tokenizer.backend_tokenizer.to_str())
    added = {token["content"] for token in written["added_tokens"]}
    if needed := [piece for piece, number in beyond.items() if piece not in roles & added or number in used]:
        last = max(needed, key=beyond.__getitem__)
        folder.refuse(
            f"the tokenizer knows {max(beyond.values()) + 1:,} pieces, the embedding has {rows:,} rows and none for "
            f"{last!a:.40}; take the model's own tokenizer, or resize the embedding and save both"
        )
    for role in ROLES:
        if str(getattr(tokenizer, role, None)) in beyond:
            setattr(tokenizer, role, None)
    written["added_tokens"] = [token for token in written["added_tokens"] if token["content"] not in beyond]
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(written))  # noqa: SLF001 - tokens are added, never taken away
    return {piece: number for piece, number in vocabulary.items() if number < rows}


def _check(folder: ModelFolder, tokenizer: Any, config: ModelConfig, rows: int) -> list[int]:
    """Refuse a tokenizer that some text is too much for, or another model's; the ids of texts in many scripts."""
    try:
        ids = [number for text in (*PROBES, RARE) for number in tokenizer(text, text)["input_ids"]]
    except Exception as error:
        raise folder.refusal(
            f"its tokenizer cannot read every text ({reason(error)}); expected one with a token for what is unknown"
        ) from error
    if not 0 <= min(ids) <= max(ids) < rows:
        folder.refuse(f"its tokenizer makes the id {max(ids)} of a text, but the embedding has {rows:,} rows")
    if not tokenizer(RARE, add_special_tokens=False)["input_ids"] and tokenizer.unk_token_id is None:
        folder.refuse("its tokenizer drops what it does not know and has no unk_token; name one of its pieces in it")
    pad, expected = tokenizer.pad_token_id, getattr(config.values, "pad_token_id", None)
    if config.values.model_type in FIRST_POSITION_AFTER_PAD and not isinstance(expected, int):
        folder.refuse("config.json names no pad_token_id, behind which this family's positions begin")
    if config.values.model_type in FIRST_POSITION_AFTER_PAD and pad is not None and pad != expected:
        folder.refuse(
            f"the tokenizer pads with {pad} ({tokenizer.pad_token!a}), config.json says pad_token_id: {expected}, "
            "behind which this family's positions begin; take the model's own tokenizer"
        )
    return ids
