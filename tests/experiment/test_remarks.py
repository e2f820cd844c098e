"""What a run says of its data: labels that a split lacks, tokens that the tokenizer does not know."""

from __future__ import annotations

import json
import shutil

import pytest

from isogloss import report, run
from isogloss.data.missing_labels import label_lines
from isogloss.experiment.remarks import drawn_lines, tokenless_lines, unknown_lines
from isogloss.spec import Spec
from models import LABELS, WORDS, checkpoint

KINDS = ["a", "b", "c"]


def rows(labels, words=WORDS[:3]):
    return [(str(number), label, f"{' '.join(words)} {WORDS[number % 20]}") for number, label in enumerate(labels)]


def write(folder, code, split, lines):
    (folder / code).mkdir(parents=True, exist_ok=True)
    body = "".join("\t".join(line) + "\n" for line in lines)
    (folder / code / f"{split}.tsv").write_text(f"index_id\tcategory\ttext\n{body}", encoding="utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remarks")
    checkpoint(folder / "model")
    write(folder / "data", "eng_Latn", "train", rows(LABELS * 2))
    write(folder / "data", "eng_Latn", "dev", rows(sorted(LABELS * 2), WORDS[3:6]))
    write(folder / "data", "eng_Latn", "test", rows(LABELS, WORDS[6:9]))
    write(folder / "data", "deu_Latn", "test", rows([LABELS[3]] * 5))
    write(folder / "data", "zho_Hans", "test", rows(LABELS[:4], ["ein", "zwei", "drei"]))
    return folder


def spec(home, **given):
    raw = {
        "name": "remarks", "backbone": str(home / "model"), "task": "sib200", "data": {"path": str(home / "data")},
        "targets": ["de"], "methods": {"linear-probe": {"epochs": 1}, "soft-prompt": {"epochs": 1, "length": 2}},
        "dtype": "float32", "device": "cpu", **given,
    }  # fmt: skip
    return Spec.model_validate(raw)


def test_it_is_said_once_kept_and_reported(home, tmp_path, capfd):
    run(spec(home), tmp_path / "run")
    said = capfd.readouterr().err
    alone = "test has one label alone (politics) in German: a score on it says nothing"
    assert said.count(alone) == 1
    assert "unknown to" not in said
    run(spec(home, targets=["de", "zh"]), tmp_path / "run")
    said = capfd.readouterr().err
    assert said.count("test lacks 3 of 7 labels in Chinese: science/technology, sports, travel\n") == 1
    assert said.count("Chinese (zho-Hans): 75 % of its tokens are unknown to the backbone's tokenizer") == 1
    assert alone not in said  # of languages that were scored before
    made = json.loads((tmp_path / "run/weights/soft-prompt/0/run.json").read_text())
    assert made["lacking"]["test"]["deu-Latn"] == [label for label in LABELS if label != "politics"]
    assert made["unknown"]["zho-Hans"] == 0.75
    page = report(tmp_path / "run").read_text()
    assert page.count("Test has one label alone (politics) in German") == 1
    assert page.count("Chinese (zho-Hans): 75 % of its tokens are unknown") == 1


def test_a_part_of_a_sorted_file_says_which_labels_it_lacks(home, tmp_path, capfd):
    parts = {"train": "dev[:80%]", "dev": "dev[80%:]"}
    run(spec(home, data={"path": str(home / "data"), "splits": parts, "unseen": "keep"}), tmp_path / "run")
    said = capfd.readouterr().err
    assert "train lacks 1 of 7 labels in English: travel\n" in said
    assert "dev lacks 5 of 7 labels in English: entertainment, geography, health and 2 more\n" in said


def test_labels_in_words():
    lines = list(
        label_lines(
            {"train": {"en": ["a", "b"]}, "test": {"en": ["a"], "de": ["a", "c"], "fr": ["a", "c"], "sw": ["b"]}}, KINDS
        )
    )
    of_train, of_test = lines
    assert of_train == "train has one label alone (c) in English: what is learnt from it says nothing"
    assert of_test == (
        "test has one label alone (b) in German, French: a score on it says nothing; "
        "test lacks labels in 2 languages; of 3, the most in English 1, Swahili 1"
    )
    many = {code: ["a"] for code in ("en", "de", "fr", "sw", "tr")}
    assert list(label_lines({"dev": many}, KINDS)) == [
        "dev lacks 1 of 3 labels in English, German, French and 2 more: a"
    ]
    assert not list(label_lines({}, KINDS))


def test_tokens_in_words():
    (line,) = unknown_lines({"zho-Hans": 0.953, "deu-Latn": 0.1})
    assert line.startswith("Chinese (zho-Hans): 95 % of its tokens")
    assert not list(tokenless_lines({}))
    (line,) = tokenless_lines({"eng-Latn": 1, "deu-Latn": 30, "fra-Latn": 2, "tur-Latn": 1})
    assert line == "texts of which the tokenizer leaves no token: German 30, French 2, English 1 and 1 more"


def test_limits_in_words():
    drawn = {"train": {"en": (40, 701)}, "dev": {"en": (9, 9)}, "test": {"en": (40, 204), "de": (38, 199)}}
    assert list(drawn_lines(drawn, "evenly over the file")) == [
        "Of 701 train items, 40 were drawn evenly over the file.",
        "Of 199 to 204 test items a language, 38 to 40 were drawn evenly over the file.",
    ]


def test_a_language_that_is_another_once_more_is_said_and_reported(home, tmp_path, capfd):
    data = tmp_path / "data"
    shutil.copytree(home / "data", data)
    shutil.copy(data / "eng_Latn/test.tsv", data / "deu_Latn/test.tsv")
    shutil.copy(data / "eng_Latn/test.tsv", data / "zho_Hans/test.tsv")
    given = {"data": {"path": str(data)}, "methods": {"linear-probe": {"epochs": 1}}}
    run(spec(home, **given), tmp_path / "run")
    said = capfd.readouterr().err
    assert said.count("the test texts of German (deu-Latn) are those of English (eng-Latn)") == 1
    run(spec(home, **{**given, "targets": ["de", "zh"]}), tmp_path / "run")
    said = capfd.readouterr().err
    assert "the test texts of Chinese (zho-Hans) are those of English (eng-Latn)" in said
    record = json.loads((tmp_path / "run/weights/linear-probe/0/run.json").read_text())
    assert record["same"] == {"deu-Latn": "eng-Latn", "zho-Hans": "eng-Latn"}
    report([tmp_path / "run"])
    assert "The test texts of German" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
