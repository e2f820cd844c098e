"""What a cell holds becomes text only where it is one; each kind of data takes what files of people hold."""

import json

import polars as pl
import pytest

from isogloss.data.cards import read_card
from isogloss.data.dataset import open_data
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language

ENGLISH = Language.parse("en")
ANSWERS = {"text": ["Oslo"], "answer_start": [13]}
QUESTION = {"id": "7", "context": "Ada lives in Oslo.", "question": "Where?", "answers": ANSWERS}
COLUMNS = {
    "classification": {"text": "text", "label": "label"}, "tagging": {"text": "words", "label": "tags"},
    "qa": {"id": "id", "text": "context", "second": "question", "label": "answers"},
}  # fmt: skip


def opened(folder, kind, form, **more):
    local = {"path": "{split}.x", "format": form, **more.pop("local", {})}
    card = {"name": "own", "kind": kind, "source": "en", "languages": "en", "columns": COLUMNS[kind], "local": local}
    return open_data("custom", path=folder, card={**card, **more}).examples(ENGLISH, "test")


def lines(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")


@pytest.mark.parametrize("answers", [ANSWERS, [{"text": "Oslo", "answer_start": 13}]])
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_questions_are_read_from_tables_too(tmp_path, form, answers):
    row = {**QUESTION, "answers": answers}
    if form == "parquet":
        pl.DataFrame([row]).write_parquet(tmp_path / "test.x")
    else:
        lines(tmp_path / "test.x", row)
    assert opened(tmp_path, "qa", form).table.rows() == [("7", "Where?", "Ada lives in Oslo.", ["Oslo"], [13])]


@pytest.mark.parametrize("labels", [(1, 0), ("1", "0"), (1.0, 0.0)])
def test_labels_may_be_numbers(tmp_path, labels):
    lines(tmp_path / "test.x", *({"text": f"a {label}", "label": label} for label in labels))
    assert opened(tmp_path, "classification", "jsonl", labels=["0", "1"]).table["label"].to_list() == ["1", "0"]
    pl.DataFrame({"text": ["a", "b"], "label": list(labels)}).write_parquet(tmp_path / "test.x")
    assert opened(tmp_path, "classification", "parquet", labels=["0", "1"]).table["label"].to_list() == ["1", "0"]


def test_a_number_is_written_as_the_file_has_it(tmp_path):
    lines(tmp_path / "test.x", '{"text": 1.50, "label": "a"}', '{"text": ' + "9" * 5000 + ', "label": "b"}')
    assert opened(tmp_path, "classification", "jsonl", labels=["a", "b"]).table["text"].to_list() == [
        "1.50",
        "9" * 5000,
    ]


def test_several_labels_are_refused_as_such(tmp_path):
    lines(tmp_path / "test.x", {"text": "a", "label": "a"}, {"text": "b", "label": ["a", "b"]})
    with pytest.raises(IsoglossError, match=r"test.x line 2: 'label' holds a list; .*multi-label is not supported"):
        opened(tmp_path, "classification", "jsonl", labels=["a", "b"])


def test_an_array_of_objects_is_read_as_lines_are(tmp_path):
    rows = [{"text": "a", "label": "a"}, {"text": "b", "label": "b"}]
    for text in (json.dumps(rows), json.dumps(rows, indent=2), "\n" + json.dumps(rows)):
        (tmp_path / "test.x").write_text(text)
        assert opened(tmp_path, "classification", "jsonl", labels=["a", "b"]).table["text"].to_list() == ["a", "b"]
    (tmp_path / "test.x").write_text(json.dumps([rows[0], 7]))
    with pytest.raises(IsoglossError, match=r"test.x item 2 holds a number"):
        opened(tmp_path, "classification", "jsonl", labels=["a", "b"])


def test_no_path_is_a_pattern(tmp_path):
    for name, text in (("d1", "wrong"), ("d[1]", "right")):
        (tmp_path / name).mkdir()
        pl.DataFrame([{"text": text, "label": "a"}]).write_parquet(tmp_path / name / "test.x")
    examples = opened(tmp_path / "d[1]", "classification", "parquet", labels=["a", "b"])
    assert examples.table["text"].to_list() == ["right"]


@pytest.mark.parametrize(
    ("form", "text", "local"),
    [
        ("csv", "text;label\na, b;a\n", {"delimiter": ";"}), ("tsv", "text|||label\na, b|||a\n", {"delimiter": "|||"}),
        ("tsv", 'text\tlabel\n"a, b"\ta\n', {"quoting": True}),
        ("csv", "text|label\na, b|a\n", {"delimiter": "|", "quoting": False}),
        ("tsv", "a, b;a\n", {"delimiter": ";", "header": ["text", "label"]}),
    ],
)  # fmt: skip
def test_tables_with_any_delimiter_and_quoting(tmp_path, form, text, local):
    (tmp_path / "test.x").write_text(text)
    examples = opened(tmp_path, "classification", form, local=local, labels=["a", "b"])
    assert examples.table["text"].to_list() == ["a, b"]


@pytest.mark.parametrize(
    ("local", "message"),
    [
        ({"format": "jsonl", "delimiter": ";"}, "are of the formats tsv and csv"),
        ({"format": "csv", "delimiter": ""}, "delimiter is ''"),
        ({"format": "csv", "delimiter": "||"}, "quoting: false"), ({"format": "tsv", "delimiter": '"'}, "no quote"),
    ],
)  # fmt: skip
def test_a_delimiter_that_cannot_be(local, message):
    card = {"name": "own", "kind": "classification", "source": "en", "languages": "en", "labels": ["a", "b"]}
    with pytest.raises(IsoglossError, match=message):
        read_card({**card, "columns": COLUMNS["classification"], "local": {"path": "x", **local}}, where="card")


@pytest.mark.parametrize(
    ("text", "words", "empty"),
    [
        ("Ada\u00a0B B-PER\nran O\n", ["Ada\u00a0B", "ran"], 0),
        ("so O\nso O\nNew  York B-PER\n", ["so", "so", "New  York"], 0),
        ("Ada B-PER\n O\nran O\n", ["Ada", "ran"], 1),
        ("# id\tdomain=en\nAda B-PER\nran O\n", ["Ada", "ran"], 0),
        ("Ada\tB-PER\n\u00a0\tO\nran fast\tO\n", ["Ada", "ran fast"], 1),
    ],
)
def test_words_are_parted_by_what_parts_them(tmp_path, text, words, empty):
    (tmp_path / "test.x").write_text(text, encoding="utf-8")
    local = {"header": ["words", "tags"]}
    examples = opened(tmp_path, "tagging", "tokens", local=local, labels=["O", "B-PER"])
    assert examples.table["words"].to_list() == [words]
    assert examples.empty_words == empty


def test_words_that_were_taken_out_are_refused(tmp_path):
    (tmp_path / "test.x").write_text("_ O\n_ O\n_ O\n")
    with pytest.raises(IsoglossError, match=r"test.x line 1 has nothing but '_' for words"):
        opened(tmp_path, "tagging", "tokens", local={"header": ["words", "tags"]}, labels=["O", "B-PER"])


def test_an_id_that_is_no_number_drops_no_word(tmp_path):
    (tmp_path / "test.x").write_text("1\tAda\tO\nx\tran\tO\n")
    with pytest.raises(IsoglossError, match=r"test.x line 2 has the id 'x'; expected the number of a word"):
        opened(tmp_path, "tagging", "tokens", local={"header": ["id", "words", "tags"]}, labels=["O", "B-PER"])


def test_names_of_sentences_that_come_twice_are_no_ids(tmp_path):
    (tmp_path / "test.x").write_text("# sent_id = 1\na O\n\n# sent_id = 1\nb O\n")
    local = {"header": ["words", "tags"]}
    examples = opened(tmp_path, "tagging", "tokens", local=local, labels=["O", "B-PER"])
    assert examples.table["id"].to_list() == ["0", "1"]
    with pytest.raises(IsoglossError, match=r"line 5 has the id '1' a second time"):
        opened(tmp_path, "tagging", "tokens", local=local, labels=["O", "B-PER"], parallel=True)


@pytest.mark.parametrize(("of_card", "of_file"), [("été", "e\u0301te\u0301"), ("e\u0301te\u0301", "été")])
def test_a_label_may_be_written_in_either_normal_form(tmp_path, of_card, of_file):
    lines(tmp_path / "test.x", {"text": "a", "label": of_file}, {"text": "b", "label": "n"})
    read = opened(tmp_path, "classification", "jsonl", labels=[of_card, "n"])
    assert read.table["label"].to_list() == [of_card, "n"]
    lines(tmp_path / "test.x", {"words": ["a", "b"], "tags": [f"B-{of_file}", "O"]})
    read = opened(tmp_path, "tagging", "jsonl", labels=[f"B-{of_card}", "O"])
    assert read.table["labels"].to_list() == [[f"B-{of_card}", "O"]]
    lines(tmp_path / "test.x", {"text": "a", "label": of_file}, {"text": "b", "label": "n"})
    read = opened(tmp_path, "classification", "jsonl", labels=["y", "n"], aliases={of_card: "y"})
    assert read.table["label"].to_list() == ["y", "n"]


def test_labels_that_look_the_same_are_refused(tmp_path):
    with pytest.raises(IsoglossError, match="are the same letters in two of Unicode's normal forms"):
        opened(tmp_path, "classification", "jsonl", labels=["été", "e\u0301te\u0301"])


def test_decimals_with_several_zeros_are_whole_numbers(tmp_path):
    pl.DataFrame({"text": ["a", "b"], "label": ["1.00", "0.00"]}).write_parquet(tmp_path / "test.x")
    assert opened(tmp_path, "classification", "parquet", labels=["0", "1"]).table["label"].to_list() == ["1", "0"]
