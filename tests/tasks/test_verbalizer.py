"""Templates, label words, few shots, and whole experiments with a verbalizer."""

import numpy as np
import polars as pl
import polars.testing
import pytest

from decoders import backbone, byte_tokenizer, whole
from isogloss.api import run
from isogloss.data.few_shot import draw
from isogloss.errors import IsoglossError
from isogloss.experiment.predict import Model
from isogloss.preprocessing.fill_template import tokenise_filled
from isogloss.preprocessing.templates import Template
from isogloss.preprocessing.truncate import fit
from isogloss.runtime import yaml
from isogloss.spec import Spec, check, read_spec
from isogloss.tasks.verbalizer import Verbalizer
from models import LABELS, WORDS, checkpoint, sib200, tokenizer


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{text}", "needs {text} and {answer}"),
        ("{answer}", "needs {text} and {answer}"),
        ("{text} {text} {answer}", "each once"),
        ("{text} {label} {answer}", r"has {label}; it may have"),
        ("{text {answer}", "an example"),
        ("{text!r} {answer}", "no format"),
    ],
)
def test_a_wrong_template_is_refused_at_the_door(template, message):
    raw = {"name": "a", "task": "sib200", "methods": {"soft-prompt": {}}, "verbalizer": {"template": template}}
    with pytest.raises(IsoglossError, match=message):
        check(Spec, raw, where="spec")


@pytest.mark.parametrize("make", [tokenizer, byte_tokenizer])
@pytest.mark.parametrize("causal", [True, False])
def test_a_filled_template_reads_as_written(make, causal):
    made = make()
    made.add_special_tokens({"mask_token": "<mask>"})
    template = Template.parse("one: {text} / {second} two {prompt} {answer}")
    texts = (["cat", "the big dog"], ["sat", "ran on mat"])
    features = tokenise_filled(template, texts, [0, 1], made, causal=causal)
    for row in range(2):
        ids = features.tokens[features.starts[row] : features.starts[row + 1]]
        answer, front = features.filled.answer[row], features.filled.prompt[row]
        assert ids[answer] == (made.eos_token_id if causal else made.mask_token_id)
        assert front == answer
        written = made(f"one: {texts[0][row]} / {texts[1][row]} two", add_special_tokens=False)["input_ids"]
        special = made("a")["input_ids"]
        begin = special.index(made("a", add_special_tokens=False)["input_ids"][0])
        assert ids[begin:answer].tolist() == written
        for number, column in enumerate(texts):
            first, last = features.filled.spans[row, number]
            assert made.decode(ids[first:last]).strip() == column[row]
    shortest = int(features.lengths.max()) - 2
    cut = fit(features, shortest, made)
    assert cut.lengths.max() == shortest
    assert cut.cut == 1
    row = cut.tokens[cut.starts[1] :]
    assert row[cut.filled.answer[1]] == features.tokens[features.starts[1] + features.filled.answer[1]]
    assert made.decode(row[slice(*cut.filled.spans[1, 0])]).strip() == "the big"
    with pytest.raises(IsoglossError, match="the template alone"):
        fit(features, 4, made)


def words(**changed):
    return dict(zip(LABELS, WORDS, strict=False)) | changed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (words(sports="firetruck"), r"'firetruck' is not one token .*words that are one: "),
        (words(sports="the"), "'entertainment' and 'sports' have the same word"),
        ({"sports": "the"}, "no word for the label 'entertainment'"),
        ({"deu-Latn": words()}, "no words in eng-Latn, the source; it has deu-Latn"),
        (words(sports="\u0939"), r"is not one token of this model's but"),
    ],
)
def test_words_are_checked_against_the_model(given, message, tmp_path):
    model = backbone(tmp_path, "qwen2", words=True)
    with pytest.raises(IsoglossError, match=message):
        Verbalizer.of(
            model, LABELS, {"template": "{text} {answer}", "words": given, "loss": "words"}, source="eng-Latn",
            inputs=("text",),
        )  # fmt: skip


def test_an_error_proposes_words_that_are_one_token(tmp_path):
    model = backbone(tmp_path, "qwen2", words=True)
    with pytest.raises(IsoglossError, match=r"'threes' is not one token of this model's but .*that are one: .*three"):
        Verbalizer.of(
            model, LABELS, {"template": "{text} {answer}", "words": words(sports="threes"), "loss": "words"},
            source="eng-Latn", inputs=("text",),
        )  # fmt: skip


def test_a_checkpoint_without_the_head_is_refused(tmp_path):
    with pytest.raises(IsoglossError, match="without its head over the vocabulary it can have no verbalizer"):
        from isogloss.backbones.loading import load

        load(str(checkpoint(tmp_path)), words=True)
    with pytest.raises(IsoglossError, match="encoder-decoder, of which only the encoder is used"):
        backbone(tmp_path / "t5", "mt5", words=True)


def test_shots_are_balanced_and_by_seed():
    gold = [LABELS[i % 7] for i in range(70)]
    first = draw(gold, LABELS, shots=3, seed=0, what="train")
    assert first == sorted(set(first)) == draw(gold, LABELS, shots=3, seed=0, what="train")
    assert [sum(gold[i] == label for i in first) for label in LABELS] == [3] * 7
    assert first != draw(gold, LABELS, shots=3, seed=1, what="train")
    assert first != draw(gold, LABELS, shots=3, seed=0, what="dev")
    with pytest.raises(IsoglossError, match=r"data.shots is 11, but train has 10 examples of 'entertainment'"):
        draw(gold, LABELS, shots=11, seed=0, what="train")


ARMS = {
    "prompt": {"method": "soft-prompt", "head": "verbalizer", "place": "template", "length": [2, 5], "epochs": 2},
    "both": {"method": "prompted-fine-tuning", "head": "verbalizer", "place": "template", "length": 3, "epochs": 1},
    "model": {"method": "fine-tuning", "head": "verbalizer", "epochs": 1},
    "deep": {"method": "deep-prompt", "length": 3, "epochs": 1},
    "probe": {"method": "linear-probe", "epochs": 1},
}


@pytest.mark.parametrize(
    "family",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in ("xglm", "bloom")), "gemma3_text", "xlm-roberta"],
)
def test_every_arm_runs_is_stored_and_predicts(family, tmp_path):
    spec = {
        "name": "arms", "backbone": str(whole(tmp_path / "model", family)), "task": "sib200",
        "data": {"path": str(sib200(tmp_path / "data")), "shots": 2}, "methods": ARMS, "seeds": [0, 1],
        "verbalizer": {"template": "{text}{prompt} {answer}", "words": words()}, "device": "cpu", "dtype": "float32",
    }  # fmt: skip
    (tmp_path / "spec.yaml").write_text(yaml.dumps(spec), encoding="utf-8")
    stored = run(read_spec(str(tmp_path / "spec.yaml")), tmp_path / "run").store
    cells = stored.finished()
    assert {cell.record.method for cell in cells} == {"prompt[length=2]", "prompt[length=5]", *ARMS} - {"prompt"}
    for cell in cells:
        predictions = cell.table("predictions")
        dev = cell.table("scores").filter(split="dev")
        assert dev["n"][0] == 14
        assert set(predictions["predicted"]) <= set(LABELS)
        eng = predictions.filter(language="eng-Latn")
        texts = [line.split("\t")[2] for line in (tmp_path / "data/eng_Latn/test.tsv").read_text().splitlines()[1:]]
        method, seed = cell.record.method, cell.record.seed
        said = Model.load(tmp_path / "run", method=method, seed=seed).predict(texts, language="en")
        assert [one["label"] for one in said] == eng["predicted"].to_list()
        sure = cell.table("confidence").filter(language="eng-Latn")["calibrated"]
        np.testing.assert_allclose([one["score"] for one in said], sure, atol=1e-3)
        facts = cell.record.facts
        assert ("verbalizer" in facts) == (facts["settings"]["head"] == "verbalizer")
        assert facts["shots"] == 2
    linear = "methods={deep: {method: deep-prompt, length: 3, epochs: 1}, probe: {method: linear-probe, epochs: 1}}"
    run(read_spec(str(tmp_path / "spec.yaml"), [linear, "seeds=[0, 1, 2]", "verbalizer=null"]), tmp_path / "run")
    assert yaml.load(tmp_path / "run/spec.yaml")["verbalizer"]["words"] == words()
    changed = read_spec(str(tmp_path / "spec.yaml"), ["verbalizer.loss=words"])
    with pytest.raises(IsoglossError, match="verbalizer.loss: vocabulary → words"):
        run(changed, tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sports": 5, "travel": "the"}, "the word of 'sports' is 5, expected a text"),
        ({"de": {"sports": "the"}, "deu": {"sports": "a"}}, "'de' and 'deu' are both deu-Latn"),
        ({"nothing": {"sports": "the"}}, "verbalizer.words: .*'nothing'"),
    ],
)
def test_words_of_another_shape_are_refused_at_the_door(given, message):
    raw = {"name": "a", "task": "sib200", "methods": {"soft-prompt": {}}, "verbalizer": {"words": given}}
    with pytest.raises(IsoglossError, match=message):
        check(Spec, raw, where="spec")


def test_a_language_may_have_words_of_its_own_and_be_added_later(tmp_path):
    others = dict(zip(LABELS, WORDS[7:], strict=False))
    spec = {
        "name": "words", "backbone": str(whole(tmp_path / "model", "xglm")), "task": "sib200",
        "data": {"path": str(sib200(tmp_path / "data"))}, "targets": ["de"], "device": "cpu", "dtype": "float32",
        "methods": {"soft-prompt": {"head": "verbalizer", "epochs": 1, "length": 2}},
        "verbalizer": {"template": "{text} {answer}", "words": {"en": words(), "de": others}},
    }  # fmt: skip
    (tmp_path / "spec.yaml").write_text(yaml.dumps(spec), encoding="utf-8")
    read = [read_spec(str(tmp_path / "spec.yaml"), [f"targets={targets}"]) for targets in ("[de]", "all")]
    for one in read:
        run(one, tmp_path / "grown")
    run(read[1], tmp_path / "whole")
    tables = [
        pl.read_parquet(tmp_path / name / "predictions.parquet").sort("language", "example", "seed")
        for name in ("grown", "whole")
    ]
    polars.testing.assert_frame_equal(*tables)
    german = tables[0].filter(language="deu-Latn")
    texts = [line.split("\t")[2] for line in (tmp_path / "data/deu_Latn/test.tsv").read_text().splitlines()[1:]]
    order = german.with_columns(pl.col("example").cast(pl.Int64)).sort("example")["predicted"].to_list()
    said = {
        code: [one["label"] for one in Model.load(tmp_path / "grown").predict(texts, language=code)]
        for code in ("de", "en")
    }
    assert said["de"] == order
    assert said["de"] != said["en"]


@pytest.mark.parametrize(
    ("methods", "more", "message"),
    [
        ({"linear-probe": {"head": "verbalizer"}}, {}, "nothing to train"),
        ({"soft-prompt": {"head": "verbalizer"}}, {"verbalizer": None}, "needs a `verbalizer` in the spec"),
        ({"soft-prompt": {"place": "template"}}, {}, "needs `head: verbalizer`"),
        (
            {"soft-prompt": {"head": "verbalizer", "place": "template"}},
            {"verbalizer": {"template": "{text} {answer}"}},
            r"needs {prompt} in",
        ),
        ({"soft-prompt": {"place": "after"}}, {}, "puts the prompt where nothing of .* sees it"),
        ({"prompted-fine-tuning": {"place": "after"}}, {}, "puts the prompt where nothing of .* sees it"),
        (
            {"soft-prompt": {"head": "verbalizer"}}, {"verbalizer": {"template": "{text} {answer}.", "words": words()}},
            "goes on behind {answer}",
        ),
        (
            {"soft-prompt": {"head": "verbalizer"}},
            {"verbalizer": {"template": "{text} {second} {answer}", "words": words()}}, "takes text and second",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_line(methods, more, message, tmp_path):
    spec = {
        "name": "arms", "backbone": str(whole(tmp_path / "model", "bloom")), "task": "sib200",
        "data": {"path": str(sib200(tmp_path / "data"))}, "methods": methods,
        "verbalizer": {"template": "{text} {answer}", "words": words()}, "device": "cpu", "dtype": "float32", **more,
    }  # fmt: skip
    (tmp_path / "spec.yaml").write_text(yaml.dumps(spec), encoding="utf-8")
    with pytest.raises(IsoglossError, match=message):
        run(read_spec(str(tmp_path / "spec.yaml")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
