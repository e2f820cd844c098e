"""Signs of a score where there are no labels: made tables whose lines are known."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from isogloss.analysis import signs
from isogloss.analysis.analysis import Results
from isogloss.analysis.registry import analyses
from isogloss.analysis.signs import NO_LABELS, SCORED, SIGNS, TABLE, TOGETHER
from isogloss.stats.jackknife import fit
from synthetic import languages

CODES = languages(20)[1:]
SECTION = analyses()["unlabelled"].section


def made(scored=12, without=3, noise=0.0, **columns):
    """A table of signs: scores are a line in `confidence`, and nothing in `seeds`."""
    generator = np.random.default_rng(1)
    count = scored + without
    confidence = np.linspace(0.3, 0.9, count)
    generator.shuffle(confidence)
    score = 0.1 + 0.9 * confidence + generator.normal(0, noise, count)
    rows = {
        "method": "one", "language": CODES[:count],
        "labels": [SCORED] * scored + [NO_LABELS] * without,
        "score": pl.Series([*score[:scored], *[None] * without], dtype=pl.Float64),
        "seeds": generator.uniform(0.5, 0.6, count), "methods": None, "confidence": confidence, "unknown": 0.0,
    }  # fmt: skip
    return pl.DataFrame({**rows, **columns}).cast(pl.Schema(TABLE)), score


def test_a_line_is_found_and_a_sign_of_nothing_does_no_better_than_the_mean():
    table, score = made()
    error = {row["sign"]: row for row in signs.errors(table).iter_rows(named=True)}
    assert set(error) == {"seeds", "confidence", TOGETHER}
    mean = np.abs([np.delete(score[:12], one).mean() - score[one] for one in range(12)]).mean()
    assert all(row["baseline_mae"] == pytest.approx(mean) and row["languages"] == 12 for row in error.values())
    assert error["confidence"]["mae"] < 0.02
    assert mean > 0.1
    assert error["confidence"]["spearman"] == pytest.approx(1)
    assert error["seeds"]["mae"] > 0.5 * mean
    assert error["seeds"]["spearman"] == pytest.approx(spearmanr(table["seeds"][:12], score[:12]).statistic)
    assert error[TOGETHER]["spearman"] is None
    expected = signs.expected(table).filter(sign="confidence")
    assert expected["language"].to_list() == CODES[12:15]
    assert expected["expected"].to_numpy() == pytest.approx(score[12:], abs=0.05)
    assert all(low <= value <= high for low, value, high in expected.select("low", "expected", "high").iter_rows())


def test_each_language_is_left_out_of_the_line_that_judges_it():
    table, score = made(without=1, noise=0.1)
    score, values = table["score"].to_numpy()[:12], table.select("confidence").to_numpy()[:12]
    off = []
    for one in range(12):
        rest = np.arange(12) != one
        off.append(abs(fit(values[rest], score[rest]).expected(values[[one]])[0] - score[one]))
    assert signs.errors(table).filter(sign="confidence")["mae"][0] == pytest.approx(np.mean(off))


def test_what_is_expected_knows_nothing_of_scores_of_languages_without_labels():
    table, _ = made(noise=0.1)
    dropped = table.with_columns(
        score=pl.when(pl.col("language") == CODES[0]).then(None).otherwise("score"),
        labels=pl.when(pl.col("language") == CODES[0]).then(pl.lit(NO_LABELS)).otherwise("labels"),
    )
    alone = table.filter(pl.col("language") != CODES[0])
    of_others = signs.expected(dropped).filter(pl.col("language") != CODES[0])
    assert of_others.equals(signs.expected(alone))
    assert signs.errors(dropped).equals(signs.errors(alone))


def test_the_signs_of_a_table_of_predictions():
    """Eight texts in two scored languages and one without labels, two seeds of two methods."""
    said = {
        ("one", 0): {"de": "aaaa", "fr": "abab", "sw": "aabb"}, ("one", 1): {"de": "aaab", "fr": "abab", "sw": "bbaa"},
        ("two", 0): {"de": "aaaa", "fr": "bbbb", "sw": "aaaa"},
    }  # fmt: skip
    rows = [
        {"method": method, "seed": seed, "language": code, "split": "test", "example": str(n), "predicted": answer}
        for (method, seed), of_run in said.items()
        for code, text in {**of_run, "en": "aaaa"}.items()
        for n, answer in enumerate(text)
    ]
    sure = pl.DataFrame({"method": ["one", "two"], "language": ["sw", "sw"], "confidence": [0.7, 0.6]})
    scores = pl.DataFrame({"method": ["one", "two"] * 2, "language": ["de", "de", "fr", "fr"], "score": [0.9] * 4})
    found = signs.signs(pl.DataFrame(rows), sure, {"sw": 0.25}, scores, source="en")
    assert set(found["language"]) == {"de", "fr", "sw"}
    (row,) = found.filter(method="one", language="sw").to_dicts()
    assert row == {
        "method": "one", "language": "sw", "labels": NO_LABELS, "score": None, "seeds": 0.0, "methods": 0.5,
        "confidence": 0.7, "unknown": 0.25,
    }  # fmt: skip
    (row,) = found.filter(method="one", language="de").to_dicts()
    assert (row["labels"], row["seeds"], row["methods"], row["confidence"]) == (SCORED, 0.75, 0.875, None)


@pytest.mark.parametrize(("scored", "said"), [(0, "no target language has"), (1, "1 target language has"), (4, "4 ")])
def test_too_few_scored_languages_are_said_in_a_line(scored, said):
    table, _ = made(scored=scored)
    assert signs.expected(table).is_empty()
    assert signs.errors(table).is_empty()
    assert signs.too_few(table).startswith(said)
    results = of({"signs": table})
    assert any("cannot be said" in note for note in SECTION.notes(results))
    (shown,) = SECTION.tables(results).values()
    assert shown["methods agree"].to_list() == ["not known"] * 3
    assert signs.too_few(made(scored=5)[0]) is None


def of(tables):
    return Results(["one"], "accuracy", "en", "one", pl.DataFrame(), {"one": "run"}, tables)


def test_a_reader_sees_words_and_the_forecast_beside_the_signs():
    codes = [f"{code}-Latn" for code in "deu fra spa ita nld swe swh".split()]
    table, _ = made(scored=6, without=1, language=codes)
    forecast = pl.DataFrame(
        {"method": "one", "language": "swh-Latn", "expected": 0.5, "low": 0.4, "high": 0.6, "outside": 0}
    )
    error = pl.DataFrame({"method": ["one"], "mae": [0.031], "baseline_mae": [0.12], "languages": [6]})
    tables = {
        "signs": table, "signs-expected": signs.expected(table), "signs-error": signs.errors(table),
        "forecast": forecast, "forecast-error": error,
        "tokenization": pl.DataFrame({"language": ["swh-Latn"], "fertility": [1.75]}),
    }  # fmt: skip
    expected, worth = SECTION.tables(of(tables)).values()
    (row,) = expected.to_dicts()
    assert (row["language"], row["code"], row["method"]) == ("Swahili", "swh-Latn", "one")
    assert row["by the forecast"] == "0.50 [0.40, 0.60]"
    assert row["tokens a word"] == "1.75"
    assert row["unknown tokens"] == "0.0%"
    assert worth["by"].to_list() == [SIGNS["seeds"], SIGNS["confidence"], TOGETHER, "forecast"]
    assert worth.filter(by="forecast")["misses by (points)"].to_list() == ["3.1"]
    assert all(kind == pl.String for shown in (expected, worth) for kind in shown.schema.values())
    notes = SECTION.notes(of(tables))
    assert any("Intervals are from 0 to 1, since 6 scored languages" in note for note in notes)
    assert any("share of unknown tokens is the same" in note for note in notes)
    assert not any("No forecast was made" in note for note in notes)


def test_where_every_language_has_labels_nothing_is_shown():
    assert SECTION.tables(of({})) == {}
    assert SECTION.notes(of({})) == []
