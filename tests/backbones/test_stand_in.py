"""A model of numbers that mean nothing computes as much as the real one, whatever family it is of."""

import pytest
import torch

from decoders import CONFIGS, MASKED, whole
from isogloss.backbones import loading
from isogloss.backbones.stand_in import stand_in

TOKENS = [[0, 5, 6, 7, 2], [0, 8, 9, 2, 2]]


@pytest.mark.parametrize("family", sorted(MASKED | set(CONFIGS)))
def test_it_has_the_shapes_of_the_real_one_and_reads_no_weight(tmp_path, family, monkeypatch):
    name = str(whole(tmp_path / "model", family))
    real = loading.load(name, device="cpu", dtype="float32")
    monkeypatch.setattr(loading, "load_weights", None)  # whoever reads them fails
    model = stand_in(loading.outline(name, device="cpu", dtype="float32"), torch.device("cpu"))
    shapes = {name: (weight.shape, weight.dtype) for name, weight in real.weights().items()}
    assert {name: (weight.shape, weight.dtype) for name, weight in model.weights().items()} == shapes
    tokens = torch.tensor(TOKENS)
    states = model.hidden(tokens, torch.ones_like(tokens, dtype=torch.bool))
    assert states.shape == (2, 5, real.shape.width)
    assert states.isfinite().all()


def test_layers_share_their_numbers_and_a_table_of_words_is_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.backbones.stand_in.ROWS", 300)
    outline = loading.outline(str(whole(tmp_path / "model", "bert")), device="cpu", dtype="float32")
    model = stand_in(outline, torch.device("cpu"))
    held = {
        weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in model.weights().values()
    }
    assert sum(held.values()) < sum(weight.numel() * 4 for weight in model.weights().values()) / 3
    assert len(model.word_embedding.weight) == 400
    assert model.word_embedding.weight.untyped_storage().nbytes() == 24 * 4
