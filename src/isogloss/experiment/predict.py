"""Label new text with a stored run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError, unknown
from isogloss.experiment.evaluate import predict as predict_features
from isogloss.experiment.restore import cell_of, load_backbone, restore
from isogloss.languages.language import Language
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.fill_template import tokenise_filled
from isogloss.preprocessing.truncate import fit
from isogloss.runtime.console import err
from isogloss.store import Finished, Store
from isogloss.tasks.registry import TASKS
from isogloss.tasks.verbalizer import Verbalizer


def predict(
    folder: Path, texts: Sequence[str], *, method: str | None, seed: int | None, language: str | None
) -> Iterator[dict[str, Any]]:
    """A label and its probability for every text.

    Args:
        folder: a run directory.
        texts: one text each.
        method: which method's; left out: the one with the best source dev score.
        seed: which seed's; left out: likewise.
        language: written into the answers; chooses the words of a verbalizer that has some for it.

    Raises:
        IsoglossError: nothing such is stored, a text is empty, or the backbone is not the one of the run.
    """
    code = None if language is None else str(Language.parse(language))
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise IsoglossError(f"text {number} is empty; every line holds one text")
    if not folder.is_dir():
        raise IsoglossError(f"{folder} does not exist; expected a run directory")
    stored = Store(folder)
    found = choose(stored, method, seed)
    facts, cell = found.record["facts"], cell_of(found)
    words = cell.settings.head == "verbalizer"
    backbone = load_backbone(stored, [found], words=words)
    if not texts:
        return
    task, inputs, labels = TASKS[found.record["kind"]], found.record["inputs"], found.record["labels"]
    parts = [_parts(text, number, inputs) for number, text in enumerate(texts, start=1)]
    verbalizer = None
    if words:
        verbalizer = Verbalizer.of(backbone, labels, facts["verbalizer"], source=facts["source"], inputs=inputs)
        features = tokenise_filled(
            verbalizer.template, tuple(zip(*parts, strict=True)), [0] * len(parts), backbone.tokenizer,
            causal=backbone.causal, wording=verbalizer.wording(code), longest=facts["longest"],
        )  # fmt: skip
    else:
        features = task.unlabelled(parts, backbone.tokenizer, last=facts["subword"] == "last", longest=facts["longest"])
    stack = restore(backbone, cell, found, verbalizer)
    room = stack.room(stack.runs[0])
    cut = fit(features, room, backbone.tokenizer)
    if cut.cut:
        most = min(room, facts["longest"] or room)
        err.print(f"{cut.cut:,} texts are longer than {most} tokens and are cut", soft_wrap=True)
    (made,) = predict_features(stack, stack.runs, cut, budget=budgets(backbone.device)[1])
    answers, scores = task.predicted(made.features, made.scores, labels)
    for part, label, score in zip(parts, answers, scores, strict=True):
        answer = {**task.shown(part, label), "score": round(score, 4)}
        yield answer if code is None else {**answer, "language": code}


def _parts(text: str, number: int, inputs: Sequence[str]) -> list[str]:
    """The parts of a line, where an example has more than one."""
    parts = text.split("\t") if len(inputs) > 1 else [text]
    if len(parts) != len(inputs) or not all(part.strip() for part in parts):
        raise IsoglossError(f"text {number} is not a {' and a '.join(inputs)} with a tab between: {text[:60]!r}")
    return parts


def choose(stored: Store, method: str | None, seed: int | None) -> Finished:
    """The stored cell that was asked for, or the best on the source's development data."""
    cells = stored.finished()
    if not cells:
        raise IsoglossError(f"{stored.path} holds no finished run; `isogloss run` makes one")
    if method is not None and method not in {cell.record["method"] for cell in cells}:
        raise unknown("method of this run", method, {cell.record["method"] for cell in cells})
    fitting = [
        cell for cell in cells if method in {None, cell.record["method"]} and seed in {None, cell.record["seed"]}
    ]
    if not fitting:
        seeds = sorted({cell.record["seed"] for cell in cells if method in {None, cell.record["method"]}})
        raise IsoglossError(f"{stored.path} has no seed {seed}; it has {', '.join(map(str, seeds))}")
    return max(fitting, key=lambda cell: cell.table("scores").filter(split="dev")["value"][0])
