"""Stacks of runs of every kind: each frozen method, place of a prompt, pooling, task and head."""

from collections.abc import Sequence
from typing import Any

import pytest

from isogloss.backbones import attention
from isogloss.backbones.backbone import Backbone
from isogloss.backbones.transformer import Transformer
from isogloss.methods.registry import find
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.fill_template import tokenise_filled
from isogloss.preprocessing.tokenize import tokenise, tokenise_passages, tokenise_words
from isogloss.preprocessing.truncate import fit
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.engine import Engine
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState
from models import LABELS, WORDS, bert_tokenizer, train_state
from varlen import variable_length

COUNT = 21
LENGTHS, SIZES = (3, 5, 2), (8, 5, 8)  # of each run's prompt and batches: the last of an epoch are smaller
PROBE, SOFT, DEEP = "linear-probe", "soft-prompt", "deep-prompt"
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {  # method, what is learnt from, settings
    "probe": (PROBE, "texts", {}),
    "deep": (DEEP, "texts", {}),
    "deep, upper layers": (DEEP, "texts", {"first_layer": 1}),
    "deep, unshifted": (DEEP, "texts", {"shift_positions": False}),
    "deep, mean": (DEEP, "texts", {"pooling": "mean"}),
    "deep, pairs": (DEEP, "pairs", {}),
    "deep, words": (DEEP, "words", {}),
    "deep, passages": (DEEP, "passages", {}),
    "deep, verbalizer": (DEEP, "filled", {"head": "verbalizer"}),
    "soft": (SOFT, "texts", {}),
    "soft, mlp": (SOFT, "texts", {"mlp": True}),
    "soft after": (SOFT, "texts", {"place": "after"}),
    "soft after first": (SOFT, "texts", {"place": "after-first"}),
    "soft, mean": (SOFT, "texts", {"pooling": "mean"}),
    "soft, first": (SOFT, "texts", {"pooling": "first"}),
    "soft, last": (SOFT, "texts", {"pooling": "last", "place": "after-first"}),
    "soft, pairs": (SOFT, "pairs", {"place": "after-first"}),
    "soft, words": (SOFT, "words", {"place": "after-first"}),
    "soft, passages": (SOFT, "passages", {}),
    "soft, template": (SOFT, "prompted", {"head": "verbalizer", "place": "template"}),
}
QUICK = {  # enough for a quick look; the others are slow
    "deep", "deep, upper layers", "deep, words", "deep, passages", "soft", "soft after first", "soft, mean",
    "soft, template",
}  # fmt: skip
SOME = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
CAUSAL = [name for name in CASES if name not in {"soft after", "deep, pairs", "soft, pairs"}]


def features(model: Backbone, kind: str, verbalizer: Verbalizer | None = None) -> Features:
    """Rows of unlike lengths."""
    texts = [" ".join(WORDS[(i + j * j) % len(WORDS)] for j in range(1 + 7 * i % 13)) for i in range(COUNT)]
    gold = [i % 3 for i in range(COUNT)]
    if kind == "texts":
        return tokenise((texts,), gold, model.tokenizer)
    if kind == "pairs":
        typed = getattr(model.model.config, "type_vocab_size", 1) > 1  # type: ignore[attr-defined]
        return tokenise((texts, texts[::-1]), gold, bert_tokenizer() if typed else model.tokenizer)
    if kind == "words":
        words = [text.split() for text in texts]
        return tokenise_words(words, [i % 3 for i in range(sum(map(len, words)))], model.tokenizer, last=model.causal)
    if kind == "passages":
        passages = [" ".join(WORDS[(i + j) % 20] for j in range(4 + 5 * i % 23)) for i in range(COUNT)]
        asked = [WORDS[i % 20] for i in range(COUNT)]
        return tokenise_passages(asked, passages, [(0, 2)] * COUNT, model.tokenizer, longest=20)
    assert verbalizer is not None
    options: dict[str, Any] = {"causal": model.causal, "wording": verbalizer.wording("eng-Latn")}
    return tokenise_filled(verbalizer.template, (texts,), gold, model.tokenizer, **options)


def made(model: Backbone, case: str, count: int = 3, **more: Any) -> tuple[Stack, list[TrainState]]:
    """A stack of so many runs at their start, and what they learn from."""
    name, kind, settings = CASES[case]
    method, verbalizer = find(name), None
    if kind in {"filled", "prompted"}:
        template = "{text}{prompt} sun {answer}" if kind == "prompted" else "{text} sun {answer}"
        given = {"template": template, "words": dict(zip(LABELS, WORDS, strict=False)), "loss": "vocabulary"}
        verbalizer = Verbalizer.of(model, LABELS, given, source="eng-Latn", inputs=("text",))
    runs, states = [], []
    whole = features(model, kind, verbalizer)
    for number in range(count):
        own = {"batch_size": SIZES[number], "epochs": 2, "dropout": 0.1, **settings, **more}
        if name != PROBE:
            own["length"] = LENGTHS[number]
        classes = {"passages": 2, "filled": 7, "prompted": 7}.get(kind, 3)
        runs.append(new_run(method, model, method.settings(**own), seed=number, classes=classes, verbalizer=verbalizer))
    stack = Stack(model, method, runs)
    for run in runs:
        if kind == "passages":
            cut = fit(whole, stack.room(run), model.tokenizer)
            states.append(TrainState(run, cut, cut, "f1", lambda _: 0.0))
        else:
            states.append(train_state(run, whole))
    return stack, states


def updated(engine: Engine, count: int) -> list[list[float]]:
    """Each run's losses of so many updates, as they are recorded."""
    for _ in range(count):
        engine.update()
    engine.fetch()
    return [[row["loss"] for row in one.history] for one in engine.train_states]


def lay_end_to_end(monkeypatch: pytest.MonkeyPatch, models: Sequence[Backbone] = ()) -> None:
    """Rows lie end to end as on a GPU in half precision, before a kernel written out in Python."""
    monkeypatch.setattr(attention, "variable_length", lambda: variable_length)
    monkeypatch.setattr(Transformer, "end_to_end", lambda *_: True)
    for model in models:
        monkeypatch.setattr(model, "_preparations", {})  # those that are known were laid out for padded rows
