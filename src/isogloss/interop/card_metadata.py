"""The metadata before a model card, in the hub's words: languages, licence, base model, data sets, and results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import langcodes

from isogloss.data import patterns
from isogloss.data.cards import CUSTOM, Card, find
from isogloss.errors import IsoglossError
from isogloss.interop.backbone_origin import BackboneOrigin
from isogloss.interop.cell_scores import CellScores
from isogloss.languages.language import Language
from isogloss.methods.registry import find as find_method
from isogloss.runtime.visible import one_line
from isogloss.spec import ResolvedSpec


@dataclass(frozen=True)
class TaskWords:
    """What a kind of task is called elsewhere.

    Args:
        pipeline: as the hub does.
        people: for people.
        counted: what its scores are over.
    """

    pipeline: str
    people: str
    counted: str


_QUESTIONS = TaskWords("question-answering", "question answering", "questions")
_KINDS = {
    "classification": TaskWords("text-classification", "text classification", "texts"),
    "tagging": TaskWords("token-classification", "tagging", "words"), "qa": _QUESTIONS, "qa-mlqa": _QUESTIONS,
}  # fmt: skip
METRICS = {"accuracy": "accuracy", "macro-f1": "f1", "span-f1": "seqeval", "exact-match": "exact_match", "f1": "f1"}
NOT_CHOSEN = "unknown"  # the hub's word for a licence that nobody has chosen


def task_words(kind: str) -> TaskWords:
    """What a kind of task is called; of kinds that others have added, by its own name."""
    return _KINDS.get(kind) or TaskWords("other", kind, "examples")


def metadata(
    scores: CellScores,
    card: Card | None,
    backbone: BackboneOrigin,
    spec: ResolvedSpec,
    *,
    served: Sequence[str],
    title: str,
    library: str,
) -> str:
    """The metadata as YAML, without the lines around it.

    Args:
        scores: of the cell.
        card: of its data set, if it is known.
        backbone: where it comes from.
        spec: of the run.
        served: codes of the languages that it serves.
        title: the model's name.
        library: that loads it.
    """
    from huggingface_hub import ModelCardData

    record = scores.cell.record
    method = find_method(record.facts["method"])
    more: dict[str, Any] = {}
    if backbone.hub is not None:
        more["base_model_relation"] = "adapter" if method.frozen else "finetune"
    results = list(_results(scores, card)) if card is not None and _as_published(card, spec) else []
    data = ModelCardData(
        language=list(dict.fromkeys(map(_iso, [scores.source, *served]))),
        license=NOT_CHOSEN,
        base_model=backbone.hub,
        library_name=library,
        pipeline_tag=task_words(record.kind).pipeline,
        tags=["isogloss", "cross-lingual-transfer", "zero-shot", method.name],
        datasets=list(dict.fromkeys(_datasets(card, spec))) or None,
        metrics=list(dict.fromkeys(METRICS.get(metric, metric) for metric in scores.metrics)),
        model_name=one_line(title) if results else None,
        eval_results=results or None,
        **more,
    )
    return data.to_yaml().strip()


def _iso(code: str) -> str:
    """A language by its shortest code, as the hub has it."""
    language = Language.parse(code)
    return langcodes.Language.get(language.iso).language or language.iso


def _datasets(card: Card | None, spec: ResolvedSpec) -> Iterator[str]:
    """Ids of what was trained and tested on."""
    trained = card
    if spec.data.train is not None:
        try:
            trained = None if spec.data.train.task == CUSTOM else find(spec.data.train.task)
        except IsoglossError:
            trained = None
    for one in (trained, card):
        if one is not None and one.hub is not None:
            yield one.hub.id


def _as_published(card: Card, spec: ResolvedSpec) -> bool:
    """Whether the test split is the one that the hub has of that name."""
    return card.hub is not None and "test" not in spec.data.splits and not spec.data.labels


def _results(scores: CellScores, card: Card) -> Iterator[Any]:
    """A result for each language and metric, of data that the hub has."""
    from huggingface_hub import EvalResult

    assert card.hub is not None
    record = scores.cell.record
    about = record.environment.get("data")
    revision = about.get("revision") if isinstance(about, dict) and about.get("hub") == card.hub.id else None
    limited = " (drawn)" if "test" in record.drawn else ""
    for score in scores.languages:
        code = card.languages.get(score.language)
        if code is None:
            continue
        yield EvalResult(
            task_type=task_words(record.kind).pipeline,
            task_name=one_line(f"{card.name}, zero-shot from {scores.source}"),
            dataset_type=card.hub.id,
            dataset_name=one_line(f"{card.name}, {Language.parse(score.language).name}{limited}"),
            dataset_config=patterns.fill(card.hub.config, code=code) if card.hub.config else None,
            dataset_split=card.hub.splits.get("test", "test"),
            dataset_revision=revision if isinstance(revision, str) else None,
            metric_type=METRICS.get(score.metric, score.metric),
            metric_name=score.metric,
            metric_value=round(score.value, 4),
        )
