"""Fine-tuning equals a plain loop with transformers and AdamW; in bf16 it goes the same way."""

import pytest
import torch
from transformers import AutoModel

from isogloss.backbones import loading
from isogloss.methods.registry import find
from isogloss.preprocessing.batching import order
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, backbone, checkpoint, train_state

RATES = {"lr": 1e-3, "head_lr": 1e-2}
SETTINGS = {
    **RATES, "epochs": 2, "batch_size": 8, "decay": "constant", "warmup": 0.0, "weight_decay": 0.0, "clip": 1e9,
    "dropout": 0.0, "backbone_dropout": 0.0, "select": "last", "pooling": "mean",
}  # fmt: skip
TEXTS = [" ".join(WORDS[(3 * i + j * j) % len(WORDS)] for j in range(2 + i % 5)) for i in range(20)]
GOLD = [i % 3 for i in range(20)]


def ours(model, **settings):
    method = find("fine-tuning")
    own = model.copy()
    run = new_run(method, own, method.settings(**SETTINGS | settings), seed=3, classes=3)
    start = {name: tensor.clone() for name, tensor in run.head.state_dict().items()}
    features = tokenise((TEXTS,), GOLD, model.tokenizer)
    train(Stack(own, method, [run]), [train_state(run, features)], budget=30, eval_budget=1000, source="eng-Latn")
    return method.stored(run.part) | {f"head.{name}": tensor for name, tensor in run.head.state_dict().items()}, start


def logits(model, head, tokenizer, texts):
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    states = model(**encoded).last_hidden_state
    mask = encoded["attention_mask"][..., None]
    return ((states * mask).sum(1) / mask.sum(1)) @ head["weight"] + head["bias"]


def plain(model, weights, start, tokenizer):
    """The loop that anyone would write."""
    head = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    optimizer = torch.optim.AdamW(
        [
            {"params": list(weights.values()), "lr": RATES["lr"]},
            {"params": list(head.values()), "lr": RATES["head_lr"]},
        ],
        weight_decay=0.0,
    )
    for epoch in range(2):
        examples = order(20, seed=3, epoch=epoch)
        for begin in range(0, 20, 8):
            some = [int(i) for i in examples[begin : begin + 8]]
            scores = logits(model, head, tokenizer, [TEXTS[i] for i in some])
            torch.nn.functional.cross_entropy(scores, torch.tensor([GOLD[i] for i in some])).backward()
            optimizer.step()
            optimizer.zero_grad()
    return weights | {f"head.{name}": tensor for name, tensor in head.items()}


@pytest.mark.parametrize("embeddings", [False, True])
@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
def test_it_equals_a_plain_loop(family, embeddings, tmp_path):
    model = backbone(tmp_path, family)
    found, start = ours(model, embeddings=embeddings)
    reference = AutoModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    words = reference.get_input_embeddings().weight
    weights = {name: weight for name, weight in reference.named_parameters() if embeddings or weight is not words}
    words.requires_grad_(embeddings)
    expected = plain(reference, weights, start, model.tokenizer)
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        if "key.bias" in name:  # softmax does not see it: its gradient is rounding error, which Adam makes large
            continue
        torch.testing.assert_close(tensor, expected[name].detach(), rtol=1e-5, atol=2e-5, msg=name)


def test_in_bf16_it_goes_the_way_of_float32(tmp_path):
    model = loading.load(str(checkpoint(tmp_path)), dtype="bfloat16", device="cpu")
    found, _ = ours(model)
    assert all(tensor.dtype == torch.float32 for tensor in found.values())
    reference = loading.load(str(tmp_path), dtype="float32", device="cpu")
    before = {name: weight.detach().clone() for name, weight in reference.model.named_parameters()}
    moved = {name: (tensor - before[name]).flatten() for name, tensor in found.items() if name in before}
    exact, _ = ours(reference)
    wanted = {name: (exact[name] - before[name]).flatten() for name in moved}
    names = [name for name in moved if "key.bias" not in name]
    one, other = (torch.cat([part[name] for name in names]) for part in (moved, wanted))
    # bf16 rounds gradients by 1 in 256 and Adam makes small ones large: the way is the same, not the digits.
    assert torch.cosine_similarity(one, other, dim=0) > 0.98
    assert one.norm() == pytest.approx(float(other.norm()), rel=0.03)
