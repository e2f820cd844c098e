"""Model folders with configurations that cannot be, or want more than is given."""

import shutil
from functools import partial

import pytest

from decoders import whole
from model_damages import BYTES, COMMANDS, CONFIG, SPECIAL, Damages, keyed

DAMAGES, FILE = Damages(), CONFIG
# Sizes that cannot be. What is not used of a configuration, or is a dropout, may be anything that transformers takes.
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
)
SILLY = {
    "zero": 0,
    "negative": -3,
    "one more": 25,
    "a billion": 10**9,
    "2^63": 2**63,
    "a text": "many",
    "a fraction": 3.5,
    "null": None,
    "a list": [24],
    "keys": {"a": 1},
    "infinite": float("inf"),
    "no number": float("nan"),
    "5,000 digits": "@" + "9" * 5000,
}
for size in SIZES:
    for how, value in SILLY.items():

        @DAMAGES(f"{size} is {how}")
        def _(folder, size=size, value=value):
            keyed(folder, {size: value})
            text = (folder / CONFIG).read_text()
            (folder / CONFIG).write_text(text.replace('"@', "").replace("9" * 5000 + '"', "9" * 5000))


OTHERS = (
    "pad_token_id",
    "layer_norm_eps",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "architectures",
    "num_labels",
    "id2label",
    "is_decoder",
    "add_cross_attention",
    "chunk_size_feed_forward",
    "use_cache",
    "dtype",
    "transformers_version",
    "bos_token_id",
    "tie_word_embeddings",
    "attn_implementation",
    "transformers_weights",
    "fusion_config",
    "_name_or_path",
    "tokenizer_class",
    "output_hidden_states",
    "output_attentions",
    "return_dict",
    "pruned_heads",
    "problem_type",
)
WILD = {
    "negative": -1,
    "a billion": 10**9,
    "a text": "../../elsewhere",
    "a fraction": 0.5,
    "keys": {"a": [1]},
    "a list": [1, "x"],
}
for other in OTHERS:
    for how, value in list(WILD.items())[len(other) % 3 :: 3]:
        DAMAGES.add(f"{other} is {how}", partial(keyed, changes={other: value}), refused=False)

PLAIN = {
    "no model_type": {"model_type": ...},
    "model_type is a list": {"model_type": ["bert"]},
    "model_type is 3": {"model_type": 3},
    "an architecture nobody knows": {"model_type": "sluggish-former"},
    "a picture's model": {"model_type": "vit"},
    "another family": {"model_type": "llama"},
    "of its kin": {"model_type": "bloom"},
    "t5": {"model_type": "t5"},
    "code of its own": {"auto_map": {"AutoModel": "modeling_x.X", "AutoConfig": "configuration_x.C"}},
    "code elsewhere": {"auto_map": {"AutoModel": "org/code--modeling_x.X"}},
    "quantised": {"quantization_config": {"bits": 4}},
    "quantised by nobody": {"quantization_config": "x"},
    "heads that do not divide": {"num_attention_heads": 5},
    "an activation nobody knows": {"hidden_act": "swoosh"},
    "a norm of nothing": {"layer_norm_eps": -1e9},
    "no pad token": {"pad_token_id": None},
    "another pad token": {"pad_token_id": 3},
    "a pad token beyond": {"pad_token_id": 99},
    "fewer layers": {"num_hidden_layers": 2},
    "more layers": {"num_hidden_layers": 4},
    "no hidden size": {"hidden_size": ...},
}
for how, changes in PLAIN.items():
    DAMAGES.add(how, partial(keyed, changes=changes))

for how, data in BYTES.items():
    DAMAGES.add(f"it is {how}", lambda folder, data=data: (folder / FILE).write_bytes(data))
for how, become in SPECIAL.items():
    DAMAGES.add(f"it is {how}!", lambda folder, become=become: become(folder / FILE))


@pytest.mark.parametrize(("name", "command"), DAMAGES.cases())
def test_it_is_taken_or_refused_in_a_line(isogloss, whole_home, name, command):
    DAMAGES.answered_well(isogloss, whole_home, name, command, unseen=("fewer layers", "a norm of nothing"))


ROPES = {
    "unknown": {"rope_type": "sluggish", "rope_theta": 1e4},
    "a list": [1],
    "no theta": {"rope_type": "default"},
    "theta of nothing": {"rope_type": "default", "rope_theta": 0},
    "a text": {"rope_type": "linear", "factor": "x", "rope_theta": 1e4},
    "a factor of nothing": {"rope_type": "linear", "factor": 0.0, "rope_theta": 1e4},
    "yarn without a factor": {"rope_type": "yarn", "rope_theta": 1e4},
    "a wild theta": {"rope_type": "default", "rope_theta": "x"},
}
DECODERS = {
    **{f"a rope of {how}": ("llama", {"rope_parameters": rope}) for how, rope in ROPES.items()},
    "key heads that do not divide": ("llama", {"num_key_value_heads": 3}),
    "no key heads": ("llama", {"num_key_value_heads": 0}),
    "a head of no width": ("qwen3", {"head_dim": 0}),
    "layers of no kind": ("gemma3_text", {"layer_types": ["nope"] * 3}),
    "too few kinds of layers": ("gemma3_text", {"layer_types": ["full_attention"]}),
    "kinds that are a text": ("gemma3_text", {"layer_types": "x"}),
    "a window of nothing": ("mistral", {"sliding_window": 0}),
    "a negative window": ("mistral", {"sliding_window": -4}),
    "a window of a text": ("mistral", {"sliding_window": "x"}),
    "no buckets": ("mt5", {"relative_attention_num_buckets": 0}),
    "no distance": ("mt5", {"relative_attention_max_distance": 0}),
    "layers of a decoder": ("mt5", {"num_decoder_layers": 10**9}),
    "10^9 layers": ("bloom", {"n_layer": 10**9}),
    "10^9 layers by another name": ("bloom", {"num_hidden_layers": 10**9}),
    "10^9 heads": ("bloom", {"n_head": 10**9}),
    "a table of sinusoids": ("xglm", {"max_position_embeddings": 10**9}),
    "a negative table": ("xglm", {"max_position_embeddings": -1}),
    "10^18 positions": ("llama", {"max_position_embeddings": 10**18}),
    "both ways": ("gemma3_text", {"use_bidirectional_attention": True}),
    "a cap of nothing": ("gemma3_text", {"final_logit_softcapping": 0}),
    "a wild scalar": ("gemma3_text", {"query_pre_attn_scalar": -1}),
    "a partial rotation": ("gpt_neox", {"rotary_pct": 7.0}),
    "more layers of no weights": ("gpt_neox", {"num_hidden_layers": 30}),
    "a mistake of width": ("qwen2", {"hidden_size": 23}),
}


@pytest.mark.parametrize("name", DECODERS)
def test_silly_configurations_of_other_families(isogloss, whole_home, name):
    family, changes = DECODERS[name]
    shutil.rmtree(whole_home / "model")
    whole(whole_home / "model", family)
    keyed(whole_home / "model", changes)
    isogloss(*COMMANDS["run"], cwd=whole_home).well()
