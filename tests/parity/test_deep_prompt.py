"""Deep prompts equal PEFT's prefix tuning where PEFT has them, and attention written out where it has not."""

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import AutoModel

from isogloss.backbones.prompts import AttentionPrefix, stack_padded
from models import backbone, reference

# PEFT, and we below, use names that transformers 5 is about to change.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
TEXTS = ["the cat sat on the mat", "a dog", "one two three sun moon red blue"]


@pytest.fixture(scope="module", params=["xlm-roberta", "bert"])
def both(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return backbone(folder, request.param), folder


def batch(model, texts=TEXTS):
    encoded = model.tokenizer(texts, padding=True, return_tensors="pt")
    return encoded["input_ids"], encoded["attention_mask"].bool()


def prefix(model, lengths, *, first_layer=0, shift=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = model.shape
    layers = shape.layers - first_layer
    vectors = [
        torch.randn(layers, 2, length, shape.key_heads, shape.head_width, generator=generator) for length in lengths
    ]
    return vectors, AttentionPrefix(*stack_padded(vectors, axis=2), first_layer, shift)


def test_it_equals_prefix_tuning_forward_and_backward(both):
    model, folder = both
    config = PrefixTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=5)
    peft = get_peft_model(AutoModel.from_pretrained(folder, add_pooling_layer=False), config).eval()
    weight = peft.prompt_encoder["default"].embedding.weight
    torch.nn.init.normal_(weight, std=0.7)
    shape = model.shape
    ours = weight.detach().clone().requires_grad_()
    vectors = ours.view(5, shape.layers, 2, shape.key_heads, shape.head_width).permute(1, 2, 0, 3, 4)[None]
    tokens, mask = batch(model)
    theirs = peft(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
    states = model.hidden(tokens, mask, prompt=AttentionPrefix(vectors, (5,)))
    torch.testing.assert_close(states[mask], theirs[mask], **CLOSE)
    gradient = torch.randn_like(states) * mask[..., None]
    states.backward(gradient)
    theirs.backward(gradient)
    torch.testing.assert_close(ours.grad, weight.grad, rtol=1e-5, atol=1e-5 * float(weight.grad.abs().max()))


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("first_layer", [0, 2])
@pytest.mark.parametrize(("lengths", "run"), [([4], [0, 0, 0]), ([3, 1, 6], [2, 0, 1])])
def test_each_row_has_its_own_prompt_layers_and_positions(both, shift, first_layer, lengths, run):
    model, folder = both
    vectors, prompt = prefix(model, lengths, first_layer=first_layer, shift=shift)
    tokens, mask = batch(model)
    with torch.no_grad():
        states = model.hidden(tokens, mask, run=torch.tensor(run), prompt=prompt)
        for row, of in enumerate(run):
            real = tokens[row][mask[row]]
            expected = reference(folder, real, prefix=vectors[of], shift=lengths[of] if shift else 0)
            torch.testing.assert_close(states[row, : len(real)], expected, **CLOSE)


def test_the_prompts_of_two_models_in_one_process_do_not_mix(both, tmp_path):
    model, _ = both
    other = backbone(tmp_path, "bert")
    tokens, mask = batch(model)
    mine, its = prefix(model, [3])[1], prefix(other, [6], seed=1)[1]
    with torch.no_grad():
        alone = model.hidden(tokens, mask, prompt=mine), other.hidden(tokens, mask, prompt=its)
        plain = model.hidden(tokens, mask)
        other.hidden(tokens, mask, prompt=its)
        again = model.hidden(tokens, mask, prompt=mine), other.hidden(tokens, mask, prompt=its)
        bare = model.hidden(tokens, mask)
    for one, same in zip(alone, again, strict=True):
        assert torch.equal(one, same)
    assert torch.equal(plain, bare)
    assert not torch.allclose(plain, alone[0], atol=1e-2)


def test_gradient_checkpointing_changes_nothing(both):
    model, _ = both
    prompt = prefix(model, [4, 2])[1]
    tokens, mask = batch(model)
    run = torch.tensor([1, 0, 1])

    def gradients():
        leaf = prompt.vectors.detach().clone().requires_grad_()
        states = model.hidden(tokens, mask, run=run, prompt=AttentionPrefix(leaf, prompt.lengths))
        states[mask].square().sum().backward()
        return leaf.grad

    expected = gradients()
    model.model.gradient_checkpointing_enable({"use_reentrant": False})
    model.model.train()
    for module in model.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    try:
        torch.testing.assert_close(gradients(), expected, **CLOSE)
    finally:
        model.model.gradient_checkpointing_disable()
        model.model.eval()
