"""Directories of strangers, each answered in one line: missing files, other shapes, no numbers, another base."""

import json
import os
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel

from isogloss.backbones.checkpoint import adapter_base, hub
from isogloss.backbones.loading import load
from isogloss.errors import IsoglossError
from isogloss.methods.registry import find
from models import bert_tokenizer, tokenizer

LABELS = ["good", "bad"]
SIZES = {
    "vocab_size": 24, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "pad_token_id": 1, "max_position_embeddings": 40,
}  # fmt: skip
QUERY = "base_model.model.encoder.layer.0.attention.self.query"
TENSORS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "org" / "base"
    BertModel(BertConfig(**SIZES)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def backbone(base):
    return load(str(base), dtype="float32", device="cpu")


def adapter(folder, base, *, tensors=None, labels=None, **config):
    """An adapter as isogloss exports one, but for what is given otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    of_lora = {"r": 2, "lora_alpha": 4, "target_modules": ["query"], "init_lora_weights": True}
    whole = {
        "peft_type": "LORA", "task_type": "FEATURE_EXTRACTION", "base_model_name_or_path": str(base),
        **({} if "num_virtual_tokens" in config else of_lora), **config,
    }  # fmt: skip
    (folder / CONFIG).write_text(json.dumps(whole))
    usual = {f"{QUERY}.lora_A.weight": torch.randn(2, 24), f"{QUERY}.lora_B.weight": torch.randn(24, 2)}
    save_file(usual if tensors is None else tensors, folder / TENSORS)
    save_file({"weight": torch.randn(24, 2), "bias": torch.randn(2)}, folder / "head.safetensors")
    about = {"labels": LABELS, "pooling": "first", "kind": "classification", **(labels or {})}
    (folder / "labels.json").write_text(json.dumps(about))
    return folder


def fine_tuned(folder, **config):
    torch.manual_seed(1)
    model = BertForSequenceClassification(BertConfig(**SIZES, id2label=dict(enumerate(LABELS))))
    model.save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    if config:
        raw = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**raw, **config}))
    return folder


def read(folder, base, backbone, *, labels=LABELS, kind="classification", **settings):
    method = find("checkpoint")
    return method.read(
        backbone, method.settings(path=str(folder), **settings), labels=labels, kind=kind, base=str(base), subword=None
    )


def refused(folder, base, backbone, *told, **settings):
    with pytest.raises(IsoglossError) as error:
        read(folder, base, backbone, **settings)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    for part in told:
        assert part in str(error.value)


def prompt(rows, width=24, **config):
    return {
        "peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3,
        "tensors": {"prompt_embeddings": torch.randn(rows, width)}, **config,
    }  # fmt: skip


LORA = {f"{QUERY}.lora_A.weight": torch.zeros(2, 24), f"{QUERY}.lora_B.weight": torch.zeros(24, 2)}
NAN = torch.full((24, 2), float("nan"))
ADAPTERS = {
    "of no kind": ({"peft_type": None}, "peft_type"),
    "of a kind that is not known": ({"peft_type": "ADALORA"}, "'ADALORA'", "IA3"),
    "of a kind that is a list": ({"peft_type": ["LORA"]}, "peft_type"),
    "for generation": ({"task_type": "CAUSAL_LM"}, "CAUSAL_LM", "SEQ_CLS"),
    "for words": ({"task_type": "TOKEN_CLS"}, "TOKEN_CLS", "classification"),
    "dora": ({"use_dora": True}, "use_dora"),
    "of a later version": ({"a_new_way": {"x": 1}}, "a_new_way"),
    "from principal components": ({"init_lora_weights": "pissa"}, "pissa"),
    "without alpha": ({"lora_alpha": None}, "lora_alpha"),
    "with infinite alpha": ({"lora_alpha": "much"}, "lora_alpha"),
    "with patterns to get stuck in": ({"alpha_pattern": {"(a+)+$": 1}}, "alpha_pattern"),
    "with patterns that are none": ({"alpha_pattern": [1]}, "alpha_pattern"),
    "of another base": ({"base_model_name_or_path": "org/another"}, "org/another", "same_base"),
    "of a base that is a number": ({"base_model_name_or_path": 3}, "base_model_name_or_path"),
    "with one factor": ({"tensors": {f"{QUERY}.lora_A.weight": torch.zeros(2, 24)}}, "one factor", "query"),
    "with unlike ranks": ({"tensors": LORA | {f"{QUERY}.lora_A.weight": torch.zeros(3, 24)}}, "ranks"),
    "too wide": ({"tensors": LORA | {f"{QUERY}.lora_A.weight": torch.zeros(2, 25)}}, "2 by 25", "2 by 24"),
    "too high": ({"tensors": LORA | {f"{QUERY}.lora_B.weight": torch.zeros(23, 2)}}, "23 by 2"),
    "with a vector": ({"tensors": LORA | {f"{QUERY}.lora_B.weight": torch.zeros(24)}}, "is 24"),
    "of rank 0": ({"tensors": LORA | {f"{QUERY}.lora_B.weight": torch.zeros(24, 0)}}, "24 by 0"),
    "NaN": ({"tensors": LORA | {f"{QUERY}.lora_B.weight": NAN}}, "NaN", "lora_B"),
    "of whole numbers": ({"tensors": LORA | {f"{QUERY}.lora_B.weight": torch.zeros(24, 2).int()}}, "I32"),
    "of a layer that is not there": ({"tensors": {k.replace(".0.", ".9."): v for k, v in LORA.items()}}, "layer.9"),
    "of nothing that is there": ({"tensors": {"x": torch.zeros(1)}}, "'x'"),
    "of a norm": (
        {"tensors": {"base_model.model.embeddings.LayerNorm.ia3_l": torch.zeros(24, 1)}, "peft_type": "IA3"},
        "LayerNorm",
    ),
    "a scale of another length": ({"tensors": {f"{QUERY}.ia3_l": torch.zeros(23, 1)}, "peft_type": "IA3"}, "23 by 1"),
    "a prompt of another length": (prompt(4), "4 by 24", "3 by 24"),
    "a prompt of another width": (prompt(3, 32), "3 by 32"),
    "a prompt of no length": (prompt(3, num_virtual_tokens=None), "num_virtual_tokens"),
    "a prompt that is not there": (prompt(3, tensors={"x": torch.zeros(1)}), "'x'"),
    "a prefix of another width": (prompt(3, peft_type="PREFIX_TUNING"), "by 144"),
    "a prompt and an update": (prompt(3, tensors={"prompt_embeddings": torch.zeros(3, 24), **{
        key.replace("base_model.model.", "base_model."): value for key, value in LORA.items()}}), "beside a prompt"),
    "labels of another number": ({"labels": {"labels": ["good"]}}, "weight in head.safetensors"),
    "labels that are none": ({"labels": {"labels": {"0": "good"}}}, "labels.json"),
    "labels that are lists": ({"labels": {"labels": [["good"], ["bad"]]}}, "labels.json"),
    "labels of one name": ({"labels": {"labels": ["good", "good"]}}, "'good'"),
    "labels of other names": ({"labels": {"labels": ["positive", "negative"]}}, "no class for good, bad"),
    "a head for words": ({"labels": {"kind": "tagging"}}, "kind: 'tagging'"),
    "a head that pools otherwise": ({"labels": {"pooling": "attention"}}, "pooling"),
}  # fmt: skip


@pytest.mark.parametrize("how", ADAPTERS)
def test_adapters_of_strangers(how, base, backbone, tmp_path):
    options, *told = ADAPTERS[how]
    refused(adapter(tmp_path / "it", base, **options), base, backbone, *told)


def test_one_that_is_whole_is_read(base, backbone, tmp_path):
    one = read(adapter(tmp_path / "it", base), base, backbone)
    assert not one.said
    assert one.settings.found.form == "updates"
    assert one.settings.pooling == "first"


FILES = {
    "no configuration": (lambda folder: (folder / CONFIG).unlink(), "neither adapter_config.json nor config.json"),
    "an empty configuration": (lambda folder: (folder / CONFIG).write_text(""), "no JSON"),
    "a list as configuration": (lambda folder: (folder / CONFIG).write_text("[]"), "expected keys and values"),
    "a deep configuration": (lambda folder: (folder / CONFIG).write_text("[" * 90_000), "nested too deep"),
    "no tensors": (lambda folder: (folder / TENSORS).unlink(), "there is no adapter_model.safetensors"),
    "empty tensors": (lambda folder: (folder / TENSORS).write_bytes(b""), "is empty"),
    "tensors that are none": (lambda folder: (folder / TENSORS).write_bytes(b"x" * 99), "no whole safetensors file"),
    "tensors cut off": (
        lambda folder: (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-8]), "no whole safetensors file"
    ),
    "a pointer": (
        lambda folder: (folder / TENSORS).write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"
    ),
    "tensors that are a folder": (
        lambda folder: ((folder / TENSORS).unlink(), (folder / TENSORS).mkdir()), "expected a file"
    ),
    "tensors that are a pipe": (
        lambda folder: ((folder / TENSORS).unlink(), os.mkfifo(folder / TENSORS)), "expected a file"
    ),
    "a pickle": (
        lambda folder: ((folder / TENSORS).unlink(), (folder / "adapter_model.bin").write_bytes(pickle.dumps({}))),
        "pickle", "save_pretrained",
    ),
    "no head": (lambda folder: (folder / "head.safetensors").unlink(), "head.safetensors and labels.json"),
    "no labels": (lambda folder: (folder / "labels.json").unlink(), "head.safetensors and labels.json"),
    "a head that is NaN": (
        lambda folder: save_file(
            {"weight": torch.full((24, 2), float("inf")), "bias": torch.zeros(2)}, folder / "head.safetensors"
        ),
        "NaN",
    ),
    "a head without a bias": (
        lambda folder: save_file({"weight": torch.zeros(24, 2)}, folder / "head.safetensors"), "has no bias"
    ),
    "a head that lies": (
        lambda folder: save_file({"weight": torch.zeros(2, 24), "bias": torch.zeros(2)}, folder / "head.safetensors"),
        "2 by 24", "24 by 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", FILES)
def test_files_of_strangers(how, base, backbone, tmp_path):
    damage, *told = FILES[how]
    damage(folder := adapter(tmp_path / "it", base))
    refused(folder, base, backbone, *told)


MODELS = {
    "without a head": ({"architectures": ["BertModel"]}, "BertModel", "ForSequenceClassification"),
    "for words": ({"architectures": ["BertForTokenClassification"]}, "BertForTokenClassification"),
    "of no architecture": ({"architectures": None}, "names no architecture"),
    "of an architecture that is a number": ({"architectures": 3}, "names no architecture"),
    "of several labels": ({"problem_type": "multi_label_classification"}, "one label a text"),
    "with code of its own": ({"auto_map": {"AutoModel": "evil.Model"}}, "code of its own"),
    "of a family that is not known": ({"model_type": "deberta-v2"}, "deberta-v2", "bert"),
    "of a family that is a list": ({"model_type": ["bert"]}, "['bert']"),
    "of three names": ({"id2label": {"0": "good", "1": "bad", "2": "so so"}}, "names 3 classes", "rows for 2"),
    "of names with gaps": ({"id2label": {"0": "good", "2": "bad"}}, "id2label"),
    "of names that are a list": ({"id2label": ["good", "bad"]}, "id2label"),
    "of names that are keys": ({"id2label": {"0": {}, "1": "bad"}}, "expected a name"),
    "of numbers as names": ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "labels: {LABEL_0: good, …}"),
    "of no names": ({"id2label": None}, "LABEL_0, LABEL_1"),
}


@pytest.mark.parametrize("how", MODELS)
def test_models_of_strangers(how, base, backbone, tmp_path):
    config, *told = MODELS[how]
    refused(fine_tuned(tmp_path / "it", **config), base, backbone, *told)


def test_weights_of_a_model_that_are_not_whole(base, backbone, tmp_path):
    folder = fine_tuned(tmp_path / "it")
    whole = load_file(folder / "model.safetensors")
    for name, damage, told in [
        ("classifier.weight", None, "classifier.weight"),
        ("bert.pooler.dense.weight", None, "pooler.dense.weight"),
        ("bert.pooler.dense.weight", torch.zeros(24, 23), "24 by 23"),
        ("classifier.weight", torch.zeros(2, 23), "classes by 24"),
        ("classifier.weight", torch.full((2, 24), float("nan")), "classifier.weight"),
        ("classifier.bias", torch.zeros(3), "classifier.bias"),
        ("bert.encoder.layer.0.output.dense.weight", None, "output.dense.weight"),
    ]:
        changed = {key: value for key, value in whole.items() if key != name}
        save_file(changed if damage is None else changed | {name: damage}, folder / "model.safetensors")
        refused(folder, base, backbone, told)


def test_a_model_in_a_pickle(base, backbone, tmp_path):
    folder = fine_tuned(tmp_path / "it")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, base, backbone, "pickles", "convert it")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/nowhere/at/all", "does not exist"), ("nowhere", "does not exist"), ("org/../name", "does not exist"),
        ("org/name@../../etc", "does not exist"), ("https://example.org/x", "does not exist"),
        ("org/name", "could not be loaded"), ("~nobody-of-that-name/x", "checkpoint"), ("x" * 5000, "checkpoint"),
    ],
)  # fmt: skip
def test_paths_that_lead_nowhere(path, told, base, backbone):
    refused(path, base, backbone, told)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The hub's cache without network: `hub_cache("org/name", folder)` puts a folder into it."""
    snapshots = tmp_path / "cache"

    def cached(repository, file, revision=None, **_):
        path = snapshots / repository / file
        return str(path) if path.is_file() and revision in {None, "main", "v1"} else None

    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(hub.HfApi, "model_info", fail)
    monkeypatch.setattr(hub, "try_to_load_from_cache", cached)
    monkeypatch.setattr(adapter_base, "try_to_load_from_cache", cached)
    return lambda repository, folder: shutil.copytree(folder, snapshots / repository)


@pytest.mark.parametrize("revision", ["", "@v1"])
def test_what_the_cache_of_the_hub_has_is_found_without_network(revision, base, backbone, tmp_path, hub_cache):
    hub_cache("org/adapter", adapter(tmp_path / "it", base))
    hub_cache("org/tuned", fine_tuned(tmp_path / "tuned"))
    assert read(f"org/adapter{revision}", base, backbone).settings.found.form == "updates"
    one = read(f"org/tuned{revision}", base, backbone)
    assert one.settings.found.form == "model"
    assert one.backbone.identity.name == "org/tuned"
    refused("org/adapter@v2", base, backbone, "could not be loaded")


def test_the_weights_decide_where_the_base_is_in_the_cache(base, backbone, tmp_path, hub_cache):
    hub_cache("somebody/same", base)
    hub_cache("somebody/other", fine_tuned(tmp_path / "other"))
    folder = adapter(tmp_path / "it", base, base_model_name_or_path="somebody/same")
    assert not read(folder, base, backbone).said
    adapter(folder, base, base_model_name_or_path="somebody/other")
    refused(folder, base, backbone, "somebody/other", "whose weights are others")


def test_a_base_that_lies_in_the_adapters_own_folder_is_compared(base, backbone, tmp_path):
    folder = adapter(tmp_path / "it", base, base_model_name_or_path="backbone")
    refused(folder, base, backbone, "trained on backbone")
    shutil.copytree(base, folder / "backbone")
    assert not read(folder, base, backbone).said
    shutil.rmtree(folder / "backbone")
    fine_tuned(folder / "backbone")
    refused(folder, base, backbone, "whose weights are others")
    adapter(folder, base, base_model_name_or_path="../it/backbone")
    refused(folder, base, backbone, "same_base")


def test_a_file_and_an_empty_folder_are_none(base, backbone, tmp_path):
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", base, backbone, "is a file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", base, backbone, "neither adapter_config.json nor config.json")


@pytest.mark.parametrize(
    ("named", "said"),
    [("elsewhere/base", "which is not here to be compared"), (None, "does not say"), ("", "does not say")],
)
def test_a_base_that_cannot_be_told_is_said(named, said, base, backbone, tmp_path):
    (line,) = read(adapter(tmp_path / "it", base, base_model_name_or_path=named), base, backbone).said
    assert said in line


def test_a_base_of_another_name_may_be_the_same(base, backbone, tmp_path):
    folder = adapter(tmp_path / "it", base, base_model_name_or_path="somebody/else")
    assert not read(folder, base, backbone, same_base=True).said


def test_a_pooler_that_was_never_saved_is_missed(base, backbone, tmp_path):
    """PEFT saves the classifier and not the layer in front of it; a base without one has had it drawn at random."""
    tensors = load_file(base / "model.safetensors")
    poor = tmp_path / "base"
    BertModel(BertConfig(**SIZES), add_pooling_layer=False).save_pretrained(poor)
    tokenizer().save_pretrained(poor)
    assert any("pooler" in name for name in tensors)
    head = {
        "base_model.model.classifier.weight": torch.zeros(2, 24),
        "base_model.model.classifier.bias": torch.zeros(2),
    }
    of_bert = {key.replace("model.encoder", "model.bert.encoder"): value for key, value in LORA.items()}
    folder = adapter(tmp_path / "it", poor, task_type="SEQ_CLS", tensors=of_bert | head)
    own = load(str(poor), dtype="float32", device="cpu")
    refused(folder, poor, own, "pooler.dense.weight", "modules_to_save")
    read(adapter(tmp_path / "other", base, task_type="SEQ_CLS", tensors=of_bert | head), base, backbone)


def test_a_changed_checkpoint_is_another(base, backbone, tmp_path):
    folder = adapter(tmp_path / "it", base)
    before = read(folder, base, backbone).settings.found
    assert read(folder, base, backbone).settings.found == before
    head = load_file(folder / "head.safetensors")
    save_file(head | {"bias": head["bias"] + 1e-3}, folder / "head.safetensors")
    assert read(folder, base, backbone).settings.found.sha256 != before.sha256


def test_a_decoder_that_ends_texts_with_its_padding_is_refused(tmp_path):
    from decoders import whole

    folder = whole(tmp_path / "model", "llama")
    backbone = load(str(folder), dtype="float32", device="cpu")
    backbone.model.config.pad_token_id = 2  # with which the tokenizer ends a text
    head = {"base_model.model.score.weight": torch.zeros(2, 24)}
    query = "base_model.model.model.layers.0.self_attn.q_proj"
    tensors = {f"{query}.lora_A.weight": torch.zeros(2, 24), f"{query}.lora_B.weight": torch.zeros(24, 2), **head}
    folder = adapter(tmp_path / "it", folder, task_type="SEQ_CLS", tensors=tensors)
    refused(folder, tmp_path / "model", backbone, "pad_token_id")
