"""The states behind a layer, taken on their way, are those of that depth; and no more is computed than is wanted."""

import pytest
import torch

from decoders import CONFIGS, MASKED, backbone
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training.batch import collate
from models import WORDS


@pytest.mark.parametrize("family", sorted({*CONFIGS, *MASKED}))
def test_they_are_those_of_that_depth(family, tmp_path):
    model = backbone(tmp_path, family)
    texts = [" ".join(WORDS[: 1 + 3 * i]) for i in range(3)]
    features = tokenise((texts,), [0, 1, 2], model.tokenizer)
    batch = collate([(features, torch.arange(3).numpy())], model.packing, None, pooling="mean")
    own = model.copy()
    assert own.origin is model
    assert own.copy().origin is model
    asked = {"types": batch.types} if batch.types is not None else {}
    with torch.no_grad():
        depths = model.depths(batch.tokens, batch.packing, **asked)
    layers, ran = model.shape.layers, []
    for layer in own.attention:
        layer.register_forward_hook(lambda *_: ran.append(1))
    for behind in range(1, layers + 1):
        ran.clear()
        found = own.states_behind(behind, batch.tokens, batch.packing, **asked)
        assert len(ran) == behind
        with own.tapped(behind) as tap:
            whole = own.states(batch.tokens, batch.packing, **asked)
        torch.testing.assert_close(tap.states(), found)
        torch.testing.assert_close(whole, depths[-1])
        if behind < layers:  # a last norm comes after the last layer
            torch.testing.assert_close(found, depths[behind])
