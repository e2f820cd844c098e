"""The drift penalty: what it adds, however its update is cut into passes, filled up, captured or resumed."""

from itertools import pairwise

import pytest
import torch
from transformers import AutoModel

from isogloss.backbones.loading import load
from isogloss.backbones.meta_copy import meta_copy
from isogloss.errors import IsoglossError
from isogloss.methods.registry import find
from isogloss.preprocessing.tokenize import tokenise, tokenise_words
from isogloss.training.checkpoint import Checkpoints
from isogloss.training.drift import VARIANCE
from isogloss.training.engine import Engine
from isogloss.training.graphs import Graphs
from isogloss.training.loop import train
from isogloss.training.memory_estimate import MemoryEstimate
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, backbone, checkpoint, gradients, train_state

TEXTS = [" ".join(WORDS[(3 * i + j * j) % len(WORDS)] for j in range(2 + i % 5)) for i in range(20)]
GOLD = [i % 3 for i in range(20)]
PLAIN = {"batch_size": 20, "epochs": 1, "dropout": 0.0, "backbone_dropout": 0.0, "lr": 1e-2, "clip": 1e9}


def start(model, *, words=False, features=None, **settings):
    """A run whose states are no longer the pre-trained ones, as at the start the penalty has no gradient."""
    method, own = find("fine-tuning"), model.copy()
    run = new_run(method, own, method.settings(**PLAIN | settings), seed=0, classes=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in run.part.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    if features is None:
        features = tokenise((TEXTS,), GOLD, model.tokenizer)
    if words:
        split = [text.split() for text in TEXTS]
        features = tokenise_words(split, [i % 3 for i in range(sum(map(len, split)))], model.tokenizer, last=False)
    return Stack(own, method, [run]), train_state(run, features)


def states(model, tokens, layer):
    return model(input_ids=tokens[None], output_hidden_states=True).hidden_states[layer][0]


@pytest.mark.parametrize(("family", "layer"), [("bert", None), ("xlm-roberta", 2), ("xlm-roberta", 3)])
@pytest.mark.parametrize("words", [False, True])
def test_it_is_what_autograd_makes_of_the_formula(family, layer, words, tmp_path):
    model = backbone(tmp_path, family)
    found, losses = {}, {}
    for drift in (0.0, 2.5):
        stack, one = start(model, words=words, drift=drift, drift_layer=layer)
        (found[drift],), losses[drift] = gradients(stack, [one])
    assert losses[0.0] == losses[2.5]  # the history has the task's own
    tuned, before = (AutoModel.from_pretrained(tmp_path, add_pooling_layer=False).eval() for _ in range(2))
    tuned.load_state_dict({**tuned.state_dict(), **stack.method.stored(one.run.part)})
    ends = one.train.starts.tolist()
    rows = torch.from_numpy(one.train.tokens.astype("int64"))
    tokens = [rows[begin:end] for begin, end in pairwise(ends)]
    with torch.no_grad():
        then = [states(before, row, layer or 1) for row in tokens]
    variance = torch.cat(then).double().var(dim=0, unbiased=False).sum()
    apart = torch.cat([states(tuned, row, layer or 1) for row in tokens]) - torch.cat(then)
    penalty = 2.5 * apart.square().sum(dim=1).mean() / variance
    weights = {name: weight for name, weight in tuned.named_parameters() if "word_embeddings" not in name}
    expected = torch.autograd.grad(penalty, list(weights.values()), allow_unused=True)
    assert float(one.optimizer[VARIANCE]) == pytest.approx(float(variance), rel=1e-5)
    for name, gradient in zip(weights, expected, strict=True):
        key = f"part.masters.{name.replace('.', '/')}"
        added = found[2.5][key] - found[0.0][key]
        wanted = torch.zeros_like(added) if gradient is None else gradient
        torch.testing.assert_close(added, wanted, rtol=1e-4, atol=1e-5, msg=name)
        assert bool(added.abs().max() > 1e-4) == (gradient is not None and "key.bias" not in name), name


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("budget", [12, 40])
def test_one_pass_is_many_passes(budget, words, fixed, tmp_path):
    model = backbone(tmp_path)
    stack, one = start(model, words=words, drift=1.0)
    (whole,), loss = gradients(stack, [one])
    stack, one = start(model, words=words, drift=1.0)
    (cut,), same = gradients(stack, [one], budget=budget, fixed=fixed)
    assert loss == pytest.approx(same, rel=1e-5)
    for name, gradient in whole.items():
        torch.testing.assert_close(cut[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def carry_out(stack, one, after_update=lambda *_: None):
    train(stack, [one], budget=60, eval_budget=60, source="eng-Latn", after_update=after_update)


LONG = {"batch_size": 5, "epochs": 2, "backbone_dropout": 0.1, "dropout": 0.1, "lr": 1e-3}


@pytest.mark.parametrize("steps", [3, 4])
def test_resumed_is_undisturbed(steps, tmp_path):
    model = backbone(tmp_path)
    stack, whole = start(model, drift=1.0, **LONG)
    carry_out(stack, whole)
    stack, first = start(model, drift=1.0, **LONG)
    kept = Checkpoints([tmp_path / "one.safetensors"], ["same"], minutes=9.0)

    def stop(*_):
        if first.step == steps:
            kept.save([first])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(stack, first, stop)
    stack, second = start(model, drift=1.0, **LONG)
    kept.load([second])
    carry_out(stack, second)
    assert second.history == whole.history
    assert all(second.run.state()[key].equal(tensor) for key, tensor in whole.run.state().items())


def test_none_is_training_as_it_was_and_more_holds_more(tmp_path):
    model, far = backbone(tmp_path), []
    method, features = find("fine-tuning"), tokenise((TEXTS,), GOLD, model.tokenizer)
    kept = {}
    for drift in (None, 0.0, 1.0, 30.0):
        own = model.copy()
        given = {} if drift is None else {"drift": drift, "drift_layer": 2}
        run = new_run(
            method,
            own,
            method.settings(**PLAIN | {"batch_size": 5, "epochs": 3, "lr": 1e-3, "clip": 1.0} | given),
            seed=0,
            classes=3,
        )
        one = train_state(run, features)
        carry_out(Stack(own, method, [run]), one)
        kept[drift] = run.state()
        assert (VARIANCE in one.optimizer) == bool(drift)
        batch = Stack(own, method, [run]).collated([(features, torch.arange(20).numpy())], None)
        with torch.no_grad():
            now, then = (of.states_behind(2, batch.tokens, batch.packing) for of in (own, model))
        far.append(float((now - then).square().sum()))
    assert all(kept[0.0][name].equal(tensor) for name, tensor in kept[None].items())
    assert far[0] == far[1] > 1.2 * far[2] > 1.2 * far[3]


@pytest.mark.parametrize("case", ["words that learn", "checkpointing", "bf16", "captured", "compiled"])
def test_it_is_the_same_however_a_pass_is_made(case, tmp_path, monkeypatch):
    model = backbone(tmp_path)
    more = {"embeddings": case == "words that learn", "drift": 1.0}
    plain_stack, plain_one = start(model, **more)
    (expected,), _ = gradients(plain_stack, [plain_one])
    if case == "words that learn":
        name = next(name for name in expected if "word_embeddings" in name)
        without, one = start(model, **more | {"drift": 0.0})
        (other,), _ = gradients(without, [one])
        assert not expected[name].equal(other[name])
        return
    if case == "captured":
        stack, one = start(model, **more)
        engine = Engine(stack, [one], budget=4096, fixed=True)
        engine.graphs = Graphs(engine, record=lambda work: work)
        engine.update()
        assert stack.updates["captured"] == 1
        engine.fetch()
        plain = Engine(plain_stack, [plain_one], budget=4096, fixed=False)
        plain.update()
        exact = {name: tensor for name, tensor in plain_one.run.state().items() if "key/bias" not in name}
        for name, tensor in exact.items():
            torch.testing.assert_close(one.run.state()[name], tensor, rtol=1e-3, atol=1e-3, msg=name)
        return
    if case == "compiled":
        monkeypatch.setattr("isogloss.backbones.compiled_layers.BACKEND", "eager")
    options = {"checkpointing": case == "checkpointing", "compiled": case == "compiled"}
    other = load(str(checkpoint(tmp_path)), dtype="bfloat16" if case == "bf16" else "float32", device="cpu", **options)
    stack, one = start(other, **more)
    (found,), _ = gradients(stack, [one])
    tolerance = {"rtol": 0.2, "atol": 0.05} if case == "bf16" else {"rtol": 1e-4, "atol": 1e-5}
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, **tolerance, msg=name)


def test_memory_is_reckoned_with_it(tmp_path):
    model = backbone(tmp_path)
    features, method, taken = tokenise((TEXTS,), GOLD, model.tokenizer), find("fine-tuning"), []
    for drift in (0.0, 1.0):
        settings = method.settings(**PLAIN | {"drift": drift})
        estimate = MemoryEstimate(meta_copy(model), model.device, method, [settings], classes=3)
        taken.append(estimate.bytes([features], [features], budget=4096, eval_budget=4096).training)
    assert taken[0] < taken[1] < 1.5 * taken[0]


def test_a_layer_that_is_none_is_refused(tmp_path):
    method = find("fine-tuning")
    with pytest.raises(IsoglossError, match=r"drift_layer is 4, and .* has 3 layers; expected 1 to 3, or none for 1"):
        method.check(backbone(tmp_path), method.settings(drift=1.0, drift_layer=4))
