"""What can ship: languages sorted by whether a method scores in them what is good enough, or would with a threshold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from isogloss.analysis.analysis import AnalysisOptions, answers_of, cells
from isogloss.analysis.format import estimate
from isogloss.analysis.sure_answers import sure_answers
from isogloss.languages.language import Language
from isogloss.reports.run_group import RunGroup
from isogloss.reports.tables import ShownRow, ShownTable, ShownValue
from isogloss.stats.answers import Answers, ScoreTerms
from isogloss.stats.bootstrap import RESAMPLES, BootstrapEstimate, redrawn
from isogloss.stats.decision import (
    DECISIONS,
    DONT,
    LABELS,
    LEAST_COVERAGE,
    SHIP,
    STEPS,
    SURE,
    THRESHOLD,
    Decision,
    SeedScores,
    decide,
    thresholds,
)

TITLE = "ship"  # of the table, among files
NAMED = 6  # languages that a sentence names
SCHEMA: Any = {
    "language": pl.String, "name": pl.String, "decision": pl.String, "wrong": pl.Float64, "score": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "threshold": pl.Float64, "coverage": pl.Float64, "above": pl.Float64,
    "above_low": pl.Float64, "above_high": pl.Float64, "labels": pl.Int64, "n": pl.Int64, "seeds": pl.Int64,
    "forecast": pl.Boolean,
}  # fmt: skip


def decisions(run_group: RunGroup) -> pl.DataFrame:
    """What to do with every target language, by the best method on the source's development data.

    Returns:
        Rows of `SCHEMA`, by decision, and within one the best score first. `wrong` is the chance of being wrong;
        `score` with its interval is of all answers; `above` of those with the confidence `threshold` at least, which
        are a share `coverage` of all. `labels` is about how many labelled examples would tell; `n` how many there are.
    """
    assert run_group.good_enough is not None
    opened_run = run_group.opened_runs[run_group.runs[run_group.best]]
    options = AnalysisOptions(methods=[run_group.records[run_group.best].method])
    answers = answers_of(opened_run, options)
    of_seeds = {cell.seed: sure_answers(stored) for cell, stored in cells(opened_run, options)}
    scored = set(run_group.scores["language"]) - {answers.source}  # whose right answers are known
    table = pl.DataFrame(decided(answers, of_seeds, scored, run_group.metric, run_group.good_enough), schema=SCHEMA)
    if (intervals := run_group.table("scores-intervals")) is not None:
        known = intervals.filter(method=run_group.best, metric=run_group.metric).select("language", "low", "high")
        table = table.drop("low", "high").join(known, on="language", how="left").select(*SCHEMA)
    return _ordered(table)


def decided(
    answers: Answers, of_seeds: Mapping[int, pl.DataFrame], languages: Collection[str], metric: str, good_enough: float
) -> Iterator[dict[str, Any]]:
    """What to do with some languages, in columns of `SCHEMA`, by the answers of one method.

    Args:
        answers: of its runs.
        of_seeds: the same by seed, beside how sure they are (`sure_answers`).
        languages: codes; the right answers are known of these.
        metric: one of the data set's.
        good_enough: the score from which on a language can be shipped, between 0 and 1.
    """
    sure = _confidences(answers, of_seeds)
    for code in answers.languages:
        if code in languages:
            yield _row(answers, code, metric, sure.get(code), good_enough)


def with_decisions(run_group: RunGroup, good_enough: float | None) -> RunGroup:
    """The group with what can ship, where somebody has said what is good enough."""
    if good_enough is None:
        return run_group
    asked = replace(run_group, good_enough=good_enough)
    return replace(asked, decisions=with_unlabelled(decisions(asked), _forecast(asked)))


def _forecast(run_group: RunGroup) -> pl.DataFrame:
    """What the best method is expected to score in each language without labels, as far as a forecast was made."""
    codes = [str(language) for language in run_group.unlabelled]
    languages = pl.DataFrame({"language": codes}, schema={"language": pl.String})
    made = run_group.table("forecast")
    if made is None:
        return languages.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("expected", "low", "high"))
    of_best = made.filter(method=run_group.best).select("language", "expected", "low", "high")
    return languages.join(of_best, on="language", how="left", maintain_order="left")


def with_unlabelled(decided: pl.DataFrame, languages: pl.DataFrame) -> pl.DataFrame:
    """The same with languages that have no labels, which need some.

    Args:
        decided: of `decisions`.
        languages: `language expected low high`, what is forecast of each; null where nothing is.
    """
    rows = [
        {
            "language": code, "name": Language.parse(code).name, "decision": LABELS, "score": expected, "low": low,
            "high": high, "n": 0, "forecast": True,
        }
        for code, expected, low, high in languages.select("language", "expected", "low", "high").iter_rows()
    ]  # fmt: skip
    return _ordered(pl.concat([decided, pl.DataFrame(rows, schema=SCHEMA)]))


def _ordered(table: pl.DataFrame) -> pl.DataFrame:
    order = pl.col("decision").replace_strict({name: place for place, name in enumerate(DECISIONS)})
    return table.sort(order, pl.col("score"), "language", descending=[False, True, False], nulls_last=True)


def _confidences(
    answers: Answers, of_seeds: Mapping[int, pl.DataFrame]
) -> dict[str, Float[np.ndarray, "runs examples"]]:
    """How sure every run of a language is of every answer, (runs, examples), as `isogloss predict` says it."""
    confidence = pl.coalesce("calibrated", "score").alias("confidence")
    tables = {seed: table.with_columns(confidence).drop_nulls("confidence") for seed, table in of_seeds.items()}
    parts = {seed: table.partition_by("language", as_dict=True) for seed, table in tables.items()}
    found = {}
    for code, runs in answers.languages.items():
        of_runs = [parts[answers.runs[run][1]].get((code,)) for run in sorted(runs)]
        known = [one["confidence"].to_numpy() for one in of_runs if one is not None]
        if len(known) == len(runs) and all(len(one) == len(answers.examples[code]) for one in known):
            found[code] = np.stack(known)
    return found


def _row(
    answers: Answers, code: str, metric: str, confidence: Float[np.ndarray, "runs examples"] | None, good_enough: float
) -> dict[str, Any]:
    """A language's decision and what it rests on."""
    terms = answers.sums(code, metric)
    examples = len(answers.examples[code])
    every = _scores(answers, code, terms, np.ones((len(terms.runs), examples), dtype=bool))
    above: dict[float, SeedScores] = {}
    for threshold in [] if confidence is None else thresholds(good_enough):
        given = np.asarray(confidence) >= threshold
        if given.any(axis=1).all():
            above[threshold] = _scores(answers, code, terms.answered(given), given)
    decision: Decision = decide(every, above, good_enough)
    row = {
        "language": code, "name": Language.parse(code).name, **asdict(decision), "score": every.score, "n": examples,
        "seeds": len(terms.runs), "forecast": False,
    }  # fmt: skip
    if decision.threshold is not None:
        some = above[decision.threshold]
        low, high = some.interval
        row |= {"coverage": some.coverage, "above": some.score, "above_low": low, "above_high": high}
    return row


def _scores(answers: Answers, code: str, terms: ScoreTerms, given: Bool[np.ndarray, "runs examples"]) -> SeedScores:
    drawn = redrawn(answers, code, terms, RESAMPLES)[terms.runs]
    examples = given.shape[1]
    spread = BootstrapEstimate.of(drawn, examples, examples - 1)
    fewest = int(given.sum(axis=1).min())
    return SeedScores(spread.values, spread.covariance, max(1, fewest - 1), fewest, float(given.mean()))


def sentences(run_group: RunGroup) -> Iterator[str]:
    """The decisions in words, the most important first; nothing where nobody has said what is good enough."""
    table = run_group.decisions
    if table is None:
        return
    if table.is_empty():
        yield "There is no target language, so that there is nothing to decide."
        return
    counts = dict(table.group_by("decision").len().iter_rows())
    parts = [f"{counts[name]} {_words(name, counts[name])}" for name in DECISIONS if name in counts]
    good = f"{run_group.metric} {run_group.good_enough:g}"
    every = "1 language" if len(table) == 1 else f"{len(table)} languages"
    chosen = f"{run_group.best}, the best on {run_group.source.name} development data"
    yield f"At {good}, with {chosen}: {', '.join(parts)}, of {every}."
    for name in (SHIP, THRESHOLD):
        some = table.filter(decision=name)
        if len(some):
            names, wrong = some["name"].to_list(), float(some["wrong"].sum())
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield f"{name.capitalize()}: {', '.join(names[:NAMED])}{more}. {_short(len(names), wrong)}"


def _short(count: int, wrong: float) -> str:
    if count == 1:
        return f"The chance that it falls short is {_chance(wrong).text}."
    return f"By these chances, {max(wrong, 0.01):.2f} of the {count} fall short."


def _words(decision: str, count: int) -> str:
    plural = {SHIP: "can ship", THRESHOLD: "can ship with a threshold", LABELS: "need labels", DONT: "should not ship"}
    return plural[decision].replace("need ", "needs ") if count == 1 else plural[decision]


def meanings(run_group: RunGroup) -> list[str]:
    """What each decision means and why, for a reader who has to act on it."""
    good, method, source = f"{run_group.good_enough:g}", run_group.best, run_group.source.name
    chance, some = _percent(SURE), _percent(LEAST_COVERAGE)
    seeds = run_group.scores.filter(method=method).group_by("language").agg(pl.col("seed").n_unique())["seed"]
    over = "new seeds and new texts" if min(seeds) > 1 else "new texts, not of another training: there is one seed"
    judged = (
        f"Good enough is {run_group.metric} {good}. The method is {method}, the best on {source} development data; its "
        f"answers are judged by the labelled test texts of each language. Chances are of {over}."
    )
    above = (
        "Ship with a threshold: that chance is greater, but not of the answers that the model is sure of. Below the "
        "threshold a text goes to a person (isogloss predict --threshold); coverage is the share that does not, "
        f"{some} at least. {STEPS} thresholds from {good} up are tried, and the lowest that passes is taken; their "
        f"chances count {STEPS} times."
    )
    wrong = (
        "The chance of being wrong is that of a score below it where a language is shipped, and of one that is good "
        "enough where it is not."
    )
    without = ["Where there are none, the score is the forecast's, with its 90 % interval."]
    return [
        judged,
        f"Ship: the chance that the score is below {good} is {chance} at most.",
        above,
        f"Needs labels: there are none, or too few texts or seeds to tell; {chance} is not reached either way.",
        *(without if run_group.unlabelled else []),
        f"Don't: the chance that the score is {good} or more is {chance} at most.",
        wrong,
    ]


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def ship_table(run_group: RunGroup) -> ShownTable:
    """The decisions as a reader sees them; what is said of no language has no column."""
    table = run_group.decisions
    assert table is not None
    score = [ShownValue(_score(row), row["score"]) for row in table.iter_rows(named=True)]
    columns = {
        "language": [ShownValue(name, name) for name in table["name"]],
        "decision": [ShownValue(name, f"{DECISIONS.index(name)}") for name in table["decision"]],
        "chance of being wrong": [_chance(chance) for chance in table["wrong"]],
        run_group.metric: score,
        "threshold": [_number(value, ".4g") for value in table["threshold"]],
        "coverage": [_number(value, ".0%") for value in table["coverage"]],
        f"{run_group.metric} above it": [_above(row) for row in table.iter_rows(named=True)],
        "labels that would tell": [_number(value, ",.0f") for value in table["labels"].cast(pl.Float64)],
    }
    shown = {head: values for head, values in columns.items() if any(value.text for value in values)}
    rows = [ShownRow(list(values)) for values in zip(*shown.values(), strict=True)]
    title = f"What can ship at {run_group.metric} {run_group.good_enough:g}"
    return ShownTable(title, list(shown), rows, unfolded=True)


def _score(row: Mapping[str, Any]) -> str:
    text = estimate(row["score"], row["low"], row["high"], places=2)
    return f"{text} forecast" if row["forecast"] and text else text


def _above(row: Mapping[str, Any]) -> ShownValue:
    return ShownValue(estimate(row["above"], row["above_low"], row["above_high"], places=2), row["above"])


def _chance(chance: float | None) -> ShownValue:
    if chance is None:
        return ShownValue("", None)
    least = 0.001
    return ShownValue(f"{100 * chance:.1f} %" if chance >= least else "< 0.1 %", chance)


def _number(value: float | None, form: str) -> ShownValue:
    if value is None:
        return ShownValue("", None)
    return ShownValue(format(value, form).replace("%", " %"), float(value))
