"""LoRA equals PEFT's own on transformers' model, and norms alone are what PEFT's LN tuning trains."""

import pytest
import torch
from peft import LNTuningConfig, LoraConfig, get_peft_model
from transformers import AutoModel

from isogloss.methods.registry import find
from isogloss.optim.weight_places import place
from models import backbone

# PEFT uses names that transformers 5 is about to change.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
TEXTS = ["the cat sat on the mat", "a dog", "one two three sun moon red blue"]


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_updates_act_as_pefts(family, tmp_path):
    model = backbone(tmp_path, family).copy()
    method = find("lora")
    part = method.build(model, method.settings(rank=3, backbone_dropout=0.0), torch.Generator().manual_seed(0))
    config = LoraConfig(r=3, lora_alpha=16, target_modules=["query", "key", "value", "attention.output.dense"])
    reference = get_peft_model(AutoModel.from_pretrained(tmp_path, add_pooling_layer=False), config).eval()
    theirs = dict(reference.base_model.model.named_parameters())
    with torch.no_grad():
        for name, tensor in method.stored(part).items():
            tensor.normal_(generator=torch.Generator().manual_seed(len(name)))
            theirs[name].copy_(tensor)
    assert {name for name, weight in theirs.items() if weight.requires_grad} == method.stored(part).keys()
    encoded = model.tokenizer(TEXTS, padding=True, return_tensors="pt")
    mask = encoded["attention_mask"].bool()
    part.eval()
    with torch.no_grad():
        states, expected = model.hidden(encoded["input_ids"], mask), reference(**encoded).last_hidden_state
    torch.testing.assert_close(states[mask], expected[mask], rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Unsupported layer type:UserWarning")
def test_norms_alone_are_what_ln_tuning_trains(tmp_path):
    model = backbone(tmp_path, "bert").copy()
    method = find("fine-tuning")
    still = dict.fromkeys(("layers.query-key", "layers.value-output", "layers.feed-forward", "embeddings"), 0.0)
    part = method.build(model, method.settings(rates=still), torch.Generator())
    ours = method.stored(part).keys()
    peft = get_peft_model(
        AutoModel.from_pretrained(tmp_path, add_pooling_layer=False), LNTuningConfig(target_modules=["LayerNorm"])
    )
    named = {name for name, weight in peft.named_parameters() if weight.requires_grad}
    theirs = {name.split("base_model.model.")[-1].replace("ln_tuning_layers.default.", "") for name in named}
    assert ours == {name for name in theirs if place(name).layer is not None}
