"""Files as strangers and accidents make them, looked at with `isogloss data`: formats times faults."""

# ruff: noqa: E501 - tables of cases, one a line

import io
from datetime import date

import polars as pl
import pytest

from fork_server import snapshot

LANGUAGE = "source: en\nlanguages: en\nname: own\n"
CARDS = {
    "texts": "kind: classification\nlabels: [a, b]\ncolumns: {id: id, text: text, label: label}\n",
    "words": "kind: tagging\nlabels: [O, B-PER, I-PER]\ncolumns: {text: words, label: tags}\n",
    "questions": "kind: qa\ncolumns: {id: id, text: context, second: question, label: answers}\n",
}
HEADERS = {"tokens": ", header: [words, tags]", "conllu": ""}
SURROGATE, DEEP, DIGITS = '"x\\ud800"', "[" * 20000 + "]" * 20000, "9" * 5000
# What may stand for a value in JSON, and whether it is surely refused where a text is expected.
VALUES = {
    "list": ('["x"]', True),
    "no list": ("[]", True),
    "lists": ('[["x"]]', True),
    "structure": ('{"en": "x"}', True),
    "empty structure": ("{}", True),
    "structures": ('[{"a": 1}]', True),
    "surrogate": (SURROGATE, True),
    "deep": (DEEP, True),
    "deep structure": ('{"a":' * 5000 + "1" + "}" * 5000, True),
    "nothing": ("null", None),
    "nan": ("NaN", None),
    "true": ("true", None),
    "number": ("1", None),
    "fraction": ("1.50", None),
    "negative": ("-7", None),
    "digits": (DIGITS, None),
    "huge": ("1e999", None),
    "infinity": ("-Infinity", None),
    "empty": ('""', None),
    "blank": ('" \\t"', None),
    "null character": ('"\\u0000x"', None),
    "control": ('"\\u001b[2Jx"', None),
    "long": ('"' + "x" * 300000 + '"', None),
}
ROWS = {
    "texts": [{"id": '"1"', "text": '"one two"', "label": '"a"'}, {"id": '"2"', "text": '"three"', "label": '"b"'}],
    "words": [{"words": '["Ada", "ran"]', "tags": '["B-PER", "O"]'}, {"words": '["so"]', "tags": '["O"]'}],
    "questions": [
        {
            "id": f'"{n}"',
            "context": '"Ada ran"',
            "question": '"who?"',
            "answers": '{"text": ["Ada"], "answer_start": [0]}',
        }
        for n in "12"
    ],
}


def objects(rows):
    return ["{" + ", ".join(f'"{key}": {value}' for key, value in row.items()) + "}" for row in rows]


def in_json(kind, field, value, *, array):
    lines = objects([ROWS[kind][0], {**ROWS[kind][1], field: value}])
    return ("[" + ",\n".join(lines) + "]" if array else "\n".join(lines)).encode()


CASES = {}


def case(name, kind, form, data, *, code=None, named=(), local=""):
    CASES[name] = (kind, form, data, code, named, local)


for kind, rows in ROWS.items():
    for field in rows[0]:
        for what, (value, refused) in VALUES.items():
            for array in (False, True)[: 1 + (field == list(rows[0])[-1])]:
                # A list of words is a list; a list may be answers, though not these.
                sure = refused and not (kind == "words" and what == "list")
                case(f"{kind} {'array' if array else 'lines'}: {field} is {what}", kind, "jsonl",
                     in_json(kind, field, value, array=array), code=2 if sure else None)  # fmt: skip

SQUAD = {
    "article": '{{"data": [{}]}}',
    "paragraph": '{{"data": [{{"title": "t", "paragraphs": [{}]}}]}}',
    "question": '{{"data": [{{"title": "t", "paragraphs": [{{"context": "Ada ran", "qas": [{}]}}]}}]}}',
    "title": '{{"data": [{{"title": {}, "paragraphs": []}}]}}',
    "data": '{{"data": {}}}',
    "everything": "{}",
    "paragraphs": '{{"data": [{{"paragraphs": {}}}]}}',
    "context": '{{"data": [{{"paragraphs": [{{"context": {}, "qas": []}}]}}]}}',
    "qas": '{{"data": [{{"paragraphs": [{{"context": "Ada", "qas": {}}}]}}]}}',
}
ASKED = '{{"data": [{{"title": "t", "paragraphs": [{{"context": "Ada ran", "qas": [{{"id": {id}, "question": {question}, "answers": {answers}}}]}}]}}]}}'
for place, frame in SQUAD.items():
    for what in ("list", "structure", "nothing", "number", "true", "surrogate", "deep", "nan", "digits"):
        case(f"squad: {place} is {what}", "questions", "squad", frame.format(VALUES[what][0]).encode(), code=2)
for field in ("id", "question", "answers"):
    for what, (value, refused) in VALUES.items():
        filled = {"id": '"1"', "question": '"who?"', "answers": '[{"text": "Ada", "answer_start": 0}]', field: value}
        case(
            f"squad: {field} is {what}",
            "questions",
            "squad",
            ASKED.format(**filled).encode(),
            code=2 if refused else None,
        )
OFFSETS = {
    "nan": "NaN",
    "negative": "-1",
    "huge": "1" + "0" * 400,
    "past": "10000",
    "fraction": "0.5",
    "text": '"0"',
    "nothing": "null",
    "true": "true",
    "list": "[0]",
    "structure": "{}",
    "infinity": "Infinity",
    "exponent": "1e3",
    "digits": DIGITS,
}
for what, value in OFFSETS.items():
    one = f'[{{"text": "Ada", "answer_start": {value}}}]'
    two = f'{{"text": ["Ada"], "answer_start": [{value}]}}'
    case(
        f"squad: an offset is {what}",
        "questions",
        "squad",
        ASKED.format(id=1, question='"who?"', answers=one).encode(),
        code=2,
    )
    case(f"lines: an offset is {what}", "questions", "jsonl", in_json("questions", "answers", two, array=False), code=2,
         named=("test.x line 2",))  # fmt: skip
    case(f"lines: an offset of structures is {what}", "questions", "jsonl", in_json("questions", "answers", one, array=False),
         code=2, named=("test.x line 2",))  # fmt: skip
for what, value in {
    "no answer": '{"text": [], "answer_start": []}',
    "too few": '{"text": ["Ada", "ran"], "answer_start": [0]}',
    "elsewhere": '{"text": ["Bob"], "answer_start": [0]}',
    "empty": '{"text": [""], "answer_start": [0]}',
    "texts": '["Ada"]',
    "a text": '"Ada"',
    "no starts": '{"text": ["Ada"]}',
    "a number": '{"text": [1], "answer_start": [0]}',
}.items():
    case(f"lines: answers with {what}", "questions", "jsonl", in_json("questions", "answers", value, array=False), code=2,
         named=("test.x line 2",))  # fmt: skip

GOOD = {
    "tsv": ("texts", b"id\ttext\tlabel\n1\tone two\ta\n2\tthree\tb\n"),
    "csv": ("texts", b'id,text,label\n1,"one, two",a\n2,three,b\n'),
    "jsonl": ("texts", "\n".join(objects(ROWS["texts"])).encode()),
    "tokens": ("words", b"Ada B-PER\nran O\n\nso O\n"),
    "squad": (
        "questions",
        ASKED.format(id=1, question='"who?"', answers='[{"text": "Ada", "answer_start": 0}]').encode(),
    ),
    "conllu": ("words", b"# sent_id = 1\n1\tAda\t_\tB-PER\t_\t_\t_\t_\t_\t_\n"),
}
BYTES = {
    "nothing": lambda _: b"",
    "blank": lambda _: b"\n\n \n",
    "gzip": lambda good: b"\x1f\x8b\x08\x00" + good,
    "zip": lambda good: b"PK\x03\x04" + good,
    "utf-16": lambda good: good.decode().encode("utf-16"),
    "utf-16 without mark": lambda good: good.decode().encode("utf-16-le"),
    "utf-32": lambda good: good.decode().encode("utf-32"),
    "latin-1": lambda good: good.replace(b"r", b"\xe4"),
    "surrogate": lambda good: good.replace(b"r", b"\xed\xa0\x80"),
    "cut": lambda good: good[: len(good) * 2 // 3],
    "nulls": lambda _: b"\x00" * 5000,
    "noise": lambda _: bytes(range(256)) * 20,
    "pointer": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "parquet": lambda _: b"PAR1PAR1",
    "a long line": lambda good: good + b"x" * 2_000_000,
    "two marks": lambda good: b"\xef\xbb\xbf\xef\xbb\xbf" + good,
    "quotes": lambda good: good + b'"""',
    "brackets": lambda good: good + b"[" * 100000,
    "html": lambda _: b"<!doctype html>\n<p>404",
}
WHOLE = {
    "windows": lambda good: good.replace(b"\n", b"\r\n"),
    "old mac": lambda good: good.replace(b"\n", b"\r"),
    "a mark": lambda good: b"\xef\xbb\xbf" + good,
    "no last line end": lambda good: good.rstrip(b"\n"),
    "as it is": lambda good: good,
    "line separators in texts": lambda good: good.replace(b"three", b"\xe2\x80\xa8t\xc2\x85"),
}
for form, (kind, good) in GOOD.items():
    columns = {"conllu": "kind: tagging\nlabels: [O, B-PER]\ncolumns: {text: form, label: upos}\n"}.get(form)
    for what, damage in BYTES.items():
        sure = what not in {
            "cut",
            "nothing",
            "blank",
            "quotes",
            "two marks",
            "brackets",
            "a long line",
            "latin-1",
            "surrogate",
        }
        case(f"{form}: {what}", columns or kind, form, damage(good), code=2 if sure else None)
    for what, change in WHOLE.items():
        if not (what == "old mac" and form == "jsonl" and good.count(b"\n") == 0):
            case(f"{form}: {what}", columns or kind, form, change(good), code=0)

for what, (data, code, named) in {
    "a no-break space": ("Ada\u00a0B B-PER\nran O\n", 0, ()),
    "a space in a word": ("a O\nb O\nNew York B-PER\nc O\n", 0, ()),
    "an empty word": ("Ada B-PER\n O\nran O\n", 0, ()),
    "nothing but empty words": (" O\n O\n", 2, ("test.x line",)),
    "a sentence of an empty word": ("Ada B-PER\n\n O\n\nran O\n", 0, ()),
    "a tab in a comment": ("# id\tx=en\nAda B-PER\nran O\n", 0, ()),
    "a field more in each": ("Ada X B-PER\nran Y O\n", 2, ("test.x line 1", "3 fields")),
    "one field": ("Ada\nran\n", 2, ("line 1",)),
    "no tags": ("Ada B-PER\nran\n", 2, ("line 2",)),
    "an unknown tag": ("Ada B-ORG\n", 2, ("line 1", "B-ORG")),
    "placeholders": ("_ O\n_ O\n_ O\n", 2, ("line 1", "'_'")),
    "one underscore": ("_ O\nran O\n", 0, ()),
    "aligned fields": ("Ada    B-PER\nran    O\n", 0, ()),
    "a mixture": ("Ada\tB-PER\nran\tO\nso O\n", 2, ("line 3",)),
    "only comments": ("# a\n# b c d\n", 2, ("test.x",)),
    "trailing spaces": ("Ada B-PER  \nran O \n", 0, ()),
    "an ideographic space": ("Ada\u3000B B-PER\nran O\n", 0, ()),
    "a blank of spaces": ("Ada B-PER\n  \nran O\n", 0, ()),
}.items():
    case(f"tokens: {what}", "words", "tokens", data.encode(), code=code, named=named)
LINE = "{}\tAda\t_\tO\t_\t_\t_\t_\t_\t_\n"
for what, (data, code) in {
    "a range": (LINE.format("1-2") + LINE.format(1), 0),
    "an empty node": (LINE.format(1) + LINE.format("1.1"), 0),
    "a letter": (LINE.format("a"), 2),
    "nothing": (LINE.format("").replace("\tA", "\t\tA", 0), 2),
    "a negative": (LINE.format("-1"), 2),
    "another script's digit": (LINE.format("١"), 2),
    "a superscript": (LINE.format("²"), 2),
    "a structure": (LINE.format("{}"), 2),
    "a space": (LINE.format("1 "), 2),
}.items():
    case(f"conllu: an id is {what}", "kind: tagging\nlabels: [O, X]\ncolumns: {text: form, label: upos}\n", "conllu",
         data.encode(), code=code, named=("test.x line",) if code else ())  # fmt: skip
LONG = "x" * 200_000
for what, (form, data, code, local) in {
    "a column twice": ("tsv", "id\ttext\ttext\tlabel\n1\ta\tb\ta\n", 2, ""),
    "the label twice": ("csv", "id,text,label,label\n1,a,b,a\n", 2, ""),
    "a key twice": ("jsonl", '{"id": "1", "text": "a", "text": "b", "label": "a"}\n', 2, ""),
    "a nested key twice": ("jsonl", '{"id": "1", "text": "a", "label": "a", "x": {"y": 1, "y": 2}}\n', 2, ""),
    "a header twice": ("tsv", "1\ta\ta\n", 2, ", header: [id, text, text, label]"),
    "an id twice": ("tsv", "id\ttext\tlabel\n1\tx\ta\n1\ty\tb\n", 2, ""),
    "a long text": ("tsv", f"id\ttext\tlabel\n1\t{LONG}\ta\n2\ty\tb\n", 0, ""),
    "a long quoted text": ("csv", f'id,text,label\n1,"{LONG}",a\n2,y,b\n', 0, ""),
    "an open quote": ("csv", 'id,text,label\n1,"x,a\n2,y,b\n', 2, ""),
    "semicolons": ("csv", "id;text;label\n1;a, b;a\n", 0, ', delimiter: ";"'),
    "a bar of three": ("tsv", "id|||text|||label\n1|||a|b|||a\n", 0, ', delimiter: "|||"'),
    "quotes in tsv": ("tsv", 'id\ttext\tlabel\n1\t"a ""b"" \t c"\ta\n', 0, ", quoting: true"),
    "no quotes in csv": ("csv", 'id,text,label\n1,a "b,a\n', 0, ", quoting: false"),
    "no delimiter": ("tsv", "id\ttext\tlabel\n", 2, ', delimiter: ""'),
    "a quote for delimiter": ("csv", "id,text,label\n", 2, ", delimiter: '\"'"),
    "a delimiter of json": ("jsonl", "{}\n", 2, ', delimiter: ";"'),
    "a wrong delimiter": ("csv", "id;text;label\n1;a;a\n", 2, ""),
    "a line end in a header": ("csv", '"id","te\nxt","label"\n1,a,a\n', 2, ""),
    "escapes in a header": ("csv", "id,\x1b[2J,label\n1,a,a\n", 2, ""),
    "ten thousand columns": ("csv", ",".join(f"c{n}" for n in range(10000)) + "\n", 2, ""),
    "a long label": ("tsv", f"id\ttext\tlabel\n1\tx\t{LONG}\n", 2, ""),
    "a label of lines": ("csv", 'id,text,label\n1,x,"a\nb"\n', 2, ""),
    "no label": ("tsv", "id\ttext\tlabel\n1\tx\t\n", 2, ""),
    "whole numbers with gaps": ("tsv", "id\ttext\tlabel\n1\tx\t1.0\n2\ty\t0.0\n", 2, ""),
}.items():
    case(f"{form}: {what}", "texts", form, data.encode(), code=code, local=local)


def parquet(*rows, schema=None):
    stream = io.BytesIO()
    pl.DataFrame(list(rows), schema=schema, strict=False).write_parquet(stream)
    return stream.getvalue()


FIRST = {"id": "1", "text": "x", "label": "a"}
for what, (kind, data, code) in {
    "texts": ("texts", parquet(FIRST), 0),
    "a list as label": ("texts", parquet({**FIRST, "label": ["a"]}), 2),
    "a list as text": ("texts", parquet({**FIRST, "text": ["a", "b"]}), 2),
    "a structure as text": ("texts", parquet({**FIRST, "text": {"en": "x"}}), 2),
    "a structure as id": ("texts", parquet({**FIRST, "id": {"n": 1}}), 2),
    "bytes": ("texts", parquet({**FIRST, "text": b"x"}), 0),
    "other bytes": ("texts", parquet({**FIRST, "text": b"\xff"}), 2),
    "a date": ("texts", parquet({**FIRST, "text": date(2020, 1, 1)}), 0),
    "nothing": ("texts", parquet({**FIRST, "label": None}), 2),
    "nan": ("texts", parquet({**FIRST, "label": float("nan")}), 2),
    "no text": ("texts", parquet({**FIRST, "text": None}), 2),
    "a missing column": ("texts", parquet({"id": "1", "text": "x"}), 2),
    "true": ("texts", parquet({**FIRST, "label": True}), 2),
    "words": ("words", parquet({"words": ["a", "b"], "tags": ["O", "O"]}), 0),
    "an empty word": ("words", parquet({"words": ["a", None], "tags": ["O", "O"]}), 0),
    "numbers for tags": ("words", parquet({"words": ["a"], "tags": [1]}), 2),
    "a tag too few": ("words", parquet({"words": ["a", "b"], "tags": ["O"]}), 2),
    "lists of lists": ("words", parquet({"words": [["a"]], "tags": [["O"]]}), 2),
    "a text for words": ("words", parquet({"words": "a b", "tags": ["O", "O"]}), 2),
    "questions": (
        "questions",
        parquet({"id": "1", "context": "Ada", "question": "q", "answers": {"text": ["Ada"], "answer_start": [0]}}),
        0,
    ),
    "questions of structures": (
        "questions",
        parquet({"id": "1", "context": "Ada", "question": "q", "answers": [{"text": "Ada", "answer_start": 0}]}),
        0,
    ),
    "fractions for offsets": (
        "questions",
        parquet({"id": "1", "context": "Ada", "question": "q", "answers": {"text": ["Ada"], "answer_start": [0.5]}}),
        2,
    ),
    "a nan for an offset": (
        "questions",
        parquet(
            {"id": "1", "context": "Ada", "question": "q", "answers": {"text": ["Ada"], "answer_start": [float("nan")]}}
        ),
        2,
    ),
    "no answers": (
        "questions",
        parquet({"id": "1", "context": "Ada", "question": "q", "answers": {"text": [], "answer_start": []}}),
        2,
    ),
    "cut": ("texts", parquet(FIRST)[:-40], 2),
    "cut in the middle": ("texts", parquet(FIRST)[:60] + parquet(FIRST)[-60:], 2),
    "a beginning and an end": ("texts", b"PAR1" + b"\x00" * 50 + b"PAR1", 2),
    "text": ("texts", b"id\ttext\n", 2),
    "empty": ("texts", b"", 2),
    "flipped": ("texts", bytes(byte ^ (place % 97 == 50) * 255 for place, byte in enumerate(parquet(*[FIRST] * 9))), 2),
}.items():
    case(f"parquet: {what}", kind, "parquet", data, code=code)


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_read_or_named(isogloss, tmp_path, name):
    kind, form, data, code, named, local = CASES[name]
    header = HEADERS.get(form, "") or local
    card = f"{LANGUAGE}{CARDS.get(kind, kind)}local: {{path: '{{split}}.x', format: {form}{header}, splits: {{test: test}}}}\n"
    if form == "conllu":
        card += "metrics: [accuracy]\n"
    folder = tmp_path / "set[1]"
    folder.mkdir()
    (tmp_path / "set1").mkdir()  # what the other's name would stand for as a pattern
    (folder / "card.yaml").write_text(card, encoding="utf-8")
    (folder / "test.x").write_bytes(data)
    before = snapshot(tmp_path)
    line = isogloss("data", "custom", "--path", folder, cwd=tmp_path).well(code=code)
    assert not line or "test.x" in line or "card.yaml" in line, line
    assert all(part in line for part in named), line
    assert len(line) < 1500
    assert snapshot(tmp_path) == before
