"""Every kernel against attention written out in float64, prefixes and packing against a loop over the rows."""

import pytest
import torch
from isogloss.backbones.prefix import LayerPrefix

from isogloss.backbones import attention
from isogloss.backbones.kernels import KERNELS
from isogloss.backbones.layout import Packing

HEADS, KEY_HEADS, WIDTH = 4, 2, 6


def tensors(*shapes, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def plain(query, key, value, bias, scale):
    """Attention in float64, heads first."""
    scores = torch.einsum("bhtd,bhsd->bhts", query.double(), key.double()) * scale
    if bias is not None:
        scores = scores + bias.double()
    return torch.einsum("bhts,bhsd->bhtd", scores.softmax(-1), value.double())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("keys", [5, 16, 33, 700])
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_a_kernel_is_attention_forward_and_backward(name, keys, masked):
    query, key, value = inputs = tensors((3, HEADS, 5, WIDTH), *[(3, HEADS, keys, WIDTH)] * 2)
    bias = None
    if masked:
        bias = torch.zeros(3, 1, 1, keys)
        bias[0, ..., 2:] = bias[1, ..., -1:] = torch.finfo(torch.float32).min
    out = KERNELS[name](query, key, value, bias, 0.3, 0.0)
    expected = plain(query, key, value, bias, 0.3)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    gradient = tensors(out.shape, seed=1)[0].detach()
    ours = torch.autograd.grad(out, inputs, gradient)
    theirs = torch.autograd.grad(expected, inputs, gradient.double())
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_a_kernel_in_bf16_is_as_near_as_bf16_can_be(name):
    inputs = tensors((2, HEADS, 7, WIDTH), *[(2, HEADS, 20, WIDTH)] * 2, dtype=torch.bfloat16)
    out = KERNELS[name](*inputs, None, WIDTH**-0.5, 0.0)
    torch.testing.assert_close(out.double(), plain(*inputs, None, WIDTH**-0.5), rtol=0, atol=0.03)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_a_kernel_drops_weights_out(name):
    torch.manual_seed(0)
    ones = torch.ones(1, 1, 4000, 2)
    out = KERNELS[name](ones[:, :, :1].expand(1, 1, 500, 2), ones, ones, None, 1.0, 0.5)
    assert out.std().item() > 0.005
    assert out.mean().item() == pytest.approx(1, abs=0.02)


@pytest.fixture
def module():
    return torch.nn.Identity()


def slope_bias(distance):
    return -0.3 * torch.arange(1, HEADS + 1)[:, None, None] * distance[..., None, :, :].abs()


RULES = {
    "open": {}, "causal": {"causal": True}, "window": {"causal": True, "window": 3},
    "bias": {"bias": slope_bias}, "causal-bias": {"causal": True, "bias": slope_bias},
}  # fmt: skip


@pytest.mark.parametrize("kernel", sorted(KERNELS))
@pytest.mark.parametrize("key_heads", [HEADS, KEY_HEADS])
@pytest.mark.parametrize("run", [[0, 0, 0], [2, 0, 1]])
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("kind", sorted(RULES))
def test_each_row_sees_its_own_prefix_and_its_own_tokens(module, monkeypatch, kernel, key_heads, run, shift, kind):
    monkeypatch.setattr(attention, "choose", lambda **_: kernel)
    rules = RULES[kind]
    prompts, lengths = [3, 1, 4], [5, 2, 7]
    prefix_key, prefix_value = tensors(*[(3, key_heads, max(prompts), WIDTH)] * 2, seed=2)
    query, key, value = tensors((3, HEADS, 7, WIDTH), *[(3, key_heads, 7, WIDTH)] * 2)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    valid = torch.arange(max(prompts)) < torch.tensor(prompts)[:, None]
    layer = LayerPrefix(key=prefix_key, value=prefix_value, valid=valid, run=torch.tensor(run), shift=shift)
    expected = []
    for row, (of, length) in enumerate(zip(run, lengths, strict=True)):
        keys, values = (
            torch.cat([front[of, :, : prompts[of]], own[row, :, :length]], dim=1).repeat_interleave(
                HEADS // key_heads, dim=0
            )[None]
            for front, own in ((prefix_key, key), (prefix_value, value))
        )
        bias = by_hand(rules, prompts[of], length, shift)
        expected.append(plain(query[row : row + 1, :, :length], keys, values, bias, WIDTH**-0.5)[0].transpose(0, 1))
    expected = torch.cat(expected)
    inputs = (query, key, value, prefix_key, prefix_value)
    gradient = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, inputs, gradient)

    packing = Packing.of(mask)
    packed_inputs = [packing.pack(part.transpose(1, 2)).transpose(1, 2) for part in (query, key, value)]
    attention.lay([module], [layer], packing)
    module.is_causal = rules.get("causal", False)
    out, _ = attention.attend(
        module, *packed_inputs, sliding_window=rules.get("window"), position_bias=rules.get("bias")
    )
    torch.testing.assert_close(out[0].double(), expected, rtol=1e-5, atol=1e-5)
    for one, other in zip(torch.autograd.grad(out[0], inputs, gradient.float()), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def by_hand(rules, prompt, length, shift):
    """What is added to the scores (heads, T, P + T) of one row, place by place."""
    bias = torch.zeros(HEADS, length, prompt + length)
    for at in range(length):
        for place in range(prompt + length):
            distance = torch.tensor([[prompt + at - place]])
            if place < prompt and not shift:
                continue
            if "bias" in rules:
                bias[:, at, place] = rules["bias"](distance)[:, 0, 0]
            if (rules.get("causal") and distance < 0) or distance >= rules.get("window", 99):
                bias[:, at, place] = torch.finfo(torch.float32).min
    return bias[None]


def test_packing_is_undone_by_padding():
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    packing = Packing.of(mask)
    (states,) = tensors((3, 3, 2, 2))
    packed = packing.pack(states)
    assert packed.shape == (1, 6, 2, 2)
    torch.testing.assert_close(packing.pad(packed), states * mask[..., None, None])
    assert packing.whole.places is not None
    assert Packing.of(torch.ones(2, 3, dtype=torch.bool)).whole.places is None


def test_every_kernel_can_be_chosen():
    chosen = {attention.choose(device=device, keys=keys) for device in ("cpu", "cuda") for keys in (8, 4096)}
    assert chosen == KERNELS.keys()
    assert attention.choose(device="cuda", keys=8) == "fused"
