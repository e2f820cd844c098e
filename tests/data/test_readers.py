"""Every format reads what another, well-kept reader reads, and names a mistake by file and line."""

import json
import string

import datasets
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isogloss.data.dataset import open_data
from isogloss.data.readers.delimited import read_csv, read_tsv
from isogloss.data.readers.json_lines import read_jsonl
from isogloss.data.readers.parquet import read_parquet
from isogloss.data.readers.registry import readers
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language

ENGLISH = Language.parse("en")
# Letters of several scripts, quotes, separators, marks that change direction, what some readers take for line ends.
LETTERS = string.ascii_letters + "äßжعת中ไ€🙂 ,;'\"\\#\u200f\u2028\x85"
TEXT = st.text(LETTERS, min_size=1, max_size=12)
ROWS = st.lists(st.fixed_dictionaries({"id": TEXT, "text": TEXT, "label": TEXT}), min_size=1, max_size=6)


def values(rows):
    return [row.values for row in rows]


@given(rows=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_is_read(tmp_path, rows):
    table = pl.DataFrame(rows)
    table.write_parquet(tmp_path / "x.parquet")
    table.write_csv(tmp_path / "x.csv")
    table.write_ndjson(tmp_path / "x.jsonl")
    lines = ["id\ttext\tlabel", *("\t".join(row[name] for name in ("id", "text", "label")) for row in rows)]
    (tmp_path / "x.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    (tmp_path / "bare.tsv").write_text("\n".join(lines[1:]) + "\n", encoding="utf-8", newline="")
    for name in ("tsv", "csv", "jsonl", "parquet"):
        assert values(readers()[name](tmp_path / f"x.{name}", ["text", "label"], None)) == rows, name
    assert values(read_tsv(tmp_path / "bare.tsv", ["text"], ["id", "text", "label"])) == rows


@pytest.mark.parametrize(("form", "loader"), [("csv", "csv"), ("jsonl", "json"), ("parquet", "parquet")])
def test_a_reader_agrees_with_datasets(tmp_path, form, loader):
    rows = [
        {"text": 'He said: "so, what?"', "label": "a b"},
        {"text": "two\nlines", "label": "c,d"},
        {"text": "中文, ไทย", "label": "e"},
    ]
    table = pl.DataFrame(rows)
    path = tmp_path / f"x.{form}"
    {"csv": table.write_csv, "jsonl": table.write_ndjson, "parquet": table.write_parquet}[form](path)
    theirs = datasets.load_dataset(loader, data_files=str(path), cache_dir=str(tmp_path / "cache"), split="train")
    assert values(readers()[form](path, ["text"], None)) == list(theirs) == rows


@pytest.mark.parametrize(
    ("read", "body", "message"),
    [
        (read_csv, b'text,label\n"a,b\n', "x line 2 is not readable as a table"),
        (read_csv, b"text,label\na,b,c\n", "x line 2 has 3 values; expected 2"),
        (read_csv, b"", "x is empty"),
        (read_jsonl, b'{"text": "a"}\n{"text": }\n', "x line 2 is not JSON: Expecting value at column 10"),
        (read_jsonl, b'{"text": "a"}\n\n["a"]\n', "x line 3 holds a list; expected an object"),
        (read_jsonl, b'{"text": "a"}\n{"label": "a"}\n', "x line 2 has no column 'text'; it has 'label'"),
        (read_jsonl, b'{"text": "\xff"}\n', "x line 1 is not UTF-8"),
        (read_parquet, b"PAR1 no", "x is not Parquet"),
    ],
)
def test_a_mistake_is_named(tmp_path, read, body, message):
    (tmp_path / "x").write_bytes(body)
    with pytest.raises(IsoglossError, match=message) as error:
        read(tmp_path / "x", ["text"], None)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    for read in readers().values():
        with pytest.raises(IsoglossError, match="could not be read: No such file"):
            read(tmp_path / "none", ["form"], None)


def test_one_file_may_hold_all_splits(tmp_path):
    rows = [
        {"id": i, "partition": split, "intent": "alarm_set", "utt": f"wake me {i}"}
        for i, split in enumerate(["train", "dev", "test", "train"])
    ]
    for code in ("en-US", "pt-PT"):
        (tmp_path / f"{code}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    data = open_data("massive", path=tmp_path)
    assert [str(language) for language in data.languages()] == ["eng-Latn", "por-Latn"]
    assert data.examples(Language.parse("pt"), "train").table["id"].to_list() == ["0", "3"]


def test_void_rows_are_left_out_and_the_rest_checked(tmp_path):
    (tmp_path / "de").mkdir()
    header = "id\tsentence1\tsentence2\tlabel\n"
    (tmp_path / "de" / "test_2k.tsv").write_text(header + "1\ta\tb\t1\n2\t\t\t-1\n3\tc\td\t0\n")
    data = open_data("pawsx", path=tmp_path)
    examples = data.examples(Language.parse("de"), "test")
    assert examples.table.rows() == [("1", "a", "b", "1"), ("3", "c", "d", "0")]
    assert examples.dropped == 1
    (tmp_path / "de" / "test_2k.tsv").write_text(header + "1\ta\t\t1\n")
    with pytest.raises(IsoglossError, match="test_2k.tsv has no examples beside 1 void row;"):
        data.examples(Language.parse("de"), "test")


def test_xnli_files_say_contradictory_where_mnli_says_contradiction(tmp_path):
    for split in ("dev", "test"):
        (tmp_path / f"xnli.sw.{split}.tsv").write_text('premise\thypothesis\tlabel\n"A\tB"\tcontradictory\n')
    examples = open_data("xnli", path=tmp_path).examples(Language.parse("sw"), "test")
    assert examples.table.rows() == [("0", '"A', 'B"', "contradiction")]


def folder(tmp_path, test="1\ttravel\tGo there\n", header="index_id\tcategory\ttext\n", code="eng_Latn"):
    (tmp_path / code).mkdir()
    for split in ("train", "dev"):
        (tmp_path / code / f"{split}.tsv").write_text(header + "7\thealth\tEat well\n", encoding="utf-8")
    body = test if isinstance(test, bytes) else (header + test).encode()
    (tmp_path / code / "test.tsv").write_bytes(body)
    return open_data("sib200", path=tmp_path)


def test_quotes_and_edges_are_text(tmp_path):
    data = folder(tmp_path, test='1\ttravel\t"Go" he said, "there\n2\thealth\t  a \'b\u00a0c  \n')
    table = data.examples(ENGLISH, "test").table
    assert table["text"].to_list() == ['"Go" he said, "there', "a 'b\u00a0c"]
    assert table["id"].to_list() == ["1", "2"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1\ttravel\n", r"test.tsv line 2 has 2 values; expected 3"),
        ("1\ttravel\ta\tb\n", r"test.tsv line 2 has 4 values; expected 3"),
        ("1\ttravel\ta\n2\tcooking\tb\n", r"test.tsv line 3 has the label 'cooking'"),
        ("1\ttravel\ta\n2\ttravel\t  \n", r"test.tsv line 3 has an empty 'text'"),
        ("1\ttravel\ta\n1\ttravel\tb\n", r"test.tsv line 3 has the id '1' a second time"),
        ("", r"test.tsv has no examples"),
        (b"", r"test.tsv is empty"),
        (b"index_id\tcategory\ttext\n1\ttravel\tok\n2\ttravel\t\xff\n", r"test.tsv line 3 is not UTF-8"),
        (b"index_id\ttopic\ttext\n", r"test.tsv line 1 has no column 'category'"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(tmp_path, body, message):
    data = folder(tmp_path, test=body)
    with pytest.raises(IsoglossError, match=message) as error:
        data.examples(ENGLISH, "test")
    assert "\n" not in str(error.value)


def test_missing_folders_and_files(tmp_path):
    with pytest.raises(IsoglossError, match="is no folder"):
        open_data("sib200", path=tmp_path / "none")
    with pytest.raises(IsoglossError, match="holds no language of sib200"):
        open_data("sib200", path=tmp_path)
    data = folder(tmp_path)
    (tmp_path / "eng_Latn" / "dev.tsv").unlink()
    with pytest.raises(IsoglossError, match=r"has no dev split of sib200 in eng-Latn; expected eng_Latn/dev.tsv"):
        data.examples(ENGLISH, "dev")


def test_limits_draw_and_the_fingerprint_sees_every_value(tmp_path):
    data = folder(tmp_path, test="1\ttravel\ta\n2\thealth\tb\n")
    whole = data.examples(ENGLISH, "test")
    data.limits["test"] = 1
    drawn = data.examples(ENGLISH, "test")
    assert len(drawn) == 1
    assert drawn.fingerprint != whole.fingerprint


def test_a_byte_order_mark_and_windows_lines_are_no_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes("\ufeffid\ttext\r\n1\tä\r\n".encode())
    assert read_tsv(path, ["id", "text"])[0].values == {"id": "1", "text": "ä"}


def test_a_carriage_return_within_a_line_is_part_of_the_text(tmp_path):
    (tmp_path / "x.tsv").write_bytes(b"text\tlabel\na\rb\ty\r\nc\tn\r\n")
    assert values(read_tsv(tmp_path / "x.tsv", ["text", "label"])) == [
        {"text": "a\rb", "label": "y"}, {"text": "c", "label": "n"},
    ]  # fmt: skip
