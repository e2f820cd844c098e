"""Decoders and mT5's encoder equal transformers' own models, with prompts by embedding and by prefix."""

import pytest
import torch
from transformers import AutoModel, AutoModelForTextEncoding, DynamicCache

from decoders import CONFIGS, ENCODERS, backbone
from isogloss.backbones import attention
from isogloss.backbones.kernels import KERNELS
from isogloss.backbones.prompts import AttentionPrefix, InputPrompt, stack_padded

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
TEXTS = ["the cat sat on the mat", "a dog", "one two three sun moon red blue"]
DECODERS = sorted(CONFIGS.keys() - ENCODERS)


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def both(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return backbone(folder, request.param), folder


@pytest.fixture(scope="module", params=DECODERS)
def decoder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return backbone(folder, request.param), folder


def batch(model, side="right", more=0):
    rows = model.tokenizer(TEXTS)["input_ids"]
    length = max(map(len, rows)) + more
    tokens, mask = torch.full((len(rows), length), 1), torch.zeros(len(rows), length, dtype=torch.bool)
    for number, row in enumerate(rows):
        at = slice(None, len(row)) if side == "right" else slice(length - len(row), None)
        tokens[number, at], mask[number, at] = torch.tensor(row), True
    return tokens, mask


def plain(folder):
    """Transformers' own, with the attention it would choose by itself on paper."""
    if "t5" in folder.name:
        return AutoModelForTextEncoding.from_pretrained(folder, attn_implementation="eager").encoder.eval()
    return AutoModel.from_pretrained(folder, attn_implementation="eager").eval()


def prompts(model, lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, model.shape.width, generator=generator) for length in lengths]


def prefixes(model, lengths, first_layer=0):
    generator = torch.Generator().manual_seed(0)
    shape = model.shape
    layers = shape.layers - first_layer
    return [
        torch.randn(layers, 2, length, shape.key_heads, shape.head_width, generator=generator) for length in lengths
    ]


def test_hidden_states_are_those_of_transformers(both):
    model, folder = both
    tokens, mask = batch(model)
    reference = plain(folder)
    with torch.no_grad():
        states = model.hidden(tokens, mask)
        for row in range(len(tokens)):
            expected = reference(tokens[row][mask[row]][None]).last_hidden_state[0]
            torch.testing.assert_close(states[row][mask[row]], expected, **CLOSE)


def test_the_states_of_every_layer_are_those_of_transformers(both):
    model, folder = both
    tokens, mask = batch(model)
    reference = plain(folder)
    with torch.no_grad():
        states = model.trace(tokens, mask)
        assert states[-1].equal(model.hidden(tokens, mask))
        for row in range(len(tokens)):
            expected = reference(tokens[row][mask[row]][None], output_hidden_states=True).hidden_states
            torch.testing.assert_close(states[:, row][:, mask[row]], torch.stack([one[0] for one in expected]), **CLOSE)


def test_the_states_of_every_layer_are_of_the_text_alone(both):
    model, _ = both
    tokens, mask = batch(model)
    prompt = InputPrompt(*stack_padded(prompts(model, [4]), axis=0), place="after-first")
    with torch.no_grad():
        whole, last = model.trace(tokens, mask, prompt=prompt), model.hidden(tokens, mask, prompt=prompt)
    assert whole.shape == (model.shape.layers + 1, *last.shape)
    torch.testing.assert_close(whole[-1], last)


@pytest.mark.parametrize("kernel", sorted(KERNELS))
@pytest.mark.parametrize("prompted", [False, True])
def test_long_texts_by_every_kernel(both, kernel, prompted, monkeypatch):
    monkeypatch.setattr(attention, "choose", lambda **_: kernel)
    model, folder = both
    generator = torch.Generator().manual_seed(0)
    lengths = [55, 54, 9]
    mask = torch.arange(55) < torch.tensor(lengths)[:, None]
    tokens = torch.randint(3, 20, mask.shape, generator=generator)
    vectors, reference = prompts(model, [5]), plain(folder)
    prompt = InputPrompt(*stack_padded(vectors, axis=0)) if prompted else None
    with torch.no_grad():
        states = model.hidden(tokens, mask, prompt=prompt)
        for row, length in enumerate(lengths):
            words = reference.get_input_embeddings()(tokens[row, :length])
            joined = torch.cat([vectors[0], words]) if prompted else words
            expected = reference(inputs_embeds=joined[None]).last_hidden_state[0, -length:]
            torch.testing.assert_close(states[row, :length], expected, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("place", ["before", "after", "after-first", "template"])
@pytest.mark.parametrize(("lengths", "run"), [([4], [0, 0, 0]), ([3, 1, 6], [2, 0, 1])])
def test_a_soft_prompt_stands_among_the_embeddings(both, place, lengths, run):
    model, folder = both
    vectors = prompts(model, lengths)
    tokens, mask = batch(model)
    reference, front = plain(folder), torch.tensor([3, 1, 2])
    with torch.no_grad():
        prompt = InputPrompt(*stack_padded(vectors, axis=0), place)
        options = {"run": torch.tensor(run), "prompt": prompt, "front": front if place == "template" else None}
        states = model.hidden(tokens, mask, **options)
        ahead = model.hidden(tokens, mask, **options, ahead=True)
        for row, of in enumerate(run):
            words = reference.get_input_embeddings()(tokens[row][mask[row]])
            count, length = len(words), lengths[of]
            at = {"before": 0, "after-first": 1, "after": count, "template": int(front[row])}[place]
            joined = torch.cat([words[:at], vectors[of], words[at:]])
            expected = reference(inputs_embeds=joined[None]).last_hidden_state[0]
            columns = [column + length * (column >= at) for column in range(count)]
            torch.testing.assert_close(states[row, :count], expected[columns], **CLOSE)
            torch.testing.assert_close(ahead[row, 1:count], expected[[column - 1 for column in columns[1:]]], **CLOSE)


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize(("lengths", "run"), [([4], [0, 0, 0]), ([3, 1, 6], [2, 0, 1])])
def test_a_deep_prompt_is_what_a_cache_would_hold(decoder, shift, lengths, run):
    model, folder = decoder
    if not shift and folder.name.startswith(("bloom", "gemma3", "mistral")):
        pytest.skip("a cache cannot stand at no distance; tests/backbones/test_attention.py has the reference")
    vectors = prefixes(model, lengths)
    tokens, mask = batch(model)
    reference = plain(folder)
    with torch.no_grad():
        prompt = AttentionPrefix(*stack_padded(vectors, axis=2), shift=shift)
        states = model.hidden(tokens, mask, run=torch.tensor(run), prompt=prompt)
        for row, of in enumerate(run):
            own, length = tokens[row][mask[row]][None], lengths[of]
            cache = DynamicCache(config=reference.config)
            for layer, (key, value) in enumerate(vectors[of]):
                cache.update(key.transpose(0, 1)[None], value.transpose(0, 1)[None], layer)
            options = {"attention_mask": torch.ones(1, length + own.shape[1], dtype=torch.long)}
            if not folder.name.startswith("bloom"):
                options["position_ids"] = torch.arange(own.shape[1])[None] + (length if shift else 0)
            expected = reference(own, past_key_values=cache, use_cache=True, **options).last_hidden_state[0]
            torch.testing.assert_close(states[row, : own.shape[1]], expected, **CLOSE)


@pytest.mark.parametrize("first_layer", [0, 2])
@pytest.mark.parametrize("family", sorted(ENCODERS))
def test_a_deep_prompt_on_an_encoder_with_buckets(family, first_layer, tmp_path):
    model = backbone(tmp_path, family)
    vectors = prefixes(model, [3, 5], first_layer)
    tokens, mask = batch(model)
    run = [1, 0, 1]
    with torch.no_grad():
        prompt = AttentionPrefix(*stack_padded(vectors, axis=2), first_layer)
        states = model.hidden(tokens, mask, run=torch.tensor(run), prompt=prompt)
        for row, of in enumerate(run):
            expected = t5_by_hand(tmp_path, tokens[row][mask[row]], vectors[of], first_layer)
            torch.testing.assert_close(states[row][mask[row]], expected, **CLOSE)


def t5_by_hand(folder, tokens, prefix, first_layer):
    """Hidden states of one row of a T5 encoder, with the prefix in front of its positions."""
    model = AutoModelForTextEncoding.from_pretrained(folder, attn_implementation="eager").encoder.eval()
    states = model.embed_tokens(tokens)
    bias = None
    for number, block in enumerate(model.block):
        own = block.layer[0].SelfAttention
        before = prefix.shape[2] if number >= first_layer else 0
        if own.has_relative_attention_bias:
            made, longest = own, prefix.shape[2]
            bias = made.compute_bias(longest + len(tokens), longest + len(tokens))[0, :, longest:]
        normed = block.layer[0].layer_norm(states)
        query, key, value = (project(normed).unflatten(-1, (own.n_heads, -1)) for project in (own.q, own.k, own.v))
        if before:
            front = prefix[number - first_layer]
            key, value = torch.cat([front[0], key]), torch.cat([front[1], value])
        scores = torch.einsum("thd,shd->hts", query, key) + bias[..., prefix.shape[2] - before :]
        mixed = torch.einsum("hts,shd->thd", scores.softmax(-1), value).flatten(1)
        states = states + own.o(mixed)
        states = block.layer[1](states[None])[0]
    return model.final_layer_norm(states)


@pytest.mark.parametrize("kind", ["none", "before", "after-first", "prefix"])
def test_side_and_amount_of_padding_change_nothing(both, kind):
    model, _ = both
    prompt = None
    if kind == "prefix":
        prompt = AttentionPrefix(*stack_padded(prefixes(model, [3, 5]), axis=2))
    elif kind != "none":
        prompt = InputPrompt(*stack_padded(prompts(model, [3, 5]), axis=0), kind)
    run = torch.tensor([1, 0, 1])
    with torch.no_grad():
        expected = None
        for side, more in (("right", 0), ("right", 5), ("left", 0), ("left", 4)):
            tokens, mask = batch(model, side, more)
            states = model.hidden(tokens, mask, run=run, prompt=prompt)[mask]
            expected = states if expected is None else expected
            torch.testing.assert_close(states, expected, **CLOSE)


def test_a_prompt_before_the_text_is_encoded_once_for_all_rows(decoder):
    model, _ = decoder
    vectors = prompts(model, [3, 5])
    tokens, mask = batch(model)
    run = torch.tensor([1, 0, 1])
    gradient = torch.randn(int(mask.sum()), model.shape.width, generator=torch.Generator().manual_seed(1))
    results = []
    for place in ("before", "template"):  # template, in front of everything: each row with the prompt's vectors
        leaf, lengths = stack_padded(vectors, axis=0)
        leaf.requires_grad_()
        prompt = InputPrompt(leaf, lengths, place)
        front = torch.zeros(3, dtype=torch.long)
        states = model.hidden(tokens, mask, run=run, prompt=prompt, front=front)[mask]
        states.backward(gradient)
        results.append((states.detach(), leaf.grad))
    ready = model.prepared(InputPrompt(leaf, lengths, "before"))
    assert isinstance(ready, AttentionPrefix)
    assert model.prepared(ready) is ready
    torch.testing.assert_close(results[0][0], results[1][0], **CLOSE)
    scale = float(results[1][1].abs().max())
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-5 * max(scale, 1))


@pytest.mark.parametrize("kind", ["before", "after-first", "prefix"])
@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_checkpointing_changes_no_gradient(family, kind, tmp_path):
    grads = []
    for checkpointing in (False, True):
        model = backbone(tmp_path / str(checkpointing), family, checkpointing=checkpointing)
        tokens, mask = batch(model)
        if kind == "prefix":
            leaf, lengths = stack_padded(prefixes(model, [3, 5]), axis=2)
            prompt = AttentionPrefix(leaf.requires_grad_(), lengths)
        else:
            leaf, lengths = stack_padded(prompts(model, [3, 5]), axis=0)
            prompt = InputPrompt(leaf.requires_grad_(), lengths, kind)
        calls = []
        for module in model.attention:
            module.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        states = model.hidden(tokens, mask, run=torch.tensor([1, 0, 1]), prompt=prompt)
        before = len(calls)
        states[mask].square().sum().backward()
        assert len(calls) - before == (model.shape.layers if checkpointing else 0)
        grads.append(leaf.grad)
        assert not model.embed(tokens).requires_grad
    scale = float(grads[0].abs().max())
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_a_copy_learns_alone_and_bf16_is_near(family, tmp_path):
    model = backbone(tmp_path, family)
    tokens, mask = batch(model)
    with torch.no_grad():
        before = model.hidden(tokens, mask)
        own = model.copy()
        torch.testing.assert_close(own.hidden(tokens, mask), before)
        for weight in own.model.parameters():
            if weight is not model.model.get_input_embeddings().weight:
                weight.mul_(1.5)
        assert not torch.allclose(own.hidden(tokens, mask), before, atol=1e-2)
        torch.testing.assert_close(model.hidden(tokens, mask), before)
        half = backbone(tmp_path, family, dtype="bfloat16").hidden(tokens, mask)
    similarity = torch.nn.functional.cosine_similarity(half[mask].float(), before[mask], dim=-1)
    assert similarity.min() > 0.98
