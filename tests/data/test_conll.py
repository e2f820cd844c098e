"""Files with a word a line, against conllu, and the mistakes in them."""

import conllu
import pytest

from isogloss.data.cards import find
from isogloss.data.dataset import open_data
from isogloss.data.readers.words import read_conllu, read_tokens
from isogloss.data.tables import examples_table
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language
from real_data import SHARED

needs_files = pytest.mark.skipif(not SHARED.is_dir(), reason="the published data sets are not beside the project")
SENTENCE = """# sent_id = s-1
# text = Don't go
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\t_\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\t_\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\t_\t_\t0\troot\t_\t_
3.1\tgone\tgo\tVERB\t_\t_\t_\t_\t_\t_

# sent_id = s-2
1\t#\t#\tSYM\t_\t_\t0\troot\t_\t_
"""


def test_multiword_tokens_and_empty_nodes_are_no_words(tmp_path):
    (tmp_path / "x.conllu").write_text(SENTENCE)
    one, two = read_conllu(tmp_path / "x.conllu", ["form", "upos"])
    assert one.values == {"form": ["Do", "n't", "go"], "upos": ["AUX", "PART", "VERB"], "sent_id": "s-1"}
    assert two.values == {"form": ["#"], "upos": ["SYM"], "sent_id": "s-2"}
    assert one.where.endswith("x.conllu line 4")


def test_spaces_between_fields_and_windows_line_ends(tmp_path):
    (tmp_path / "x").write_bytes(b"-DOCSTART- O\r\n\r\nEU B-ORG\r\nrejects O\r\n")
    rows = read_tokens(tmp_path / "x", ["word", "tag"], ["word", "tag"])
    assert [row.values["word"] for row in rows] == [["-DOCSTART-"], ["EU", "rejects"]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a\tNOUN\nb\n", "x line 2 has 1 fields; expected 2"),
        ("a\tNOUN\tx\n", "x line 1 has 3 fields; expected 2"),
        ("a\tNOUN\n\nb\tNOON\n", "x line 3 has the label 'NOON'"),
    ],
)
def test_a_mistake_is_named(tmp_path, body, message):
    (tmp_path / "x").write_text(body)
    card = find("udpos")
    with pytest.raises(IsoglossError, match=message) as error:
        examples_table(read_tokens(tmp_path / "x", ["word", "tag"], ["word", "tag"]), card)
    assert "\n" not in str(error.value)


def test_an_alias_stands_for_a_tag_or_for_the_type_behind_its_prefix(tmp_path):
    (tmp_path / "x").write_text("a\tB-OTH\nb\tI-OTH\nc\tB-PER\n")
    rows = read_tokens(tmp_path / "x", ["word", "tag"], ["word", "tag"])
    assert examples_table(rows, find("uner"))["labels"][0].to_list() == ["O", "O", "B-PER"]
    renamed = find("uner").model_copy(update={"aliases": {"OTH": "LOC"}})
    assert examples_table(rows, renamed)["labels"][0].to_list() == ["B-LOC", "I-LOC", "B-PER"]


@needs_files
@pytest.mark.parametrize("code", ["en", "fr", "hi", "tr", "ar"])
def test_real_files_of_conllu(code):
    path = next((SHARED / "pud").glob(f"{code}_pud*.conllu"))
    theirs = conllu.parse(path.read_text(encoding="utf-8"))
    ours = read_conllu(path, ["form", "upos"])
    assert len(ours) == 1000
    for row, sentence in zip(ours, theirs, strict=True):
        words = [word for word in sentence if isinstance(word["id"], int)]
        assert row.values["form"] == [word["form"] for word in words]
        assert row.values["upos"] == [word["upos"] for word in words]
        assert row.values["sent_id"] == sentence.metadata["sent_id"]


@pytest.mark.slow
@needs_files
@pytest.mark.parametrize(("task", "languages"), [("udpos", 17), ("uner", 5)])
def test_real_files_of_tags(task, languages):
    data = open_data(task, path=SHARED / task)
    assert len(data.languages()) == languages
    for language in data.languages():
        table = data.examples(language, "test").table
        assert len(table) > 50
        assert (table["words"].list.len() == table["labels"].list.len()).all()
    assert data.examples(Language.parse("en"), "dev")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("the\ncat\n", r"line 1 has 1 fields; expected 2"),  # as some share test sets with their labels taken out
        ("the\t\ncat\t\n", r"has no label in any row: 'tag' is empty"),
        ("the\tDETX\n", r"has the label 'DETX'; udpos has ADJ"),
    ],
)
def test_a_test_set_without_labels_is_an_error_and_no_zero(tmp_path, lines, message):
    (tmp_path / "test-en.tsv").write_text(lines)
    with pytest.raises(IsoglossError, match=message):
        open_data("udpos", path=tmp_path).examples(Language.parse("en"), "test")


def test_the_order_of_tags_is_the_cards_whatever_the_files_hold(tmp_path):
    for folder, lines in (("one", "a\tX\nb\tADJ\n"), ("two", "b\tADJ\na\tX\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "test-en.tsv").write_text(lines)
        assert open_data("udpos", path=tmp_path / folder).card.labels[0] == "ADJ"


def test_sentences_that_no_empty_line_parts_are_refused(tmp_path):
    (tmp_path / "x.conllu").write_text(SENTENCE.replace("\n\n", "\n"))
    with pytest.raises(IsoglossError, match=r"x.conllu line \d+ has the id '1' behind '3'; an empty line ends"):
        read_conllu(tmp_path / "x.conllu", ["form", "upos"])


def test_ids_that_count_the_whole_file_or_stand_still_are_taken(tmp_path):
    (tmp_path / "x").write_text("7\ta\tO\n7\tb\tO\n9\tc\tO\n")
    (row,) = read_tokens(tmp_path / "x", ["word", "tag"], ["id", "word", "tag"])
    assert row.values["word"] == ["a", "b", "c"]


def test_where_a_document_begins_there_need_not_be_as_many_fields_as_of_a_word(tmp_path):
    (tmp_path / "x").write_text("-DOCSTART- -X- O\n\nNew York\tB-LOC\nis\tO\n")
    (row,) = read_tokens(tmp_path / "x", ["word", "tag"], ["word", "tag"])
    assert row.values == {"word": ["New York", "is"], "tag": ["B-LOC", "O"]}
