"""Rows of the word embedding that training never shows are left out, and nothing else changes."""

import numpy as np
import pytest
import torch

from isogloss.methods.registry import find
from isogloss.optim.sparse_embedding import SparseEmbedding
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, backbone, train_state

TEXTS = [" ".join(WORDS[(3 * i + j * j) % 9] for j in range(2 + i % 5)) for i in range(20)]
GOLD = [i % 3 for i in range(20)]


def tuned(path, name, seen, **settings):
    model = backbone(path)
    features = tokenise((TEXTS,), GOLD, model.tokenizer)
    ids = torch.from_numpy(np.unique(features.tokens))
    method, own = find(name), model.copy(ids if seen else None)
    common = {"epochs": 3, "batch_size": 5, "embeddings": True, "backbone_dropout": 0.0, "weight_decay": 0.0}
    run = new_run(method, own, method.settings(**common | settings), seed=0, classes=3)
    one = train_state(run, features)
    train(Stack(own, method, [run]), [one], budget=60, eval_budget=60, source="eng-Latn")
    return model, own, method, run, ids


@pytest.mark.parametrize("name", ["fine-tuning", "slow-fast", "prompted-fine-tuning"])
def test_the_rows_that_learn_learn_as_in_the_whole_table(name, tmp_path):
    policies = {"slow_place": False} if name == "slow-fast" else {}
    rate = "backbone_lr" if name == "prompted-fine-tuning" else "lr"
    model, whole, _, _, ids = tuned(tmp_path, name, seen=False, **policies, **{rate: 1e-3})
    _, part, method, run, _ = tuned(tmp_path, name, seen=True, **policies, **{rate: 1e-3})
    every = torch.arange(len(model.tokenizer))
    before, expected, learnt = (one.embed(every).detach() for one in (model, whole, part))
    torch.testing.assert_close(learnt, expected, rtol=1e-5, atol=1e-6)
    assert (learnt[ids] - before[ids]).abs().max() > 1e-4
    others = np.setdiff1d(every, ids)
    assert len(others) > 5
    assert learnt[others].equal(before[others])
    stored = method.stored(run.part)
    assert not any(name.endswith("word_embeddings.weight") for name in stored)
    restored = model.copy()
    method.restore(restored, run.settings, stored)
    assert restored.embed(every).equal(learnt)


def test_neither_gradient_nor_optimiser_has_room_for_the_others(tmp_path):
    _, own, _, run, ids = tuned(tmp_path, "fine-tuning", seen=True)
    words = own.model.get_input_embeddings()
    assert isinstance(words, SparseEmbedding)
    assert not words.table.weight.requires_grad
    tables = [weight for weight in run.part.parameters() if weight.shape[-1:] == words.table.weight.shape[-1:]]
    assert max(len(weight) for weight in tables if weight is words.rows.weight) == len(ids)
    assert all(weight is not words.table.weight for weight in tables)


def test_what_weight_decay_would_have_shrunk_stays(tmp_path):
    model, own, _, _, ids = tuned(tmp_path, "fine-tuning", seen=True, weight_decay=0.5)
    others = np.setdiff1d(np.arange(len(model.tokenizer)), ids)
    assert own.embed(torch.from_numpy(others)).equal(model.embed(torch.from_numpy(others)))
