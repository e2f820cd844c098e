"""What stands beside a model in every format: labels, head, tokenizer, and a script that needs no isogloss."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from runpy import run_path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from isogloss.interop.label_words import label_words
from isogloss.interop.trained import Trained
from isogloss.preprocessing.tokenize import joins_words

LABELS, HEAD, SCRIPT, BACKBONE = "labels.json", "head.safetensors", "classify.py", "backbone"


def write_labels(trained: Trained, out: Path, *, backbone: str, revision: str | None = None) -> None:
    """`labels.json`: the classes in the order of the scores, and how a text is read.

    Args:
        trained: the model.
        out: the folder.
        backbone: where the model that computes lies: a folder in `out`, another folder, or a hub id.
        revision: of a hub id.
    """
    facts = trained.model.record.facts
    words = label_words(trained).about if trained.verbalized else None
    about = {
        "kind": trained.kind,
        "labels": trained.labels,
        "inputs": list(trained.model.record.inputs),
        "pooling": trained.pooling,
        "subword": facts["subword"],
        "spaced": joins_words(trained.tokenizer),
        "longest": trained.longest,
        "temperature": trained.model.temperature,
        "backbone": backbone,
        "revision": revision,
        "encoder_half": trained.encoder_half,
        **({} if words is None else {"verbalizer": words}),
    }
    (out / LABELS).write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_labels(out: Path) -> dict[str, Any]:
    """What `write_labels` wrote."""
    about: dict[str, Any] = json.loads((out / LABELS).read_text(encoding="utf-8"))
    return about


def write_head(trained: Trained, out: Path) -> None:
    """`head.safetensors`: `weight` (H, C) and `bias` (C); of a verbalizer what `label_words` says."""
    if trained.verbalized:
        tensors = label_words(trained).tensors
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out / HEAD)
        return
    weight, bias = trained.head
    save_file({"weight": weight.contiguous(), "bias": bias.contiguous()}, out / HEAD)


def write_tokenizer(trained: Trained, out: Path) -> None:
    """The backbone's tokenizer, which pads behind the text."""
    tokenizer = trained.tokenizer
    side = tokenizer.padding_side
    try:
        tokenizer.padding_side = "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        tokenizer.save_pretrained(out)
    finally:
        tokenizer.padding_side = side


def script_of(trained: Trained) -> str:
    """The script that labels what a model labels."""
    if trained.verbalized:
        return "fill"
    return "tag" if trained.kind == "tagging" else "classify"


def write_script(name: str, out: Path) -> None:
    """`classify.py`, which needs the other library alone.

    Args:
        name: of one of the scripts beside this file.
        out: the folder.
    """
    with resources.as_file(resources.files("isogloss.interop") / "scripts" / f"{name}.py") as file:
        shutil.copyfile(file, out / SCRIPT)


def scored(out: Path, inputs: Sequence[Sequence[str]]) -> list[Tensor]:
    """What `classify.py` makes of inputs, in this process. See `Format.scores`."""
    script = run_path(str(out / SCRIPT))
    if read_labels(out)["kind"] == "tagging":
        found: list[Tensor] = script["scores"]([list(words) for words in inputs], *script["load"]())
        return found
    columns = tuple(list(column) for column in zip(*inputs, strict=True))
    scores: Tensor = script["scores"](columns, *script["load"]())
    return list(scores[:, None].unbind())


def script_usage(trained: Trained) -> str:
    """Python code that labels a text by `classify.py`."""
    one = '[["One", "sentence"]]' if trained.kind == "tagging" else '["One text."]'
    if trained.pairs:
        one = '(["One text."], ["Another."])'
    return f"""import sys
sys.path.insert(0, FOLDER)
import classify
tokenizer, model = classify.load()
print(classify.scores({one}, tokenizer, model))"""


@torch.no_grad()
def units(parts: Sequence[str], tokenizer: Any, about: Mapping[str, Any], run: Callable[[Any], Tensor]) -> Tensor:
    """Scores of each word, or of each token of the passage, of one example without padding.

    Args:
        parts: the words, or a question and its passage.
        tokenizer: as it was written.
        about: what `labels.json` says.
        run: gives scores (1, T, C) of every token of a batch.
    """
    if about["kind"].startswith("qa"):
        batch = tokenizer(*parts, truncation="only_second", max_length=about["longest"], return_tensors="pt")
        return run(batch)[0, [part == 1 for part in batch.sequence_ids(0)]]
    nothing = tokenizer.unk_token or tokenizer.pad_token
    kept = [word if tokenizer.tokenize(word) else nothing for word in parts]
    words = [f" {word}" if n and about["spaced"] else word for n, word in enumerate(kept)]
    batch = tokenizer([words], is_split_into_words=True, return_tensors="pt")
    places = [(word, place) for place, word in enumerate(batch.word_ids(0)) if word is not None]
    chosen = dict(places if about["subword"] == "last" else reversed(places))
    return run(batch)[0, [chosen[number] for number in range(len(words))]]
