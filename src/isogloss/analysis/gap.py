"""Source score, mean target score and gap of every method, and what one method has over another, seed by seed."""

from __future__ import annotations

import polars as pl
from rich import box
from rich.table import Table
from scipy import stats
from statsmodels.stats.multitest import multipletests

from isogloss.analysis.findings import Analysis, Findings, Options, wanted
from isogloss.analysis.intervals import half_width
from isogloss.archive import Archive
from isogloss.errors import unknown

MEASURES = ("source", "target", "gap")
SAME = 1e-9  # differences that differ by less are the same for all seeds


def gaps(scores: pl.DataFrame, source: str, metric: str) -> pl.DataFrame:
    """Source, mean target and gap of every method and seed on the test split, over the languages that all have.

    Args:
        scores: of a run directory.
        source: the source language.
        metric: of its metrics.

    Returns:
        `method seed source target gap targets`, the last one the number of target languages.
    """
    own = scores.filter(split="test", metric=metric)
    cells = own.select("method", "seed").n_unique()
    everywhere = own.group_by("language").len().filter(pl.col("len") == cells)["language"]
    common = own.filter(pl.col("language").is_in(everywhere.implode()))
    is_source = pl.col("language") == source
    return (
        common.group_by("method", "seed", maintain_order=True)
        .agg(
            pl.col("value").filter(is_source).first().alias("source"),
            pl.col("value").filter(~is_source).mean().alias("target"),
            (~is_source).sum().cast(pl.Int64).alias("targets"),
        )
        .with_columns((pl.col("source") - pl.col("target")).alias("gap"))
        .select("method", "seed", "source", "target", "gap", "targets")
    )


def against(table: pl.DataFrame, reference: str) -> pl.DataFrame:
    """What each method has over a reference, paired by seed: Student's t over the seeds that both have.

    P-values are Holm-corrected over the methods, for each measure.

    Args:
        table: of `gaps`.
        reference: the method that the others are held against.

    Returns:
        `method measure difference low high p seeds`.
    """
    base = table.filter(method=reference)
    rows = []
    for (method,), own in table.filter(pl.col("method") != reference).group_by(["method"], maintain_order=True):
        both = own.join(base, on="seed", suffix="_base")
        for measure in MEASURES:
            difference = (both[measure] - both[f"{measure}_base"]).to_numpy()
            half = half_width(difference)
            mean = float(difference.mean()) if len(difference) else float("nan")
            known = len(difference) > 1 and difference.std() > SAME
            rows.append(
                {
                    "method": method, "measure": measure, "difference": mean, "low": mean - half, "high": mean + half,
                    "p": float(stats.ttest_1samp(difference, 0).pvalue) if known else None, "seeds": len(difference),
                }
            )  # fmt: skip
    schema = {
        "method": pl.String, "measure": pl.String, "difference": pl.Float64, "low": pl.Float64, "high": pl.Float64,
        "p": pl.Float64, "seeds": pl.Int64,
    }  # fmt: skip
    found = pl.DataFrame(rows, schema=schema)
    parts = [_corrected(part) for _, part in found.group_by("measure", maintain_order=True)]
    return pl.concat(parts) if parts else found


def _corrected(part: pl.DataFrame) -> pl.DataFrame:
    known, unknown = part.filter(pl.col("p").is_not_null()), part.filter(pl.col("p").is_null())
    if not len(known):
        return unknown
    corrected = multipletests(known["p"].to_numpy(), method="holm")[1]
    return pl.concat([known.with_columns(pl.Series("p", corrected)), unknown])


def _gap(archive: Archive, options: Options) -> Findings:
    assert archive.spec.source is not None  # specs are stored as resolved
    scores = wanted(archive.stored.table("scores"), options)
    place = {label: number for number, label in enumerate(dict.fromkeys(cell.label for cell, _ in archive.cells))}
    every = gaps(scores, archive.spec.source, archive.metric).sort(pl.col("method").replace_strict(place), "seed")
    reference = options.reference or every["method"][0]
    if reference not in set(every["method"]):
        raise unknown("method to hold the others against", reference, set(every["method"]))
    than = against(every, reference)
    columns = ("method", *MEASURES, f"target over {reference}", "p", "seeds")
    table = Table(
        *columns,
        box=box.SIMPLE_HEAD,
        title=f"{archive.metric} of the source, mean of {every['targets'][0]} targets, gap",
    )
    for (method,), own in every.group_by(["method"], maintain_order=True):
        over = than.filter(measure="target", method=str(method))
        shown = ["", ""]
        if len(over):
            difference, low, high, p = over.select("difference", "low", "high", "p").row(0)
            shown = [f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]", "" if p is None else f"{p:.3f}"]
        table.add_row(
            str(method),
            *(f"{own[name].to_numpy().astype(float).mean():.3f}" for name in MEASURES),
            *shown,
            str(len(own)),
        )
    return Findings({"gap": every, "gap-over": than}, {}, [table])


ANALYSIS = Analysis("gap", _gap)
