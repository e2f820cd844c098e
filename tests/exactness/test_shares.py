"""What processes learn from their shares of an update adds up to what one learns from all of it, however many they are.

Reckoned in one process: each share in its turn. What real processes do is in `test_distributed.py`.
"""

import pytest
import torch

from decoders import backbone
from isogloss.methods.registry import find
from isogloss.preprocessing.tokenize import tokenise_words
from isogloss.runtime.process_group import Processes, computing
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import gradients, train_state
from stacks import COUNT, SIZES, features, made

SOLO = {  # method, what is learnt from, settings
    "fine-tuning, rows of words": ("fine-tuning", "texts", {"embeddings": True}),
    "fine-tuning, drift": ("fine-tuning", "texts", {"drift": 2.0}),
    "fine-tuning, words": ("fine-tuning", "words", {"drift": 2.0}),
    "fine-tuning, some words": ("fine-tuning", "few words", {}),
    "lora, passages": ("lora", "passages", {"targets": "all"}),
}
STACKED = ["deep", "deep, words", "deep, passages", "deep, verbalizer", "soft, mean", "soft, template"]
PROCESSES = (3, 9)  # examples divide by neither, and are fewer than the second


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("model"), "bert", words=True)


def few_words(model):
    """Rows of which most have no word at all: nothing of them is scored."""
    rows = [["cat", "dog", "sun"] if i % 5 == 0 else [] for i in range(COUNT)]
    return tokenise_words(rows, [i % 3 for i in range(sum(map(len, rows)))], model.tokenizer, last=False)


def solo(model, case):
    """A run of a method that makes the backbone its own, its states no longer the pre-trained ones."""
    name, kind, settings = SOLO[case]
    method = find(name)
    learnt = few_words(model) if kind == "few words" else features(model, kind)
    own = model.copy(torch.from_numpy(learnt.tokens).long().unique())
    settings = method.settings(batch_size=8, epochs=2, backbone_dropout=0.0, **settings)
    run = new_run(method, own, settings, seed=0, classes=2 if kind == "passages" else 3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in run.part.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return Stack(own, method, [run]), [train_state(run, learnt)]


@pytest.mark.parametrize("case", [*SOLO, *STACKED])
def test_shares_add_up(case, model):
    stack, states = solo(model, case) if case in SOLO else made(model, case)
    for last in (False, True):  # the update of an epoch, whose examples are fewer; its passes are filled up
        for state, size in zip(states, SIZES, strict=False):
            state.step = (COUNT - 1) // size if last else 0
        whole, losses = gradients(stack, states)
        for count in PROCESSES:
            parts = []
            for rank in range(count):
                with computing(Processes(rank, count)):
                    parts.append(gradients(stack, states, budget=50, fixed=last))
            assert torch.tensor([loss for _, loss in parts]).sum(dim=0).tolist() == pytest.approx(losses, rel=1e-5)
            for number, of_run in enumerate(whole):
                for name, gradient in of_run.items():
                    summed = sum(found[number][name] for found, _ in parts)
                    torch.testing.assert_close(summed, gradient, rtol=1e-4, atol=1e-6, msg=f"{count}: {name}")
