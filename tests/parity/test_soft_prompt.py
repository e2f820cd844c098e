"""Soft prompts equal PEFT's prompt tuning where PEFT has them, and one unpadded row at a time where it has not."""

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model
from transformers import AutoModel

from isogloss.backbones.prompts import InputPrompt, stack_padded
from models import backbone, reference

# PEFT, and we below, use names that transformers 5 is about to change.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
TEXTS = ["the cat sat on the mat", "a dog", "one two three sun moon red blue"]


@pytest.fixture(scope="module", params=["xlm-roberta", "bert"])
def both(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return backbone(folder, request.param), folder


def batch(model):
    encoded = model.tokenizer(TEXTS, padding=True, return_tensors="pt")
    return encoded["input_ids"], encoded["attention_mask"].bool()


def test_it_equals_prompt_tuning_forward_and_backward(both):
    model, folder = both
    config = PromptTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=5)
    peft = get_peft_model(AutoModel.from_pretrained(folder, add_pooling_layer=False), config).eval()
    weight = peft.prompt_encoder["default"].embedding.weight
    ours = weight.detach().clone().requires_grad_()
    tokens, mask = batch(model)
    theirs = peft(input_ids=tokens, attention_mask=mask.long()).last_hidden_state[:, 5:]
    states = model.hidden(tokens, mask, prompt=InputPrompt(ours[None], (5,)))
    torch.testing.assert_close(states[mask], theirs[mask], **CLOSE)
    gradient = torch.randn_like(states) * mask[..., None]
    states.backward(gradient)
    theirs.backward(gradient)
    torch.testing.assert_close(ours.grad, weight.grad, rtol=1e-5, atol=1e-5 * float(weight.grad.abs().max()))


@pytest.mark.parametrize("place", ["before", "after", "after-first"])
@pytest.mark.parametrize(("lengths", "run"), [([4], [0, 0, 0]), ([3, 1, 6], [2, 0, 1])])
def test_each_row_has_its_own_prompt_in_its_place(both, place, lengths, run):
    model, folder = both
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randn(length, model.shape.width, generator=generator) for length in lengths]
    tokens, mask = batch(model)
    with torch.no_grad():
        prompt = InputPrompt(*stack_padded(prompts, axis=0), place)
        states = model.hidden(tokens, mask, run=torch.tensor(run), prompt=prompt)
        for row, of in enumerate(run):
            words = model.embed(tokens[row][mask[row]])
            at = {"before": 0, "after-first": 1, "after": len(words)}[place]
            joined = torch.cat([words[:at], prompts[of], words[at:]])
            expected = reference(folder, joined[:, 0], words=joined)
            text = torch.cat([expected[:at], expected[at + lengths[of] :]])
            torch.testing.assert_close(states[row, : len(words)], text, **CLOSE)
