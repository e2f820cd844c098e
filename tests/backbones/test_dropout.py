"""Dropout of a backbone that learns: of attention weights and of states, told apart in every family."""

import pytest
import torch
from torch import nn

from decoders import CONFIGS, MASKED, backbone
from isogloss.backbones import attention
from isogloss.backbones.families import bert, bloom, distilbert, xglm
from isogloss.backbones.families.registry import families
from isogloss.methods.registry import find
from isogloss.methods.settings import Settings
from isogloss.training.run import new_run

STATELESS = {"gemma", "gemma3_text", "llama", "mistral", "qwen2", "qwen3"}  # these have none of states
TOKENS = torch.arange(10, 26).reshape(2, 8)


@pytest.fixture
def shares(monkeypatch):
    """The shares that attention and everything else is given in training."""
    given = {"attention": set(), "hidden": set()}
    plain, dropout = attention.attend_packed, nn.functional.dropout

    def attend(*arguments, dropout=0.0, **more):
        given["attention"].add(dropout)
        return plain(*arguments, **more)  # without, so that all others are those of states

    def of_states(states, p=0.5, training=True, inplace=False):
        given["hidden"] |= {p} if training else set()
        return dropout(states, p, training, inplace)

    for module in (attention, bert, bloom, distilbert, xglm):
        monkeypatch.setattr(module, "attend_packed", attend)
    monkeypatch.setattr(nn.functional, "dropout", of_states)
    return given


def train(shares, method, model, **settings):
    """One forward pass in training, and nothing else that is seen."""
    own = model.copy()
    run = new_run(find(method), own, find(method).settings(**settings), seed=0, classes=2)
    run.part.train()
    for found in shares.values():
        found.clear()
    own.hidden(TOKENS, torch.ones_like(TOKENS, dtype=torch.bool))


def test_every_family_is_tried():
    assert families().keys() == CONFIGS.keys() | MASKED


@pytest.mark.parametrize("family", sorted(CONFIGS.keys() | MASKED))
@pytest.mark.parametrize(("hidden", "attending"), [(0.25, 0.0), (0.0, 0.25), (0.125, 0.25)])
def test_dropout_of_attention_and_of_states_are_told_apart(family, hidden, attending, shares, tmp_path):
    model = backbone(tmp_path, family)
    for method in ("fine-tuning", "lora"):
        train(shares, method, model, hidden_dropout=hidden, attention_dropout=attending)
        assert shares["attention"] == {attending}
        # Families' own switches of nothing, such as LoRA's, are shares of 0.
        assert shares["hidden"] - {0.0} == ({hidden} - {0.0} if family not in STATELESS else set())


@pytest.mark.parametrize("family", ["bert", "bloom", "llama"])
def test_none_while_frozen(family, shares, tmp_path):
    model = backbone(tmp_path, family)
    train(shares, "soft-prompt", model)
    assert shares["attention"] == {0.0}
    assert not shares["hidden"]


def test_a_share_that_a_configuration_writes_as_a_whole_number_is_set_too(tmp_path, shares):
    model = backbone(tmp_path, "llama")
    for module in model.attention:
        module.attention_dropout = 0
    train(shares, "fine-tuning", model, attention_dropout=0.25)
    assert shares["attention"] == {0.25}


@pytest.mark.parametrize("method", ["fine-tuning", "lora", "slow-fast", "prompted-fine-tuning"])
def test_the_setting_of_before_sets_both(method):
    settings: type[Settings] = find(method).settings
    assert settings() == settings(backbone_dropout=0.1) == settings(hidden_dropout=0.1, attention_dropout=0.1)
    assert settings(backbone_dropout=0.3) == settings(hidden_dropout=0.3, attention_dropout=0.3)
    assert "backbone_dropout" not in settings(backbone_dropout=0.3).model_dump()
