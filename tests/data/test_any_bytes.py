"""Whatever the bytes of a file are, a reader gives rows or a line that names the file."""

import io
import json

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isogloss.data.cards import read_card
from isogloss.data.kinds.registry import data_kinds
from isogloss.data.readers.registry import readers
from isogloss.errors import IsoglossError


def parquet(rows):
    stream = io.BytesIO()
    pl.DataFrame(rows, strict=False).write_parquet(stream, compression="uncompressed")
    return stream.getvalue()


ROWS = [{"id": str(n), "text": f"text {n} ä", "label": "ab"[n % 2]} for n in range(4)]
QUESTION = {"id": "1", "question": "who?", "answers": [{"text": "Ada", "answer_start": 0}]}
SQUAD = {"data": [{"title": "t", "paragraphs": [{"context": "Ada ran", "qas": [QUESTION]}]}]}
VALID = {
    "tsv": "id\ttext\tlabel\n1\tone ä\ta\n2\ttwo\tb\n".encode(),
    "csv": b'id,text,label\n1,"one, ""1""",a\n2,two,b\n',
    "jsonl": "\n".join(map(json.dumps, ROWS)).encode(),
    "parquet": parquet(ROWS),
    "tokens": b"# sent_id = 1\nAda B-PER\nran O\n\nOslo B-LOC\n",
    "squad": json.dumps(SQUAD).encode(),
    "conllu": b"# sent_id = 1\n1\tthe\t_\tDET\t_\t_\t_\t_\t_\t_\n"
    b"2-3\tx\t_\t_\t_\t_\t_\t_\t_\t_\n2\tc\t_\tX\t_\t_\t_\t_\t_\t_\n",
}
PIECES = [
    b"\x00",
    b"\xff\xfe",
    b"\r",
    b"\n",
    b"\t",
    b" ",
    b'"',
    b",",
    b"[",
    b"{",
    b"}",
    b"]",
    b":",
    b"NaN",
    b"null",
    b"\\ud800",
    b"1e999",
    b"9" * 5000,
    b"[" * 5000,
    "\u2028\u00a0\ufeff".encode(),
    b"#",
    b"1-",
    b"-",
    b"\xed\xa0\x80",
    b"true",
    b"_",
]
ASKED = {"tokens": ["word", "tag"], "conllu": ["form", "upos"], "squad": ["id", "question", "context", "answers"]}


def card(kind, columns, **more):
    raw = {"name": "own", "kind": kind, "source": "en", "languages": "en", "columns": columns, **more}
    return read_card(raw, where="card")


CARDS = {
    "classification": card("classification", {"id": "id", "text": "text", "label": "label"}, labels=["a", "b"]),
    "tokens": card("tagging", {"text": "word", "label": "tag"}, labels=["O", "B-PER", "B-LOC"]),
    "conllu": card("tagging", {"text": "form", "label": "upos"}, labels=["DET", "X"], metrics=["accuracy"]),
    "squad": card("qa", {"id": "id", "text": "context", "second": "question", "label": "answers"}),
}


def answered(path, form, data):
    """Rows of examples, or one line."""
    path.write_bytes(data)
    kind = CARDS.get(form, CARDS["classification"])
    asked = ASKED.get(form, ["id", "text", "label"])
    line = f"{path}"
    try:
        rows = readers()[form](path, asked, asked if form == "tokens" else None)
        made = data_kinds()[kind.kind].columns(rows, kind)
        for values in made.values():
            json.dumps(values, ensure_ascii=False).encode()  # texts that can be written
    except IsoglossError as error:
        line = str(error)
    assert str(path) in line
    assert "\n" not in line
    assert len(line) < 2000


@st.composite
def damaged(draw, form):
    """A valid file, some of whose bytes are cut out, replaced or put in."""
    data = VALID[form]
    for _ in range(draw(st.integers(1, 4))):
        at, upto = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=6)))
        data = data[:at] + piece + data[draw(st.sampled_from([at, at + 1, upto])) :]
    return data


SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("form", VALID)
def test_a_damaged_file_is_read_or_named(tmp_path, form):
    @SETTINGS
    @given(damaged(form))
    def check(data):
        answered(tmp_path / "x", form, data)

    check()


@pytest.mark.parametrize("form", VALID)
def test_any_bytes_are_read_or_named(tmp_path, form):
    @SETTINGS
    @given(st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)))
    def check(data):
        answered(tmp_path / "x", form, data)

    check()


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["a", "O", "\ud800", "9" * 400]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["text", "answer_start", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("form", ["jsonl", "squad"])
def test_fields_of_any_type_are_read_or_named(tmp_path, form):
    @SETTINGS
    @given(VALUES, st.sampled_from(["id", "text", "label"]), st.integers(0, 9))
    def check(value, field, place):
        if form == "jsonl":
            rows = [*ROWS[:2], {**ROWS[2], field: value}]
            data = "\n".join(map(json.dumps, rows)).encode()
        else:
            whole = json.loads(VALID["squad"])
            article = whole["data"][0]
            paragraph = article["paragraphs"][0]
            question = paragraph["qas"][0]
            owner, key = [
                (whole, "data"), (article, "title"), (article, "paragraphs"), (paragraph, "context"),
                (paragraph, "qas"),
                (question, "id"), (question, "question"), (question, "answers"), (question["answers"][0], "text"),
                (question["answers"][0], "answer_start"),
            ][place]  # fmt: skip
            owner[key] = value
            data = json.dumps(whole).encode()
        answered(tmp_path / "x", form, data)

    check()
