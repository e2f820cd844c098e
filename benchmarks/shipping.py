"""How often what can ship was right: decided by one half of a run's test texts, and held against the other.

    python -m benchmarks.shipping runs/my 0.8

Halves are drawn anew many times; the metric is accuracy. The other half is a sample too: even a score that is just good
enough falls short there half of the time. So beside how often it does stands how often it does by more than chance, at
5 %, explains in so many texts.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from isogloss.analysis.analysis import AnalysisOptions, answers_of, cells
from isogloss.analysis.sure_answers import sure_answers
from isogloss.experiment.opened_run import OpenedRun
from isogloss.reports.run_group import run_groups
from isogloss.reports.ship import decided
from isogloss.stats.decision import DECISIONS, SHIP, SURE, THRESHOLD

HALVES = 20


def accuracy(answers: list[pl.DataFrame], code: str, threshold: float | None) -> tuple[float, int]:
    """The mean over seeds of the share that is right of what is answered, and the fewest that one answers."""
    of_language = [table.filter(pl.col("language") == code) for table in answers]
    if threshold is not None:
        of_language = [table.filter(pl.coalesce("calibrated", "score") >= threshold) for table in of_language]
    shares = [(table["gold"] == table["predicted"]).to_numpy().mean() for table in of_language if len(table)]
    return float(np.mean(shares)) if shares else 0.0, min(map(len, of_language))


def main() -> None:
    folder, good_enough = Path(sys.argv[1]), float(sys.argv[2])
    (run_group,) = run_groups([OpenedRun.of(folder)])
    (opened_run,) = run_group.opened_runs.values()
    options = AnalysisOptions(methods=[run_group.records[run_group.best].method])
    whole = answers_of(opened_run, options)
    of_seeds = {cell.seed: sure_answers(stored) for cell, stored in cells(opened_run, options)}
    targets = {str(language) for language in run_group.targets}
    example = pl.col("example").cast(pl.String)
    names = whole.predictions.select(example.unique().sort()).to_series()
    made, short, clearly = Counter[str](), Counter[str](), Counter[str]()
    for number in range(HALVES):
        half = example.is_in(names.filter(np.random.default_rng(number).random(len(names)) < 1 / 2).implode())
        answers = replace(whole, predictions=whole.predictions.filter(half))
        first = {seed: table.filter(half) for seed, table in of_seeds.items()}
        others = [table.filter(~half) for table in of_seeds.values()]
        for row in decided(answers, first, targets, "accuracy", good_enough):
            made[row["decision"]] += 1
            if row["decision"] in {SHIP, THRESHOLD}:
                score, texts = accuracy(others, row["language"], row["threshold"])
                short[row["decision"]] += score < good_enough
                clearly[row["decision"]] += stats.binom.cdf(round(score * texts), texts, good_enough) < SURE
    for name in DECISIONS:
        told = f"{name}: {made[name]} of {made.total()}"
        if name in {SHIP, THRESHOLD}:
            told += f"; on the other half {short[name]} fell short, {clearly[name]} by more than chance"
        print(told)


if __name__ == "__main__":
    main()
