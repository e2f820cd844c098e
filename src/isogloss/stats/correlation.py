"""What is measured of languages, held against their scores: rank correlations, and one group against the rest.

Languages of a family are alike, so that there are fewer independent ones than there are languages: intervals and
p-values, which count each as one, are narrower than they should be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats

from isogloss.runtime.seeding import derive
from isogloss.stats.intervals import CONFIDENCE, holm

FEWEST = 4  # languages that a correlation is computed over: its interval takes as many
SMALLEST_GROUP = 2  # languages of a group whose mean is held against another's: its variance takes as many
PERMUTATIONS = 9999  # all of them where there are no more
SAME = 1e-9  # values that differ by less are the same
OF = ("score", "gap")
CORRELATION: Any = {
    "method": pl.String, "of": pl.String, "measure": pl.String, "spearman": pl.Float64, "low": pl.Float64,
    "high": pl.Float64, "p": pl.Float64, "p_holm": pl.Float64, "n": pl.Int64,
}  # fmt: skip
GROUPS: Any = {
    "method": pl.String, "of": pl.String, "inside": pl.Float64, "outside": pl.Float64, "difference": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "p": pl.Float64, "n_inside": pl.Int64, "n_outside": pl.Int64,
}  # fmt: skip


def correlations(measured: pl.DataFrame, scores: pl.DataFrame, measures: Sequence[str]) -> pl.DataFrame:
    """Spearman's correlation of each measure with score and gap over target languages, method by method.

    Intervals are Bonett and Wright's (2000, Psychometrika 65(1), table 1); p-values are of permutations, and exact
    where there are few languages. Both are null where languages are fewer than four or all alike in one of the two.
    Within a method the gap is the source's score less the target's, so that its correlation is the score's with the
    other sign. P-values are Holm-corrected over methods and measures, of score and of gap apart.

    Args:
        measured: a column `language`, and one of each measure; a language without one has null there.
        scores: of `by_language`.
        measures: the columns.

    Returns:
        Rows of `CORRELATION`.
    """
    rows: list[dict[str, Any]] = []
    for (method,), of_method in scores.join(measured, on="language", maintain_order="left").group_by(
        ["method"], maintain_order=True
    ):
        for measure in measures:
            known = of_method.drop_nulls(measure)
            for of in OF:
                coefficient = spearman(known[measure].cast(pl.Float64).to_numpy(), known[of].to_numpy())
                rows.append({"method": method, "of": of, "measure": measure, **coefficient, "n": len(known)})
    for of in OF:
        tests = [row for row in rows if row["of"] == of and row["p"] is not None]
        for row, p in zip(tests, holm([row["p"] for row in tests]), strict=True):
            row["p_holm"] = p
    return pl.DataFrame(rows, schema=CORRELATION)


def spearman(one: Float[np.ndarray, "n"], other: Float[np.ndarray, "n"]) -> dict[str, float | None]:
    """Spearman's correlation (`spearman`) with its interval (`low`, `high`) and p-value (`p`)."""
    nothing: dict[str, float | None] = dict.fromkeys(("spearman", "low", "high", "p"))
    if len(one) < FEWEST or min(np.ptp(one), np.ptp(other)) < SAME:
        return nothing
    first, second = (_standard(stats.rankdata(np.round(values / SAME))) for values in (one, other))
    rho = float(np.clip(first @ second, -1, 1))
    test = stats.permutation_test(
        (first,), lambda ranks, axis=-1: (ranks * second).sum(axis=axis), permutation_type="pairings", vectorized=True,
        n_resamples=PERMUTATIONS, rng=np.random.default_rng(derive("spearman", len(one))),
    )  # fmt: skip
    result = {**nothing, "spearman": rho, "p": float(test.pvalue)}
    if abs(rho) < 1:
        half = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt((1 + rho**2 / 2) / (len(one) - 3))
        result |= {"low": float(np.tanh(np.arctanh(rho) - half)), "high": float(np.tanh(np.arctanh(rho) + half))}
    return result


def _standard(ranks: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    centred = ranks - ranks.mean()
    standard: np.ndarray = centred / np.linalg.norm(centred)
    return standard


def group_differences(
    measured: pl.DataFrame, scores: pl.DataFrame, measures: Sequence[str], inside: Iterable[str]
) -> pl.DataFrame:
    """Means of a group of target languages and of the rest, with Welch's interval and test of their difference.

    Args:
        measured: a column `language`, and one of each measure; a language without one has null there.
        scores: of `by_language`.
        measures: the columns.
        inside: the group's languages.

    Returns:
        Rows of `GROUPS`: of each measure (`method` null), and of each method's score and gap; none where either side
        has fewer than two languages.
    """
    members = pl.col("language").is_in(list(inside))
    targets = measured.filter(pl.col("language").is_in(scores["language"].unique().implode()))
    asked: list[tuple[str | None, str, pl.DataFrame]] = [(None, measure, targets) for measure in measures]
    for (method,), of_method in scores.group_by(["method"], maintain_order=True):
        asked += [(str(method), of, of_method) for of in OF]
    rows = []
    for method, of, table in asked:
        known = table.drop_nulls(of)
        sides = [known.filter(side)[of].cast(pl.Float64).to_numpy() for side in (members, ~members)]
        if min(map(len, sides)) >= SMALLEST_GROUP:
            rows.append({"method": method, "of": of, **welch(*sides)})
    return pl.DataFrame(rows, schema=GROUPS)


def welch(inside: Float[np.ndarray, "n"], outside: Float[np.ndarray, "m"]) -> dict[str, float | int | None]:
    """Two means, their difference and Welch's interval and p-value of it; null where neither side varies."""
    result: dict[str, float | int | None] = {
        "inside": float(inside.mean()), "outside": float(outside.mean()),
        "difference": float(inside.mean() - outside.mean()), "n_inside": len(inside), "n_outside": len(outside),
    }  # fmt: skip
    if max(np.ptp(inside), np.ptp(outside)) < SAME:
        return result
    # As scipy's `ttest_ind`, which warns where one of the sides does not vary.
    parts = np.array([side.var(ddof=1) / len(side) for side in (inside, outside)])
    error = np.sqrt(parts.sum())
    freedom = parts.sum() ** 2 / (parts**2 / [len(inside) - 1, len(outside) - 1]).sum()
    difference = inside.mean() - outside.mean()
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
    p = 2 * stats.t.sf(abs(difference) / error, freedom)
    return result | {"low": float(difference - half), "high": float(difference + half), "p": float(p)}
