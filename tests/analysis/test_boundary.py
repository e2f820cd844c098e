"""Boundaries against plain NumPy, and the tables and pictures of small runs."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.boundary.boundary import ANALYSIS
from isogloss.analysis.boundary.classifiers import (
    SCHEMA,
    HeadStates,
    LabelledStates,
    SplitStates,
    angle,
    classifier,
    compare,
    cosine,
    directions,
    division,
    taken,
)
from isogloss.analysis.boundary.plane import GRID, PLANE, POINT, POINTS, REGION
from isogloss.analysis.run import charts_of
from isogloss.api import run
from isogloss.data.dataset import Examples
from isogloss.errors import IsoglossError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.languages.language import Language
from isogloss.spec import Spec
from models import LABELS, checkpoint, sib200

METHODS = {"linear-probe": {"epochs": 2}, "deep-prompt": {"epochs": 2, "length": 2, "lr": 0.1}}


def cloud(seed, classes=3, each=8, width=6, spread=0.6):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, width))
    gold = np.repeat(np.arange(classes), each)
    return LabelledStates(centres[gold] + spread * generator.normal(size=(len(gold), width)), gold)


def divided(seed, **sizes):
    half = cloud(seed, each=12, **sizes)
    even = np.arange(len(half.gold)) % 2 == 0
    parts = (LabelledStates(half.states[some], half.gold[some]) for some in (even, ~even))
    return SplitStates(*parts)


def turn(seed, width=6):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))[0]


def turned(given, by):
    return SplitStates(*(LabelledStates(half.states @ by, half.gold) for half in (given.fitting, given.held)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.randoms())
def test_halves_are_of_each_class_and_follow_the_id(labels, random):
    names = [f"item {place}" for place in range(len(labels))]
    halves = division(names, labels)
    for label in set(labels):
        own = [halves[name] for name, other in zip(names, labels, strict=True) if other == label]
        assert sum(own) == (len(own) + 1) // 2
    mixed = list(zip(names, labels, strict=True))
    random.shuffle(mixed)
    assert division(*zip(*mixed, strict=True)) == halves


@pytest.mark.parametrize("classes", [2, 4])
def test_the_classifier_is_where_the_loss_is_least(classes):
    """The gradient of cross-entropy and half the squared weights is zero there."""
    half = cloud(0, classes)
    model = classifier(half)
    weights = np.concatenate([0 * model.coef_, model.coef_]) if classes == 2 else model.coef_
    bias = np.concatenate([0 * model.intercept_, model.intercept_]) if classes == 2 else model.intercept_
    wrong = softmax(half.states @ weights.T + bias, axis=1) - np.eye(classes)[half.gold]
    gradient = wrong.T @ half.states + weights
    gradient = gradient[1:] if classes == 2 else gradient
    assert np.abs(gradient).max() < 0.01
    assert np.abs(wrong.sum(axis=0)).max() < 0.01
    assert np.abs(directions(model).sum(axis=0)).max() < 1e-9
    assert classifier(half).coef_.tolist() == model.coef_.tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_angles_are_principal_angles(seed, classes):
    generator = np.random.default_rng(seed)
    one, other = generator.normal(size=(2, classes, 9))
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    bases = [np.linalg.svd(part)[2][: classes - 1] for part in (one, other)]
    values = np.clip(np.linalg.svd(bases[0] @ bases[1].T, compute_uv=False), -1, 1)
    assert angle(one, other) == pytest.approx(np.degrees(np.arccos(values)).mean(), abs=1e-4)
    assert cosine(one, other) == pytest.approx(
        np.trace(one @ other.T) / np.sqrt(np.trace(one @ one.T) * np.trace(other @ other.T))
    )


def test_a_boundary_that_is_turned_by_so_much_is_at_that_angle():
    by = np.radians(30)
    one = np.array([[1.0, 0, 0], [-1, 0, 0]])
    other = np.array([[np.cos(by), np.sin(by), 0], [-np.cos(by), -np.sin(by), 0]])
    assert angle(one, other) == pytest.approx(30)
    assert angle(one, -other) == pytest.approx(30)  # the same line
    assert cosine(one, -other) == pytest.approx(-np.cos(by))  # and the other way round


def test_the_same_states_have_the_same_boundary():
    source = divided(1)
    row = compare(source, source, {})
    assert row["angle"] == pytest.approx(0, abs=1e-4)
    for name in ("cosine", "agreement", "centroid"):
        assert row[name] == pytest.approx(1)
    assert len({row[f"{one}_on_{other}"] for one in ("source", "target") for other in ("source", "target")}) == 1
    assert (row["classes"], row["n"]) == (3, 18)


def test_turned_states_are_told_apart_by_a_turned_boundary():
    source = divided(1, spread=0.2)
    by = turn(5)
    row = compare(source, turned(source, by), {})
    assert row["target_on_target"] == row["source_on_source"] == 1
    weights = directions(classifier(source.fitting))
    assert row["angle"] == pytest.approx(angle(weights, weights @ by), abs=0.5)
    assert row["agreement"] == pytest.approx(row["source_on_target"])  # since the target's own is always right
    assert row["source_on_target"] < 1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**4))
def test_what_compare_gives_is_that_of_loops(seed):
    source, target = divided(seed), divided(seed + 1)
    row = compare(source, target, {})
    own, other = (classifier(part.fitting) for part in (source, target))
    answers = own.predict(target.held.states)
    assert row["source_on_target"] == np.mean([a == b for a, b in zip(answers, target.held.gold, strict=True)])
    assert row["agreement"] == np.mean(answers == other.predict(target.held.states))
    assert row["target_on_source"] == other.score(source.held.states, source.held.gold)
    centres = [
        np.array([part.fitting.states[part.fitting.gold == one].mean(axis=0) for one in range(3)])
        for part in (source, target)
    ]
    first, second = (part - part.mean(axis=0) for part in centres)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(first, second, strict=True)]
    assert row["centroid"] == pytest.approx(np.mean(cosines))
    nearest = [min(range(3), key=lambda one: np.linalg.norm(state - centres[0][one])) for state in target.held.states]
    assert row["centroid_transfer"] == pytest.approx(np.mean(np.array(nearest) == target.held.gold))


def test_classes_without_examples_enough_are_left_out():
    source, target = divided(0, classes=4), divided(1, classes=4)
    fewer = SplitStates(target.fitting.only([1, 2, 3]), target.held)
    single = [*np.flatnonzero(fewer.fitting.gold != 3).tolist(), int(np.flatnonzero(fewer.fitting.gold == 3)[0])]
    fewer = SplitStates(LabelledStates(fewer.fitting.states[single], fewer.fitting.gold[single]), fewer.held)
    fitted = {}
    row = compare(source, fewer, fitted)
    assert (row["classes"], row["n"], list(fitted)) == (2, 12, [(1, 2)])
    assert 0 <= row["angle"] <= 90
    alone = compare(source, SplitStates(target.fitting.only([2]), target.held), fitted)
    assert alone == {"classes": 1, "n": 6}
    nobody = compare(source, SplitStates(target.fitting, target.held.only([])), {})
    assert (nobody["agreement"], nobody["source_on_target"], nobody["n"]) == (None, None, 0)
    assert nobody["angle"] is not None


def test_of_parallel_data_the_same_examples_are_taken():
    tests = [
        Examples(Language.parse(code), "test", pl.DataFrame({"id": ids, "label": ["a"] * len(ids)}), "")
        for code, ids in (("en", list("abcdefgh")), ("de", list("hgfedcb")))
    ]
    one, other = taken(tests, 4, parallel=True)
    assert len(one) == 4
    assert set(other.table["id"]) == set(one.table["id"]) - {"a"}
    assert [len(part) for part in taken(tests, 4, parallel=False)] == [4, 4]
    assert [len(part) for part in taken(tests, 99, parallel=True)] == [8, 7]


@pytest.fixture(scope="module")
def opened_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    codes = ("eng_Latn", "deu_Latn", "zho_Hans", "fra_Latn", "spa_Latn", "ita_Latn", "fin_Latn", "nld_Latn")
    spec = Spec(
        name="small", backbone=str(checkpoint(folder / "model")), task="sib200", seeds=[0, 1], dtype="float32",
        data={"path": sib200(folder / "data", codes, rows=48)}, device="cpu", methods=METHODS,
    )  # fmt: skip
    run(spec, folder / "out")
    return OpenedRun.of(folder / "out")


@pytest.fixture(scope="module")
def found(opened_run):
    return ANALYSIS.find(opened_run, AnalysisOptions())


def test_a_run_has_a_row_of_each_language(found, opened_run):
    table = found.tables["boundary"]
    assert table.schema == pl.Schema(SCHEMA)
    assert len(table) == 4 * 8
    source = table.filter(language="eng-Latn")
    assert source["agreement"].is_null().all()
    assert source["angle"].is_between(0, 90).all()
    targets = table.filter(pl.col("language") != "eng-Latn")
    assert targets.null_count().sum_horizontal().item() == 0
    assert set(targets["classes"]) == {7}
    assert set(targets["n"]) == {7}  # 21 examples of 7 classes: of every three, one is held
    charts = charts_of(ANALYSIS, opened_run, AnalysisOptions(), found.tables)
    assert set(charts) == {"boundary", "boundary-angle", "boundary-pca", "boundary-tsne"}


def test_halves_are_the_same_items_in_all_languages(opened_run):
    head_states = HeadStates(opened_run, 32)
    names = [
        {name for name, fits in zip(part.table["id"], fitting, strict=True) if fits}
        for part, fitting in zip(head_states.parts, head_states.fitting, strict=True)
    ]
    assert all(own == names[0] for own in names)
    assert [len(part) for part in HeadStates(opened_run, 2).parts] == [14] * 8


def test_points_are_answered_as_the_model_answers_them(found, opened_run):
    """What is stored as predicted by the run itself is what head and states give here."""
    points = found.tables["boundary-points"]
    assert points.schema == pl.Schema(POINT)
    stored = opened_run.stored.table("predictions").select("method", "seed", "language", "example", "predicted", "gold")
    both = points.join(stored, on=["method", "seed", "language", "example"])
    assert len(both) == len(points) == 2 * 6 * 21
    assert (both["predicted"] == both["predicted_right"]).all()
    assert (both["gold"] == both["gold_right"]).all()
    assert set(points["seed"]) == {0}
    assert points.null_count().sum_horizontal().item() == 0


def test_the_source_the_best_and_the_worst_are_shown(found, opened_run):
    scores = (
        opened_run.stored.table("scores").filter(split="test", metric=opened_run.metric)
        .filter(pl.col("language") != "eng-Latn").group_by("language").agg(pl.col("value").mean())
    )  # fmt: skip
    shown = found.tables["boundary-points"]["language"].unique(maintain_order=True).to_list()
    value = dict(scores.iter_rows())
    assert shown[0] == "eng-Latn"
    assert len(shown) == 6
    assert value[shown[1]] == max(value.values())
    assert value[shown[-1]] == min(value.values())


def test_the_plane_is_that_of_the_principal_components(found, opened_run):
    """By a singular value decomposition, and the head's weights laid on points of the plane mapped back."""
    points, regions, planes = (found.tables[f"boundary-{name}"] for name in ("points", "regions", "planes"))
    assert regions.schema == pl.Schema(REGION)
    assert planes.schema == pl.Schema(PLANE)
    head_states = HeadStates(opened_run, 32)
    stored = next(stored for cell, stored in opened_run.cells if cell.label == "deep-prompt")
    stack = opened_run.stack(stored)
    by_code = dict(zip((str(part.language) for part in head_states.parts), head_states.states(stack), strict=True))
    own = points.filter(method="deep-prompt")
    states = np.concatenate([by_code[code] for code in own["language"].unique(maintain_order=True)])
    mean = states.mean(axis=0)
    _, values, axes = np.linalg.svd(states - mean, full_matrices=False)
    flat = own.select("pca_x", "pca_y").to_numpy()
    signs = np.sign(((states - mean) @ axes[:2].T * flat).sum(axis=0))
    assert np.allclose((states - mean) @ axes[:2].T * signs, flat, atol=1e-5)
    plane = planes.filter(method="deep-prompt").row(0, named=True)
    assert plane["variance"] == pytest.approx((values[:2] ** 2).sum() / (values**2).sum())
    head = stack.runs[0].head
    weight, bias = head.weight.detach().double().numpy(), head.bias.detach().double().numpy()

    def answers(of):
        return [LABELS[one] for one in ((mean + of @ (axes[:2] * signs[:, None])) @ weight + bias).argmax(axis=1)]

    grid = regions.filter(method="deep-prompt")
    assert len(grid) == GRID**2
    assert np.mean(np.array(answers(grid.select("x", "y").to_numpy())) == grid["label"].to_numpy()) > 0.999
    assert plane["faithful"] == pytest.approx(np.mean(np.array(answers(flat)) == own["predicted"].to_numpy()))


def test_pictures_are_the_same_again(opened_run, found):
    again = ANALYSIS.find(opened_run, AnalysisOptions())
    for title, table in found.tables.items():
        assert again.tables[title].equals(table), title
    alone = ANALYSIS.find(opened_run, AnalysisOptions(methods=["linear-probe"]))
    assert alone.tables["boundary"].equals(found.tables["boundary"].filter(method="linear-probe"))


def test_with_too_few_examples_all_is_null_and_nothing_breaks(opened_run):
    found = ANALYSIS.find(opened_run, AnalysisOptions(examples=1))
    assert found.tables["boundary"]["angle"].is_null().all()
    assert set(found.tables["boundary"]["classes"]) <= {0, 1}
    charts = charts_of(ANALYSIS, opened_run, AnalysisOptions(), found.tables)
    assert set(charts) == {"boundary-pca", "boundary-tsne"}
    assert len(found.tables["boundary-points"]) <= 2 * 6 * min(POINTS, 7)


def test_only_linear_heads_of_classification_have_such_a_boundary(opened_run, monkeypatch):
    data = opened_run.data.dataset
    with monkeypatch.context() as patched:
        patched.setattr(data, "card", data.card.model_copy(update={"kind": "tagging"}))
        with pytest.raises(IsoglossError, match="linear head; this is tagging"):
            ANALYSIS.find(opened_run, AnalysisOptions())
    words = [
        (replace(cell, settings=cell.settings.model_copy(update={"head": "verbalizer"})), found)
        for cell, found in opened_run.cells
    ]
    with monkeypatch.context() as patched:
        patched.setitem(opened_run.__dict__, "cells", words)
        with pytest.raises(IsoglossError, match="all heads here are verbalizers"):
            ANALYSIS.find(opened_run, AnalysisOptions())
