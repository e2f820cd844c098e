"""Every weight of every family has its place, and selections find it."""

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

from decoders import CONFIGS, ENCODERS, SIZES
from isogloss.optim.weight_places import KINDS, WeightPlace, WeightSelection, place

BERTS = {"bert", "roberta", "xlm-roberta", "xlm-roberta-xl", "camembert"}
SMALL = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}


@pytest.mark.parametrize("family", sorted(CONFIGS.keys() | BERTS))
def test_every_weight_has_its_place(family):
    sizes = SMALL if family in BERTS else CONFIGS[family]
    config = AutoConfig.for_model(family, **SIZES, **sizes)
    with torch.device("meta"):
        if family in ENCODERS:
            model = AutoModelForTextEncoding.from_config(config).encoder
        else:
            model = AutoModel.from_config(config, **({"add_pooling_layer": False} if family in BERTS else {}))
    places = {name: place(name) for name, _ in model.named_parameters()}
    layers = {where.layer for where in places.values()}
    assert layers == {None, 0, 1, 2}
    for layer in range(3):
        own = {where.kind for where in places.values() if where.layer == layer}
        assert own == {"query-key", "value-output", "feed-forward", "norms"}
    words = next(name for name, weight in model.named_parameters() if weight is model.get_input_embeddings().weight)
    assert places[words] == WeightPlace(None, "embeddings")
    for name, weight in model.named_parameters():
        where = places[name]
        if where.kind == "norms":
            assert weight.ndim == 1
        elif where.kind == "feed-forward" and weight.ndim == 2:
            assert 48 in weight.shape or 96 in weight.shape


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
