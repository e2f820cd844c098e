"""How rows are cut into passes, padded, packed and sorted changes no number."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isogloss.methods.registry import find
from isogloss.preprocessing.batching import order, passes
from isogloss.preprocessing.tokenize import tokenise
from isogloss.tasks import heads
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, backbone, gradients, reference, train_state

TEXTS = [" ".join(WORDS[(i + j) % len(WORDS)] for j in range(1 + 7 * i % 13)) for i in range(17)]


@given(st.lists(st.integers(1, 600), min_size=1, max_size=200), st.integers(1, 2000))
def test_passes_hold_every_row_once_and_keep_to_the_budget(lengths, budget):
    cut = passes(np.asarray(lengths), budget=budget)
    assert sorted(row for some in cut for row in some) == list(range(len(lengths)))
    for some in cut:
        assert sum(lengths[row] for row in some) <= budget or len(some) == 1
        assert [lengths[row] for row in some] == sorted((lengths[row] for row in some), reverse=True)


@given(st.integers(1, 300), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_holds_every_example_once(count, seed, epoch):
    assert sorted(order(count, seed=seed, epoch=epoch)) == list(range(count))


@pytest.fixture(scope="module", params=["xlm-roberta", "bert"])
def both(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return backbone(folder, request.param), folder


def stack(model, name, **settings):
    method = find(name)
    return Stack(model, method, [new_run(method, model, method.settings(**settings), seed=0, classes=3)])


@pytest.mark.parametrize("pooling", ["first", "mean", "last"])
@pytest.mark.parametrize("budget", [1, 25, 4096])
def test_a_stream_of_packed_rows_equals_one_row_at_a_time(both, budget, pooling):
    model, folder = both
    features = tokenise((TEXTS,), [0] * len(TEXTS), model.tokenizer)
    made = stack(model, "linear-probe", pooling=pooling)
    states = made.states(features, made.runs[0], budget=budget)
    for i in range(len(TEXTS)):
        tokens = torch.tensor(features.tokens[features.starts[i] : features.starts[i + 1]])
        with torch.no_grad():
            alone = reference(folder, tokens)
        expected = {"first": alone[0], "mean": alone.mean(0), "last": alone[-1]}[pooling]
        torch.testing.assert_close(states[i], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["soft-prompt", "deep-prompt"])
def test_more_padding_changes_nothing(both, name):
    model, _ = both
    features = tokenise((TEXTS,), [0] * len(TEXTS), model.tokenizer)
    made = stack(model, name, length=4)
    form = made.form(made.runs)
    few, many = (made.collated([(features, np.asarray(rows))], form) for rows in ([1, 2], [1, 2, 11]))
    with torch.no_grad():
        prompt = made.prompt(made.runs)
        torch.testing.assert_close(
            made.head_inputs(few, prompt), made.head_inputs(many, prompt)[:, :2], rtol=1e-5, atol=1e-5
        )
    longest = [max(group.length for group in batch.packing.attention.groups) for batch in (few, many)]
    assert longest[0] < longest[1]


@pytest.mark.parametrize("name", ["fine-tuning", "soft-prompt", "deep-prompt"])
def test_the_budget_of_a_pass_changes_no_gradient(both, name):
    model, _ = both
    gold = [i % 3 for i in range(len(TEXTS))]
    features = tokenise((TEXTS,), gold, model.tokenizer)

    def found(budget):
        own = model.copy() if name == "fine-tuning" else model
        settings = {"backbone_dropout": 0.0} if name == "fine-tuning" else {"length": 3}
        made = stack(own, name, batch_size=16, dropout=0.1, **settings)
        return gradients(made, [train_state(made.runs[0], features)], budget)

    ((whole,), (loss,)), ((cut,), (same,)) = found(4096), found(20)
    assert loss == pytest.approx(same, rel=1e-5)
    assert any(tensor.any() for tensor in whole.values())
    for key, tensor in whole.items():
        torch.testing.assert_close(cut[key], tensor, rtol=1e-5, atol=1e-5, msg=key)


def test_a_text_of_a_stack_is_scored_by_its_own_head(both):
    model, _ = both
    generator = torch.Generator().manual_seed(0)
    made = [heads.ClassificationHead(model.shape.width, 3, generator) for _ in range(2)]
    pooled = torch.randn(2, 4, model.shape.width, generator=generator)
    expected = torch.stack([own @ head.weight + head.bias for own, head in zip(pooled, made, strict=True)])
    torch.testing.assert_close(heads.logits(made, pooled), expected)
