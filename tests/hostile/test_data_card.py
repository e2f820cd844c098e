"""Folders as people have them, given to `isogloss data-card`: names times contents times faults.

A card that is written reads every file that it names; of what is not understood a line says what, and nothing is
written.
"""

# ruff: noqa: E501 - tables of cases, one a line

import io
import json

import polars as pl
import pytest

from fork_server import snapshot

CLASSES, WORDS = "ab", [("Ada", "B-PER"), ("ran", "O"), (None, None), ("Oslo", "B-LOC"), ("is", "O"), (None, None)]
ROWS = 6


def table(delimiter, *, header=True, quoted=False):
    def made(code, split):
        rows = [["id", "text", "label"]] if header else []
        for number in range(ROWS):
            text = f"some words {number} of {code} {split}"
            rows.append([f"{split}{number}", f'"{text} ""so"""' if quoted else text, CLASSES[number % 2]])
        return "\n".join(delimiter.join(row) for row in rows) + "\n"

    return made


def words(separator, *, end="\n", extra=()):
    def made(code, split):
        lines = ["" if word is None else separator.join([word, *extra, tag]) for word, tag in WORDS]
        return end.join([*lines, f"{code}{split}{separator}{separator.join([*extra, 'O'])}", ""])

    return made


def conllu(_code, _split):
    return "# sent_id = 1\n1\tthe\t_\tDET\t_\t_\t_\t_\t_\t_\n2\tcat\t_\tNOUN\t_\t_\t_\t_\t_\t_\n"


def squad(_code, _split):
    question = {"id": "1", "question": "who?", "answers": [{"text": "Ada", "answer_start": 0}]}
    return json.dumps({"data": [{"title": "t", "paragraphs": [{"context": "Ada ran", "qas": [question]}]}] * 1})


def objects(code, split):
    return [{"id": n, "text": f"words {n} {code} {split}", "label": CLASSES[n % 2]} for n in range(ROWS)]


def lines(code, split):
    return "\n".join(map(json.dumps, objects(code, split)))


def array(code, split):
    return json.dumps(objects(code, split), indent=1)


def parquet(code, split):
    stream = io.BytesIO()
    pl.DataFrame(objects(code, split)).write_parquet(stream)
    return stream.getvalue()


def answers(_code, _split):
    row = {"id": "1", "context": "Ada ran", "question": "who?", "answers": {"text": ["Ada"], "answer_start": [0]}}
    return json.dumps(row)


NAMES = {
    "folders": "{code}/{split}",
    "dots": "data.{code}.{split}",
    "before": "{split}-{code}",
    "twice": "sub/{split}/{code}_{split}",
    "code twice": "{code}/{code}.{split}",
    "both twice": "{split}/{split}-context-{code}-question-{code}",
    "deep": "a b/v1.0/{code}/x/{split}",
    "brackets": "set[1]/{code}/{split}",
    "a name that is a code": "ner/{code}/{split}",
    "a split in a folder": "{split}_data/{code}",
    "stars": "x*?/{code}.{split}",
    "letters": "données/{code}.{split}",
}
CONTENTS = {
    "tsv": (".tsv", table("\t")),
    "csv": (".csv", table(",", quoted=False)),
    "semicolons": (".csv", table(";")),
    "bars": (".txt", table(" ||| ")),
    "no header": (".tsv", table("\t", header=False)),
    "quotes": (".tsv", table("\t", quoted=True)),
    "jsonl": (".jsonl", lines),
    "array": (".json", array),
    "parquet": (".parquet", parquet),
    "squad": (".json", squad),
    "questions": (".jsonl", answers),
    "conllu": (".conllu", conllu),
    "words": (".txt", words(" ")),
    "words in tsv": (".tsv", words("\t")),
    "windows": (".tsv", words("\t", end="\r\n")),
    "old mac": (".txt", words("\t", end="\r")),
    "chunks": (".conll", words(" ", extra=("NN", "I-NP"))),
    "upper": (".TSV", table("\t")),
}
CODES = {
    "two": ("en", "de"),
    "scripts": ("eng_Latn", "zho_Hans"),
    "regions": ("en-US", "pt-BR"),
    "names": ("english", "german"),
    "capitals": ("EN", "DE"),
    "one": ("sw",),
    "alike": ("en", "eng", "de"),
    "treebanks": ("en_ewt", "de_gsd"),
}
SPLITS = {
    "all": ("train", "dev", "test"),
    "long": ("training", "validation", "test"),
    "test": ("test",),
    "capitals": ("Train", "Dev", "Test"),
    "parts": ("train", "dev_2k", "test_2k"),
    "no test": ("train", "dev"),
}


def folder(names="folders", contents="tsv", codes="two", splits="all"):
    suffix, made = CONTENTS[contents]
    return {
        NAMES[names].format(code=code, split=split) + suffix: made(code, split)
        for code in CODES[codes]
        for split in SPLITS[splits]
    }


GOOD = {f"{names} of {contents}": folder(names, contents) for names in NAMES for contents in ("tsv", "words", "jsonl")}
GOOD |= {
    f"{contents} of {splits}": folder("dots", contents, splits=splits)
    for contents in CONTENTS
    for splits in ("all", "test")
}
GOOD |= {
    f"codes {codes}, splits {splits}": folder("folders", "tsv", codes, splits) for codes in CODES for splits in SPLITS
}

TSV = table("\t")("en", "test")
BAD = {
    "an empty folder": {},
    "other files": {"en/test.pkl": b"x"},
    "packed": {"en/test.tsv.gz": b"\x1f\x8b"},
    "no language": {"train.tsv": TSV},
    "no split": {"en.tsv": TSV, "de.tsv": TSV},
    "too few rows to divide": {"en.tsv": TSV},
    "an empty file": {"en/test.tsv": ""},
    "one empty file": {"en/train.tsv": TSV, "en/test.tsv": ""},
    "only a header": {"en/test.tsv": "text\tlabel\n"},
    "one column": {"en/test.tsv": "text\na\nb\n"},
    "no label": {"en/test.tsv": "a\tb\n1 x\t2 y\n"},
    "uneven": {"en/test.tsv": "text\tlabel\na\tb\nc\n"},
    "utf-16": {"en/test.tsv": TSV.encode("utf-16")},
    "latin-1": {"en/test.tsv": TSV.encode() + b"\xe4\tx\ty\n"},
    "an empty text": {"en/train.tsv": TSV, "en/test.tsv": TSV + "9\t\ta\n"},
    "an empty label": {"en/test.tsv": TSV + "9\tx\t\n"},
    "a column twice": {"en/test.tsv": TSV.replace("id", "text", 1)},
    "names that differ": {"en/train.tsv": TSV, "en/test.tsv": TSV.replace("label", "gold", 1)},
    "several labels": {"en/test.jsonl": '{"text": "a", "labels": ["x"]}\n{"text": "b", "labels": []}\n'},
    "structures": {"en/test.jsonl": '{"text": {"en": "a"}, "label": "x"}\n'},
    "lists of lists": {"en/test.jsonl": '{"tokens": [["a"]], "tags": [["O"]]}\n'},
    "no json": {"en/test.jsonl": "{"},
    "a number": {"en/test.json": "1"},
    "deep": {"en/test.json": "[" * 50000},
    "digits": {"en/test.json": '[{"text": ' + "9" * 5000 + "}]"},
    "half a character": {"en/test.jsonl": '{"text": "\\ud800", "label": "a"}\n'},
    "a key twice": {"en/test.jsonl": '{"text": "a", "text": "b"}\n'},
    "objects of others": {"en/test.jsonl": '{"text": "a", "label": "x"}\n{"b": 1}\n'},
    "no parquet": {"en/test.parquet": b"PAR1 no"},
    "no squad": {"en/test.json": '{"data": [{"paragraphs": 1}]}'},
    "an answer elsewhere": {"en/test.json": squad("", "").replace('"Ada"', '"Bob"')},
    "only training": {"en/train.tsv": TSV},
    "a word without tag": {"en/test.conll": "Ada B-PER\nran\n\nso O\n"},
    "one word a line": {"en/test.conll": "Ada\nran\n\nso\n"},
    "one tag": {"en/test.conll": "Ada O\nran O\n\nso O\n"},
    "a wrong id": {"en/test.conllu": conllu("", "").replace("1\tthe", "x\tthe")},
    "placeholders": {
        "en/test.conllu": "".join(
            f"{n}\t_\t_\t{tag}\t_\t_\t_\t_\t_\t_\n" for n, tag in enumerate(["DET", "NOUN", "VERB"], 1)
        )
    },
    "ten thousand labels": {"en/test.tsv": "text\tlabel\n" + "".join(f"word {n}\tl{n}\n" for n in range(10000))},
    "nulls": {"en/test.tsv": b"\x00" * 999},
    "noise": {"en/test.csv": bytes(range(256)) * 9},
    "an id twice": {"en/test.json": json.dumps({"data": json.loads(squad("", ""))["data"] * 2})},
    "a pointer": {"en/test.jsonl": "version https://git-lfs.github.com/spec/v1\n"},
    "html": {"en/test.json": "<html>"},
    "a list a line": {"en/test.jsonl": '["a"]\n["b"]\n'},
}
ODD = {  # either is right, as long as a card that is written reads the files
    "mixed formats": {"en/train.tsv": TSV, "en/test.tsv": TSV, "de/test.jsonl": lines("de", "test")},
    "an open quote": {"en/test.csv": 'text,label\n"a,b\nc,d\n'},
    "escapes": {"\x1b[2J/en/test.tsv": TSV},
    "a line end": {"a\nb/en/test.tsv": TSV},
    "braces": {"{code}/en/test.tsv": TSV, "{x}/de/test.tsv": TSV},
    "numbers": {"en/test.tsv": "1\t2\n3\t4\n3\t5\n"},
    "a suffix scheme": {"en/test.conll": "Ada PER-B\nran O\n\nBo PER-I\n"},
    "german tags": {"de/test.tsv": "#\tx\n1\tAda\tB-PER\tO\n2\tran\tO\tB-X\n\n1\tso\tO\tO\n"},
    "two texts": {"en/test.tsv": "premise\thypothesis\tlabel\na b\tc d\tx\ne\tf\ty\na\tb\tx\n"},
    "treebanks of one language": {f"{code}-ud-test.conllu": conllu("", "") for code in ("en_ewt", "en_gum")},
    "hidden": {".git/en/test.tsv": "x", "en/test.tsv": TSV},
    "a readme": {"en/test.tsv": TSV, "README.txt": "read me", "licence.txt": "free"},
    "prefixes": {"en/test.tsv": "en:Ada\tB-PER\nen:ran\tO\n\nen:so\tO\n"},
    "a split in a column": {
        "en.jsonl": '{"split": "train", "text": "a b", "label": "x"}\n{"split": "test", "text": "c", "label": "y"}\n{"split": "test", "text": "d e", "label": "x"}\n'
    },
    "nested arrays": {"en/test.json": "[[1], [2]]"},
    "yaml words": {"en/test.tsv": "text\tlabel\na b\tno\nc\tyes\nd e f\tnull\ng h\t1e-3\ni\tno\n"},
    "odd labels": {"en/test.tsv": "text\tlabel\na b\t: -\nc\t#\nd e f\t'\ng\t: -\n"},
}


def written(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    folder.mkdir(exist_ok=True)
    return snapshot(folder)


def drafted(isogloss, folder, files, code):
    """The card that was written, if one was: then every file is as it was, and `isogloss data` reads it."""
    before = written(folder, files)
    line = isogloss("data-card", folder, cwd=folder.parent).well(code=code)
    after = snapshot(folder)
    if line:
        assert after == before
        return line
    assert {name: data for name, data in after.items() if name != "card.yaml"} == before
    isogloss("data", "custom", "--path", folder, cwd=folder.parent).well(code=0)
    return after["card.yaml"].decode()


@pytest.mark.parametrize("name", GOOD)
def test_what_people_have_is_understood(isogloss, tmp_path, name):
    card = drafted(isogloss, tmp_path / "own", GOOD[name], 0)
    assert "Left out" not in card or "alike" in name, card
    assert "header" in card or "no header" not in name, card


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_understood_is_said(isogloss, tmp_path, name):
    line = drafted(isogloss, tmp_path / "own", BAD[name], 2)
    assert str(tmp_path / "own") in line or next(iter(BAD[name])) in line, line
    assert len(line) < 1500


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_one_or_the_other(isogloss, tmp_path, name):
    drafted(isogloss, tmp_path / "own", ODD[name], None)
