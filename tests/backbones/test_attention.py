"""Every kernel against attention written out in float64, prefixes and packing against a loop over the rows."""

import numpy as np
import pytest
import torch

from isogloss.backbones import attention
from isogloss.backbones.attention import LayerBatch
from isogloss.backbones.kernels import FEW_KEYS, KERNELS, choose
from isogloss.backbones.layout import Rows
from isogloss.backbones.packing import SPARE_ROW, pack
from isogloss.backbones.prompts import PromptForm
from isogloss.backbones.row_groups import row_groups
from varlen import variable_length

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


def rows(lengths, run=None, prompts=None, **more):
    """Packed rows, with a prefix of so many positions for each run."""
    form = None if prompts is None else PromptForm("prefix", tuple(prompts), **more)
    made = Rows(np.asarray(lengths), np.zeros(len(lengths), dtype=np.int64) if run is None else np.asarray(run))
    return made, form


def heads_first(packed, count):
    """(N, heads, D) of rows of one length to (rows, heads, T, D)."""
    return packed.unflatten(0, (count, -1)).transpose(1, 2)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("keys", [5, 16, 33, 700])
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_a_kernel_is_attention_forward_and_backward(name, keys, masked):
    made, form = rows([5, 5, 5], prompts=None if keys == 5 else [keys - 5])
    how = pack(made, form, heads=HEADS, key_heads=HEADS, end_to_end=False).attention
    query, key, value = inputs = tensors(*[(15, HEADS, WIDTH)] * 3)
    front = [] if form is None else tensors((2, keys - 5, HEADS, WIDTH), seed=1)
    bias = None
    if masked:
        bias = torch.zeros(3, 1, 1, keys)
        bias[0, ..., 2:] = bias[1, ..., -1:] = torch.finfo(torch.float32).min
    out = KERNELS[name](query, key, value, front[0] if front else None, how, [bias], 0.3, 0.0)
    both = [heads_first(part, 3) for part in (key, value)]
    if front:
        both = [
            torch.cat([own.transpose(0, 1).expand(3, -1, -1, -1), part], dim=2)
            for own, part in zip(front[0].unbind(), both, strict=True)
        ]
    expected = plain(heads_first(query, 3), *both, bias, 0.3).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    gradient = tensors(out.shape, seed=1)[0].detach()
    ours = torch.autograd.grad(out, [*inputs, *front], gradient)
    theirs = torch.autograd.grad(expected, [*inputs, *front], gradient.double())
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_a_kernel_in_bf16_is_as_near_as_bf16_can_be(name):
    inputs = tensors(*[(40, HEADS, WIDTH)] * 3, dtype=torch.bfloat16)
    how = pack(rows([20, 20])[0], None, heads=HEADS, key_heads=HEADS, end_to_end=False).attention
    out = KERNELS[name](*inputs, None, how, [None], WIDTH**-0.5, 0.0)
    expected = plain(*(heads_first(part, 2) for part in inputs), None, WIDTH**-0.5).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=0.03)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_a_kernel_drops_weights_out(name):
    torch.manual_seed(0)
    made, form = rows([500], prompts=[3500])
    how = pack(made, form, heads=1, key_heads=1, end_to_end=False).attention
    ones = torch.ones(500, 1, 2)
    out = KERNELS[name](ones, ones, ones, torch.ones(2, 3500, 1, 2), how, [None], 1.0, 0.5)
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
PROMPTS = [3, 1, 4]


@pytest.mark.parametrize("kernel", [*sorted(KERNELS), "end-to-end"])
@pytest.mark.parametrize("key_heads", [HEADS, KEY_HEADS])
@pytest.mark.parametrize(
    ("run", "lengths"),
    [([0, 0, 0], [5, 2, 7]), ([0, 1, 2], [5, 2, 7]), ([0, 2, 2], [1, 7, 3]), ([0, 0, 1, 1, 2, 2], [2, 0, 4, 0, 1, 0])],
)
@pytest.mark.parametrize("spare", [0, SPARE_ROW + 22])
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("kind", sorted(RULES))
def test_each_row_sees_its_own_prefix_and_its_own_tokens(
    module, monkeypatch, kernel, key_heads, run, lengths, spare, shift, kind
):
    rules = RULES[kind]
    end_to_end = kernel == "end-to-end"
    if end_to_end and ("bias" in kind or (kind == "window" and not shift)):
        pytest.skip("no such kernel has it, and the backbone pads")
    monkeypatch.setattr(attention, "choose", lambda **_: kernel)
    monkeypatch.setattr(attention, "variable_length", lambda: variable_length)
    made, form = rows(lengths, run, PROMPTS, shift=shift)
    if spare:
        made = Rows(made.lengths, made.run, spare=spare, spare_rows=2)
    count = sum(lengths)
    packing = pack(made, form, heads=HEADS, key_heads=key_heads, end_to_end=end_to_end, rounded=8 if spare else 1)
    (prefix,) = tensors((2, 3, max(PROMPTS), key_heads, WIDTH), seed=2)
    query, key, value = tensors((count + spare, HEADS, WIDTH), *[(count + spare, key_heads, WIDTH)] * 2)
    expected, begin = [], 0
    for of, length in zip(run, lengths, strict=True):
        own = slice(begin, begin + length)
        begin += length
        keys, values = (
            torch.cat([front[of, : PROMPTS[of]], part[own]])
            .repeat_interleave(HEADS // key_heads, dim=1)
            .transpose(0, 1)
            for front, part in zip(prefix, (key, value), strict=True)
        )
        bias = by_hand(rules, PROMPTS[of], length, shift)
        mixed = plain(query[own].transpose(0, 1)[None], keys[None], values[None], bias, WIDTH**-0.5)
        expected.append(mixed[0].transpose(0, 1))
    expected = torch.cat(expected)
    inputs = (query, key, value, prefix)
    gradient = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, inputs, gradient)

    attention.lay([module], [LayerBatch(packing.attention, prefix.flatten(1, 2), shift)])
    module.is_causal = rules.get("causal", False)
    out = attention.attend_packed(
        module, query, key, value, window=rules.get("window"), position_bias=rules.get("bias")
    )
    assert out.shape == query.shape
    assert out.isfinite().all()
    torch.testing.assert_close(out[:count].double(), expected, rtol=1e-5, atol=1e-5)
    for one, other in zip(torch.autograd.grad(out[:count], inputs, gradient.float()), wanted, strict=True):
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


def test_transformers_interface_gives_the_same(module):
    query, key, value = tensors(*[(7, HEADS, WIDTH)] * 3)
    made, _ = rows([3, 4])
    packing = pack(made, None, heads=HEADS, key_heads=HEADS, end_to_end=False)
    attention.lay([module], [LayerBatch(packing.attention)])
    out, _ = attention.attend(module, *(part.transpose(0, 1)[None] for part in (query, key, value)))
    torch.testing.assert_close(out[0], attention.attend_packed(module, query, key, value))


@pytest.mark.parametrize("place", ["before", "after", "after-first", "template"])
@pytest.mark.parametrize("spare", [0, SPARE_ROW + 22])
def test_prompts_and_texts_are_joined_row_by_row(place, spare):
    lengths, run, front = np.asarray([4, 1, 0, 3, 2, 0]), np.asarray([0, 0, 0, 1, 2, 2]), np.asarray([2, 1, 0, 0, 2, 0])
    prompts, longest = (2, 3, 1), 3
    made = Rows(lengths, run, front, spare, 2 if spare else 0)
    form = PromptForm("input", prompts, place=place)
    packing = pack(made, form, heads=HEADS, key_heads=HEADS, end_to_end=True)
    source, positions, at, begins, begin = [], [], [], [0], 0
    for row, (of, length) in enumerate(zip(run, lengths, strict=True)):
        own = list(range(9 + begin, 9 + begin + length))
        ahead = {"before": 0, "after": length, "after-first": min(1, length), "template": front[row]}[place]
        between = list(range(of * longest, of * longest + prompts[of])) if length else []
        whole = own[:ahead] + between + own[ahead:]
        at += [len(source) + whole.index(token) for token in own]
        source += whole
        positions += range(len(whole))
        begins.append(len(source))
        begin += length
    assert packing.join.source[: len(source)].tolist() == source
    assert packing.text[:begin].tolist() == at
    assert packing.positions.tolist() == positions + [0] * spare  # models may have fewer positions than a spare row
    assert packing.attention.query_starts[: len(begins)].tolist() == begins
    assert len(packing.join.source) == len(source) + spare
    assert packing.join.source[len(source) :].tolist() == list(range(9 + begin, 9 + begin + spare))
    assert packing.attention.join is None
    for row, of in enumerate(run):
        if lengths[row]:
            stands = packing.join.prompt[row, : prompts[of]].tolist()
            assert [source[one] for one in stands] == list(range(of * longest, of * longest + prompts[of]))


def test_groups_hold_every_row_once_and_pay_for_themselves():
    generator = np.random.default_rng(0)
    for count in (1, 2, 7, 64, 300):
        lengths = generator.integers(1, 200, count)
        groups = row_groups(lengths, np.full(count, 16))
        assert sorted(np.concatenate(groups).tolist()) == list(range(count))
        assert 1 <= len(groups) <= 2
        scores = sum(len(own) * lengths[own].max() * (lengths[own].max() + 16) for own in groups)
        assert scores <= count * lengths.max() * (lengths.max() + 16)
    assert len(row_groups(np.full(50, 20), np.zeros(50, dtype=np.int64))) == 1
    assert len(row_groups(np.asarray([200] * 8 + [10] * 56), np.zeros(64, dtype=np.int64))) == 2


def test_every_kernel_can_be_chosen():
    def chosen(device="cpu", dtype=torch.float32, keys=8, learning=True):
        return choose(device=device, dtype=dtype, keys=keys, learning=learning)

    assert {chosen(), chosen("cuda")} == KERNELS.keys()
    for dtype, keys in FEW_KEYS.items():
        assert chosen(dtype=dtype, keys=keys) == "products"
        assert chosen(dtype=dtype, keys=keys + 1) == "fused"
        assert chosen(dtype=dtype, learning=False) == chosen("cuda", dtype) == "fused"
