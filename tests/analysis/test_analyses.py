"""Analyses of a small run: what they compute, what they store, and what they say."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from typer.testing import CliRunner

from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.errors.texts import Texts
from isogloss.analysis.forgetting.lm_loss import word_losses
from isogloss.analysis.forgetting.memory import against_gap, checkpoints
from isogloss.analysis.importance.effects import effects, importance
from isogloss.analysis.importance.rewind import NONE, RewindableModel, fisher, masters_of
from isogloss.analysis.run import analyze
from isogloss.api import run
from isogloss.cli.commands import app
from isogloss.errors import IsoglossError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.spec import Spec
from isogloss.stats.intervals import half_width, summarised
from isogloss.training.monitor import MEASURES
from models import LABELS, checkpoint, sib200

METHODS = {
    "deep-prompt": {"epochs": 2, "length": 2, "batch_size": 8},
    "fine-tuning": {"epochs": 2, "batch_size": 8, "lr": 1e-3, "embeddings": True},
    "slow-fast": {"epochs": 2, "batch_size": 8, "lr": 1e-3},
}


@pytest.fixture(scope="module")
def opened_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data = sib200(folder / "data")
    spec = Spec(
        name="small", backbone=str(checkpoint(folder / "model")), task="sib200", data={"path": data}, seeds=[0, 1, 2],
        dtype="float32", device="cpu", methods=METHODS,
        dynamics={"every": 3, "examples": 5, "parallel": {"path": data, "sentences": 6}},
    )  # fmt: skip
    run(spec, folder / "out")
    return OpenedRun.of(folder / "out")


def cell(opened_run, method, seed=0):
    return next(pair for pair in opened_run.cells if pair[0].label == method and pair[0].seed == seed)


def test_the_history_holds_what_is_remembered(opened_run):
    history = opened_run.stored.table("history")
    seen = history.filter(pl.col("metric").is_in(MEASURES))
    assert set(seen["method"]) == set(METHODS)
    assert sorted(set(seen["step"])) == [0, 3, 6]
    start = seen.filter(step=0, metric="cka")
    assert start["value"].to_list() == pytest.approx([1] * len(start))
    assert set(seen.filter(metric="retrieval")["language"]) == {"deu-Latn", "zho-Hans"}
    points = checkpoints(history, "eng-Latn")
    assert points.filter(step=0)["gap"].is_null().all()
    assert points.filter(pl.col("step") > 0)["gap"].is_not_null().all()
    assert points.filter(step=0)["fallen"].to_list() == [0] * (2 * 9)


@pytest.mark.parametrize("method", ["fine-tuning", "slow-fast"])
@torch.no_grad()  # a pass that may learn takes another kernel
def test_a_rewind_of_all_is_the_pretrained_model(opened_run, method):
    rewindable = RewindableModel(opened_run, *cell(opened_run, method))
    sample = opened_run.sample(cell(opened_run, method)[1], opened_run.data.tests, 4).features
    tokens = torch.from_numpy(sample.tokens[: sample.starts[1]])[None]
    mask = torch.ones_like(tokens, dtype=torch.bool)
    tuned = rewindable.stack.backbone.hidden(tokens, mask)
    rewindable.set([])
    assert rewindable.stack.backbone.hidden(tokens, mask).equal(opened_run.backbone.hidden(tokens, mask))
    assert not tuned.equal(opened_run.backbone.hidden(tokens, mask))
    rewindable.set(rewindable.tuned)
    assert rewindable.stack.backbone.hidden(tokens, mask).equal(tuned)


def test_each_state_changes_exactly_its_group(opened_run):
    rewindable = RewindableModel(opened_run, *cell(opened_run, "fine-tuning"))
    tuned, start = rewindable.tuned, rewindable.start
    for way, group, names in rewindable.states():
        rewindable.set(names)
        now = {f"part.{name}": value for name, value in masters_of(rewindable.run).named().items()}
        now |= {f"head.{name}": value for name, value in rewindable.run.head.state_dict().items()}
        for name, value in now.items():
            of_group = name in rewindable.groups.get(group, [])
            as_tuned = {"tuned": True, "rewind": group != (None, "all") and not of_group}.get(
                way, of_group or name.startswith("head.")
            )
            assert value.equal(tuned[name] if as_tuned else start[name]), (way, group, name)
    assert {kind for _, kind in rewindable.groups} == {
        "embeddings", "query-key", "value-output", "feed-forward", "norms", "head",
    }  # fmt: skip


@pytest.mark.slow
def test_distance_and_effects_add_up(opened_run):
    tables = [importance(opened_run, *cell(opened_run, "fine-tuning", seed), examples=4) for seed in (0, 1, 2)]
    scores, moved = (pl.concat(part) for part in zip(*tables, strict=True))
    rewindable = RewindableModel(opened_run, *cell(opened_run, "fine-tuning"))
    own = moved.filter(seed=0)
    expected = {
        group: np.sqrt(sum(float((rewindable.tuned[n] - rewindable.start[n]).square().sum()) for n in names))
        for group, names in rewindable.groups.items()
    }
    for row in own.iter_rows(named=True):
        assert row["distance"] == pytest.approx(expected[row["layer"], row["weights"]], rel=1e-5)
    assert own["parameters"].sum() == sum(value.numel() for value in rewindable.tuned.values())
    effect = effects(scores, "eng-Latn")
    for of in ("source", "target", "gap"):
        row = effect.filter(way="rewind", weights="feed-forward", of=of, layer=1)
        values = []
        for seed in (0, 1, 2):
            mean = []
            for way, layer, weights in (("tuned", None, NONE), ("rewind", 1, "feed-forward")):
                part = scores.filter(
                    pl.col("seed") == seed, pl.col("way") == way, pl.col("weights") == weights,
                    pl.col("layer").eq_missing(pl.lit(layer)),
                )  # fmt: skip
                source = part.filter(language="eng-Latn")["value"].mean()
                target = part.filter(pl.col("language") != "eng-Latn")["value"].mean()
                mean.append({"source": source, "target": target, "gap": source - target}[of])
            values.append(mean[0] - mean[1])
        assert row["effect"].item() == pytest.approx(np.mean(values))
        assert row["high"].item() - row["effect"].item() == pytest.approx(half_width(np.array(values)))


def test_fisher_information_is_that_of_a_linear_model_in_closed_form(opened_run):
    """Of the head's bias alone: the mean trace of the covariance of the model's answers."""
    rewindable = RewindableModel(opened_run, *cell(opened_run, "fine-tuning"))
    sample = opened_run.sample(cell(opened_run, "fine-tuning")[1], [opened_run.data.dev], 20)
    bias = rewindable.run.head.bias
    rewindable.run.head.weight.requires_grad_(requires_grad=False)
    found = fisher(rewindable, sample)
    rewindable.run.head.weight.requires_grad_(requires_grad=True)
    (scores,) = rewindable.stack.logits(sample.features, [rewindable.run], budget=1000)
    chances = scores.softmax(dim=1)
    expected = float((1 - chances.square().sum(dim=1)).mean())
    assert found[None, "head"] == pytest.approx(expected, rel=0.3)  # one draw an example
    assert bias.grad is not None
    assert all(value > 0 for group, value in found.items() if group != (None, "head"))


def test_the_loss_of_words_is_that_of_transformers(tmp_path):
    from transformers import AutoModelForCausalLM

    from decoders import backbone
    from isogloss.data.parallel_text import Parallel
    from isogloss.languages.language import Language
    from isogloss.training.monitor import parallel_states

    model = backbone(tmp_path, "llama", words=True)
    texts = [["the cat sat on the mat", "a dog ran"], ["one two three", "sun moon red"]]
    memory = parallel_states(Parallel([Language.parse("en"), Language.parse("de")], texts), model)
    reference = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    found = word_losses(model, memory)
    for code, own in zip(memory.languages, texts, strict=True):
        losses = []
        for text in own:
            ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                logits = reference(ids).logits[0, :-1]
            losses += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none").tolist()
        assert found[code] == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_correlation_is_spearmans_over_all_checkpoints():
    generator = np.random.default_rng(0)
    rows = [
        {"method": method, "seed": seed, "step": step, "measure": "cka", "fallen": fallen, "gap": fallen + noise}
        for method in ("a", "b") for seed in range(3) for step in (1, 2)
        for fallen, noise in [generator.normal(size=2)]
    ]  # fmt: skip
    table = pl.DataFrame(rows)
    found = against_gap(table)
    expected = stats.spearmanr(table["fallen"], table["gap"]).statistic
    whole = found.filter(pl.col("method").is_null())
    assert whole["correlation"].item() == pytest.approx(expected)
    assert whole["low"].item() < expected < whole["high"].item()
    assert found["runs"].to_list() == [6, 3, 3]


def test_intervals_are_students():
    values = np.array([0.1, 0.4, 0.2])
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2)
    made = summarised(pl.DataFrame({"a": ["x"] * 3 + ["y"], "v": [*values, 1.0]}), ["a"], "v")
    assert made["low"][0] == pytest.approx(low)
    assert made["seeds"].to_list() == [3, 1]
    assert np.isnan(made["low"][1])


@pytest.mark.slow
def test_analyses_are_stored_and_said(opened_run):
    folder = opened_run.stored.path
    result = CliRunner().invoke(app, ["analyze", str(folder), "--examples", "4", "--sentences", "6"])
    assert result.exit_code == 0, result.output
    for said in ("the gap in training", "one group is rewound", "what is remembered", "Spearman's"):
        assert said in " ".join(result.output.split()), said
    made = {file.name for file in (folder / "analysis").iterdir()}
    for name in ("dynamics", "importance-fine-tuning", "forgetting", "forgetting-gap"):
        assert {f"{name}.svg", f"{name}.pdf", f"{name}.png"} <= made
    assert {"importance.parquet", "importance-moved.parquet", "forgetting-checkpoints.parquet"} <= made
    first = (folder / "analysis" / "dynamics.svg").read_bytes()
    assert b"<text" in first
    list(analyze(folder, ["dynamics"], AnalysisOptions()))
    assert (folder / "analysis" / "dynamics.svg").read_bytes() == first


def test_texts_of_mistakes_are_those_that_were_scored_where_others_were_looked_at(opened_run):
    assert opened_run.spec.dynamics is not None
    codes = ["eng-Latn", "deu-Latn", "zho-Hans"]
    texts = Texts.read(opened_run, codes)
    assert texts.why_not == []
    scored = opened_run.stored.table("predictions").filter(method="fine-tuning", seed=0, split="test")
    for code in codes:
        assert texts.tables[code]["id"].to_list() == scored.filter(language=code)["example"].to_list()


def test_what_is_missing_is_said(opened_run, tmp_path):
    folder = opened_run.stored.path
    with pytest.raises(IsoglossError, match="no method of this run tunes"):
        list(analyze(folder, ["importance"], AnalysisOptions(methods=["deep-prompt"])))
    with pytest.raises(IsoglossError, match="unknown analysis 'dynamic'.*dynamics"):
        list(analyze(folder, ["dynamic"], AnalysisOptions()))
    with pytest.raises(IsoglossError, match="unknown method of this run 'soft'"):
        list(analyze(folder, [], AnalysisOptions(methods=["soft"])))
    with pytest.raises(IsoglossError, match="holds no finished run"):
        list(analyze(tmp_path, [], AnalysisOptions()))


@pytest.mark.slow
def test_verbalizers_prompts_in_templates_and_losses_of_words(tmp_path):
    """What has no head of its own, no place for its prompt in plain text, and a loss of words in each language."""
    from decoders import whole

    data = sib200(tmp_path / "data")
    folder = whole(tmp_path / "model", "xlm-roberta")
    spec = Spec(
        name="small", backbone=str(folder), task="sib200", data={"path": data}, dtype="bfloat16", device="cpu",
        verbalizer={
            "template": "{text} {prompt} {answer}",
            "words": dict(zip(LABELS, ["cat", "dog", "sat", "ran", "on", "mat", "log"], strict=True)),
        },
        methods={
            "prompt": {"method": "soft-prompt", "head": "verbalizer", "place": "template", "length": 2, "epochs": 1},
            "words": {"method": "fine-tuning", "head": "verbalizer", "embeddings": True, "epochs": 1, "lr": 1e-2},
            "linear": {"method": "fine-tuning", "embeddings": True, "epochs": 1},
        },
        dynamics={"examples": 3, "parallel": {"path": data, "sentences": 5}},
    )  # fmt: skip
    run(spec, tmp_path / "out")
    outcomes = {one.name: one for one in analyze(tmp_path / "out", [], AnalysisOptions(examples=3, sentences=5))}
    assert {"gap", "forgetting", "importance", "dynamics"} <= {name for name, one in outcomes.items() if one.result}
    assert "target languages have both a score and parallel sentences" in outcomes["forecast"].reason
    table = pl.read_parquet(tmp_path / "out/analysis/forgetting.parquet")
    losses = table.filter(measure="loss")
    assert set(losses["method"]) == {"words", "linear"}
    assert (losses.filter(method="words")["before"] != losses.filter(method="words")["after"]).all()
    groups = pl.read_parquet(tmp_path / "out/analysis/importance.parquet").filter(method="words")["weights"]
    assert "head" not in set(groups)
