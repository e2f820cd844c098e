"""Pairs reach the backbone as transformers sends them: separators, type ids, positions."""

import pytest
import torch
from transformers import AutoModel

from isogloss.backbones.loading import load
from isogloss.methods.registry import find
from isogloss.preprocessing.tokenize import tokenise
from isogloss.preprocessing.truncate import fit
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import bert_tokenizer, checkpoint

FIRST = ["the cat sat", "one two three sun moon red blue big", "a"]
SECOND = ["on the mat", "dog", "fast slow log ran small one"]


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("room", [40, 9])
def test_the_states_of_pairs_are_transformers_own(tmp_path, family, room):
    folder = checkpoint(tmp_path / "model", family)
    if family == "bert":
        bert_tokenizer().save_pretrained(folder)
    backbone = load(str(folder), dtype="float32", device="cpu")
    features = fit(tokenise((FIRST, SECOND), [0, 1, 0], backbone.tokenizer), room, backbone.tokenizer)
    assert (features.types is not None) == (family == "bert")
    method = find("linear-probe")
    run = new_run(method, backbone, method.settings(pooling="mean"), seed=0, classes=2)
    ours = Stack(backbone, method, [run]).states(features, run, budget=20)
    plain = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    for row, pair in enumerate(zip(FIRST, SECOND, strict=True)):
        encoded = backbone.tokenizer(*pair, truncation=True, max_length=room, return_tensors="pt")
        with torch.no_grad():
            theirs = plain(**encoded).last_hidden_state[0].mean(0)
        torch.testing.assert_close(ours[row], theirs, rtol=1e-5, atol=1e-5)
        if family == "bert":
            assert encoded["token_type_ids"].unique().tolist() == [0, 1]
