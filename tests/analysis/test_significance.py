"""Differences between methods: what is exchanged, what is corrected, and which p-value holds for what."""

import json

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from isogloss.analysis.analysis import AnalysisOptions, Results
from isogloss.analysis.run import analyze
from isogloss.analysis.significance import ANALYSIS, SCHEMA, against, significance
from isogloss.api import run
from isogloss.charts.export import svg
from isogloss.data.kinds.registry import data_kinds
from isogloss.errors import IsoglossError
from isogloss.spec import Spec
from isogloss.stats.answers import Answers
from isogloss.stats.permutation import ExchangedDifference, exchange, pairs
from isogloss.tasks.registry import TASKS
from models import checkpoint, sib200

METRICS = {name: kind.metrics for name, kind in data_kinds().items()}

COLUMNS = {"method": pl.String, "seed": pl.Int64} | dict.fromkeys(
    ("language", "split", "example", "gold", "predicted"), pl.String
)
CODES = ("eng-Latn", "deu-Latn", "spa-Latn", "fin-Latn")


def answers(rows, kind="classification", parallel=False):
    table = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    runs = list(dict.fromkeys(table.select("method", "seed").iter_rows()))
    return Answers(table, runs, "eng-Latn", kind, parallel)


def drawn(table):
    """The charts of a table, the first method being the one that the others are held against."""
    methods = sorted({*table["one"], *table["other"]})
    scores = pl.DataFrame(schema={"method": pl.String, "language": pl.String, "score": pl.Float64})
    return ANALYSIS.section.charts(Results(methods, "accuracy", "eng-Latn", "a", scores, {}, {"significance": table}))


def classified(right, *, codes=CODES, parallel=False, seeds=None):
    """Right or wrong by (methods, seeds, languages, examples); methods are a, b, c, ..."""
    return answers(
        [
            (method, seed, code, "test", str(i) if parallel else f"{code}/{i}", "x", "x" if good else "y")
            for method, of_method in zip("abcdef", right, strict=False)
            for seed, of_seed in zip((seeds or {}).get(method, range(9)), of_method, strict=False)
            for code, part in zip(codes, of_seed, strict=True)
            for i, good in enumerate(part)
        ],
        parallel=parallel,
    )


@pytest.fixture(scope="module")
def three():
    """Three methods, the third better."""
    generator = np.random.default_rng(0)
    chance = np.array([0.5, 0.5, 0.7])[:, None, None, None] + generator.normal(0, 0.03, (3, 4, 1, 1))
    return classified(generator.random((3, 4, 4, 60)) < chance)


@pytest.mark.parametrize(("kind", "metric"), [(kind, metric) for kind, names in METRICS.items() for metric in names])
def test_an_exchange_is_one_of_answers(kind, metric):
    """ScoreTerms moved between methods give what the metric says of answers that are exchanged before."""
    generator = np.random.default_rng(1)
    labels = {"classification": ["x", "y", "z"], "tagging": ["O", "B-PER", "I-PER", "B-LOC"]}.get(
        kind, ["a b", "b", "c"]
    )
    counts = generator.integers(1, 5, 8) if kind == "tagging" else np.ones(8, dtype=int)
    gold = [" ".join(generator.choice(labels, count)) for count in counts]
    gold = [json.dumps([text]) for text in gold] if kind.startswith("qa") else gold
    said = {
        run: [" ".join(generator.choice(labels, count)) for count in counts]
        for run in [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    }
    found = answers(
        [
            (*run, "eng-Latn", "test", str(i), right, answer)
            for run, own in said.items()
            for i, (right, answer) in enumerate(zip(gold, own, strict=True))
        ],
        kind,
    )
    exchanged = generator.integers(0, 2, (20, 8)).astype(float)
    (pair,) = pairs(found, ["a", "b"])
    assert (pair.one, pair.other, pair.runs, pair.others) == ("b", "a", [2, 3], [0, 1])
    drawn = ExchangedDifference(found.sums("eng-Latn", metric), pair).differences(exchanged)
    score = TASKS[kind].metrics[metric]
    for row, value in zip(exchanged, drawn, strict=True):
        differences = []
        for seed in (0, 1):
            b, a = (
                [said[own if not swap else other, seed][i] for i, swap in enumerate(row)]
                for own, other in (("b", "a"), ("a", "b"))
            )
            differences.append(score(gold, b, "eng-Latn") - score(gold, a, "eng-Latn"))
        assert value == pytest.approx(np.mean(differences), abs=1e-12)


@pytest.mark.parametrize("metric", ["accuracy", "macro-f1"])
def test_p_of_an_exchange_is_scipys(metric):
    generator = np.random.default_rng(5)
    gold, one, other = generator.integers(0, 3, (3, 10))
    one = np.where(generator.random(10) < 0.7, gold, one)
    rows = [
        (method, 0, "eng-Latn", "test", str(i), str(right), str(answer))
        for method, own in (("a", other), ("b", one))
        for i, (right, answer) in enumerate(zip(gold, own, strict=True))
    ]
    found = answers(rows)
    score = TASKS["classification"].metrics[metric]

    def difference(b, a):
        right, b, a = (list(map(str, side)) for side in (gold, b, a))
        return score(right, b, "") - score(right, a, "")

    expected = stats.permutation_test(
        (one, other), difference, permutation_type="samples", n_resamples=np.inf, vectorized=False
    ).pvalue  # every exchange there is
    by_language, overall = exchange(found, metric, pairs(found, ["a", "b"]))
    assert by_language[0, "eng-Latn"] == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 2000))
    assert overall == {(0, "source"): by_language[0, "eng-Latn"]}


def test_parallel_examples_are_exchanged_together():
    """The same answers in two targets: the mean over both is as significant as each."""
    one = np.random.default_rng(0).random((2, 1, 1, 80)) < [[[[0.5]]], [[[0.6]]]]
    right = np.repeat(one, 3, axis=2)
    for parallel in (True, False):
        found = classified(right, codes=CODES[:3], parallel=parallel)
        languages, overall = exchange(found, "accuracy", pairs(found, ["a", "b"]))
        assert (overall[0, "target"] == languages[0, "deu-Latn"]) == parallel


def test_the_table_has_each_pair_and_scope_once(three):
    chosen = pairs(three, ["a", "b", "c"])
    assert [(pair.one, pair.other) for pair in chosen] == [("b", "a"), ("c", "a"), ("c", "b")]
    table = significance(three, "accuracy", chosen)
    assert table.schema == pl.Schema(SCHEMA)
    assert len(table) == 3 * (3 + 3)
    assert table.select("one", "other", "scope", "language").is_unique().all()
    scores = {
        (method, code): (own["gold"] == own["predicted"]).mean()
        for (method, code), own in three.predictions.group_by("method", "language")
    }
    for row in table.filter(pl.col("language").is_not_null()).iter_rows(named=True):
        expected = scores[row["one"], row["language"]] - scores[row["other"], row["language"]]
        assert row["difference"] == pytest.approx(expected)
        assert row["low"] < expected < row["high"]
        assert (row["n"], row["seeds"]) == (60, 4)
        assert (row["language"] == "eng-Latn") == (row["scope"] == "source")
    for one, other in (("b", "a"), ("c", "a"), ("c", "b")):
        own = {row["scope"]: row for row in table.filter(one=one, other=other).iter_rows(named=True)}
        target = np.mean([scores[one, code] - scores[other, code] for code in CODES[1:]])
        assert own["target"]["difference"] == pytest.approx(target)
        assert own["gap"]["difference"] == pytest.approx(own["source"]["difference"] - target)
        assert own["gap"]["n"] == 240
    clear = table.filter(one="c", other="a", scope="target")
    assert clear["p_holm"].item() < 0.05
    assert clear["p_items"].item() == pytest.approx(1 / 2001)


def test_families_are_corrected_each_for_itself(three):
    table = significance(three, "accuracy", pairs(three, ["a", "b", "c"]))
    families = [
        *table.filter(scope="language").partition_by("one", "other"),
        *table.filter(pl.col("scope") != "language").partition_by("scope"),
    ]
    assert sorted(map(len, families)) == [3] * 6
    for family in families:
        for name in ("p", "p_items"):
            np.testing.assert_allclose(family[f"{name}_holm"], multipletests(family[name], method="holm")[1])
    assert against(table, "c").filter(scope="target")["difference"].to_list() == pytest.approx(
        [-x for x in table.filter(scope="target", one="c").sort("other")["difference"]]
    )
    held = against(table, "a")
    assert held["other"].unique().to_list() == ["a"]
    assert sorted(map(len, held.partition_by("scope"))) == [2] * 3
    for family in held.partition_by("scope"):
        for name in ("p", "p_items"):
            np.testing.assert_allclose(family[f"{name}_holm"], multipletests(family[name], method="holm")[1])


def test_where_examples_do_not_matter_p_is_the_paired_t_test():
    """Every example of a run has the same answer's worth: only seeds vary."""
    right = np.array([[1, 0, 0, 1, 0], [1, 1, 1, 1, 0]], dtype=bool)
    found = classified(np.repeat(right[:, :, None, None], 20, axis=3), codes=CODES[:1])
    table = significance(found, "accuracy", pairs(found, ["a", "b"]))
    row = table.row(by_predicate=pl.col("scope") == "source", named=True)
    test = stats.ttest_rel(right[1].astype(float), right[0])
    assert row["p"] == pytest.approx(test.pvalue)
    assert row["low"] == pytest.approx(test.confidence_interval(0.95).low)
    assert table.filter(scope="target").select("difference", "p", "p_items").row(0) == (None, None, None)
    assert drawn(table) == {}  # there is no target


def test_sentences_without_any_span_differ_in_nothing():
    rows = [
        (method, seed, code, "test", str(i), "O O", "O O")
        for method in "ab" for seed in (0, 1) for code in CODES[:2] for i in range(3)
    ]  # fmt: skip
    found = answers(rows, "tagging")
    table = significance(found, "span-f1", pairs(found, ["a", "b"]))
    assert table["difference"].to_list() == [0] * 4
    assert table["p_items"].to_list() == [1] * 4


def test_only_seeds_and_languages_in_common_count():
    generator = np.random.default_rng(3)
    right = generator.random((3, 3, 3, 30)) < 0.6
    found = classified(right, codes=CODES[:3], seeds={"a": [0, 1, 2], "b": [1, 2, 5], "c": [7, 2, 8]})
    found = Answers(
        found.predictions.remove(method="b", language="spa-Latn", seed=2), found.runs, "eng-Latn", "classification",
        parallel=False,
    )  # fmt: skip
    table = significance(found, "accuracy", pairs(found, ["a", "b", "c"]))
    own = table.filter(one="b", other="a")
    assert own["seeds"].unique().to_list() == [2]
    assert set(own["language"].drop_nulls()) == {"eng-Latn", "deu-Latn"}
    a, b = right[0, 1:, 1].mean(), right[1, :2, 1].mean()
    assert own.filter(scope="target")["difference"].item() == pytest.approx(b - a)
    single = table.filter(one="c", other="a")
    assert single["seeds"].unique().to_list() == [1]
    assert single["p"].is_null().all()
    assert single["p_holm"].is_null().all()
    assert single["p_items"].is_not_null().all()
    assert single.filter(scope="target")["low"].item() is not None
    assert set(single["language"].drop_nulls()) == {"eng-Latn", "deu-Latn", "spa-Latn"}
    assert not pairs(classified(right, codes=CODES[:3], seeds={"b": [10, 11, 12]}), ["a", "b"])


def test_methods_that_answer_alike_do_not_differ():
    right = np.repeat(np.random.default_rng(0).random((1, 3, 2, 20)) < 0.5, 2, axis=0)
    found = classified(right, codes=CODES[:2])
    table = significance(found, "macro-f1", pairs(found, ["a", "b"]))
    assert table["difference"].to_list() == [0] * 4
    assert table["p"].is_null().all()
    assert table["low"].is_null().all()
    assert table["p_items"].to_list() == [1] * 4
    chart = drawn(table)["significance"]
    assert chart.table.select("one", "other", "difference").rows() == [("b", "a", 0), ("a", "b", 0)]
    assert ">over a</text>" in svg(chart)


def test_the_same_answers_give_the_same_table(three):
    chosen = pairs(three, ["a", "b", "c"])
    again = Answers(three.predictions, three.runs, three.source, three.kind, parallel=False)
    assert significance(three, "accuracy", chosen).equals(significance(again, "accuracy", chosen))


def lucky(generator, luck, seeds=3):
    """Two methods alike, whose runs are more or less lucky; languages of several sizes, so that ties are rare."""
    rows = []
    chance = 0.6 + generator.normal(0, luck, (2, seeds, 1))
    for code, examples in zip(CODES, (20, 41, 50, 59), strict=True):
        right = generator.random((2, seeds, examples)) < chance + generator.normal(0, 0.15, examples)
        rows += [
            (method, seed, code, "test", str(i), "x", "x" if good else "y")
            for method, of_method in zip("ab", right, strict=True)
            for seed, of_seed in enumerate(of_method)
            for i, good in enumerate(of_seed)
        ]
    return answers(rows)


@pytest.mark.slow
def test_p_of_items_holds_for_these_models_and_only_for_them():
    """Without luck of seeds it is uniform; with it, it says far too often that methods differ, and p does not."""
    generator, repeats = np.random.default_rng(0), 300
    p_items = []
    for _ in range(repeats):
        found = lucky(generator, 0.0)
        p_items.append(exchange(found, "accuracy", pairs(found, ["a", "b"]))[1][0, "target"])
    assert abs(np.mean(np.array(p_items) <= 0.05) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / repeats)
    assert stats.kstest(p_items, "uniform").pvalue > 0.01
    repeats = 60
    found = [lucky(generator, 0.1) for _ in range(repeats)]
    tables = [significance(own, "accuracy", pairs(own, ["a", "b"])).filter(scope="target") for own in found]
    p, p_items = (np.array([table[name].item() for table in tables]) for name in ("p", "p_items"))
    assert (p_items < 0.05).mean() > 0.25
    assert (p < 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("significance")
    spec = Spec(
        name="small", backbone=str(checkpoint(made / "model")), task="sib200", data={"path": sib200(made / "data")},
        seeds=[0, 1], dtype="float32", device="cpu",
        methods={"linear-probe": {"epochs": 1}, "probe": {"method": "linear-probe", "epochs": 3, "head_lr": [0.1, 1]}},
    )  # fmt: skip
    run(spec, made / "run")
    return made / "run"


def test_a_run_directory_is_analysed_from_its_tables(folder):
    outcomes = list(analyze(folder, ["significance", "gap"], AnalysisOptions(reference="probe[head_lr=0.1]")))
    assert [(outcome.name, outcome.reason) for outcome in outcomes] == [("significance", None), ("gap", None)]
    table, mixed, variance = (
        pl.read_parquet(folder / f"analysis/significance{name}.parquet") for name in ("", "-mixed", "-variance")
    )
    held = pl.read_parquet(folder / "analysis/significance-reference.parquet")
    assert set(held["other"]) == {"probe[head_lr=0.1]"}
    others = ["linear-probe", "probe[head_lr=1.0]"]
    assert table.filter(scope="target", other="probe[head_lr=0.1]")["one"].to_list() == others
    assert mixed["method"].to_list() == others
    assert variance["share"].sum() == pytest.approx(1)
    figure = (folder / "analysis/significance.svg").read_text()
    assert ">over probe[head_lr=0.1]</text>" in figure  # a variant's label is text
    for label in others:
        assert f">{label}</text>" in figure
    gap = pl.read_parquet(folder / "analysis/gap.parquet").group_by("method").agg(pl.col("target", "source").mean())
    means = {method: (target, source) for method, target, source in gap.iter_rows()}
    for row in table.filter(pl.col("scope").is_in(["target", "source"])).iter_rows(named=True):
        place = ("target", "source").index(row["scope"])
        expected = means[row["one"]][place] - means[row["other"]][place]
        assert row["difference"] == pytest.approx(expected, abs=1e-12)
    intervals = pl.read_parquet(folder / "analysis/gap-intervals.parquet")
    for method, value in intervals.filter(measure="target").select("method", "value").iter_rows():
        assert value == pytest.approx(means[method][0], abs=1e-12)


def test_what_cannot_be_compared_is_said(folder):
    with pytest.raises(IsoglossError, match="nothing to compare: linear-probe; expected two methods or more"):
        list(analyze(folder, ["significance"], AnalysisOptions(methods=["linear-probe"])))
    (outcome,) = analyze(folder, ["significance"], AnalysisOptions(methods=["linear-probe"]), skip=True)
    assert outcome.result is None
    assert outcome.reason.startswith("there is nothing to compare: linear-probe")
    with pytest.raises(IsoglossError, match="unknown method to hold the others against 'probes'"):
        list(analyze(folder, ["significance"], AnalysisOptions(reference="probes")))
