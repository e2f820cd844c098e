"""What someone trained elsewhere, as a cell among others: scored as its own script says, stored, and there again."""

import copy
import json
import shutil

import polars as pl
import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertModel,
    DataCollatorWithPadding,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    Trainer,
    TrainingArguments,
)

import isogloss
from decoders import byte_tokenizer, whole
from isogloss.errors import IsoglossError
from isogloss.experiment.price import price
from isogloss.experiment.workspace import Workspace
from isogloss.spec import Spec
from models import LABELS, sib200, tokenizer
from real_data import SHARED

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:peft"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
    pytest.mark.filterwarnings("ignore:.*config file.*:UserWarning"),
]
SIZES = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
NAMES = dict(enumerate(LABELS))


def spec(folder, methods, **more):
    return Spec(
        name="small", backbone=str(folder / "model"), task="sib200", data={"path": folder / "data"}, methods=methods,
        dtype="float32", device="cpu", source="en", targets=["de", "zh"], **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A base with a pooler, data, an adapter on it, and a fine-tuned model of another family with another tokenizer."""
    folder = tmp_path_factory.mktemp("home")
    torch.manual_seed(3)
    BertModel(BertConfig(**SIZES, vocab_size=24, pad_token_id=1, max_position_embeddings=40)).save_pretrained(
        folder / "model"
    )
    tokenizer().save_pretrained(folder / "model")
    sib200(folder / "data")
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model", num_labels=7)
    peft = get_peft_model(model, PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3))
    peft.save_pretrained(folder / "prompt")
    config = DistilBertConfig(
        vocab_size=1000, dim=36, n_layers=2, n_heads=4, hidden_dim=48, pad_token_id=1, max_position_embeddings=256,
        id2label={number: name.title() for number, name in NAMES.items()},
    )  # fmt: skip
    DistilBertForSequenceClassification(config).save_pretrained(folder / "tuned")
    byte_tokenizer().save_pretrained(folder / "tuned")
    return folder


@pytest.fixture(scope="module")
def run(home):
    methods = {
        "linear-probe": {"epochs": 1},
        "theirs": {"method": "checkpoint", "path": str(home / "prompt"), "labels": {
            f"LABEL_{number}": name for number, name in NAMES.items()}},
        "tuned": {"method": "checkpoint", "path": str(home / "tuned")},
    }  # fmt: skip
    return isogloss.run(spec(home, methods, seeds=[0, 1]), out=home / "run")


def test_it_is_served_beside_the_others(run):
    pytest.importorskip("fastapi")
    from isogloss.interop.serve.models import load
    from isogloss.interop.serve.shared_pass import Texts

    served = load({"run": run.path}, every=True)
    assert {card.name: card.shares for card in served.cards()} == {
        "run/linear-probe/0": ["run/linear-probe/1"], "run/linear-probe/1": ["run/linear-probe/0"],
        "run/theirs/0": [], "run/tuned/0": [],
    }  # fmt: skip
    texts = ["the cat sat on a mat", "a dog ran", "sun"]
    for name, one in served.by_name.items():
        _, method, seed = name.split("/")
        parts = [one.model.parts(text, 1) for text in texts]
        features = one.shared.fitted(one.number, one.model.features(parts, None))
        (predicted,) = one.shared.predicted([Texts(one.number, features)])
        answers = one.model.shown(parts, predicted, None)
        alone = run.load(method, int(seed)).predict(texts)
        assert [one["label"] for one in answers] == [one["label"] for one in alone]
        assert [one["score"] for one in answers] == pytest.approx([one["score"] for one in alone], abs=2e-4)


def test_it_stands_among_the_others(run, home):
    scores = run.scores
    assert set(scores["method"]) == {"linear-probe", "theirs", "tuned"}
    by_method = dict(scores.group_by("method").agg(pl.col("seed").unique().sort()).iter_rows())
    assert by_method == {"linear-probe": [0, 1], "theirs": [0], "tuned": [0]}
    of_tuned = scores.filter(method="tuned")
    assert set(of_tuned["backbone"]) == {str(home / "tuned")}
    assert set(of_tuned["split"]) == {"dev", "test"}
    assert set(scores.filter(method="theirs", split="test")["language"]) == {"eng-Latn", "deu-Latn", "zho-Hans"}
    assert run.history.filter(method="theirs")["metric"].to_list() == ["accuracy"]
    assert "theirs" in str(run.table())


def test_what_it_costs_is_known_before_and_it_is_sent_whole(run):
    wanted = run.spec.model_copy(update={"methods": {
        name: {key: value for key, value in given.items() if key in {"method", "path", "labels"}}
        for name, given in run.spec.methods.items() if name != "linear-probe"
    }})  # fmt: skip
    workspace = copy.deepcopy(Workspace.open(wanted))  # as it is when it is sent
    found = price(workspace, [], [], parallel=True)
    assert found.jobs >= 2
    kept = sum((run.store.folder(name, 0) / "weights.safetensors").stat().st_size for name in ("theirs", "tuned"))
    assert found.stored == pytest.approx(kept, rel=0.1)
    for cell in workspace.cells:
        assert workspace.imported_stack(cell).runs


def test_the_scores_are_the_models_own(run, home):
    model = AutoModelForSequenceClassification.from_pretrained(home / "tuned").eval()
    made = byte_tokenizer()
    for code, folder in (("eng-Latn", "eng_Latn"), ("deu-Latn", "deu_Latn")):
        table = pl.read_csv(home / "data" / folder / "test.tsv", separator="\t", quote_char=None)
        with torch.no_grad():
            said = [
                model.config.id2label[int(model(**made(text, return_tensors="pt")).logits.argmax())].casefold()
                for text in table["text"]
            ]
        ours = run.predictions.filter(method="tuned", language=code)["predicted"].to_list()
        assert [name.casefold() for name in ours] == said


def test_it_predicts_without_the_folder_it_came_from(run, home, tmp_path, capsys):
    texts = ["the cat sat", "a dog ran fast", "sun"]
    copied = shutil.copytree(run.path, tmp_path / "run")
    before = {method: isogloss.load(run.path, method).predict(texts) for method in ("theirs", "tuned")}
    for name in ("prompt", "tuned"):
        (home / name).rename(home / f"{name}-away")
    try:
        capsys.readouterr()
        assert {method: isogloss.load(copied, method).predict(texts) for method in before} == before
        assert capsys.readouterr().err.startswith(f"{home / 'tuned'}: the embedding has 1,000 rows")
        isogloss.analyze(copied, "gap", "significance")
    finally:
        for name in ("prompt", "tuned"):
            (home / f"{name}-away").rename(home / name)


@pytest.mark.slow
def test_a_report_says_what_was_trained_elsewhere(run, tmp_path):
    page = isogloss.report(shutil.copytree(run.path, tmp_path / "run")).read_text(encoding="utf-8")
    assert "Trained elsewhere, on what and for how long is not known here: theirs, tuned." in page
    assert "The methods differ in backbone" in page


def test_analyses_of_states_leave_out_what_has_a_backbone_of_its_own(run, tmp_path):
    copied = shutil.copytree(run.path, tmp_path / "run")
    found = isogloss.analyze(copied, "boundary", "representation")
    assert set(found["representation"].tables["representation"]["method"]) == {"linear-probe", "theirs"}
    assert set(found["boundary"].tables["boundary"]["method"]) == {"linear-probe", "theirs"}


def test_a_second_run_finds_it_done_and_a_changed_one_is_refused(run, home, tmp_path):
    copied, prompt = shutil.copytree(run.path, tmp_path / "run"), shutil.copytree(home / "prompt", tmp_path / "prompt")
    labels = {f"LABEL_{number}": name for number, name in NAMES.items()}
    one = spec(home, {"other": {"method": "checkpoint", "path": str(prompt), "labels": labels}})
    isogloss.run(one, out=copied)
    before = (copied / "weights" / "other" / "0" / "run.json").stat().st_mtime_ns
    isogloss.run(one, out=copied)
    assert (copied / "weights" / "other" / "0" / "run.json").stat().st_mtime_ns == before
    model = AutoModelForSequenceClassification.from_pretrained(home / "model", num_labels=7)
    get_peft_model(model, PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)).save_pretrained(prompt)
    with pytest.raises(IsoglossError, match=r"holds other seed 0, made differently \(settings.found.sha256"):
        isogloss.run(one, out=copied)


def test_languages_are_added_to_it(home, tmp_path):
    methods = {"tuned": {"method": "checkpoint", "path": str(home / "tuned")}}
    one = spec(home, methods)
    isogloss.run(one.model_copy(update={"targets": ["de"]}), out=tmp_path / "run")
    whole = isogloss.run(one, out=tmp_path / "run")
    assert set(whole.scores.filter(split="test")["language"]) == {"eng-Latn", "deu-Latn", "zho-Hans"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "path is missing"), ({"path": ""}, "path"), ({"path": "x", "lr": 0.1}, "unknown key 'lr'"),
        ({"path": "x", "epochs": 3}, "unknown key 'epochs'"), ({"path": "x", "seeds": [1]}, "trained already"),
        ({"path": "x", "pooling": "mean"}, "unknown key 'pooling'"),
        ({"path": "x", "found": {"sha256": "x"}}, "unknown key 'found'"),
        ({"path": "x", "labels": ["a"]}, "labels"),
        ({"path": "x"}, "methods.checkpoint: checkpoint 'x' does not exist"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(settings, told, home, tmp_path):
    with pytest.raises(IsoglossError) as error:
        isogloss.run(spec(home, {"checkpoint": settings}), out=tmp_path / "run")
    assert told in str(error.value)
    assert not (tmp_path / "run" / "weights").exists()


def test_dynamics_look_at_nothing_where_nothing_learns(home, tmp_path):
    methods = {"tuned": {"method": "checkpoint", "path": str(home / "tuned")}, "linear-probe": {"epochs": 1}}
    done = isogloss.run(spec(home, methods, dynamics={"examples": 2}), out=tmp_path / "run")
    assert len(done.history.filter(method="tuned")) == 1
    assert len(done.history.filter(method="linear-probe")) > 1


@pytest.mark.skipif(not (SHARED / "sib200").is_dir(), reason="SIB-200 is not here")
def test_an_adapter_of_a_trainer_script_scores_what_the_script_says(tmp_path):
    """Trained on English by transformers' Trainer and PEFT, scored by it in three languages, and here."""
    torch.manual_seed(0)
    made = byte_tokenizer()
    folder = tmp_path / "model"
    sizes = {**SIZES, "vocab_size": 400, "pad_token_id": 1, "max_position_embeddings": 256}
    BertModel(BertConfig(**sizes, initializer_range=0.4)).save_pretrained(folder)
    made.save_pretrained(folder)

    def rows(language, split, most=None):
        table = pl.read_csv(SHARED / "sib200" / language / f"{split}.tsv", separator="\t", quote_char=None)[:most]
        encoded = made(table["text"].to_list(), truncation=True, max_length=256)
        labels = [LABELS.index(label) for label in table["category"]]
        parts = zip(encoded["input_ids"], encoded["attention_mask"], labels, strict=True)
        return [{"input_ids": ids, "attention_mask": mask, "labels": label} for ids, mask, label in parts]

    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=7)
    peft = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"]))
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "trainer"), num_train_epochs=1, per_device_train_batch_size=16, learning_rate=3e-3,
        report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True, per_device_eval_batch_size=64,
        dataloader_pin_memory=False, logging_strategy="no",
    )  # fmt: skip
    trainer = Trainer(
        peft, arguments, train_dataset=rows("eng_Latn", "train", 160), data_collator=DataCollatorWithPadding(made)
    )
    trainer.train()
    trainer.save_model(str(tmp_path / "adapter"))
    theirs = {}
    for language in ("eng_Latn", "deu_Latn", "arb_Arab"):
        test = rows(language, "test")
        said = trainer.predict(test).predictions.argmax(axis=1).tolist()
        theirs[language.replace("_", "-")] = [LABELS[label] for label in said]
    one = Spec(
        name="trainer", backbone=str(folder), task="sib200", data={"path": SHARED / "sib200"}, source="en",
        targets=["de", "ar"], dtype="float32", device="cpu", methods={"checkpoint": {
            "path": str(tmp_path / "adapter"), "labels": {f"LABEL_{number}": name for number, name in NAMES.items()}}},
    )  # fmt: skip
    ours = isogloss.run(one, out=tmp_path / "run").predictions
    for language, predicted in theirs.items():
        assert ours.filter(language=language)["predicted"].to_list() == predicted
    assert len(set(theirs["eng-Latn"])) > 1
    assert json.loads((tmp_path / "run" / "weights" / "checkpoint" / "0" / "run.json").read_text())["updates"] == 0


def test_a_tagger_tags_first_subwords_whatever_the_backbone_reads(tmp_path):
    """transformers' scripts label a word's first sub-word; the spec's backbone is a decoder, which reads the last."""
    tags, data = ["O", "B-PER", "I-PER"], tmp_path / "data"
    data.mkdir()
    words = "the cat sat on the mat log sun".split()
    for split, order in {"train": words[::-1], "dev": words * 2, "test": words}.items():
        sentences = [
            "\n".join(f"{word}\t{tags[(at + shift) % 3]}" for at, word in enumerate(order[shift:]))
            for shift in range(4)
        ]
        (data / f"en-{split}.tsv").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    card = {
        "name": "own", "kind": "tagging", "source": "en", "labels": tags, "languages": "en",
        "columns": {"text": "word", "label": "tag"},
        "local": {"path": "{code}-{split}.tsv", "format": "tokens", "header": ["word", "tag"]},
    }  # fmt: skip
    whole(tmp_path / "model", "llama")
    config = BertConfig(
        **SIZES, vocab_size=400, pad_token_id=1, max_position_embeddings=256, initializer_range=0.3,
        id2label=dict(enumerate(["B_PER", "I_PER", "O"])),
    )  # fmt: skip
    model = AutoModelForTokenClassification.from_config(config).eval()
    model.save_pretrained(tmp_path / "tagger")
    made = byte_tokenizer()
    made.save_pretrained(tmp_path / "tagger")
    one = Spec(
        name="own", backbone=str(tmp_path / "model"), task="custom", data={"path": data, "card": card}, dtype="float32",
        device="cpu", methods={"checkpoint": {"path": str(tmp_path / "tagger")}, "linear-probe": {"epochs": 1}},
    )  # fmt: skip
    done = isogloss.run(one, out=tmp_path / "run")
    ours = done.predictions.filter(method="checkpoint").sort("example")["predicted"].to_list()
    theirs = []
    for shift in range(4):
        spaced = [f" {word}" if at else word for at, word in enumerate(words[shift:])]  # as they stand in a text
        encoded = made(spaced, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            said = model(**encoded).logits[0].argmax(-1).tolist()
        firsts = [encoded.word_ids().index(number) for number in range(len(words) - shift)]
        theirs.append(" ".join(model.config.id2label[said[at]].replace("_", "-") for at in firsts))
    assert ours == theirs
    stored = json.loads((tmp_path / "run" / "weights" / "checkpoint" / "0" / "run.json").read_text(encoding="utf-8"))
    assert stored["facts"]["subword"] == "first"
    (answer,) = isogloss.load(tmp_path / "run", "checkpoint").predict([" ".join(words)])
    assert answer["labels"] == theirs[0].split()
    isogloss.run(one.model_copy(update={"methods": {"linear-probe": {"epochs": 1}}}), out=tmp_path / "run")
