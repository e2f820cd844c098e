"""Labelling takes hardly longer than the forward passes that it is made of."""

import torch
from transformers import BertConfig, BertModel

from benchmarks.predicting import compared, model
from isogloss.backbones.loading import load
from models import SPECIAL, WORDS, tokenizer


def test_short_texts_take_little_longer_than_their_forward_passes(tmp_path):
    """1.3 times on an idle machine; here by processor time, with a margin for what else runs."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
    config = BertConfig(**sizes, vocab_size=len(SPECIAL) + len(WORDS), max_position_embeddings=64, pad_token_id=1)
    BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    backbone = load(str(tmp_path), dtype="float32", device="cpu")
    texts = [" ".join(WORDS[(place * step) % 20] for step in range(3 + place % 9)) for place in range(300)]
    for method in ("linear-probe", "deep-prompt"):
        taken = compared(model(backbone, method, {}), texts)
        assert taken["processor_ratio"] < 1.6
