"""The answer in words: what the tables say, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from isogloss.analysis.format import estimate, p_value
from isogloss.charts.differences import BEYOND
from isogloss.data.missing_labels import label_kinds, some
from isogloss.experiment import remarks
from isogloss.experiment.provenance import limited_to_first_rows
from isogloss.languages.language import Language
from isogloss.methods.registry import find
from isogloss.methods.settings import MeanOfUpdates
from isogloss.reports import cost, ship
from isogloss.reports.ranking import ranked, value
from isogloss.reports.run_group import RunGroup
from isogloss.reports.score_table import no_gap
from isogloss.stats import collapse

NAMED = 3  # languages that are named at either end
SETTINGS = ("head", "select", "epochs", "batch_size")  # in which a comparison had better be the same


def answer(run_group: RunGroup) -> list[str]:
    """Sentences, the most important first."""
    return [
        *_collapsed(run_group),
        *_carried(run_group),
        *list(ship.sentences(run_group))[:1],
        *_best(run_group),
        *_against_next(run_group),
        *cost.by_backbone(run_group),
        *cost.sentences(run_group),
        *_ends(run_group),
        *_unlabelled(run_group),
        *_forecast(run_group),
    ]


def caveats(run_group: RunGroup) -> list[str]:
    """What a reader has to know before trusting the numbers."""
    sentences = [] if run_group.scores_source else [f"{no_gap(run_group.task, run_group.source)}."]
    seeds = run_group.scores.group_by("method", maintain_order=True).agg(pl.col("seed").n_unique())["seed"]
    if min(seeds) == 1:
        sentences.append("Some methods have one seed: their intervals cover other test examples, not another training.")
    if len(set(seeds)) > 1:
        sentences.append(f"The methods have {min(seeds)} to {max(seeds)} seeds.")
    missing = len(set(run_group.scores["language"]) - set(run_group.common) - {str(run_group.source)})
    if missing:
        sentences.append(f"Not scored by every run, and left out of all means: {_languages(missing)}.")
    if run_group.unlike:
        sentences.append(
            f"Left out, since their test examples are not the same in all runs: {', '.join(run_group.unlike)}."
        )
    sentences += _of_data(run_group)
    for method, record in run_group.records.items():
        if cut := record.truncated["test"]:
            named = f" ({remarks.most(record.cut)})" if record.cut else ""
            sentences.append(f"{method}: {cut:,} test texts were longer than the model takes, and cut{named}.")
    names = {method: run_group.opened_runs[run].spec.backbone for method, run in run_group.runs.items()}
    runs = run_group.runs if len(run_group.opened_runs) > 1 else {}
    sentences += _of_methods({method: record.facts for method, record in run_group.records.items()}, names, runs)
    if run_group.stale:
        sentences.append(f"Of other scores than the run has now, and to be made again: {', '.join(run_group.stale)}.")
    return sentences


def _of_methods(
    facts: Mapping[str, Mapping[str, Any]], names: Mapping[str, str], runs: Mapping[str, str]
) -> Iterator[str]:
    """In what the methods of a comparison are not alike.

    Args:
        facts: of each method.
        names: of each method's backbone, as the spec has it.
        runs: the run that each method is of, where there are several.
    """
    elsewhere = {method: found for method, fact in facts.items() if (found := fact["settings"].get("found"))}
    if elsewhere:
        yield f"Trained elsewhere, on what and for how long is not known here: {', '.join(elsewhere)}."
    here = {method: fact for method, fact in facts.items() if method not in elsewhere}
    unlike = {
        key.replace("_", " "): {method: fact["settings"].get(key) for method, fact in here.items()} for key in SETTINGS
    }
    unlike["select"] = {method: _kept(fact) for method, fact in here.items()}
    unlike["pooling"] = {method: pooled for method, fact in here.items() if (pooled := _pooling(fact)) is not None}
    unlike["precision"] = {method: fact["backbone"].get("dtype") for method, fact in here.items()}
    unlike["limits"] = {method: _limits(fact) for method, fact in here.items()}
    unlike["shots a class"] = {method: fact.get("shots") or "all" for method, fact in here.items()}
    unlike["tokens of a text at most"] = {
        method: fact.get("longest") or "as the backbone" for method, fact in here.items()
    }
    weights = {
        name: elsewhere.get(name, {}).get("backbone") or fact["backbone"]["weights"] for name, fact in facts.items()
    }
    unlike["backbone"] = _backbones(weights, names)
    if len(set(unlike["limits"].values())) == 1:  # else they say why the data differ
        unlike["training data"] = {method: str(fact.get("train"))[:8] for method, fact in here.items()}
    for what, values in unlike.items():
        if values and (said := differing(values, runs)):
            yield f"The methods differ in {what}: {said}."


def _pooling(fact: Mapping[str, Any]) -> str | None:
    """How a sentence is pooled for a head; None where classes are words, or it was not kept."""
    settings = fact["settings"]
    pooled = settings.get("pooling") or fact["backbone"].get("pooling")
    return None if settings.get("head") == "verbalizer" or pooled is None else str(pooled)


def _limits(fact: Mapping[str, Any]) -> str:
    """At most how much of each split is used."""
    limits = fact.get("limits") or {}
    return ", ".join(f"{split} {count:,}" for split, count in limits.items() if split != "drawn") or "none"


def _backbones(weights: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """The backbone of each method by name, and with the hash of its weights where names do not tell two apart."""
    hashes: dict[str, set[str]] = {}
    for method, own in weights.items():
        hashes.setdefault(names.get(method, ""), set()).add(own)
    return {
        method: " ".join(filter(None, (name, own[:8] if not name or len(hashes[name]) > 1 else "")))
        for method, own in weights.items()
        for name in [names.get(method, "")]
    }


def _of_data(run_group: RunGroup) -> Iterator[str]:
    """What the runs said of their data, each once."""
    for name, opened_run in run_group.opened_runs.items():
        if limited_to_first_rows(opened_run.spec, [stored for _, stored in opened_run.cells]):
            of_run = f"{name}: limits" if len(run_group.opened_runs) > 1 else "Limits"
            yield (
                f"{of_run} took the first rows of each split, as they did before they were drawn; of a sorted file "
                "these may be of one label."
            )
    found = [
        f"{line[:1].upper()}{line[1:]}."
        for record in run_group.records.values()
        for line in remarks.lines(record.model_dump(), label_kinds(record.labels, record.kind))
    ]
    yield from dict.fromkeys(found)


def drawn(run_group: RunGroup) -> list[str]:
    """What limits have left of the data, where there are any."""
    found = [
        line
        for record in run_group.records.values()
        if "limits" in record.facts
        for line in remarks.drawn_lines(record.drawn, record.facts["limits"]["drawn"])
    ]
    return list(dict.fromkeys(found))


def _kept(fact: Mapping[str, Any]) -> Any:
    """Which weights a training kept, which a method may decide whatever its `select` says."""
    stored, model = fact["settings"], find(fact["method"]).settings
    if not model.GONE.isdisjoint(stored):  # of before, when the choice was made otherwise
        return stored.get("select")
    try:
        kept = model.model_validate(model.stored(stored)).kept
    except ValueError:
        return stored.get("select")
    return kept.model_dump() if isinstance(kept, MeanOfUpdates) else kept


def differing(values: Mapping[str, object], runs: Mapping[str, str] | None = None) -> str:
    """What methods have, each value once and the most common last: "b 1; a, c 2"; nothing where they are the same.

    Args:
        values: of each method.
        runs: the run that a method is of; where all of a run's have the same, the run is named in their place.
    """
    having: dict[str, list[str]] = {}
    for name, what in values.items():
        having.setdefault(str(what), []).append(name)
    if len(having) == 1:
        return ""
    groups = sorted(having.items(), key=lambda group: len(group[1]))
    return "; ".join(f"{', '.join(_together(names, values, runs or {}))} {what}" for what, names in groups)


def _together(names: Sequence[str], values: Mapping[str, object], runs: Mapping[str, str]) -> list[str]:
    """Methods, or their run where all of its methods are among them."""
    others = {runs.get(method) for method in values if method not in names}
    return list(dict.fromkeys(name if runs.get(name) in {None, *others} else runs[name] for name in names))


def _collapsed(run_group: RunGroup) -> Iterator[str]:
    for method, found in run_group.collapsed.items():
        yield collapse.sentence(method, found, run_group.source.name)


def _carried(run_group: RunGroup) -> Iterator[str]:
    if not run_group.targets:
        yield f"Only {run_group.source.name} was scored: there is nothing to be carried to."
    elif not run_group.common:
        yield "No target language was scored by every run: there is no mean to compare."
    for best in ranked(run_group)[:1]:
        source, target, ratio = (value(run_group, best, name) for name in ("source", "target", "transfer-ratio"))
        if source is None and target is not None and not run_group.scores_source:
            mean = f"{run_group.metric} {estimate(*target)} on average"
            yield f"{best} scores the highest in {_languages(len(run_group.common))}: {mean}."
        if source is None or target is None:
            return
        to, there = _languages(len(run_group.common)), f"{run_group.metric} {source[0]:.3f} in {run_group.source.name}"
        alone = Language.parse(run_group.common[0]).name if len(run_group.common) == 1 else None
        on_average = f"{estimate(*target)} {f'in {alone}' if alone else 'on average in the others'}"
        if ratio is None:
            yield f"{best} scores the highest in {to}: {there}, {on_average}."
        else:
            yield f"{best} carries {100 * ratio[0]:.0f} % of {run_group.source.name} to {to}: {there}, {on_average}."


def _best(run_group: RunGroup) -> Iterator[str]:
    means = run_group.by_language.filter(pl.col("language").is_in(run_group.common))
    if len(run_group.methods) < 2 or not len(means):  # noqa: PLR2004
        return
    top = means.filter(pl.col("score") == pl.col("score").max().over("language"))
    counts = dict.fromkeys(run_group.methods, 0) | dict(top.group_by("method").len().iter_rows())
    ties = len(top) - top["language"].n_unique()
    listed = ", ".join(
        f"{name} in {count}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]) if count
    )
    total = _languages(means["language"].n_unique())
    yield f"The highest score, of {total}: {listed}{' (ties count for each)' if ties else ''}."


def _against_next(run_group: RunGroup) -> Iterator[str]:
    table, order = run_group.table("significance"), ranked(run_group)
    if table is None or len(order) < 2:  # noqa: PLR2004
        return
    best, second = order[:2]
    for one, other, sign in ((best, second, 1), (second, best, -1)):
        for row in table.filter(scope="target", one=one, other=other).drop_nulls("difference").iter_rows(named=True):
            low, high = sorted(100 * sign * (row[name] or 0.0) for name in ("low", "high"))
            bounds = "" if row["low"] is None else f" [{low:+.1f}, {high:+.1f}]"
            apart = f"{best} is {abs(100 * row['difference']):.1f} points{bounds} above {second}, the next"
            p = row["p_holm"]
            if row["seeds"] == 1:
                yield f"{apart}; with one seed in common nothing can be said about another training."
            elif p is None:
                yield f"{best} and {second}, the next, do not differ enough to be tested."
            elif p < BEYOND:
                yield f"{apart}: more than seeds and test examples explain (p {_p(p)}, corrected by Holm)."
            else:
                yield f"{apart}: not shown to be more than seeds and test examples explain (p {_p(p)}, by Holm)."


def _ends(run_group: RunGroup) -> Iterator[str]:
    order = ranked(run_group)
    if not order:
        return
    scored = run_group.by_language.filter(pl.col("method") == order[0], pl.col("language").is_in(run_group.common))
    means = scored.sort("score", "language", descending=[True, False]).select("language", "score")
    if len(means) < 2 * NAMED:
        return
    rows = [(Language.parse(code).name, score) for code, score in means.iter_rows()]
    yield f"With {order[0]}, the best are {_listed(rows[:NAMED])}; the worst {_listed(rows[-NAMED:][::-1])}."


def _unlabelled(run_group: RunGroup) -> Iterator[str]:
    """What was predicted without labels, and what is expected of the best method there."""
    if not (without := run_group.unlabelled):
        return
    names = some([language.name for language in without])
    yield f"Predicted without labels, and in no score, mean or gap: {names}."
    table, order = run_group.table("forecast"), ranked(run_group)
    if table is None or not order:
        return
    codes = {str(language): language.name for language in without}
    rows = table.filter(pl.col("method") == order[0], pl.col("language").is_in(list(codes))).sort("expected")
    bounds = rows.select("language", "expected", "low", "high").head(NAMED).iter_rows()
    if told := "; ".join(f"{codes[code]} {estimate(*numbers, places=2)}" for code, *numbers in bounds):
        lowest = "" if len(rows) <= NAMED else ", of the lowest"
        yield f"Of {order[0]} the forecast expects there, with 90 % intervals{lowest}: {told}."


def _forecast(run_group: RunGroup) -> Iterator[str]:
    error, order = run_group.table("forecast-error"), ranked(run_group)
    if error is None:
        return
    for row in error.filter(pl.col("method").is_in(order[:1])).iter_rows(named=True):
        judged = "and does better than" if row["better"] else "and is not shown to do better than"
        yield (
            f"A forecast for languages without labels misses by {100 * row['mae']:.1f} points on average, each scored "
            f"language being left out in turn, {judged} the mean of the others, which misses by "
            f"{100 * row['baseline_mae']:.1f}."
        )


def _listed(rows: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} ({score:.3f})" for name, score in rows)


def _p(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _languages(count: int) -> str:
    return f"{count} language" if count == 1 else f"{count} languages"
