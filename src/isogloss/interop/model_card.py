"""A model card for the hub, filled in from a run directory: numbers and names, and no text of the data."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import jinja2

import isogloss
from isogloss.analysis.format import estimate
from isogloss.data.cards import Card
from isogloss.data.missing_labels import label_kinds
from isogloss.experiment import remarks
from isogloss.experiment.provenance import with_defaults
from isogloss.interop import backbone_origin
from isogloss.interop.backbone_origin import BackboneOrigin
from isogloss.interop.card_metadata import metadata, task_words
from isogloss.interop.cell_scores import CellScores, LanguageScore, card_of, method_scores
from isogloss.interop.markdown import Written, escaped, fenced, joined, setting
from isogloss.interop.places import label, without_places
from isogloss.languages.language import Language
from isogloss.methods.registry import find as find_method
from isogloss.spec import ResolvedSpec
from isogloss.stats import collapse
from isogloss.stats.intervals import Estimate
from isogloss.store import RunRecord, Store, StoredCell

TEMPLATE = "model_card.md.jinja"
SERVED = 0.8  # of the source's score: what the lower end of a language's interval has to reach
MEASURES = {"source": "source", "target": "mean of the targets", "gap": "gap between them"}
Verdict = Literal["served", "in between", "failed"]
TITLE = "isogloss: train in one language, know how well it works in every other, and close the gap"


@dataclass(frozen=True)
class _Card:
    """All that a card speaks of."""

    scores: CellScores
    spec: ResolvedSpec
    data: Card | None
    backbone: BackboneOrigin

    @property
    def record(self) -> RunRecord:
        return self.scores.cell.record


def model_card(store: Store, cell: StoredCell, *, loading: str, title: str, library: str = "isogloss") -> str:
    """The card of a trained cell: Markdown with the hub's metadata before it.

    Args:
        store: its run directory.
        cell: one of its cells.
        loading: Python code of a few lines that loads the model as it is published.
        title: of the page, and the model's name in its metadata.
        library: that loads it, as the hub calls it.

    Raises:
        IsoglossError: the cell is damaged.
    """
    record = cell.checked().record
    spec = store.known_spec()
    scores = method_scores(store, record.method)[record.seed]
    card = _Card(scores, spec, card_of(spec), backbone_origin.origin(spec.backbone, record))
    served = [score.language for score in scores.of(scores.metrics[0]) if verdict(score, scores.of_source) == "served"]
    front = metadata(scores, card.data, card.backbone, spec, served=served, title=title, library=library)
    template = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file), autoescape=False, undefined=jinja2.StrictUndefined, trim_blocks=True,  # noqa: S701 - no HTML
        lstrip_blocks=True, keep_trailing_newline=True, finalize=escaped,
    ).get_template(TEMPLATE)  # fmt: skip
    return template.render(
        front=Written(front), title=title, loading=fenced(loading, "python"), joined=joined,
        version=isogloss.__version__, **_parts(card),
    )  # fmt: skip


def verdict(score: LanguageScore, source: LanguageScore | None) -> Verdict | None:
    """What a card says of a language; None where the score has no interval, or its task no such bound.

    Args:
        score: in the language.
        source: the score in the source; None: it was not scored, and only what fails can be told.
    """
    if score.constant is None:
        return None
    if score.low <= score.constant:
        return "failed"
    return "served" if source is None or score.low >= SERVED * source.value else "in between"


def _file(name: str) -> str:
    return (resources.files("isogloss.interop") / name).read_text(encoding="utf-8")


def _parts(card: _Card) -> dict[str, Any]:
    """What stands in the template's places."""
    scores, record = card.scores, card.record
    first, *others = scores.metrics
    several = len(scores.seeds) > 1
    count = len(scores.of(first)) - (scores.of_source is not None)
    verdicts = {name: _named(scores, name) for name in ("served", "in between", "failed")}
    return {
        "kind": task_words(record.kind).people, "method": label(record),
        "backbone": {"name": card.backbone.name, "licence": backbone_origin.licence(card.backbone) or "not known"},
        "source": Language.parse(scores.source).name,
        "data": {
            "title": _title(card), "rows": list(_data_rows(card)),
            "licence": "not known" if card.data is None else card.data.licence,
        },
        "zero_shot": Written(
            f", and scored zero-shot in {count} other {'language' if count == 1 else 'languages'}." if count else "."
        ),
        "labels": joined(record.labels), "metric": first, "others": others, "several": several, "seeds": scores.seeds,
        "metric_note": Written(_note(card)), "overall": list(_overall(scores)),
        "judged": scores.unknown is None, "unknown": scores.unknown, "share_note": Written(_share_note(scores)),
        "verdicts": list(verdicts.items()), "languages": [_row(scores, score, others) for score in scores.of(first)],
        "method_text": Written(_method_text(record)), "seed": record.seed, "chosen": Written(_chosen(card)),
        "settings": [(name, setting(value)) for name, value in _settings(record).items()],
        "caveats": list(_caveats(card)), "citations": list(_citations(card)),
        "bibtex": fenced(_bibtex(), "bibtex"),
    }  # fmt: skip


def _title(card: _Card) -> str:
    return card.scores.task if card.data is None else card.data.title or card.data.name


def _data_rows(card: _Card) -> list[tuple[str, Any]]:
    record, scores = card.record, card.scores
    test = [score.n for score in scores.of(scores.metrics[0])]
    things = task_words(record.kind).counted
    development = card.scores.cell.table("scores").filter(split="dev")
    shots = record.facts.get("shots")
    rows: list[tuple[str, Any]] = [("task", f"{scores.task} ({task_words(record.kind).people})")]
    if card.spec.data.train is not None:
        rows.append(("trained on", card.spec.data.train.task))
    rows += [
        ("source", f"{Language.parse(scores.source).name} ({scores.source})"),
        ("training", _training(record)),
        ("development", f"{development['n'][0]:,} {things}, in the source"),
        ("test", f"{_between(min(test), max(test))} {things} in each of {len(test)} languages"),
    ]
    if shots is not None:
        rows.append(("few shots", f"{shots} of each class to learn from, and as many to select on"))
    limits = record.facts.get("limits")
    if isinstance(limits, dict):
        rows += [("limit", line) for line in remarks.drawn_lines(record.drawn, str(limits.get("drawn", "")))]
    if scores.cell.record.environment.get("data"):
        about = record.environment["data"]
        place = about.get("hub") if isinstance(about, dict) else None
        if isinstance(place, str):
            revision = about.get("revision")
            rows.append(("from", f"{place} on the hub{f', at {revision}' if revision else ''}"))
    return rows


def _training(record: RunRecord) -> str:
    """How many examples were learnt from, as far as updates tell it."""
    settings = record.facts["settings"]
    size, epochs = settings.get("batch_size"), settings.get("epochs")
    if not (isinstance(size, int) and isinstance(epochs, int) and epochs > 0) or record.updates % epochs:
        return "not kept"
    updates, passes = record.updates // epochs, "pass" if epochs == 1 else "passes"
    examples = _between((updates - 1) * size + 1, updates * size)
    return f"{examples} examples, {epochs} {passes} over them{_averaged(record)}"


def _averaged(record: RunRecord) -> str:
    """That the weights are a mean, where they are one."""
    count = record.facts["settings"].get("average", 1)
    each = "each with its own draw of them, " if record.facts.get("shots") is not None else ""
    return f", in each of {count} trainings, {each}whose weights are averaged" if count != 1 else ""


def _between(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _note(card: _Card) -> str:
    scores = card.scores
    if scores.unknown is not None:
        return f"Scores are fractions from 0 to 1, without intervals: {escaped(scores.unknown)}."
    seeds = (
        " The mean over seeds has an interval for new seeds and new examples of the same languages."
        if len(scores.seeds) > 1
        else ""
    )
    return (
        "Scores are fractions from 0 to 1. In brackets, 95 % intervals: of this model for new test examples, by a "
        f"bootstrap.{seeds}"
    )


def _overall(scores: CellScores) -> list[dict[str, Any]]:
    names = dict(MEASURES)
    names["source"] = f"source, {Language.parse(scores.source).name}"
    names["target"] = f"mean of {scores.targets} target{'' if scores.targets == 1 else 's'}"
    rows = []
    for measure, name in names.items():
        own = scores.over.get(measure)
        if own is not None and own.value is not None:
            score = measure != "gap"
            mean = scores.mean_over.get(measure)
            rows.append({"name": name, "own": _shown(own, score=score), "mean": _shown(mean, score=score)})
    return rows


def _shown(one: Estimate | None, *, score: bool = True) -> str:
    """An estimate with its interval; a score is no less than 0 and no more than 1."""
    if one is None:
        return ""
    bounds = [min(1.0, max(0.0, end)) if score and end is not None else end for end in (one.low, one.high)]
    return estimate(one.value, *bounds)


def _share_note(scores: CellScores) -> str:
    if scores.of_source is None:
        return ""
    return f", and at least {100 * SERVED:.0f} % of the source's score"


def _named(scores: CellScores, name: str) -> list[str]:
    first = scores.of(scores.metrics[0])
    return [Language.parse(one.language).name for one in first if verdict(one, scores.of_source) == name]


def _row(scores: CellScores, score: LanguageScore, others: Sequence[str]) -> dict[str, Any]:
    language = Language.parse(score.language)
    values = {one.metric: one.value for one in scores.languages if one.language == score.language}
    source = " (source)" if score.language == scores.source else ""
    return {
        "name": f"{language.name}{source}", "code": score.language,
        "own": estimate(score.value, None if score.own.low is None else score.low, score.high),
        "mean": _shown(score.mean), "others": [f"{values[other]:.3f}" if other in values else "" for other in others],
        "constant": "" if score.constant is None else f"{score.constant:.3f}",
        "verdict": verdict(score, scores.of_source) or "", "n": f"{score.n:,}",
    }  # fmt: skip


def _method_text(record: RunRecord) -> str:
    """What a method's own file says it is."""
    module = sys.modules.get(type(find_method(record.facts["method"])).__module__)
    return str(getattr(module, "__doc__", None) or record.facts["method"]).strip()


def _settings(record: RunRecord) -> Mapping[str, Any]:
    stored: Mapping[str, Any] = without_places(with_defaults(record.facts)["settings"])
    return {name: value for name, value in stored.items() if value is not None}


def _chosen(card: _Card) -> str:
    development = card.scores.cell.table("scores").filter(split="dev")
    value, metric = development["value"][0], development["metric"][0]
    count = card.record.facts["settings"].get("average", 1)
    chosen = f"epoch {card.record.selected_epoch}," if count == 1 else f"in each of {count} trainings; their mean has"
    return f" ({chosen} {metric} {value:.3f} there)"


def _caveats(card: _Card) -> list[Any]:
    scores, record = card.scores, card.record
    lines: list[Any] = []
    if scores.unknown is None:
        test = [scores.cell.table("predictions")]
        for method, found in collapse.collapsed(test, scores.source, words=record.kind == "tagging").items():
            lines.append(collapse.sentence(method, found, Language.parse(scores.source).name))
    lines += [f"{line[:1].upper()}{line[1:]}." for line in remarks.lines(record.model_dump(), _kinds(record))]
    if cut := record.truncated.get("test", 0):
        named = f" ({remarks.most(record.cut)})" if record.cut else ""
        lines.append(f"{cut:,} test texts were longer than the model takes, and were cut{named}.")
    if len(scores.seeds) == 1 and scores.unknown is None:
        lines.append("There is one seed: the intervals cover other test examples, not another training.")
    if scores.targets:
        lines.append("Only the source's labels were learnt from; in every other language it was never trained.")
    if record.unlabelled:
        names = ", ".join(Language.parse(code).name for code in record.unlabelled)
        lines.append(
            f"Without labels to score it by, so that nothing is known of how well it does there, were {names}."
        )
    lines.append("In languages that are not listed nothing is known of it.")
    return lines


def _kinds(record: RunRecord) -> list[str]:
    return label_kinds(record.labels, record.kind)


def _citations(card: _Card) -> list[Any]:
    lines: list[Any] = []
    if card.data is not None and card.data.citation:
        lines.append(f"Data: {card.data.citation}")
    papers = dict.fromkeys(re.findall(r"arXiv[ :](\d{4}\.\d{4,5})", _method_text(card.record)))
    if papers:
        links = ", ".join(f"[arXiv {paper}](https://arxiv.org/abs/{paper})" for paper in papers)
        lines.append(Written(f"Method: {links}"))
    lines.append(f"Backbone: {card.backbone.hub or card.backbone.name}")
    lines.append(Written("The program that trained and scored it:"))
    return lines


def _bibtex() -> str:
    return f"""@software{{isogloss,
  author = {{The isogloss developers}},
  title = {{{TITLE}}},
  version = {{{isogloss.__version__}}},
  license = {{Apache-2.0}}
}}"""
