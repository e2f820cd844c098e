"""Whether methods differ: every pair, in each language and over all, with two kinds of p-value.

`p` is for new seeds and new examples, from the same variance as the interval: it is what a claim about methods rests
on. `p_items` exchanges the answers of these very models (`exchange`): it is right for a claim about the stored
checkpoints, and too small for one about methods, since it takes the luck of the seeds for the method's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from isogloss.analysis.analysis import (
    Analysis,
    AnalysisOptions,
    AnalysisResult,
    Results,
    Section,
    answers_of,
    titled,
    wanted,
)
from isogloss.analysis.format import estimate, p_value
from isogloss.charts import differences
from isogloss.charts.chart import Chart
from isogloss.errors import NotApplicableError, unknown
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.answers import Answers
from isogloss.stats.bootstrap import bootstrap
from isogloss.stats.intervals import Estimate, holm
from isogloss.stats.mixed_effects import balanced, mixed
from isogloss.stats.permutation import Pair, exchange, pairs

OVERALL = ("target", "source", "gap")
SCHEMA: dict[str, Any] = {
    "one": pl.String, "other": pl.String, "scope": pl.String, "language": pl.String, "difference": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "p": pl.Float64, "p_holm": pl.Float64, "p_items": pl.Float64,
    "p_items_holm": pl.Float64, "seeds": pl.Int64, "n": pl.Int64,
}  # fmt: skip


def significance(answers: Answers, metric: str, chosen: Sequence[Pair]) -> pl.DataFrame:
    """What one method of each pair has over the other.

    Args:
        answers: of all runs.
        metric: one of the data set's.
        chosen: of `exchange.pairs`.

    Returns:
        Rows of `SCHEMA`: `difference` is one minus other, the mean over the seeds that both have. `scope` is language
        (a target), target (the mean of the targets that both have), source or gap; `language` is null for means over
        several. `low`, `high` and `p` are for new seeds and examples; of a single common seed, for examples alone, and
        without `p`. `p_items` is by exchanging answers. Both are corrected by Holm over the languages of a pair, and
        over the pairs in each of the other scopes. `n` counts different examples.
    """
    by_language, overall = bootstrap(answers, metric, {pair.languages for pair in chosen})
    p_language, p_overall = exchange(answers, metric, chosen)
    rows = []
    for number, pair in enumerate(chosen):
        names = {"one": pair.one, "other": pair.other}
        for code, estimated in by_language.items():
            if code in pair.languages and code != answers.source:
                difference = estimated.difference(pair.runs, pair.others)
                about = {"scope": "language", "language": code, "p_items": p_language[number, code]}
                rows.append(names | about | _columns(difference) | {"n": estimated.examples})
        for scope in OVERALL:
            estimated = overall[pair.languages][scope]
            difference = estimated.difference(pair.runs, pair.others)
            about = {"scope": scope, "language": answers.source if scope == "source" else None}
            about["p_items"] = p_overall.get((number, scope))
            rows.append(names | about | _columns(difference) | {"n": estimated.examples})
    table = pl.DataFrame(rows, schema=SCHEMA)
    of_one = pl.col("scope") == "language"
    families = [
        *table.filter(of_one).partition_by("one", "other", maintain_order=True),
        *table.filter(~of_one).partition_by("scope", maintain_order=True),
    ]
    return pl.concat([_corrected(family) for family in families]) if families else table


def _columns(difference: Estimate) -> dict[str, float | int | None]:
    return {
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "p": difference.p,
        "seeds": difference.seeds,
    }


def _corrected(family: pl.DataFrame) -> pl.DataFrame:
    return family.with_columns(
        pl.Series(f"{name}_holm", holm(family[name].to_list()), pl.Float64) for name in ("p", "p_items")
    )


def both_ways(table: pl.DataFrame) -> pl.DataFrame:
    """Pairs seen from either side.

    Args:
        table: of `significance`.
    """
    return pl.concat([table, _turned(table)])


def _turned(table: pl.DataFrame) -> pl.DataFrame:
    turned = table.with_columns(
        one="other", other="one", difference=-pl.col("difference"), low=-pl.col("high"), high=-pl.col("low")
    )
    return turned.select(table.columns)


def against(table: pl.DataFrame, reference: str) -> pl.DataFrame:
    """What every method has over one that is named before the results are seen.

    Who asks this of 16 methods makes 15 comparisons, not the 120 of all pairs (Demšar 2006, JMLR 7, section 3.2.2).

    Args:
        table: of `significance`.
        reference: the method that the others are held against.

    Returns:
        The rows of it that are of means, corrected by Holm over these alone, scope by scope.
    """
    held = both_ways(table).filter(pl.col("other") == reference, pl.col("scope") != "language")
    families = held.partition_by("scope", maintain_order=True)
    return pl.concat([_corrected(family) for family in families]) if families else held


def _charts(results: Results) -> dict[str, Chart]:
    table = results.table("significance")
    if table is None:
        return {}
    pairs = pl.concat([against(table, method) for method in results.methods])
    pairs = pairs.filter(scope="target").drop_nulls("difference")
    charts = {}
    if results.reference in set(pairs["other"]):
        charts["significance"] = differences.methods(pairs, results.methods, results.reference)
    of_languages = table.filter(scope="language").drop_nulls("difference")
    if len(of_languages):
        turned = with_reference_last(of_languages, results.reference)
        charts["significance-languages"] = differences.languages(turned, results.methods, results.reference)
    return charts


def with_reference_last(table: pl.DataFrame, reference: str) -> pl.DataFrame:
    """Pairs of which the reference is the other, wherever it is one of the two.

    Args:
        table: of `significance`.
        reference: the method that the others are held against.
    """
    return pl.concat([table.filter(pl.col("one") != reference), _turned(table.filter(one=reference))])


def _tables(results: Results) -> dict[str, pl.DataFrame]:
    table = results.table("significance")
    if table is None:
        return {}
    known = table.filter(pl.col("scope") != "language").drop_nulls("difference")
    tables = {"Overall": known.drop("language")} if len(known) else {}
    held = against(known, results.reference)
    if held["one"].n_unique() > 1:
        tables[f"Over {results.reference}, corrected over these pairs alone"] = held.drop("language", "other")
    mixed_effects = titled({"significance-mixed": "Mixed-effects model: languages and seeds are random"})
    return tables | mixed_effects(results)


def _significance(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    answers, metric = answers_of(opened_run, options), opened_run.metric
    methods = list(answers.of_method)
    reference = options.reference or methods[0]
    if reference not in methods:
        raise unknown("method to hold the others against", reference, methods)
    methods.sort(key=lambda method: method != reference)
    chosen = pairs(answers, methods)
    if not chosen:
        raise NotApplicableError(
            f"there is nothing to compare: {', '.join(methods)}; expected two methods or more with a seed in common"
        )
    table = significance(answers, metric, chosen)
    cells = balanced(wanted(opened_run.stored.table("scores"), options), answers.source, metric, methods)
    estimates, variances = mixed(cells)
    held = against(table, reference)
    count = held["one"].n_unique()
    shown = ShellTable(
        "method", "of", f"over {reference}", "p", "p of these models", "seeds",
        title=f"differences in {metric}; p-values corrected over {count} {'pair' if count == 1 else 'pairs'}",
    )  # fmt: skip
    for row in held.iter_rows(named=True):
        if row["difference"] is None:
            continue
        p, p_items = (p_value(row[name]) for name in ("p_holm", "p_items_holm"))
        shown.add_row(
            row["one"],
            row["scope"],
            estimate(row["difference"], row["low"], row["high"], sign=True),
            p,
            p_items,
            str(row["seeds"]),
        )
    tables = {
        "significance": table, "significance-reference": held, "significance-mixed": estimates,
        "significance-variance": variances,
    }  # fmt: skip
    return AnalysisResult(tables, [shown])


ANALYSIS = Analysis(
    "significance",
    _significance,
    section=Section(
        "Differences between methods",
        "Means over the seeds that two methods have in common, with 95 % intervals for new seeds and new examples. "
        "p is from the same variance and holds for new seeds; p of these models exchanges the methods' answers to an "
        "example and holds for these trained models alone. Both are corrected by Holm's procedure in the columns that "
        "say so: over all pairs of methods, or in a second table over the pairs with one of them alone.",
        _charts,
        _tables,
    ),
)
