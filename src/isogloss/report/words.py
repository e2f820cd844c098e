"""The answer in words: what the tables say, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from isogloss.languages import Language
from isogloss.report.subject import Subject

BEYOND = 0.05  # p-values below it are called beyond chance
NAMED = 3  # languages that are named at either end


def answer(subject: Subject) -> list[str]:
    """Sentences, the most important first."""
    return [*_carried(subject), *_best(subject), *_against_next(subject), *_ends(subject), *_forecast(subject)]


def caveats(subject: Subject) -> list[str]:
    """What a reader has to know before trusting the numbers."""
    found = []
    seeds = subject.scores.group_by("method", maintain_order=True).agg(pl.col("seed").n_unique())["seed"]
    if min(seeds) == 1:
        found.append("Some methods have one seed: their intervals cover other test examples, not another training.")
    if len(set(seeds)) > 1:
        found.append(f"The methods have {min(seeds)} to {max(seeds)} seeds.")
    uneven = subject.scores.group_by("language", maintain_order=True).len()
    if uneven["len"].n_unique() > 1:
        missing = len(uneven.filter(pl.col("len") < pl.col("len").max()))
        found.append(f"{missing} languages were not scored by every run; they are left out of all means.")
    for method, record in subject.records.items():
        if cut := record["truncated"]["test"]:
            found.append(f"{method}: {cut:,} test texts were longer than the model takes, and cut.")
    for key in ("head", "select"):
        kinds = {method: str(record["facts"]["settings"].get(key)) for method, record in subject.records.items()}
        if len(set(kinds.values())) > 1:
            listed = ", ".join(f"{method} {kind}" for method, kind in kinds.items())
            found.append(f"The methods differ in `{key}`: {listed}.")
    if subject.stale:
        found.append(f"Older than the last scores, and to be made again: {', '.join(subject.stale)}.")
    return found


def value(subject: Subject, method: str, measure: str) -> tuple[float, float, float] | None:
    """A method's measure with its interval, from the table `gap-intervals`."""
    table = subject.table("gap-intervals")
    if table is None:
        return None
    own = table.filter(method=method, measure=measure).drop_nulls("value")
    return None if not len(own) else own.select("value", "low", "high").row(0)


def ranked(subject: Subject) -> list[str]:
    """The methods by mean target score, the best first."""
    means = {method: value(subject, method, "target") for method in subject.methods}
    return sorted((name for name, own in means.items() if own), key=lambda name: -(means[name] or (0.0,))[0])


def _carried(subject: Subject) -> Iterator[str]:
    order = ranked(subject)
    if not order:
        return
    best = order[0]
    source, target, ratio = (value(subject, best, name) for name in ("source", "target", "transfer-ratio"))
    if source is None or target is None or ratio is None:
        return
    count = len(subject.common)
    yield (
        f"{best} carries {100 * ratio[0]:.0f} % of {subject.source.name} to {count} language{'s' * (count != 1)}: "
        f"{subject.metric} {source[0]:.3f} there, {target[0]:.3f} on average in the others{_interval(target)}."
    )


def _best(subject: Subject) -> Iterator[str]:
    if len(subject.methods) < 2:  # noqa: PLR2004
        return
    means = subject.by_language.filter(pl.col("language").is_in(subject.common))
    top = means.filter(pl.col("score") == pl.col("score").max().over("language"))
    counts = dict(top.group_by("method", maintain_order=True).len().sort("len", descending=True).iter_rows())
    total = means["language"].n_unique()
    parts = [f"{method} for {count}" for method, count in counts.items()]
    yield f"Highest score by language, of {total}: {', '.join(parts)}."


def _against_next(subject: Subject) -> Iterator[str]:
    table, order = subject.table("significance"), ranked(subject)
    if table is None or len(order) < 2:  # noqa: PLR2004
        return
    best, second = order[:2]
    for one, other, sign in ((best, second, 1), (second, best, -1)):
        for row in table.filter(scope="target", one=one, other=other).iter_rows(named=True):
            p = row["p_holm"]
            if p is None:
                judged = "with one seed in common nothing can be said about another training"
            elif p < BEYOND:
                judged = f"more than seeds and test examples explain (p = {_p(p)}, corrected by Holm)"
            else:
                judged = f"no more than seeds and test examples explain (p = {_p(p)}, corrected by Holm)"
            low, high = sorted(100 * sign * (row[name] or 0.0) for name in ("low", "high"))
            bounds = "" if row["low"] is None else f" [{low:+.1f}, {high:+.1f}]"
            yield f"It is {100 * sign * row['difference']:.1f} points{bounds} above {second}, the next best: {judged}."


def _ends(subject: Subject) -> Iterator[str]:
    order = ranked(subject)
    if not order:
        return
    own = subject.by_language.filter(pl.col("method") == order[0], pl.col("language").is_in(subject.common))
    means = own.sort("score", "language", descending=[True, False]).select("language", "score")
    if len(means) < 2 * NAMED:
        return
    rows = [(Language.parse(code).name, score) for code, score in means.iter_rows()]
    yield f"Best with it: {_listed(rows[:NAMED])}; worst: {_listed(rows[-NAMED:][::-1])}."


def _forecast(subject: Subject) -> Iterator[str]:
    error, order = subject.table("forecast-error"), ranked(subject)
    if error is None:
        return
    for row in error.filter(pl.col("method").is_in(order[:1])).iter_rows(named=True):
        judged = "and does better than" if row["better"] else "and is not shown to do better than"
        yield (
            f"A forecast for languages without labels misses by {100 * row['mae']:.1f} points on average, each scored "
            f"language being left out in turn, {judged} the mean of the others, which misses by "
            f"{100 * row['baseline_mae']:.1f}."
        )


def _interval(own: Sequence[float]) -> str:
    _, low, high = own
    return "" if low is None or low != low else f" [{low:.3f}, {high:.3f}]"  # noqa: PLR0124 - NaN


def _listed(rows: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} ({score:.3f})" for name, score in rows)


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< .001"  # noqa: PLR2004
