"""Forecasts of scores: ridge and jackknife+ against plain NumPy, and worlds in which they should work or not."""

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit

from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.distance import coordinates as module
from isogloss.analysis.distance.coordinates import SCHEMA
from isogloss.analysis.forecast import PREDICTORS, checks, errors, forecasts
from isogloss.analysis.run import analyze
from isogloss.api import run
from isogloss.charts import forecast as charts
from isogloss.errors import IsoglossError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.languages.language import facts
from isogloss.spec import Spec
from isogloss.stats import jackknife
from isogloss.stats.jackknife import fit, forecast, left_out
from models import checkpoint, sib200

CODES = [f"{iso}-Latn" for iso in sorted(" ".join(facts()["families"].values()).split())]


def drawn(seed, count, noise=0.03, slopes=(0.2, -0.1, 0.0)):
    generator = np.random.default_rng(seed)
    predictors = generator.normal(size=(count, len(slopes)))
    scores = 0.5 + predictors @ np.array(slopes) * 0.5 + generator.normal(0, noise, count)
    return predictors, np.clip(scores, 0, 1)


def ridge(predictors, scores, asked, penalty):
    """By the normal equations, with an intercept that is not shrunk."""
    centre, spread = predictors.mean(axis=0), predictors.std(axis=0)
    design = (predictors - centre) / spread
    slopes = np.linalg.solve(design.T @ design + penalty * np.eye(design.shape[1]), design.T @ (scores - scores.mean()))
    return scores.mean() + (asked - centre) / spread @ slopes


@pytest.mark.parametrize("scale", ["plain", "logit"])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_a_fit_is_ridge_regression(monkeypatch, scale, penalty):
    predictors, scores = drawn(1, 20)
    monkeypatch.setattr(jackknife, "PENALTIES", (penalty,))
    monkeypatch.setattr(jackknife, "SCALES", (scale,))
    if scale == "plain":
        expected = ridge(predictors, scores, predictors, penalty)
    else:
        expected = expit(ridge(predictors, logit(np.clip(scores, 0.005, 0.995)), predictors, penalty))
    assert fit(predictors, scores).expected(predictors) == pytest.approx(expected.clip(0, 1))


def test_what_is_chosen_has_the_smallest_error_left_one_out(monkeypatch):
    """Left out one by one and computed anew, but with the predictors' scales as they are."""
    predictors, scores = drawn(2, 15, noise=0.15)
    design = (predictors - predictors.mean(axis=0)) / predictors.std(axis=0)
    found = {}
    for penalty in jackknife.PENALTIES:
        for scale in jackknife.SCALES:
            values = scores if scale == "plain" else logit(np.clip(scores, 0.005, 0.995))
            out = []
            for one in range(15):
                rest = np.arange(15) != one
                shift, mean = design[rest].mean(axis=0), values[rest].mean()
                slopes = np.zeros(3)
                if np.isfinite(penalty):
                    inside = design[rest] - shift
                    slopes = np.linalg.solve(inside.T @ inside + penalty * np.eye(3), inside.T @ (values[rest] - mean))
                value = mean + (design[one] - shift) @ slopes
                out.append(np.clip(value, 0, 1) if scale == "plain" else expit(value))
            found[penalty, scale] = np.abs(scores - out).mean()
    penalty, scale = min(found, key=found.get)
    chosen = fit(predictors, scores)
    monkeypatch.setattr(jackknife, "PENALTIES", (penalty,))
    monkeypatch.setattr(jackknife, "SCALES", (scale,))
    assert chosen.expected(predictors) == pytest.approx(fit(predictors, scores).expected(predictors))


def test_noise_is_answered_by_the_mean():
    generator = np.random.default_rng(0)
    chosen = [fit(generator.normal(size=(20, 3)), generator.uniform(0.3, 0.7, 20)) for _ in range(40)]
    assert np.mean([not one.slopes.any() for one in chosen]) > 0.4


def test_what_is_not_known_stands_at_the_mean():
    predictors, scores = drawn(3, 20)
    holes = predictors.copy()
    holes[:4, 0] = np.nan
    filled = predictors.copy()
    filled[:4, 0] = predictors[4:, 0].mean()
    asked = np.array([[np.nan, 0.3, 1.0], [predictors[4:, 0].mean(), 0.3, 1.0]])
    found = fit(holes, scores)
    assert found.expected(asked)[0] == pytest.approx(found.expected(asked)[1])
    assert np.isfinite(found.expected(holes)).all()
    nothing = np.full((20, 3), np.nan)
    assert fit(nothing, scores).expected(nothing) == pytest.approx([scores.mean()] * 20)
    assert fit(np.ones((20, 3)), np.full(20, 0.4)).expected(np.zeros((1, 3))) == pytest.approx([0.4])


def test_beyond_what_was_seen_a_line_goes_on_half_the_way():
    predictors, scores = drawn(4, 20, noise=0.01)
    found = fit(predictors, scores)
    seen = predictors[:, 0].max()
    asked = np.array([[seen + 0.5, 0, 0], [seen, 0, 0], [np.nan, 0, 0]])
    line, stopped = found.both(asked)
    assert line[1:] == pytest.approx(stopped[1:])
    assert stopped[0] == pytest.approx(stopped[1])
    assert line[0] > line[1] + 0.02
    assert found.expected(asked)[0] == pytest.approx((line[0] + line[1]) / 2)


def test_intervals_are_those_of_jackknife_plus_both_ways():
    predictors, scores = drawn(5, 20)
    asked = drawn(6, 3)[0]
    found = forecast(predictors, scores, asked)
    bounds = []
    for way in (0, 1):
        low, high = [], []
        for one in range(20):
            rest = np.arange(20) != one
            own = fit(predictors[rest], scores[rest])
            error = abs(scores[one] - own.both(predictors[[one]])[way, 0])
            low.append(own.both(asked)[way] - error)
            high.append(own.both(asked)[way] + error)
        # The floor of 0.1 x 21 and the ceiling of 0.9 x 21: the second and the 19th.
        bounds.append((np.sort(low, axis=0)[1].clip(0, 1), np.sort(high, axis=0)[18].clip(0, 1)))
    assert found.low == pytest.approx(np.minimum(bounds[0][0], bounds[1][0]))
    assert found.high == pytest.approx(np.maximum(bounds[0][1], bounds[1][1]))
    assert found.expected == pytest.approx(fit(predictors, scores).expected(asked))


def test_what_is_left_out_is_known_to_nothing():
    predictors, scores = drawn(7, 12)
    found = left_out(predictors, scores)
    for one in range(12):
        rest = np.arange(12) != one
        alone = forecast(predictors[rest], scores[rest], predictors[[one]])
        assert found.expected[one] == pytest.approx(alone.expected[0])
        assert (found.low[one], found.high[one]) == pytest.approx((alone.low[0], alone.high[0]))


def test_few_scores_say_nothing_for_sure():
    predictors, scores = drawn(8, 8)
    found = forecast(predictors, scores, predictors)
    assert (found.low.tolist(), found.high.tolist()) == ([0.0] * 8, [1.0] * 8)


@pytest.mark.parametrize("slopes", [(0.2, -0.1, 0.0), (0.0, 0.0, 0.0)], ids=["right", "noise"])
def test_coverage_is_near_nominal_be_the_predictors_right_or_noise(slopes):
    inside, error, of_mean = [], [], []
    for seed in range(60):
        predictors, scores = drawn(100 + seed, 26, noise=0.08, slopes=slopes)
        found = forecast(predictors[:18], scores[:18], predictors[18:])
        inside += ((found.low <= scores[18:]) & (scores[18:] <= found.high)).tolist()
        error += np.abs(found.expected - scores[18:]).tolist()
        of_mean += np.abs(scores[:18].mean() - scores[18:]).tolist()
    assert 0.86 < np.mean(inside) < 0.97
    if any(slopes):
        assert np.mean(error) < 0.85 * np.mean(of_mean)
    else:
        assert 0.97 < np.mean(error) / np.mean(of_mean) < 1.2


def tables(count, *, noise, seed=0, scored=None):
    """Distances of languages, and scores of one method that go with two of them, or with none."""
    generator = np.random.default_rng(seed)
    codes = CODES[:count]
    values = {name: generator.uniform(0, 1, count) for name in PREDICTORS}
    rows = [
        {**dict.fromkeys(SCHEMA), **{name: float(own[place]) for name, own in values.items()}, "language": code}
        for place, code in enumerate(codes)
    ]
    for row in rows[::4]:
        row["syntactic"] = None
    score = 0.9 - 0.5 * values["model"] + generator.normal(0, 0.03, count)
    if noise:
        score = generator.uniform(0.3, 0.9, count)
    table = pl.DataFrame(rows, schema=SCHEMA)
    scores = pl.DataFrame({"method": ["a"] * count, "language": codes, "score": score, "gap": 1 - score})
    return table, scores.head(scored or count)


def test_a_right_forecast_is_better_than_the_mean_and_noise_is_not():
    table, scores = tables(24, noise=False, scored=20)
    check = checks(table, scores)
    error = errors(check).to_dicts()[0]
    assert error["better"]
    assert error["mae"] < error["baseline_mae"] / 2
    assert error["mae"] == pytest.approx((check["score"] - check["expected"]).abs().mean())
    own = scores["score"].to_numpy()
    assert check["baseline"].to_list() == pytest.approx([np.delete(own, i).mean() for i in range(20)])
    assert 0.75 <= error["coverage"] <= 1
    found = forecasts(table, scores)
    assert found["language"].to_list() == CODES[20:24]
    assert (found["low"] <= found["expected"]).all()
    assert (found["expected"] <= found["high"]).all()
    table, scores = tables(20, noise=True)
    error = errors(checks(table, scores)).to_dicts()[0]
    assert not error["better"]
    assert error["coverage"] >= 0.75
    assert len(forecasts(table, scores)) == 0
    chart = charts.check(check, ["a"])
    points = chart.table.filter(kind="language")
    assert points.select("score", "expected", "low", "high").equals(check.select("score", "expected", "low", "high"))
    both = charts.languages(found, check, ["a"], metric="accuracy")
    assert [chart.title for chart in both.paper().concat] == [
        "a: languages without labels",
        "a: languages scored, left out of the fit",
    ]


def test_a_mean_is_no_better_than_itself():
    check = pl.DataFrame(
        {"method": ["a"] * 3, "language": CODES[:3], "score": [0.1, 0.5, 0.4], "expected": [0.45, 0.25, 0.3],
         "low": [0.0] * 3, "high": [1.0] * 3, "baseline": [0.45, 0.25, 0.3]}
    )  # fmt: skip
    assert errors(check).to_dicts()[0] | {"mae": 0, "baseline_mae": 0} == {
        "method": "a", "mae": 0, "baseline_mae": 0, "p": None, "better": False, "coverage": 1.0, "width": 1.0,
        "languages": 3,
    }  # fmt: skip


def test_languages_unlike_any_scored_are_counted():
    table, scores = tables(12, noise=False, scored=11)
    last = pl.col("language") == CODES[11]
    inner = [pl.when(last).then(pl.col(name).median()).otherwise(name).alias(name) for name in PREDICTORS]
    table = table.with_columns(inner)
    assert forecasts(table, scores)["outside"].to_list() == [0]
    far = {"model": 9.0, "premium": -1.0}
    table = table.with_columns(pl.when(last).then(value).otherwise(name).alias(name) for name, value in far.items())
    assert forecasts(table, scores)["outside"].to_list() == [2]


def test_too_few_scored_languages_are_refused():
    table, scores = tables(12, noise=False, scored=7)
    with pytest.raises(IsoglossError, match="7 target languages have both a score and parallel sentences"):
        forecasts(table, scores)
    table, scores = tables(12, noise=False)
    lost = pl.when(pl.col("language").is_in(CODES[:6])).then(None).otherwise("model")
    unknown = table.with_columns(lost.alias("model"))
    with pytest.raises(IsoglossError, match="6 target languages"):
        checks(unknown, scores)


@pytest.mark.slow
def test_a_run_is_forecast_where_it_has_no_scores(tmp_path, monkeypatch):
    def missing():
        raise IsoglossError("URIEL+ is not installed; pip install '.[uriel]'")

    monkeypatch.setattr(module, "load", missing)
    languages = "eng_Latn deu_Latn fin_Latn rus_Cyrl swh_Latn zho_Hans eus_Latn por_Latn tha_Thai tur_Latn hun_Latn"
    spec = Spec(
        name="small", backbone=str(checkpoint(tmp_path / "model")), task="sib200", seeds=[0], dtype="float32",
        device="cpu", data={"path": sib200(tmp_path / "data", tuple(languages.split()))},
        targets=languages.replace("_", "-").split()[1:9], methods={"linear-probe": {"epochs": 1}},
    )  # fmt: skip
    run(spec, tmp_path / "out")
    (outcome,) = analyze(tmp_path / "out", ["forecast"], AnalysisOptions(sentences=8))
    said = " ".join(map(str, outcome.result.shown))
    assert "no distances by linguists" in said
    folder = tmp_path / "out" / "analysis"
    found = pl.read_parquet(folder / "forecast.parquet")
    assert found["language"].to_list() == ["hun-Latn", "tur-Latn"]
    assert len(pl.read_parquet(folder / "forecast-check.parquet")) == 8
    assert {"forecast.svg", "forecast.pdf", "forecast-error.parquet"} <= {file.name for file in folder.iterdir()}
    scores = OpenedRun.of(tmp_path / "out").stored.table("scores")
    assert not set(found["language"]) & set(scores["language"])
