"""Every weight of every family has its place, and selections find it."""

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, PreTrainedModel

from decoders import CONFIGS, ENCODERS, SIZES
from isogloss.backbones.families.registry import families
from isogloss.errors import IsoglossError
from isogloss.optim.weight_places import KINDS, WeightPlace, WeightSelection, place, places

BERTS = {"bert", "roberta", "xlm-roberta", "xlm-roberta-xl", "camembert"}
SMALL = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}

BERT_LAYER = {
    "query-key": "attention.self.query attention.self.key",
    "value-output": "attention.self.value attention.output.dense",
    "feed-forward": "intermediate.dense output.dense", "norms": "attention.output.LayerNorm output.LayerNorm",
}  # fmt: skip
LLAMA_LAYER = {
    "query-key": "self_attn.q_proj self_attn.k_proj", "value-output": "self_attn.v_proj self_attn.o_proj",
    "feed-forward": "mlp.gate_proj mlp.up_proj mlp.down_proj", "norms": "input_layernorm post_attention_layernorm",
}  # fmt: skip
QK_NORMS = " self_attn.q_norm self_attn.k_norm"
T5_LAYER = {
    "query-key": "layer.0.SelfAttention.q layer.0.SelfAttention.k",
    "value-output": "layer.0.SelfAttention.v layer.0.SelfAttention.o",
    "feed-forward": "layer.1.DenseReluDense.wi_0 layer.1.DenseReluDense.wi_1 layer.1.DenseReluDense.wo",
    "norms": "layer.0.layer_norm layer.1.layer_norm",
}  # fmt: skip
FUSED_LAYER = {"feed-forward": "mlp.dense_h_to_4h mlp.dense_4h_to_h", "norms": LLAMA_LAYER["norms"]}
BERT_REST = {
    "embeddings": "embeddings.word_embeddings embeddings.position_embeddings embeddings.token_type_embeddings "
    "embeddings.LayerNorm"
}  # fmt: skip
LLAMA_REST = {"embeddings": "embed_tokens", "norms": "norm"}
DISTILBERT_LAYER = {
    "query-key": "attention.q_lin attention.k_lin", "value-output": "attention.v_lin attention.out_lin",
    "feed-forward": "ffn.lin1 ffn.lin2", "norms": "sa_layer_norm output_layer_norm",
}  # fmt: skip
DISTILBERT_REST = {
    "embeddings": "embeddings.word_embeddings embeddings.position_embeddings embeddings.LayerNorm"
}  # fmt: skip
T5_REST = {"embeddings": "embed_tokens", "norms": "final_layer_norm"}
# Of each family, the modules whose weights and biases are of a kind: in the second layer, and outside the layers.
EXPECTED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    **dict.fromkeys(["bert", "roberta", "xlm-roberta", "camembert"], (BERT_LAYER, BERT_REST)),
    "distilbert": (DISTILBERT_LAYER, DISTILBERT_REST),
    "xlm-roberta-xl": (
        BERT_LAYER | {"norms": "attention.self_attn_layer_norm LayerNorm"},
        {"embeddings": BERT_REST["embeddings"].removesuffix(" embeddings.LayerNorm"), "norms": "encoder.LayerNorm"},
    ),
    **dict.fromkeys(["llama", "mistral", "qwen2", "gemma"], (LLAMA_LAYER, LLAMA_REST)),
    "qwen3": (LLAMA_LAYER | {"norms": LLAMA_LAYER["norms"] + QK_NORMS}, LLAMA_REST),
    "gemma3_text": (
        LLAMA_LAYER | {
            "norms": LLAMA_LAYER["norms"] + QK_NORMS + " pre_feedforward_layernorm post_feedforward_layernorm"
        },
        LLAMA_REST,
    ),
    "gpt_neox": (
        FUSED_LAYER | {"query-key": "attention.query_key_value", "value-output": "attention.dense"},
        {"embeddings": "embed_in", "norms": "final_layer_norm"},
    ),
    "bloom": (
        FUSED_LAYER | {"query-key": "self_attention.query_key_value", "value-output": "self_attention.dense"},
        {"embeddings": "word_embeddings word_embeddings_layernorm", "norms": "ln_f"},
    ),
    "xglm": (
        {
            "query-key": "self_attn.q_proj self_attn.k_proj", "value-output": "self_attn.v_proj self_attn.out_proj",
            "feed-forward": "fc1 fc2", "norms": "self_attn_layer_norm final_layer_norm",
        },
        {"embeddings": "embed_tokens", "norms": "layer_norm"},
    ),
    "mt5": (T5_LAYER, T5_REST),
    "umt5": (
        T5_LAYER | {"query-key": T5_LAYER["query-key"] + " layer.0.SelfAttention.relative_attention_bias"}, T5_REST
    ),
    "t5": (T5_LAYER | {"feed-forward": "layer.1.DenseReluDense.wi layer.1.DenseReluDense.wo"}, T5_REST),
}  # fmt: skip


def tiny(family: str) -> PreTrainedModel:
    """A model of a family, as its file loads it, on no device."""
    sizes = SMALL | {"hidden_dim": 48} if family == "distilbert" else SMALL if family in BERTS else CONFIGS[family]
    config = AutoConfig.for_model(family, **SIZES, **sizes)
    with torch.device("meta"):
        if family in ENCODERS:
            return AutoModelForTextEncoding.from_config(config).encoder
        return AutoModel.from_config(config, **({"add_pooling_layer": False} if family in BERTS else {}))


@pytest.mark.parametrize("family", sorted(EXPECTED))
def test_every_weight_of_a_family_is_of_the_kind_it_should_be(family):
    in_layer, rest = EXPECTED[family]
    found: dict[str, set[str]] = {}
    for name, _ in tiny(family).named_parameters():
        where, module = place(name), name.rpartition(".")[0]
        if where.layer is None:
            found.setdefault(where.kind, set()).add(module)
        elif where.layer == 1:
            of_layer = module.split(".1.", maxsplit=1)[1]
            found.setdefault(f"layer {where.kind}", set()).add(of_layer)
    expected = {f"layer {kind}": set(names.split()) for kind, names in in_layer.items()}
    assert found == expected | {kind: set(names.split()) for kind, names in rest.items()}


@pytest.mark.parametrize("family", sorted(families()))
def test_every_weight_has_its_place(family):
    model = tiny(family)
    found = {name: place(name) for name, _ in model.named_parameters()}
    layers = {where.layer for where in found.values()}
    assert layers == {None, 0, 1, 2}
    for layer in range(3):
        own = {where.kind for where in found.values() if where.layer == layer}
        assert own == {"query-key", "value-output", "feed-forward", "norms"}
    words = next(name for name, weight in model.named_parameters() if weight is model.get_input_embeddings().weight)
    assert found[words] == WeightPlace(None, "embeddings")
    for name, weight in model.named_parameters():
        where = found[name]
        if where.kind == "norms":
            assert weight.ndim == 1
        elif where.kind == "feed-forward" and weight.ndim == 2:
            assert 48 in weight.shape or 96 in weight.shape


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("h.0.attn.c_attn.weight", "query-key"),
        ("h.0.attn.c_attn.bias", "query-key"),
        ("h.0.attn.c_proj.weight", "value-output"),
        ("h.0.mlp.c_proj.weight", "feed-forward"),
        ("h.0.ln_1.bias", "norms"),
        ("wte.weight", "embeddings"),
        ("wpe.weight", "embeddings"),
        ("ln_f.weight", "norms"),
        ("transformer.layer.0.attention.q_lin.weight", "query-key"),
        ("transformer.layer.0.attention.k_lin.weight", "query-key"),
        ("transformer.layer.0.attention.v_lin.weight", "value-output"),
        ("transformer.layer.0.attention.out_lin.weight", "value-output"),
        ("transformer.layer.0.ffn.lin2.bias", "feed-forward"),
        ("transformer.layer.0.sa_layer_norm.weight", "norms"),
        ("layers.0.self_attn.qkv_proj.weight", "query-key"),
        ("layers.0.mlp.gate_up_proj.weight", "feed-forward"),
        ("blocks.0.attn.Wqkv.weight", "query-key"),
        ("blocks.0.norm_1.weight", "norms"),
        ("encoder.layers.0.attn.in_proj_weight", "query-key"),
        ("encoder.layers.0.norm1.weight", "norms"),
        ("encoder.layers.0.layer_norm2.weight", "norms"),
        ("encoder.layer.0.attention.self.query_proj.weight", "query-key"),
        ("encoder.layer.0.attention.self.query.lora_A.default.weight", "query-key"),
        ("encoder.layernorm_embedding.weight", "embeddings"),
        ("encoder.relative_attention_bias.weight", "embeddings"),
        ("layers.0.attn.Wo.weight", "value-output"),
        ("layers.0.mlp.Wo.weight", "feed-forward"),
        ("layers.0.self_attn.rotary_emb.inv_freq", "query-key"),
        ("h.0.attn.c_foo.weight", "unknown"),
        ("h.0.adapter.weight", "unknown"),
        ("pooler.dense.weight", "unknown"),
    ],
)
def test_names_of_other_models(name, kind):
    assert place(name).kind == kind
    assert place(name).layer in {0, None}


def test_a_weight_of_no_known_kind_is_named():
    assert places(["h.0.attn.c_attn.weight"], "gpt2") == {"h.0.attn.c_attn.weight": WeightPlace(0, "query-key")}
    with pytest.raises(IsoglossError, match="the weight h.0.attn.c_foo.weight of gpt2 is of no known kind.*weight_pl"):
        places(["h.0.attn.c_attn.weight", "h.0.attn.c_foo.weight"], "gpt2")


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("embeddings", "embeddings", "layers.0.norms"),
        ("norms", "layers.2.norms", "layers.2.query-key"),
        ("layers", "layers.0.feed-forward", "embeddings"),
        ("layers.1", "layers.1.norms", "layers.0.norms"),
        ("layers.0-1", "layers.1.norms", "layers.2.norms"),
        ("layers.0-1.norms", "layers.1.norms", "layers.1.query-key"),
        ("layers.value-output", "layers.2.value-output", "layers.2.norms"),
    ],
)
def test_a_selection_holds_what_it_names(text, inside, outside):
    every = {str(one): one for one in (WeightPlace(layer, kind) for layer in (None, 0, 1, 2) for kind in KINDS)}
    assert every[inside] in WeightSelection.parse(text)
    assert every[outside] not in WeightSelection.parse(text)


@pytest.mark.parametrize("text", ["", "heads", "layers.x", "layers.1-", "attention", "layers.1.attention", "1"])
def test_what_names_no_weights_is_refused(text):
    with pytest.raises(ValueError, match="names no weights"):
        WeightSelection.parse(text)
