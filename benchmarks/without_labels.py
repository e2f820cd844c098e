"""How far the forecast and the signs are off in languages that are treated as if they had no labels.

    python -m benchmarks.without_labels --data ~/sib200

Trains a preset once and scores all languages. Then eight targets at a time are taken for unlabelled, three times, no
language twice where there are as many: what the forecast and each sign expect of them, learnt from the others alone,
is held against their scores. Beside it stands the error that was said beforehand, of the others left out one by one.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from isogloss.analysis import forecast, signs
from isogloss.analysis.analysis import AnalysisOptions, parallel_data, target_scores
from isogloss.analysis.distance.coordinates import coordinates
from isogloss.analysis.unlabelled import signs_of
from isogloss.data.parallel_text import read_parallel
from isogloss.executors.serial import Serial
from isogloss.experiment.opened_run import OpenedRun
from isogloss.experiment.run import run
from isogloss.spec import read_spec

LEFT_OUT, TIMES = 8, 3
MEAN, FORECAST = "the mean of the others", "forecast"


def draws(languages: Sequence[str], count: int, times: int, seed: int = 0) -> list[list[str]]:
    """So many languages, so many times; each is drawn again only when all others were."""
    generator, drawn = random.Random(seed), list[str]()  # noqa: S311 - no secret
    while len(drawn) < count * times:
        drawn += generator.sample(sorted(languages), len(languages))
    return [sorted(drawn[begin : begin + count]) for begin in range(0, count * times, count)]


def off(of_signs: pl.DataFrame, near: pl.DataFrame | None, left_out: Sequence[str]) -> Iterator[pl.DataFrame]:
    """What is expected of languages that are taken for unlabelled, and what they score.

    Args:
        of_signs: of `signs.signs`, every target with its score.
        near: of `coordinates`; none: there is no forecast.
        left_out: the languages.

    Yields:
        `method by language score expected low high said`: `said` is the error that is claimed beforehand.
    """
    scores = of_signs.select("method", "language", "score")
    truth = scores.filter(pl.col("language").is_in(left_out))
    known = scores.filter(~pl.col("language").is_in(left_out))
    hidden = pl.col("language").is_in(left_out)
    table = of_signs.with_columns(
        score=pl.when(hidden).then(None).otherwise("score"),
        labels=pl.when(hidden).then(pl.lit(signs.NO_LABELS)).otherwise("labels"),
    )
    means = known.group_by("method", maintain_order=True).agg(expected=pl.col("score").mean())
    deviation = known.group_by("method").agg(  # of each from the mean of the others
        said=((pl.col("score").sum() - pl.col("score")) / (pl.len() - 1) - pl.col("score")).abs().mean()
    )
    nothing = pl.lit(None, pl.Float64)
    of_mean = means.join(deviation, on="method").with_columns(by=pl.lit(MEAN), low=nothing, high=nothing)
    yield truth.join(of_mean, on="method")
    said = signs.errors(table).select("method", "sign", said="mae")
    yield (
        truth.join(signs.expected(table), on=["method", "language"])
        .join(said, on=["method", "sign"])
        .rename({"sign": "by"})
    )
    if near is not None:
        expected = forecast.forecasts(near, known)
        claimed = forecast.errors(forecast.checks(near, known)).select("method", said="mae")
        yield (
            truth.join(expected, on=["method", "language"]).join(claimed, on="method").with_columns(by=pl.lit(FORECAST))
        )


def summed(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """`method by error said inside languages`: mean errors in points, and the share of scores inside the intervals."""
    columns = ["method", "by", "language", "score", "expected", "low", "high", "said"]
    every = pl.concat([part.select(columns) for part in parts])
    return every.group_by("method", "by", maintain_order=True).agg(
        error=100 * (pl.col("score") - pl.col("expected")).abs().mean(), said=100 * pl.col("said").mean(),
        inside=pl.col("score").is_between("low", "high").mean(), languages=pl.len(),
    )  # fmt: skip


def measured(folder: Path, count: int, times: int) -> pl.DataFrame:
    """The errors in a run directory; see `summed`."""
    opened_run, options = OpenedRun.of(folder), AnalysisOptions()
    of_signs = signs_of(opened_run, options)
    targets = [test.language for test in opened_run.data.targets]
    near, data = None, parallel_data(opened_run, options)
    if data is not None:
        parallel = read_parallel(data, opened_run.data.source, targets, options.sentences)
        near, _ = coordinates(opened_run, targets, parallel)
    every = target_scores(opened_run, options)["language"].unique().to_list()
    return summed([part for left_out in draws(every, count, times) for part in off(of_signs, near, left_out)])


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.without_labels", description=__doc__)
    parser.add_argument("--preset", default="sib200")
    parser.add_argument("--data", help="where its data lie")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of the spec, such as seeds=[0,1]")
    parser.add_argument("--languages", type=int, default=LEFT_OUT, help="that are taken for unlabelled at a time")
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--out", type=Path, default=Path("runs") / "benchmarks" / "without-labels")
    given = parser.parse_args(sys.argv[1:])
    spec = read_spec(given.preset, [*given.set, *([f"data.path={given.data}"] if given.data else [])])
    run(spec, given.out, Serial())
    found = measured(given.out, given.languages, given.times)
    found.write_csv(given.out.with_suffix(".csv"))
    shown = Table(title=f"{given.languages} languages taken for unlabelled, {given.times} times: errors in points")
    for head in ("method", "by", "error", "said beforehand", "inside 90 % intervals", "languages"):
        shown.add_column(head, justify="left" if head in {"method", "by"} else "right")
    for row in found.sort("method", maintain_order=True).iter_rows(named=True):
        inside = "" if row["inside"] is None else f"{row['inside']:.0%}"
        shown.add_row(
            row["method"], signs.SIGNS.get(row["by"], row["by"]), f"{row['error']:.1f}", f"{row['said']:.1f}", inside,
            str(row["languages"]),
        )  # fmt: skip
    Console().print(shown)


if __name__ == "__main__":
    main()
