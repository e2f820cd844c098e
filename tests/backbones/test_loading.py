"""Parts of a checkpoint that do not belong together, and what cannot be loaded, in one line."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, BertConfig, BertModel, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from isogloss.backbones import loading
from isogloss.backbones.loading import inspect, load
from isogloss.errors import IsoglossError
from models import SPECIAL, WORDS, checkpoint, tokenizer

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SAMPLE = ["Größe", "the CAT, sat on it", "世界は広い", "ไทย", "\uff21\uff22 \uff76"]


def loaded(folder, **options):
    return load(str(folder), **({"device": "cpu", "dtype": "float32"} | options))


def keyed(file, **changes):
    values = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    file.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}), encoding="utf-8")


def unigram(folder, **settings):
    """A tokenizer like XLM-R's, of letters and two words."""
    letters = sorted({*"".join(SAMPLE).lower(), *"".join(SAMPLE)} - {" "})
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁the", -1.0), ("Größe", -1.5)]
    pieces += [(letter, -3.0) for letter in letters]
    made = Tokenizer(models.Unigram(pieces, unk_id=3))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(folder)  # fmt: skip
    keyed(folder / "tokenizer_config.json", **settings)
    return made


def bert(folder, rows):
    BertModel(BertConfig(vocab_size=rows, max_position_embeddings=64, **SIZES)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("named", [..., "BertTokenizer", "XLMRobertaTokenizer", "NopeTokenizer"])
def test_a_tokenizer_is_read_as_its_file_says_whatever_class_is_named(tmp_path, capsys, named):
    made = unigram(bert(tmp_path, rows=80), tokenizer_class=named)
    backbone = loaded(tmp_path)
    for text in SAMPLE:
        assert backbone.tokenizer(text)["input_ids"] == made.encode(text).ids
    assert backbone.tokenizer.unk_token_id == 3
    if named in {..., "BertTokenizer"}:
        assert "BertTokenizer" in capsys.readouterr().err


def test_a_tokenizer_that_its_class_reads_rightly_stays_as_transformers_gives_it(tmp_path, capsys):
    unigram(bert(tmp_path, rows=50))
    assert (
        loaded(tmp_path).tokenizer("Größe")["input_ids"]
        == AutoTokenizer.from_pretrained(tmp_path)("Größe")["input_ids"]
    )
    assert "tokenizer" not in capsys.readouterr().err


def wordpiece(folder, *, lower, **settings):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "The", "hello", "Hello", ",", *"abc", *"ABC"]
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lower)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return made


@pytest.mark.parametrize("lower", [True, False])
def test_case_is_kept_or_lowered_as_the_tokenizer_says(tmp_path, lower):
    wordpiece(bert(tmp_path, rows=16), lower=lower)
    assert loaded(tmp_path).tokenizer.tokenize("Hello, The") == (
        ["hello", ",", "the"] if lower else ["Hello", ",", "The"]
    )


@pytest.mark.parametrize("lower", [True, False])
def test_case_is_as_the_settings_say_in_so_many_words(tmp_path, lower):
    wordpiece(bert(tmp_path, rows=16), lower=not lower, do_lower_case=lower)
    assert loaded(tmp_path).tokenizer.tokenize("Hello") == (["hello"] if lower else ["Hello"])


def test_more_pieces_than_rows_are_refused_before_weights_are_read(tmp_path):
    checkpoint(tmp_path)
    wider = tokenizer()
    wider.add_tokens(["extra"])
    wider.save_pretrained(tmp_path)
    rows = len(SPECIAL) + len(WORDS)
    for look in (inspect, loaded):
        with pytest.raises(
            IsoglossError, match=rf"the tokenizer knows {rows + 1} pieces, the embedding has {rows} rows"
        ):
            look(str(tmp_path))


def test_an_embedding_with_rows_to_spare_is_taken(tmp_path, capsys):
    made = unigram(bert(tmp_path, rows=50))
    assert loaded(tmp_path).word_embedding.weight.shape[0] == 50 > made.get_vocab_size()
    assert not capsys.readouterr().err


def test_far_fewer_pieces_than_rows_are_said(tmp_path, capsys):
    unigram(bert(tmp_path, rows=2000))
    loaded(tmp_path)
    assert "is it this model's?" in capsys.readouterr().err.replace("\n", " ")


def test_a_token_for_pictures_beyond_the_embedding_is_read_as_text(tmp_path):
    rows = len(SPECIAL) + len(WORDS)
    LlamaModel(LlamaConfig(vocab_size=rows, **SIZES, max_position_embeddings=64)).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    text = json.loads((tmp_path / "tokenizer.json").read_text())
    token = {"id": rows, "content": "<image>", "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False,
             "special": True}  # fmt: skip
    text["added_tokens"].append(token)
    (tmp_path / "tokenizer.json").write_text(json.dumps(text))
    keyed(tmp_path / "tokenizer_config.json", image_token="<image>")
    backbone = loaded(tmp_path)
    assert max(backbone.tokenizer("the <image> cat")["input_ids"]) < rows
    token["content"] = "word"  # one that a text may mean
    (tmp_path / "tokenizer.json").write_text(json.dumps(text))
    with pytest.raises(IsoglossError, match="and none for 'word'"):
        loaded(tmp_path)


def test_a_pad_token_that_shifts_all_positions_is_refused(tmp_path):
    checkpoint(tmp_path)
    keyed(tmp_path / "config.json", pad_token_id=0)
    with pytest.raises(IsoglossError, match=r"pads with 1 \('<pad>'\), config.json says pad_token_id: 0"):
        loaded(tmp_path)


def test_a_tokenizer_that_drops_what_it_does_not_know_is_refused(tmp_path):
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate("abcdefghij")}, []))
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(bert(tmp_path, rows=20))
    with pytest.raises(IsoglossError, match="drops what it does not know"):
        loaded(tmp_path)


def test_pieces_of_sentencepiece_under_the_class_of_another_are_refused(tmp_path):
    bert(tmp_path, rows=20)
    (tmp_path / "sentencepiece.bpe.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02")
    with pytest.raises(IsoglossError, match="tokenizer"):
        loaded(tmp_path)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    for look in (inspect, loaded):
        with pytest.raises(IsoglossError, match=r"there is no tokenizer in .*; expected tokenizer.json"):
            look(str(bert(tmp_path, rows=20)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, value):
    tensors = load_file(checkpoint(tmp_path) / "model.safetensors")
    tensors["encoder.layer.1.output.dense.bias"][3] = value
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(IsoglossError, match=r"encoder.layer.1.output.dense.bias holds values that are no numbers"):
        loaded(tmp_path)


def test_large_weights_are_numbers(tmp_path):
    tensors = load_file(checkpoint(tmp_path) / "model.safetensors")
    tensors["embeddings.position_embeddings.weight"][-4:] = 3e38  # whose sum is none
    save_file(tensors, tmp_path / "model.safetensors")
    loaded(tmp_path)


def test_a_configuration_of_which_nothing_comes_out_is_refused(tmp_path):
    keyed(checkpoint(tmp_path) / "config.json", layer_norm_eps=-1e9)
    with pytest.raises(IsoglossError, match="its states are no numbers"):
        loaded(tmp_path)


def test_a_billion_layers_cost_nothing(tmp_path):
    keyed(checkpoint(tmp_path) / "config.json", num_hidden_layers=10**9)
    with pytest.raises(IsoglossError, match=r"num_hidden_layers: 1e\+09"):
        inspect(str(tmp_path))


def test_code_that_a_folder_brings_is_never_run_nor_asked_about(tmp_path, monkeypatch):
    checkpoint(tmp_path)
    (tmp_path / "modeling_x.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass X: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks"))
    for file, key in (("config.json", "AutoModel"), ("tokenizer_config.json", "AutoTokenizer")):
        keyed(tmp_path / file, auto_map={key: "modeling_x.X"})
        with pytest.raises(IsoglossError, match="code of its own"):
            loaded(tmp_path)
        keyed(tmp_path / file, auto_map=...)
    assert not (tmp_path / "ran").exists()


def test_a_device_that_is_not_there_is_said_in_a_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(IsoglossError, match="device: cuda is not on this machine"):
        inspect("org/model", device="cuda")


def test_too_little_memory_is_said_in_a_line(tmp_path, monkeypatch):
    def none(*_, **__):
        raise MemoryError

    monkeypatch.setattr(loading, "compute_in", lambda *_: None)
    monkeypatch.setattr(loading, "Transformer", none)
    with pytest.raises(IsoglossError, match="does not fit into memory"):
        loaded(checkpoint(tmp_path))


def test_tokenizers_are_told_apart(tmp_path):
    one, again = loaded(checkpoint(tmp_path)), loaded(tmp_path)
    assert one.identity == again.identity
    other = json.loads((tmp_path / "tokenizer.json").read_text())
    pieces = other["model"]["vocab"]
    pieces["cat"], pieces["dog"] = pieces["dog"], pieces["cat"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(other))
    changed = loaded(tmp_path).identity
    assert changed.weights == one.identity.weights
    assert changed.tokenizer != one.identity.tokenizer


@pytest.mark.parametrize("named", [..., None, "XLMRobertaTokenizer"])
def test_a_whole_tokenizer_is_enough_where_its_class_is_of_another_kind(tmp_path, named):
    checkpoint(tmp_path)  # words, not pieces of sentences as XLM-R's class takes them
    keyed(tmp_path / "tokenizer_config.json", tokenizer_class=named)
    backbone = loaded(tmp_path)
    assert backbone.tokenizer("the cat")["input_ids"] == tokenizer()("the cat")["input_ids"]
    (tmp_path / "tokenizer_config.json").unlink()
    backbone = loaded(tmp_path)
    assert backbone.tokenizer("the cat zebra")["input_ids"] == tokenizer()("the cat zebra")["input_ids"]
    assert backbone.tokenizer.unk_token_id == 3  # without which nothing would be said of what is unknown


@pytest.mark.parametrize("length", ["512", -1, 8, 1e30, [2]])
def test_what_a_tokenizer_says_of_lengths_does_not_matter(tmp_path, length):
    checkpoint(tmp_path)
    keyed(tmp_path / "tokenizer_config.json", model_max_length=length)
    assert len(loaded(tmp_path).tokenizer("the cat " * 9)["input_ids"]) == 20


def test_a_matrix_of_zeros_is_a_file_that_never_came_whole(tmp_path):
    checkpoint(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["encoder.layer.2.output.dense.weight"].zero_()
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(IsoglossError, match=r"layer\.2\.output\.dense\.weight holds nothing but zeros"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"is_decoder": True}, "is_decoder: true"), ({"pad_token_id": None}, "names no pad_token_id")],
)
def test_configs_that_are_of_the_family_by_name_alone(tmp_path, change, message):
    checkpoint(tmp_path)
    keyed(tmp_path / "config.json", **change)
    with pytest.raises(IsoglossError, match=message):
        loaded(tmp_path)


def test_a_tokenizer_that_only_other_packages_read_says_which(tmp_path, monkeypatch):
    checkpoint(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "sentencepiece.bpe.model").write_bytes(b"\x0a\x05\x0a\x03the")
    monkeypatch.setattr("isogloss.backbones.checkpoint.tokenizer.find_spec", lambda _: None)
    with pytest.raises(IsoglossError, match=r"sentencepiece\.bpe\.model alone.*pip install sentencepiece protobuf"):
        loaded(tmp_path)
