"""How the score of a language goes with its distance from the source."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from rich.text import Text
from scipy import stats

from isogloss.analysis.analysis import (
    Analysis,
    AnalysisOptions,
    AnalysisResult,
    Results,
    Section,
    parallel_data,
    target_scores,
    titled,
)
from isogloss.analysis.distance.coordinates import DISTANCES, coordinates
from isogloss.analysis.format import estimate, p_value
from isogloss.charts.chart import Chart
from isogloss.charts.covariates import against
from isogloss.charts.style import short_codes
from isogloss.data.parallel_text import read_parallel
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.console import activity
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.correlation import OF, spearman
from isogloss.stats.intervals import CONFIDENCE, holm

FEWEST = 5  # languages that a correlation is computed over
CONTROLS = ("pretraining", "premium", "fertility")  # what is held fixed in partial correlations: the first that varies
COEFFICIENTS = ("pearson", "spearman", "partial")
FLAT = 1e-12  # a spread below this share of the values is none
SCHEMA: Any = {
    "method": pl.String, "of": pl.String, "distance": pl.String, "coefficient": pl.String, "value": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "p": pl.Float64, "p_holm": pl.Float64, "n": pl.Int64, "control": pl.String,
}  # fmt: skip


def correlations(table: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """Correlations of score and gap with every distance over target languages, method by method.

    Pearson's with Fisher's interval, Spearman's (`correlation.spearman`), and Pearson's partial correlation given the
    first of `CONTROLS` that varies: text in pre-training, which distance and score both go with (Lauscher et al. 2020,
    arXiv 2005.00633, section 3). Null where languages are fewer than five or all alike in one of the two. P-values are
    Holm-corrected over the distances of a method, of score and gap and of each coefficient apart. Related languages
    are not independent, and intervals count them as if they were.

    Args:
        table: of `coordinates`.
        scores: of `target_scores`.

    Returns:
        Rows of `SCHEMA`; `n` languages, `control` null but in partial correlations.
    """
    rows: list[dict[str, Any]] = []
    for (method,), of_method in scores.group_by(["method"], maintain_order=True):
        both = of_method.join(table, on="language", maintain_order="left")
        control = next((name for name in CONTROLS if _varies(both[name].drop_nulls().to_numpy())), None)
        for of in OF:
            for coefficient in COEFFICIENTS:
                group = [
                    {
                        "method": method, "of": of, "distance": distance, "coefficient": coefficient,
                        **_correlation(both, of, distance, coefficient, control),
                    }
                    for distance in DISTANCES
                ]  # fmt: skip
                tests = [row for row in group if row.get("p") is not None]
                for row, p in zip(tests, holm([row["p"] for row in tests]), strict=True):
                    row["p_holm"] = p
                rows += group
    return pl.DataFrame(rows, schema=SCHEMA)


def _correlation(both: pl.DataFrame, of: str, distance: str, coefficient: str, control: str | None) -> dict[str, Any]:
    held = [control] if coefficient == "partial" and control is not None else []
    known = both.select(of, distance, *(name for name in held if name != distance)).drop_nulls()
    about: dict[str, Any] = {"n": len(known), "control": held[0] if held else None}
    x, y = known[distance].to_numpy(), known[of].to_numpy()
    if not (_varies(x) and _varies(y)) or (coefficient == "partial" and held in ([], [distance])):
        return about
    if coefficient == "spearman":
        ranks = spearman(x, y)
        return about | {"value": ranks["spearman"], **{name: ranks[name] for name in ("low", "high", "p")}}
    if held:
        x, y = (_without(values, known[held[0]].to_numpy()) for values in (x, y))
        if not (_varies(x) and _varies(y)):
            return about
    return about | pearson(x, y, held=len(held))


def _varies(values: Float[np.ndarray, "n"]) -> bool:
    return len(values) >= FEWEST and bool(np.ptp(values) > FLAT * max(1.0, float(np.abs(values).max())))


def _without(values: Float[np.ndarray, "n"], control: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """What of the values is no line in the control."""
    design = np.stack([np.ones_like(control), control], axis=1)
    line: Float[np.ndarray, "2"] = np.linalg.lstsq(design, values, rcond=None)[0]
    rest: Float[np.ndarray, "n"] = values - design @ line
    return rest


def pearson(x: Float[np.ndarray, "n"], y: Float[np.ndarray, "n"], *, held: int = 0) -> dict[str, float | None]:
    """Pearson's correlation (`value`), Fisher's interval (`low`, `high`) and Student's p-value (`p`).

    Args:
        x: values that vary.
        y: values that vary.
        held: how many other variables both are residuals of.
    """
    value = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    if abs(value) > 1 - FLAT:
        return {"value": value, "low": None, "high": None, "p": 0.0}
    freedom = len(x) - 2 - held
    p = 2 * stats.t.sf(abs(value) * np.sqrt(freedom / (1 - value**2)), freedom)
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) / np.sqrt(freedom - 1)
    low, high = np.tanh(np.arctanh(value) + np.array([-half, half]))
    return {"value": value, "low": float(low), "high": float(high), "p": float(p)}


def _charts(results: Results) -> dict[str, Chart]:
    table = results.table("distance")
    if table is None:
        return {}
    chart = against(results.scored(table), results.methods, DISTANCES, label="distance")
    return {} if chart is None else {"distance": chart}


def _distance(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    source, targets = opened_run.data.source, [test.language for test in opened_run.data.targets]
    data = parallel_data(opened_run, options)
    parallel = None if data is None else read_parallel(data, source, targets, options.sentences)
    with activity("distance"):
        table, notes = coordinates(opened_run, targets, parallel)
    scores = target_scores(opened_run, options)
    related = correlations(table, scores)
    return AnalysisResult(
        {"distance": table, "distance-correlation": related},
        [_shown(related), *map(Text, [*notes, *_unknown(table)])],
    )


def _shown(related: pl.DataFrame) -> ShellTable:
    partial = related.filter(pl.col("control").is_not_null())["control"]
    given = f"given {DISTANCES[partial[0]]}" if len(partial) else "partial"
    shown = ShellTable(
        "method", "distance", "Pearson's r", "Spearman's rho", given, "p (Holm)", "languages",
        title="the gap of a language and its distance from the source",
    )  # fmt: skip
    of_gap = related.filter(pl.col("of") == "gap")
    for (method, distance), rows in of_gap.group_by(["method", "distance"], maintain_order=True):
        by = {row["coefficient"]: row for row in rows.iter_rows(named=True)}
        if by["pearson"]["value"] is None:
            continue
        p = by["spearman"]["p_holm"]
        shown.add_row(
            str(method), DISTANCES[str(distance)], *(_estimate(by[name]) for name in COEFFICIENTS),
            p_value(p), str(by["pearson"]["n"]),
        )  # fmt: skip
    return shown


def _estimate(row: dict[str, Any]) -> str:
    return estimate(row["value"], row["low"], row["high"], places=2, sign=True)


def _unknown(table: pl.DataFrame) -> list[str]:
    """Which languages lack distances that others have."""
    names = short_codes(table["language"].to_list())
    notes = []
    for name, label in DISTANCES.items():
        lacking = table.filter(pl.col(name).is_null())["language"].to_list()
        if 0 < len(lacking) < len(table):
            notes.append(f"{label} not known of {', '.join(names[code] for code in lacking)}")
    return notes


ANALYSIS = Analysis(
    "distance",
    _distance,
    computes=True,
    section=Section(
        "Distance",
        "Linguists' distances (URIEL+), script, text in pre-training, tokens, and the model's own before training: one "
        "less the mean cosine of parallel sentences, each language's mean taken off, and one less retrieval.",
        _charts,
        titled({"distance-correlation": "Correlation with score and gap", "distance": "Distances to the source"}),
    ),
)
