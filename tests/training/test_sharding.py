"""Weights spread over processes by FSDP2, in several families of backbones; and what is refused."""

import pytest
import torch

import decoders
import models
import stacks
from isogloss.backbones.loading import load
from isogloss.errors import IsoglossError
from isogloss.methods.registry import find
from isogloss.runtime.launch import launch
from isogloss.runtime.meeting import meeting_place
from isogloss.runtime.process_group import computing, joined
from isogloss.training.engine import Engine
from isogloss.training.run import new_run
from isogloss.training.sharding import shard
from isogloss.training.stack import Stack
from models import train_state
from processes import together

FAMILIES = ["bert", "xglm", "t5"]  # ways to compute a layer; the others were tried by hand
METHODS = {
    "deep-prompt": {"length": 3}, "soft-prompt": {"length": 2, "place": "after-first"},
    "fine-tuning": {"hidden_dropout": 0.0, "attention_dropout": 0.0, "embeddings": True},
    "lora": {"hidden_dropout": 0.0, "attention_dropout": 0.0, "targets": "all"},
}  # fmt: skip


def learnt(folder, name, *, spread):
    """The losses and scores of a short training."""
    method, settings = find(name), METHODS[name]
    backbone = load(str(folder), dtype="float32", device="cpu")
    features = stacks.features(backbone, "texts")
    own = backbone.copy(torch.from_numpy(features.tokens).long().unique())
    run = new_run(method, own, method.settings(batch_size=7, epochs=2, dropout=0.0, **settings), seed=0, classes=3)
    stack = Stack(own, method, [run])
    if spread:
        shard(stack, torch.device("cpu"))
    state = train_state(run, features)
    engine = Engine(stack, [state], budget=60)  # several passes, not as many in each process
    losses = stacks.updated(engine, 3)
    run.part.eval()
    return losses, stack.logits(features, [run], budget=60)[0].tolist()  # a tensor would go with its process


def both(folders):
    """In one of several processes: what each family learns, spread and not."""
    place = launch()
    found = {}
    with joined(place, meeting_place(place), "cpu", shards=True) as processes:
        for folder in folders:
            for name in METHODS:
                alone = learnt(folder, name, spread=False) if processes.leads else None
                with computing(processes):
                    found[folder.name, name] = (alone, learnt(folder, name, spread=True))
    return found


def folder_of(folder, family):
    if family in {"bert", "xlm-roberta"}:
        return models.checkpoint(folder, family)
    return decoders.whole(folder, family)


@pytest.mark.slow
def test_families_learn_as_in_one_process(tmp_path):
    folders = [folder_of(tmp_path / family, family) for family in FAMILIES]
    found, others = together(both, folders)
    assert isinstance(found, dict), found
    assert len(found) == len(FAMILIES) * len(METHODS)
    for key, (alone, spread) in found.items():
        assert others[key][1] == spread
        for one, other in zip(alone, spread, strict=True):
            torch.testing.assert_close(torch.tensor(other), torch.tensor(one), rtol=1e-4, atol=1e-5, msg=str(key))


def test_a_soft_prompt_in_front_of_a_causal_model_is_refused(tmp_path):
    backbone, method = decoders.backbone(tmp_path, "xglm"), find("soft-prompt")
    run = new_run(method, backbone, method.settings(length=2), seed=0, classes=3)
    with pytest.raises(IsoglossError, match="`place: after-first`, or take deep-prompt"):
        shard(Stack(backbone, method, [run]), torch.device("cpu"))


def test_a_verbalizer_is_refused(tmp_path):
    stack, _ = stacks.made(decoders.backbone(tmp_path, "xglm", words=True), "deep, verbalizer", count=1)
    with pytest.raises(IsoglossError, match="head: verbalizer"):
        shard(stack, torch.device("cpu"))
