"""Distances from the source and their correlations, against scipy and plain NumPy."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from statsmodels.stats.multitest import multipletests

from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.distance import coordinates as module
from isogloss.analysis.distance import correlations as distance_module
from isogloss.analysis.distance.coordinates import DISTANCES, SCHEMA, coordinates, of_model
from isogloss.analysis.distance.correlations import correlations
from isogloss.analysis.run import analyze
from isogloss.api import run
from isogloss.charts.covariates import against
from isogloss.charts.export import svg
from isogloss.charts.style import short_codes
from isogloss.data.parallel_text import Parallel
from isogloss.errors import IsoglossError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.languages.language import Language
from isogloss.spec import Spec
from models import backbone, checkpoint, sib200

CODES = ["arb-Arab", "deu-Latn", "eus-Latn", "fin-Latn", "por-Latn", "por-Latn-BR", "rus-Cyrl", "swh-Latn", "zho-Hans"]


def world(seed=0, methods=("a",), **columns):
    """Distances and scores of nine languages; distances that are not given are not known."""
    generator = np.random.default_rng(seed)
    rows = [
        {"language": code, **dict.fromkeys(DISTANCES), **{name: values[place] for name, values in columns.items()}}
        for place, code in enumerate(CODES)
    ]
    scores = [
        {"method": method, "language": code, "score": score, "gap": 0.9 - score}
        for method in methods for code, score in zip(CODES, generator.uniform(0.2, 0.9, len(CODES)), strict=True)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA), pl.DataFrame(scores)


def drawn(seed):
    return np.random.default_rng(seed).normal(size=len(CODES))


def row(found, method, of, distance, coefficient):
    return found.filter(method=method, of=of, distance=distance, coefficient=coefficient).to_dicts()[0]


def test_correlations_are_scipys():
    model = drawn(1).tolist()
    model[3] = None
    table, scores = world(methods=("a", "b"), model=model, syntactic=drawn(2))
    found = correlations(table, scores)
    own = scores.filter(method="b").join(table, on="language").drop_nulls("model")
    for of in ("score", "gap"):
        expected = stats.pearsonr(own["model"], own[of])
        of_pearson = row(found, "b", of, "model", "pearson")
        assert of_pearson["value"] == pytest.approx(expected.statistic)
        assert of_pearson["p"] == pytest.approx(expected.pvalue)
        assert (of_pearson["low"], of_pearson["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
        assert of_pearson["n"] == 8
        of_spearman = row(found, "b", of, "model", "spearman")
        assert of_spearman["value"] == pytest.approx(stats.spearmanr(own["model"], own[of]).statistic)
        p = [row(found, "b", of, name, "pearson")["p"] for name in ("syntactic", "model")]
        corrected = multipletests(p, method="holm")[1]
        assert of_pearson["p_holm"] == pytest.approx(corrected[1])
    assert row(found, "a", "gap", "genetic", "pearson") == {
        "method": "a", "of": "gap", "distance": "genetic", "coefficient": "pearson", "n": 0, "value": None, "low": None,
        "high": None, "p": None, "p_holm": None, "control": None,
    }  # fmt: skip


def test_partial_correlations_hold_text_in_pretraining_fixed(monkeypatch):
    monkeypatch.setattr(distance_module, "spearman", lambda *_: dict.fromkeys(("spearman", "low", "high", "p")))
    held = drawn(3)
    table, scores = world(pretraining=held, model=drawn(4) + held, premium=drawn(5), syntactic=2 - 3 * held)
    found = correlations(table, scores)
    gap, model = scores.filter(method="a")["gap"].to_numpy(), table["model"].to_numpy()
    one, other, both = (float(np.corrcoef(*pair)[0, 1]) for pair in ((gap, model), (gap, held), (model, held)))
    expected = (one - other * both) / np.sqrt((1 - other**2) * (1 - both**2))
    partial = row(found, "a", "gap", "model", "partial")
    assert partial["value"] == pytest.approx(expected)
    assert partial["p"] == pytest.approx(2 * stats.t.sf(abs(expected) * np.sqrt(6 / (1 - expected**2)), 6))
    half = stats.norm.ppf(0.975) / np.sqrt(9 - 1 - 3)
    assert (partial["low"], partial["high"]) == pytest.approx(
        tuple(np.tanh(np.arctanh(expected) + np.array([-half, half])))
    )
    assert partial["control"] == "pretraining"
    for distance in ("pretraining", "syntactic"):  # the control itself, and a line in it
        assert row(found, "a", "gap", distance, "partial")["value"] is None
    table, scores = world(model=drawn(4), premium=drawn(5))
    assert row(correlations(table, scores), "a", "gap", "model", "partial")["control"] == "premium"
    table, scores = world(model=drawn(4))
    assert row(correlations(table, scores), "a", "gap", "model", "partial")["value"] is None


def test_too_few_languages_and_what_never_differs_give_null():
    few = [0.1, 0.4, 0.2, 0.9, *[None] * 5]
    table, scores = world(model=few, genetic=[0.7] * 9, script=[0.0] * 9, premium=drawn(1))
    found = correlations(table, scores.with_columns(gap=pl.lit(0.3)))
    for distance in ("model", "genetic", "script"):
        assert found.filter(distance=distance)["value"].is_null().all()
    assert found.filter(of="gap")["value"].is_null().all()
    assert row(found, "a", "score", "premium", "pearson")["value"] is not None
    table, scores = world(premium=scores.filter(method="a")["score"].to_numpy())
    perfect = row(correlations(table, scores), "a", "gap", "premium", "pearson")
    assert (perfect["value"], perfect["low"], perfect["p"]) == (pytest.approx(-1), None, 0)
    assert len(correlations(table, scores.clear())) == 0


def test_the_figure_has_a_panel_for_each_distance_that_varies():
    table, scores = world(model=drawn(1), syntactic=drawn(2), genetic=[1.0] * 9)
    chart = against(scores.join(table, on="language"), ["a", "b"], DISTANCES, label="distance")
    drawn_ = svg(chart)
    for name in ("syntactic", "model"):
        assert f">gap against {DISTANCES[name]}</text>" in drawn_
    assert drawn_.count(">gap against ") == 2
    for code in ("deu", "por-Latn", "por-Latn-BR"):
        assert f">{code}</text>" in drawn_
    assert against(scores.join(world()[0], on="language"), ["a"], DISTANCES, label="distance") is None
    assert short_codes(["zho-Hans", "zho-Hant", "deu-Latn"])["deu-Latn"] == "deu"


def test_the_models_distance_is_numpys_whatever_the_chunks(tmp_path, monkeypatch):
    model = backbone(tmp_path)
    words = "the a cat dog sat ran on mat log fast slow red".split()
    generator = np.random.default_rng(0)
    texts = [[" ".join(generator.choice(words, 5)) for _ in range(6)] for _ in range(5)]
    parallel = Parallel([Language.parse(code) for code in ("en", "de", "fr", "fi", "sw")], texts)
    apart, missed = of_model(parallel, model)
    means = []
    for own in texts:
        states = []
        for text in own:
            tokens = torch.tensor(model.tokenizer(text)["input_ids"])[None]
            with torch.no_grad():
                states.append(model.trace(tokens, torch.ones_like(tokens, dtype=torch.bool))[1, 0].mean(dim=0).numpy())
        means.append(np.stack(states).astype(float))
    source = means[0] - means[0].mean(axis=0)
    for code, own in zip(apart, means, strict=True):
        other = own - own.mean(axis=0)
        cosine = (source * other).sum(axis=1) / np.linalg.norm(source, axis=1) / np.linalg.norm(other, axis=1)
        assert apart[code] == pytest.approx(1 - cosine.mean(), abs=1e-5)
    assert apart["eng-Latn"] == pytest.approx(0, abs=1e-6)
    assert missed["eng-Latn"] == 0
    assert all(0 <= value <= 1 for value in missed.values())
    monkeypatch.setattr(module, "CHUNK", 2)
    again = of_model(parallel, model)
    assert again[0] == pytest.approx(apart, abs=1e-6)
    assert again[1] == missed


@pytest.fixture(scope="module")
def opened_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    languages = ("eng_Latn", "deu_Latn", "fin_Latn", "rus_Cyrl", "swh_Latn", "zho_Hans", "eus_Latn")
    spec = Spec(
        name="small", backbone=str(checkpoint(folder / "model")), task="sib200", seeds=[0, 1], dtype="float32",
        device="cpu", data={"path": sib200(folder / "data", languages)}, methods={"linear-probe": {"epochs": 1}},
    )  # fmt: skip
    run(spec, folder / "out")
    return OpenedRun.of(folder / "out")


class Known:
    """Linguists who know of Finnish alone."""

    def distances(self, source, language):
        return {**dict.fromkeys(module.KINDS), "syntactic": 0.4 if language.iso == "fin" else None}


def test_coordinates_of_a_run(opened_run, monkeypatch):
    targets = [test.language for test in opened_run.data.tests[1:]]
    monkeypatch.setattr(module, "load", Known)
    parallel = Parallel(
        [opened_run.data.source, *targets[:2]],
        [["the cat sat on"] * 4, ["a"] * 4, ["the cat sat on the mat a dog"] * 4],
    )
    table, notes = coordinates(opened_run, targets, parallel)
    assert notes == []
    assert table["language"].to_list() == [str(target) for target in targets]
    by = {row["language"]: row for row in table.iter_rows(named=True)}
    assert (by["fin-Latn"]["syntactic"], by["deu-Latn"]["syntactic"]) == (0.4, None)
    assert [by[code]["script"] for code in ("deu-Latn", "rus-Cyrl", "zho-Hans")] == [0, 1, 1]
    assert by["deu-Latn"]["premium"] == 1 / 4
    assert by["eus-Latn"]["premium"] == 8 / 4
    assert by["fin-Latn"]["model"] is None
    assert table["pretraining"].is_null().all()  # not a vocabulary of XLM-R
    assert table["fertility"].to_list() == [1] * 6  # whole words
    monkeypatch.setattr(module.cc100, "VOCABULARY", len(opened_run.backbone.tokenizer))
    sizes = {row["language"]: row["pretraining"] for row in coordinates(opened_run, targets, None)[0].to_dicts()}
    assert sizes["deu-Latn"] == pytest.approx(np.log10(300.8 / 66.6))


def test_what_is_missing_is_said_and_the_rest_computed(opened_run, monkeypatch):
    def missing():
        raise IsoglossError("URIEL+ is not installed; pip install '.[uriel]'")

    monkeypatch.setattr(module, "load", missing)
    (outcome,) = analyze(opened_run.stored.path, ["distance"], AnalysisOptions(sentences=5))
    said = " ".join(map(str, outcome.result.shown))
    assert "no distances by linguists: URIEL+ is not installed" in said
    folder = opened_run.stored.path / "analysis"
    table, found = (pl.read_parquet(folder / f"{name}.parquet") for name in ("distance", "distance-correlation"))
    assert table["syntactic"].is_null().all()
    assert table["model"].is_not_null().all()
    assert len(found) == 2 * 3 * len(DISTANCES)
    assert {"distance.svg", "distance.pdf"} <= {file.name for file in folder.iterdir()}
    notes = coordinates(opened_run, [opened_run.data.tests[1].language], None)[1]
    assert notes[1] == "no distances in the model: there are no parallel sentences; give --parallel"
