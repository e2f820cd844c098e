"""Scores from sums, examples drawn anew, and intervals that cover what they say they cover."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from isogloss.analysis.analysis import AnalysisOptions, answers_of
from isogloss.api import run
from isogloss.data.kinds.registry import data_kinds
from isogloss.errors import IsoglossError
from isogloss.experiment.evaluate import scores_table
from isogloss.experiment.opened_run import OpenedRun
from isogloss.spec import Spec
from isogloss.stats.answers import Answers
from isogloss.stats.bootstrap import MEASURES, BootstrapEstimate, bootstrap, resampled
from isogloss.stats.intervals import combined, crossed, holm
from isogloss.tasks.registry import TASKS
from models import WORDS, checkpoint, sib200

METRICS = {name: kind.metrics for name, kind in data_kinds().items()}

SAID = {
    "classification": ["sport", "science/technology", "news"],
    "tagging": ["O", "B-PER", "I-PER", "I-LOC", "NOUN", "X", "."],
    "qa": ["the cat", "cat", "a dog, on", "", "Mat."], "qa-mlqa": ["la casa", "casa", "東京 の", "der Hund", "."],
}  # fmt: skip
CODES = ("eng-Latn", "deu-Latn", "spa-Latn")


def predictions(kind, generator, *, examples=6, runs=(("a", 0), ("a", 1), ("b", 0)), codes=CODES):
    """Answers drawn at random, in the columns of the contract."""
    rows = []
    for code in codes:
        lengths = generator.integers(1, 6, examples)

        def answer(length):
            drawn = [str(word) for word in generator.choice(SAID[kind], length if kind == "tagging" else 1)]
            return " ".join(drawn)

        gold = [answer(length) for length in lengths]
        gold = [json.dumps([right, answer(1)]) for right in gold] if kind.startswith("qa") else gold
        rows += [
            (method, seed, code, "test", f"{code}/{i}", right, answer(length))
            for method, seed in runs
            for i, (right, length) in enumerate(zip(gold, lengths, strict=True))
        ]
    names = ("method", "seed", "language", "split", "example", "gold", "predicted")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String) | {"seed": pl.Int64}, orient="row")


def answers(table, kind="classification", parallel=False):
    runs = list(dict.fromkeys(table.select("method", "seed").iter_rows()))
    return Answers(table, runs, "eng-Latn", kind, parallel)


def check_against(scores, found):
    """Every score of the table is what the sums give."""
    expected = {row[:4]: row[4] for row in scores.select("method", "seed", "language", "metric", "value").iter_rows()}
    seen = 0
    for metric in scores["metric"].unique():
        for code in found.languages:
            sums = found.sums(code, metric)
            (whole,) = sums.scores(np.ones((1, len(found.examples[code])))).T
            for place, value in zip(sums.runs, whole, strict=True):
                assert value == pytest.approx(expected[(*found.runs[place], code, metric)], abs=1e-9)
                seen += 1
    assert seen == len(scores)


@pytest.mark.parametrize("kind", list(METRICS))
@given(seed=st.integers(0, 2**32), times=st.lists(st.integers(0, 3), min_size=6, max_size=6))
@settings(deadline=None, max_examples=15)
def test_sums_give_the_scores_of_every_metric(kind, seed, times):
    table = predictions(kind, np.random.default_rng(seed))
    found = answers(table, kind)
    task = TASKS[kind]
    parts = [
        scores_table(own, task, METRICS[kind], {"method": method, "seed": number})
        for (method, number), own in table.group_by(["method", "seed"], maintain_order=True)
    ]
    check_against(pl.concat(parts), found)
    if not any(times) or kind == "tagging":  # spans of bare tags may reach from one sentence to the next
        return
    for metric in METRICS[kind]:
        (drawn,) = found.sums("deu-Latn", metric).scores(np.array([times], dtype=float)).T
        for place, (method, number) in enumerate(found.runs):
            own = table.filter(method=method, seed=number, language="deu-Latn")
            gold, said = (np.repeat(own[name].to_numpy(), times).tolist() for name in ("gold", "predicted"))
            assert drawn[place] == pytest.approx(task.metrics[metric](gold, said, "deu-Latn"), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS["tagging"])
def test_sentences_that_come_several_times_add_up(metric):
    tags = ["B-PER I-PER O", "O B-LOC", "I-PER O O", "O", "B-LOC B-LOC I-LOC"]
    said = ["B-PER O O", "O B-LOC", "I-PER O B-PER", "O", "B-LOC I-LOC I-LOC"]
    table = pl.DataFrame(
        {
            "method": "a", "seed": 0, "language": "eng-Latn", "split": "test", "example": list("vwxyz"), "gold": tags,
            "predicted": said,
        }
    )  # fmt: skip
    times = np.array([[1, 1, 1, 1, 1], [0, 3, 1, 0, 2], [0, 0, 0, 4, 0]])
    found = answers(table, "tagging").sums("eng-Latn", metric).scores(times.astype(float))
    for number, row in enumerate(times):
        again, answered = (np.repeat(side, row).tolist() for side in (tags, said))
        expected = TASKS["tagging"].metrics[metric](again, answered, "eng-Latn")
        assert found[0, number] == pytest.approx(expected, abs=1e-12)


def udpos(folder):
    """Tagged sentences, some of them with UD's bare `X`."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in ("train-en", "dev-en", "test-en", "test-de"):
        sentences = [generator.choice(WORDS, generator.integers(1, 9)) for _ in range(20)]
        lines = [[f"{word}\t{('NOUN', 'VERB', 'X')[len(word) % 3]}" for word in words] for words in sentences]
        (folder / f"{name}.tsv").write_text("\n\n".join(map("\n".join, lines)) + "\n\n", encoding="utf-8")
    return {"path": folder}


def xquad(folder):
    folder.mkdir()
    for code in ("en", "de"):
        data = []
        for i in range(9):
            passage = f"{WORDS[i]} the cat sat on {WORDS[i + 3]} log"
            right = {"text": WORDS[i + 3], "answer_start": passage.index(" on ") + 4}
            asked = [{"id": f"{i}-{j}", "question": f"{WORDS[j]} on", "answers": [right]} for j in range(3)]
            data.append({"title": str(i), "paragraphs": [{"context": passage, "qas": asked}]})
        (folder / f"xquad.{code}.json").write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")
    return {"path": folder, "splits": {"train": "test[:4]", "dev": "test[4:6]", "test": "test[6:]"}}


@pytest.mark.parametrize(
    ("task", "make", "parallel"),
    [
        ("sib200", lambda folder: {"path": sib200(folder)}, True),
        ("udpos", udpos, False),
        ("xquad", xquad, True),
    ],
)
def test_sums_give_the_scores_of_stored_runs(tmp_path, task, make, parallel):
    spec = Spec(
        name="small", backbone=str(checkpoint(tmp_path / "model")), task=task, data=make(tmp_path / "data"),
        seeds=[0, 1], dtype="float32", device="cpu",
        methods={"linear-probe": {"epochs": 1}, "probe": {"method": "linear-probe", "epochs": 1, "head_lr": 0.3}},
    )  # fmt: skip
    run(spec, tmp_path / "run")
    opened_run = OpenedRun.of(tmp_path / "run")
    found = answers_of(opened_run, AnalysisOptions())
    assert (found.parallel, len(found.runs)) == (parallel, 4)
    check_against(opened_run.stored.table("scores").filter(split="test"), found)
    only = answers_of(opened_run, AnalysisOptions(methods=["probe"]))
    assert only.runs == [("probe", 0), ("probe", 1)]
    languages, overall = bootstrap(only, opened_run.metric, [only.everywhere], draws=50)
    assert set(languages) == only.everywhere
    assert set(overall[only.everywhere]) == set(MEASURES)


def test_answers_to_other_examples_are_an_error():
    table = predictions("classification", np.random.default_rng(0))
    with pytest.raises(IsoglossError, match="not answered the same examples of deu-Latn"):
        answers(table.remove(method="b", example="deu-Latn/3")).sums("deu-Latn", "accuracy")


def binary(right, *, codes=("eng-Latn", "deu-Latn"), parallel=False, same=False):
    """Classification answered rightly as it says: (runs, languages, examples), runs of a method `a`."""
    rows = [
        ("a", seed, code, "test", f"{i}" if parallel or same else f"{code}/{i}", "x", "x" if good else "y")
        for seed, own in enumerate(right)
        for code, part in zip(codes, own, strict=True)
        for i, good in enumerate(part)
    ]
    names = ("method", "seed", "language", "split", "example", "gold", "predicted")
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String) | {"seed": pl.Int64}, orient="row")
    return answers(table, parallel=parallel)


def test_the_spread_of_accuracy_is_that_of_a_mean():
    right = np.random.default_rng(1).random((3, 2, 80)) < 0.6
    languages, overall = bootstrap(binary(right), "accuracy", [frozenset(["eng-Latn", "deu-Latn"])], draws=20_000)
    expected = np.cov(right[:, 1]) / 80  # that of the mean of 80 drawn alike, with n - 1
    np.testing.assert_allclose(languages["deu-Latn"].covariance, expected, atol=0.03 * expected.max())
    scipys = stats.bootstrap((right[0, 1].astype(float),), np.mean, n_resamples=20_000, rng=0, method="percentile")
    ours = np.sqrt(languages["deu-Latn"].covariance[0, 0])
    assert ours == pytest.approx(scipys.standard_error * np.sqrt(80 / 79), rel=0.02)
    (measures,) = overall.values()
    of_gap = (np.cov(right[:, 0]) + np.cov(right[:, 1])) / 80  # languages apart
    np.testing.assert_allclose(measures["gap"].covariance, of_gap, atol=0.03 * of_gap.max())
    source, target = right[:, 0].mean(axis=1), right[:, 1].mean(axis=1)
    for name, value in zip(
        MEASURES, (source, target, source - target, (source - target) / source, target / source), strict=True
    ):
        np.testing.assert_allclose(measures[name].values, value)
    # by the delta method
    gradient = np.array([-target[0] / source[0] ** 2, 1 / source[0]])
    error = np.sqrt((gradient**2 * [right[0, 0].var(ddof=1) / 80, right[0, 1].var(ddof=1) / 80]).sum())
    assert np.sqrt(measures["transfer-ratio"].covariance[0, 0]) == pytest.approx(error, rel=0.05)


def test_parallel_examples_are_drawn_together_and_others_apart():
    one = np.random.default_rng(2).random((2, 1, 50)) < 0.5
    right = np.repeat(one, 2, axis=1)  # the same in both languages
    together = frozenset(["eng-Latn", "deu-Latn"])
    for parallel in (True, False):
        found = binary(right, parallel=parallel, same=True)
        gap = bootstrap(found, "accuracy", [together])[1][together]["gap"]
        assert (np.abs(gap.covariance).max() < 1e-12) == parallel
        assert gap.examples == (50 if parallel else 100)
        assert gap.freedom == (49 if parallel else 98)
    again = resampled(binary(right), "deu-Latn", "accuracy", 30)
    np.testing.assert_array_equal(again, resampled(binary(right), "deu-Latn", "accuracy", 30))


def test_languages_that_runs_lack_and_scores_that_do_not_vary():
    right = np.ones((2, 2, 10), dtype=bool)
    right[:, 0, :5] = False
    found = binary(right)
    found = answers(found.predictions.remove(seed=1, language="deu-Latn"))
    assert found.everywhere == {"eng-Latn"}
    languages, overall = bootstrap(found, "accuracy", [found.everywhere, frozenset(["eng-Latn", "deu-Latn"])])
    perfect = languages["deu-Latn"].mean([0])
    assert (perfect.value, perfect.low, perfect.high, perfect.p) == (1, None, None, None)
    assert languages["deu-Latn"].mean([0, 1]).value is None
    assert overall[found.everywhere]["target"].mean([0]).value is None
    assert overall[found.everywhere]["source"].mean([0, 1]).value == 0.5
    wrong = binary(np.zeros((2, 2, 10), dtype=bool))
    measures = bootstrap(wrong, "accuracy", [wrong.everywhere])[1][wrong.everywhere]
    assert measures["relative-gap"].mean([0, 1]).value is None
    assert measures["gap"].mean([0, 1]).low is None
    single = bootstrap(binary(right[:, :, :1]), "accuracy")[0]["deu-Latn"].mean([0, 1])
    assert (single.value, single.low) == (1, None)


def test_where_seeds_alone_vary_it_is_students_test():
    values = np.array([0.61, 0.58, 0.66, 0.6])
    found = crossed(values - 0.5, np.zeros((4, 4)), 99)
    test = stats.ttest_1samp(values, 0.5)
    low, high = test.confidence_interval(0.95)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.low + 0.5, found.high + 0.5) == (pytest.approx(low), pytest.approx(high))


def test_where_examples_alone_vary_it_is_students_test_too():
    values = np.random.default_rng(0).normal(0.1, 1, 30)
    variance = values.var(ddof=1) / 30
    found = crossed(np.full(3, values.mean()), np.full((3, 3), variance), 29)
    test = stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(test.pvalue)
    assert found.high == pytest.approx(test.confidence_interval(0.95).high)
    alone = crossed(values[:1], np.array([[variance]]), 29)
    assert alone.p is None
    assert alone.high - values[0] == pytest.approx(found.high - found.value)


def test_the_variance_is_that_of_the_analysis_of_variance():
    cells = np.random.default_rng(3).normal(size=(4, 25)) + np.linspace(0, 3, 4)[:, None] + np.linspace(-1, 1, 25)
    found = crossed(cells.mean(axis=1), np.cov(cells) / 25, 24)
    effects = cells - cells.mean(axis=1, keepdims=True) - cells.mean(axis=0) + cells.mean()
    squares = [25 * cells.mean(axis=1).var(ddof=1), 4 * cells.mean(axis=0).var(ddof=1), (effects**2).sum() / (3 * 24)]
    variance = (squares[0] + squares[1] - squares[2]) / cells.size
    share = squares[0] / cells.size / variance
    quantile = share * stats.t.ppf(0.975, 3) + (1 - share) * stats.t.ppf(0.975, 24)
    assert found.high - found.value == pytest.approx(np.sqrt(variance) * quantile)


@given(st.floats(0, 5), st.floats(0, 1), st.integers(1, 9), st.integers(1, 300))
@settings(deadline=None, max_examples=50)
def test_p_and_interval_agree(value, share, few, many):
    found = combined(value, share, 1 - share, few, many, few + 1)
    assert (found.p < 0.05) == (found.low > 0) or found.p == pytest.approx(0.05, abs=1e-6)
    assert combined(value + 1, share, 1 - share, few, many, few + 1).p < found.p
    assert 0 < combined(1e9, share, 1 - share, few, many, few + 1).p < 1e-3


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
@settings(deadline=None, max_examples=20)
def test_holm_is_statsmodels_and_leaves_out_what_is_not_known(values):
    found = holm(values)
    known = [value for value in values if value is not None]
    assert [value is None for value in found] == [value is None for value in values]
    expected = multipletests(known, method="holm")[1] if known else []
    assert [value for value in found if value is not None] == pytest.approx(list(expected))


def simulated(generator, seeds, parallel, *, luck, kin=0.7, taste=0.4, noise=0.6, examples=60, mean=0.5):
    """Two methods that do not differ, in a source and three targets.

    An answer is right where a sum is above 0: the mean, the luck of a run in all languages and, half as much, in each;
    how hard the example is, to all and to each method; and noise. The chance of it is the truth of every score.

    Returns:
        Answers (languages, runs, examples), and the truth.
    """
    shape = (4, 2, seeds, examples)
    hard = generator.normal(0, kin, (1 if parallel else 4, 1, 1, examples))
    total = mean + generator.normal(0, luck, (1, 2, seeds, 1)) + generator.normal(0, luck / 2, (4, 2, seeds, 1)) + hard
    total = total + generator.normal(0, taste, (4, 2, 1, examples)) + generator.normal(0, noise, shape)
    spread = np.sqrt(1.25 * luck**2 + kin**2 + taste**2 + noise**2)
    return (total > 0).reshape(4, 2 * seeds, examples).astype(float), stats.norm.cdf(mean / spread)


def spread_of(right, parallel):
    """What a bootstrap of the mean over languages comes to when draws are many."""
    languages, _, examples = right.shape
    if parallel:
        covariance, freedom = np.cov(right.mean(axis=0)) / examples, examples - 1
    else:
        covariance = sum(map(np.cov, right)) / examples / languages**2
        freedom = languages * (examples - 1)
    return BootstrapEstimate(right.mean(axis=(0, 2)), covariance, examples, freedom)


def test_a_bootstrap_of_many_draws_is_what_simulations_take_it_for():
    for parallel in (True, False):
        right, _ = simulated(np.random.default_rng(0), 3, parallel, luck=0.3)
        found = binary(right.transpose(1, 0, 2) > 0, codes=("eng-Latn", *"abc"), parallel=parallel)
        together = frozenset(found.languages)
        target = bootstrap(found, "accuracy", [together], draws=20_000)[1][together]["target"]
        expected = spread_of(right[1:], parallel)
        np.testing.assert_allclose(target.values, expected.values)
        np.testing.assert_allclose(target.covariance, expected.covariance, atol=0.04 * expected.covariance.max())


@pytest.mark.slow
@pytest.mark.parametrize("luck", [0.3, 0.1])
@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_cover_the_truth_and_p_is_uniform(seeds, parallel, luck):
    """Most of the variance is the seeds' or the examples'. Coverage is 95 to 97.5 % of three seeds, less of five."""
    generator, repeats = np.random.default_rng(seeds), 1000
    one, other = range(seeds), range(seeds, 2 * seeds)
    covered, p = dict.fromkeys(("score", "target", "gap", "difference"), 0), []
    for _ in range(repeats):
        right, truth = simulated(generator, seeds, parallel, luck=luck)
        gap = np.stack([right[0], *(-right[1:] / 3)]) * 4  # whose mean over languages is the gap
        target = spread_of(right[1:], parallel)
        estimates = {
            "score": (spread_of(right[:1], parallel).mean(one), truth), "target": (target.mean(one), truth),
            "gap": (spread_of(gap, parallel).mean(one), 0), "difference": (target.difference(one, other), 0),
        }  # fmt: skip
        for name, (own, expected) in estimates.items():
            covered[name] += own.low <= expected <= own.high
        p.append(estimates["difference"][0].p)
    error = np.sqrt(0.05 * 0.95 / repeats)
    for name, count in covered.items():
        assert 0.93 <= count / repeats <= 0.975 + 2 * error, (name, count / repeats)
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 3 * error
    assert stats.kstest(p, "uniform").pvalue > 0.01
