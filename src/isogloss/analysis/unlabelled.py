"""Languages without labels: what is to be expected there, by which signs, and how far such signs were off elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from isogloss.analysis import signs
from isogloss.analysis.analysis import (
    Analysis,
    AnalysisOptions,
    AnalysisResult,
    Results,
    Section,
    cells,
    predictions_of,
    target_scores,
)
from isogloss.analysis.format import estimate
from isogloss.experiment.opened_run import OpenedRun
from isogloss.languages.language import Language
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.jackknife import MISS

FORECAST = "forecast"
HEADS = {  # of columns, which there are many of
    "seeds": "seeds agree", "methods": "methods agree", "confidence": "confidence", "unknown": "unknown tokens",
}  # fmt: skip
CONFIDENCE: Any = {"method": pl.String, "language": pl.String, "confidence": pl.Float64}


def confidence(opened_run: OpenedRun, options: AnalysisOptions) -> pl.DataFrame:
    """How sure each method is in each language: a mean over seeds and texts, by each cell's temperature if it has one.

    Returns:
        Rows of `CONFIDENCE`.
    """
    parts = []
    for _, stored in cells(opened_run, options):
        fitted = stored.record.temperature is not None and (stored.folder / "confidence.parquet").is_file()
        table, column = stored.table("confidence" if fitted else "predictions"), "calibrated" if fitted else "score"
        means = table.filter(split="test").group_by("method", "language", maintain_order=True)
        parts.append(means.agg(pl.col(column).cast(pl.Float64).mean().alias("confidence")))
    every = pl.concat(parts).group_by("method", "language", maintain_order=True)
    return every.agg(pl.col("confidence").mean()).cast(pl.Schema(CONFIDENCE))


def signs_of(opened_run: OpenedRun, options: AnalysisOptions) -> pl.DataFrame:
    """The signs of a run directory's languages (`signs.TABLE`); neither data nor models are loaded."""
    records = [stored.record for _, stored in cells(opened_run, options)]
    unknown = {code: share for record in records for code, share in record.unknown.items()}
    return signs.signs(
        predictions_of(opened_run, options), confidence(opened_run, options), unknown,
        target_scores(opened_run, options), source=opened_run.spec.source,
        words=any(record.kind == "tagging" for record in records),
    )  # fmt: skip


def _unlabelled(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    if not any(stored.record.unlabelled for _, stored in cells(opened_run, options)):
        return AnalysisResult(shown=[Text("every language that was predicted has labels")])
    table = signs_of(opened_run, options)
    expected, error = signs.expected(table), signs.errors(table)
    methods = list(dict.fromkeys(cell.label for cell, _ in cells(opened_run, options)))
    shown: list[RenderableType] = [_shown(_by_language(table, expected, methods), "languages without labels")]
    if len(error):
        shown.append(_shown(_errors(error, methods), "each scored language from the others: mean errors in points"))
    shown += map(Text, _notes(table))
    return AnalysisResult({"signs": table, "signs-expected": expected, "signs-error": error}, shown)


def _by_language(
    table: pl.DataFrame,
    expected: pl.DataFrame,
    methods: Sequence[str],
    forecast: pl.DataFrame | None = None,
    tokenization: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """A row a language and method: what is expected, and the signs."""
    by_signs = _written(expected.filter(sign=signs.TOGETHER))
    by_forecast = {} if forecast is None else _written(forecast)
    fertility = {} if tokenization is None else dict(tokenization.select("language", "fertility").iter_rows())
    rows: list[dict[str, str]] = []
    for row in table.filter(labels=signs.NO_LABELS).iter_rows(named=True):
        code, key = row["language"], (row["method"], row["language"])
        line = {"language": Language.parse(code).name, "code": code, "method": row["method"]}
        if forecast is not None:
            line["by the forecast"] = by_forecast.get(key, "not known")
        if len(expected):
            line["by all signs"] = by_signs.get(key, "not known")
        line |= {head: _known(row[sign], ".1%") for sign, head in HEADS.items()}
        if tokenization is not None:
            line["tokens a word"] = _known(fertility.get(code), ".2f")
        rows.append(line)
    rows.sort(key=lambda line: (line["language"], line["code"], methods.index(line["method"])))
    return pl.DataFrame(rows)


def _written(table: pl.DataFrame) -> dict[tuple[str, str], str]:
    columns = table.select("method", "language", "expected", "low", "high").iter_rows()
    return {(method, code): estimate(*numbers, places=2) for method, code, *numbers in columns}


def _known(value: float | None, form: str) -> str:
    return "not known" if value is None else format(value, form)


def _errors(error: pl.DataFrame, methods: Sequence[str], forecast: pl.DataFrame | None = None) -> pl.DataFrame:
    """A row a method and sign, and of the forecast where it was made: errors in points."""
    rows: list[dict[str, str]] = []
    for row in (*error.iter_rows(named=True), *(() if forecast is None else forecast.iter_rows(named=True))):
        sign, rank = row.get("sign", FORECAST), row.get("spearman")
        rows.append(
            {
                "method": row["method"], "by": signs.SIGNS.get(sign, sign),
                "misses by (points)": f"{100 * row['mae']:.1f}",
                "the mean misses by": f"{100 * row['baseline_mae']:.1f}",
                "rank correlation": "" if rank is None else f"{rank:.2f}",
                "languages": str(row["languages"]),
            }
        )  # fmt: skip
    return pl.DataFrame(sorted(rows, key=lambda row: methods.index(row["method"])))


def _notes(table: pl.DataFrame) -> Iterator[str]:
    """What the tables leave to be said, a sentence each."""
    scored, without = (table.filter(labels=labels) for labels in (signs.SCORED, signs.NO_LABELS))
    count = scored["language"].n_unique()
    if reason := signs.too_few(table):
        yield f"What such signs are worth cannot be said: {reason}."
    elif count < ceil(1 / MISS) - 1:
        yield f"Intervals are from 0 to 1, since {count} scored languages are too few for narrower ones."
    for sign, name in signs.SIGNS.items():
        if not reason and not scored[sign].null_count() and scored[sign].n_unique() == 1:
            yield f"The {name} is the same in every scored language, and foretells nothing here."
    for sign, why in (("seeds", "one seed"), ("methods", "no other method beside it")):
        if lacking := without.filter(pl.col(sign).is_null())["method"].unique(maintain_order=True).to_list():
            yield f"No {signs.SIGNS[sign]}, there being {why}: {', '.join(lacking)}."


def _shown(table: pl.DataFrame, title: str) -> ShellTable:
    shown = ShellTable(*table.columns, title=title)
    for row in table.iter_rows():
        shown.add_row(*map(Text, row))
    return shown


def _tables(results: Results) -> dict[str, pl.DataFrame]:
    table = results.table("signs")
    if table is None:
        return {}
    expected, error = (
        pl.DataFrame(schema=schema) if (found := results.table(title)) is None else found
        for title, schema in (("signs-expected", signs.EXPECTED), ("signs-error", signs.ERROR))
    )
    forecast, of_forecast = results.table("forecast"), results.table("forecast-error")
    by_language = _by_language(table, expected, results.methods, forecast, results.table("tokenization"))
    shown = {"What to expect": by_language}
    if len(error) or of_forecast is not None:
        errors = _errors(error, results.methods, of_forecast)
        shown["What such expectations are worth, where there are labels"] = errors
    return shown


def _section_notes(results: Results) -> list[str]:
    table = results.table("signs")
    if table is None:
        return []
    if results.table("forecast") is not None:
        return list(_notes(table))
    return [*_notes(table), 'No forecast was made: "isogloss analyze DIR forecast" makes one, of parallel sentences.']


ANALYSIS = Analysis(
    "unlabelled",
    _unlabelled,
    section=Section(
        "Languages without labels",
        "They are predicted, and are in no score, mean or gap. What is expected of them, with 90 % intervals, is a "
        "line through the scored target languages: the forecast's in what is known of a language before any text of "
        "it is predicted (its likeness to the source in the pre-trained model, its tokens, its script, its share of "
        "CC-100, linguists' distances), the signs' in how often seeds and methods give the same answer, how sure a "
        "model is, and how many tokens it does not know. The second table says how far each was off in scored "
        "languages, each being left out in turn, beside the mean of the others, which takes no sign at all.",
        lambda _: {},
        _tables,
        _section_notes,
    ),
)
