"""Languages that are taken for unlabelled: who they are, and how far what is expected of them is off."""

import numpy as np
import polars as pl
import pytest

from benchmarks.without_labels import MEAN, draws, off, summed
from isogloss.analysis.distance.coordinates import SCHEMA
from isogloss.analysis.forecast import PREDICTORS
from isogloss.analysis.signs import SCORED, TABLE
from synthetic import languages

CODES = languages(12)[1:]


def test_no_language_is_drawn_twice_before_all_are():
    three = draws(CODES, 4, 3)
    assert [len(some) for some in three] == [4, 4, 4]
    assert sorted(code for some in three for code in some) == sorted(CODES)
    assert draws(list(reversed(CODES)), 4, 3) == three
    assert {code for some in draws(CODES, 8, 3) for code in some} == set(CODES)


def test_errors_are_against_the_scores_that_were_hidden():
    """Scores are a line in the confidence and in every predictor, and nothing in the agreement of seeds."""
    generator = np.random.default_rng(0)
    score = generator.permutation(np.linspace(0.2, 0.8, 12))
    table = pl.DataFrame({
        "method": "one", "language": CODES, "labels": SCORED, "score": score, "seeds": generator.uniform(size=12),
        "methods": None, "confidence": score, "unknown": 0.0,
    }).cast(pl.Schema(TABLE))  # fmt: skip
    columns = {name: score if name in PREDICTORS else None for name in SCHEMA if name != "language"}
    near = pl.DataFrame({"language": CODES, **columns}).cast(pl.Schema(SCHEMA))
    three = draws(CODES, 4, 3)
    found = summed([part for some in three for part in off(table, near, some)])
    by = {row["by"]: row for row in found.iter_rows(named=True)}
    assert all(row["languages"] == 12 for row in by.values())
    of_mean, said = [], []
    for some in three:
        hidden = np.isin(CODES, some)
        of_mean += list(np.abs(score[hidden] - score[~hidden].mean()))
        known = score[~hidden]
        said.append(np.abs((known.sum() - known) / 7 - known).mean())
    assert by[MEAN]["error"] == pytest.approx(100 * np.mean(of_mean))
    assert by[MEAN]["said"] == pytest.approx(100 * np.mean(said))
    assert by[MEAN]["inside"] is None
    for name in ("confidence", "forecast"):
        assert by[name]["error"] < 4 < 0.5 * by[MEAN]["error"]
        assert 0 <= by[name]["inside"] <= 1
