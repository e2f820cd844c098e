"""Texts of several models in one forward pass have the scores that each model gives alone."""

import pytest
import torch

import decoders
import models as small
from isogloss.backbones.loading import load
from isogloss.experiment.evaluate import predict
from isogloss.experiment.predict import Model
from isogloss.interop.serve.shared_pass import SharedPass, Texts
from isogloss.methods.registry import find
from isogloss.store import RunRecord
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import LABELS, WORDS, bert_tokenizer
from stacks import lay_end_to_end
from synthetic import RECORD

KINDS = {
    "texts": ("classification", ["text"]), "pairs": ("classification", ["text", "second text"]),
    "words": ("tagging", ["text"]), "passages": ("qa", ["question", "passage"]),
    "filled": ("classification", ["text"]), "prompted": ("classification", ["text"]),
}  # fmt: skip
TEMPLATES = {"filled": "{text} sun {answer}", "prompted": "{text}{prompt} sun {answer}"}
WORDINGS = {"eng-Latn": dict(zip(LABELS, WORDS, strict=False)), "deu-Latn": dict(zip(LABELS, WORDS[7:], strict=False))}
LENGTHS, CLASSES = (3, 1, 6), (4, 7, 2)


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    """By name: encoders, one of which has types and no room, and decoders with their heads."""
    folder = tmp_path_factory.mktemp("models")
    bert = small.checkpoint(folder / "bert", "bert")
    bert_tokenizer().save_pretrained(bert)
    return {
        "encoder": small.backbone(folder / "encoder"),
        "typed": load(str(bert), dtype="float32", device="cpu"),
        "decoder": decoders.backbone(folder / "decoder", "qwen2", words=True),
        "masked": decoders.backbone(folder / "masked", "xlm-roberta", words=True),
    }


def model(backbone, method, kind, number, **settings):
    """One of several models, random; each has a prompt and labels of its own."""
    method, (task, inputs) = find(method), KINDS[kind]
    if method.name != "linear-probe":
        settings["length"] = LENGTHS[number]
    verbalizer, classes = None, {"qa": 2}.get(task, CLASSES[number])
    labels = [f"label{place}" for place in range(classes)]
    if kind in TEMPLATES:
        labels = LABELS[:classes]
        words = {code: {label: of[label] for label in labels} for code, of in WORDINGS.items()}
        given = {"template": TEMPLATES[kind], "words": words, "loss": "vocabulary"}
        verbalizer = Verbalizer.of(backbone, labels, given, source="eng-Latn", inputs=("text",))
        settings["head"] = "verbalizer"
    run = new_run(method, backbone, method.settings(**settings), seed=number, classes=classes, verbalizer=verbalizer)
    if verbalizer is None:
        torch.nn.init.normal_(run.head.weight, generator=torch.Generator().manual_seed(number))
    facts = {"longest": None, "subword": "last" if backbone.causal else "first"}
    values = {**RECORD, "method": f"{method.name}{number}", "kind": task, "inputs": inputs, "labels": labels}
    record = RunRecord.model_validate({**values, "facts": facts})
    run.part.eval()
    return Model(record, Stack(backbone, method, [run]), verbalizer)


def request(kind, number):
    """Texts of unlike lengths, some longer than the models take."""
    texts = [" ".join(WORDS[(number + i + j * j) % 20] for j in range(1 + 11 * (i + number) % 47)) for i in range(4)]
    return [[text] if len(KINDS[kind][1]) == 1 else [WORDS[number], text] for text in texts]


def kept(shared, asked):
    return [
        Texts(number, shared.fitted(number, shared.models[number].features(parts, code)))
        for number, parts, code in asked
    ]


CASES = {  # backbone, method, what is read, settings
    "probe": ("encoder", "linear-probe", "texts", {}),
    "probe, mean": ("encoder", "linear-probe", "texts", {"pooling": "mean"}),
    "soft": ("encoder", "soft-prompt", "texts", {}),
    "soft, mean": ("encoder", "soft-prompt", "texts", {"pooling": "mean", "place": "after"}),
    "soft, last": ("encoder", "soft-prompt", "texts", {"pooling": "last", "place": "after-first"}),
    "soft, pairs": ("typed", "soft-prompt", "pairs", {}),
    "soft, words": ("encoder", "soft-prompt", "words", {}),
    "soft, passages": ("encoder", "soft-prompt", "passages", {}),
    "deep": ("encoder", "deep-prompt", "texts", {}),
    "deep, upper, unshifted": ("encoder", "deep-prompt", "words", {"first_layer": 1, "shift_positions": False}),
    "deep, pairs": ("typed", "deep-prompt", "pairs", {"pooling": "mean"}),
    "decoder, soft": ("decoder", "soft-prompt", "texts", {}),
    "decoder, deep": ("decoder", "deep-prompt", "words", {}),
    "decoder, verbalizer": ("decoder", "soft-prompt", "filled", {}),
    "decoder, template": ("decoder", "soft-prompt", "prompted", {"place": "template"}),
    "masked, verbalizer": ("masked", "deep-prompt", "filled", {}),
    "masked, template": ("masked", "soft-prompt", "prompted", {"place": "template"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_shared_pass_gives_what_each_model_gives_alone(backbones, case, alike):
    name, method, kind, settings = CASES[case]
    of_case = [model(backbones[name], method, kind, number, **settings) for number in range(3)]
    assert len({SharedPass.kind(one) for one in of_case}) == 1
    shared = SharedPass(of_case)
    asked = [(2, request(kind, 0), None), (0, request(kind, 1), "deu-Latn"), (2, request(kind, 2), "deu-Latn"),
             (1, request(kind, 3), None), (0, request(kind, 4)[:1], None)]  # fmt: skip
    for some in (asked, asked[:2]):  # with all models, and with some of them
        for budget in (90, 4096):
            passes = []
            found = shared.predicted(kept(shared, some), budget=budget, passed=lambda *of: passes.append(of))  # noqa: B023
            assert max(models for models, _, _ in passes) == len({number for number, _, _ in some})
            for (number, parts, code), together in zip(some, found, strict=True):
                stack = of_case[number].stack
                (alone,) = predict(stack, stack.runs, of_case[number].features(parts, code))
                torch.testing.assert_close(together.scores, alone.scores, rtol=1e-5, atol=1e-5)
                assert together.features.cut == alone.features.cut
                assert alike(*(of_case[number].shown(parts, one, code) for one in (together, alone)))


@pytest.mark.parametrize("case", ["probe, mean", "soft", "deep, upper, unshifted", "decoder, soft", "masked, template"])
def test_so_it_does_where_rows_lie_end_to_end(backbones, case, alike, monkeypatch):
    """As on a GPU in half precision."""
    lay_end_to_end(monkeypatch, list(backbones.values()))
    test_a_shared_pass_gives_what_each_model_gives_alone(backbones, case, alike)


def test_only_models_that_are_alike_share_a_pass(backbones):
    encoder = backbones["encoder"]
    kinds = [
        SharedPass.kind(model(backbone, method, kind, 0, **settings))
        for backbone, method, kind, settings in [
            (encoder, "soft-prompt", "texts", {}), (encoder, "soft-prompt", "texts", {"place": "after"}),
            (encoder, "soft-prompt", "texts", {"pooling": "mean"}), (encoder, "soft-prompt", "words", {}),
            (encoder, "deep-prompt", "texts", {}), (encoder, "deep-prompt", "texts", {"first_layer": 1}),
            (encoder, "linear-probe", "texts", {}), (backbones["typed"], "linear-probe", "texts", {}),
            (backbones["masked"], "soft-prompt", "filled", {}), (backbones["masked"], "soft-prompt", "prompted", {}),
            (backbones["masked"], "soft-prompt", "texts", {}),
        ]
    ]  # fmt: skip
    assert len(set(kinds)) == len(kinds)


def test_words_and_passages_share_whatever_a_text_is_pooled_by(backbones):
    encoder = backbones["encoder"]
    of_words = model(encoder, "soft-prompt", "words", 0, pooling="mean")
    of_passages = model(encoder, "soft-prompt", "passages", 1, pooling="first")
    assert SharedPass.kind(of_words) == SharedPass.kind(of_passages)
    shared = SharedPass([of_words, of_passages])
    asked = [(0, request("words", 0), None), (1, request("passages", 1), None)]
    for (number, parts, _), together in zip(asked, shared.predicted(kept(shared, asked)), strict=True):
        stack = shared.models[number].stack
        (alone,) = predict(stack, stack.runs, shared.models[number].features(parts, None))
        torch.testing.assert_close(together.scores, alone.scores, rtol=1e-5, atol=1e-5)


def test_what_nobody_waits_for_is_not_computed(backbones):
    of_case = [model(backbones["encoder"], "soft-prompt", "texts", number) for number in range(2)]
    shared = SharedPass(of_case)
    wanted, unwanted = kept(shared, [(0, request("texts", 0), None), (1, request("texts", 1), None)])
    rows = []
    left = Texts(1, unwanted.features, lambda: False)
    found = shared.predicted([left, wanted], passed=lambda *of: rows.append(of[1]))
    assert found[0] is None
    assert found[1].scores.shape == (4, CLASSES[0])
    assert rows == [4]
    assert shared.predicted([left], passed=lambda *_: pytest.fail("a pass for nobody")) == [None]
