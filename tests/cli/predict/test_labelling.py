"""`isogloss predict` on files of every form, good and bad, through the command line's own entry."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import isogloss
from isogloss.cli import commands as cli
from models import LABELS, WORDS, checkpoint, sib200

PLAIN = ["the cat sat", "", "a dog ran on", "  ", "the red sun"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model, and runs of each kind of task on it."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOGLOSS_CACHE", str(folder / "cache"))
        common = {"backbone": str(checkpoint(folder / "model")), "dtype": "float32", "device": "cpu"}
        probe = {"linear-probe": {"epochs": 1}}
        isogloss.run(
            {
                **common, "name": "small", "task": "sib200", "data": {"path": str(sib200(folder / "data"))},
                "seeds": [0, 1], "methods": {**probe, "soft-prompt": {"length": 2, "epochs": 1}},
            },
            folder / "run",
        )  # fmt: skip
        words = [
            {"words": [WORDS[place % 20], "cat", str(place)], "labels": ["O", "B-PER", "I-PER" if place % 2 else "O"]}
            for place in range(16)
        ]
        asked = [
            {"question": f"where {place}", "context": f"the cat sat on a mat {place}", "answers": ["a mat"]}
            for place in range(16)
        ]
        pairs = [
            {"text": f"the {WORDS[place]}", "second": f"a {place}", "label": LABELS[place % 2]} for place in range(16)
        ]
        for name, rows in {"tags": words, "qa": asked, "pairs": pairs}.items():
            data = {"train": {"en": rows[:8]}, "dev": {"en": rows[8:12]}, "test": {"de": rows[12:], "en": rows[12:14]}}
            isogloss.run({**common, "name": name, "task": "custom", "methods": probe}, folder / name, data=data)
        yield folder


@pytest.fixture
def predict(home, monkeypatch, capsys, tmp_path):
    """Carries the command out in a folder of the test's own; gives what it says."""
    monkeypatch.chdir(tmp_path)

    def call(*words, run="run", code=0, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["isogloss", "predict", str(home / run), *map(str, words)])
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        shown = capsys.readouterr()
        assert (stop.value.code or 0) == code, shown.err
        return SimpleNamespace(
            err=shown.err, out=shown.out, lines=[json.loads(line) for line in shown.out.splitlines()]
        )

    return call


def expected(home, texts, **options):
    """What the same model says from Python."""
    return isogloss.load(home / "run").predict(texts, **options)


def put(path, rows, *, delimiter=",", **options):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter, **options).writerows(rows)
    return path


# Lines of text


def test_blank_lines_have_empty_answers(home, predict, tmp_path):
    (tmp_path / "in.txt").write_text("\n".join(PLAIN) + "\n")
    for shown in (predict("in.txt"), predict(stdin=(tmp_path / "in.txt").read_bytes())):
        assert [answer["text"] for answer in shown.lines] == PLAIN
        assert [answer for answer in shown.lines if answer["text"].strip()] == expected(home, PLAIN[::2])
        for blank in (shown.lines[1], shown.lines[3]):
            assert blank["label"] is blank["score"] is None


def test_it_says_which_model_it_took_and_why(predict):
    said = predict(stdin=b"the cat\n").err
    assert " seed " in said
    assert "the best of 4 models, by accuracy on English development data (0." in said
    assert said.count("\n") == 1
    assert "the best of 2 models" in predict("--method", "linear-probe", stdin=b"the cat\n").err
    asked = predict("--method", "soft-prompt", "--seed", 1, stdin=b"the cat\n").err
    assert asked == "soft-prompt seed 1, as asked for\n"
    assert "the only model" in predict(run="qa", stdin=b"where\tthe cat\n").err


def test_a_cell_without_a_temperature_is_said_once(home, predict, tmp_path):
    import shutil

    shutil.copytree(home / "run", tmp_path / "old")
    for record in (tmp_path / "old").glob("weights/*/*/run.json"):
        old = json.loads(record.read_text())
        del old["temperature"], old["tables_sha256"]["confidence"]
        record.write_text(json.dumps(old))
    shown = predict(run=tmp_path / "old", stdin=b"the cat\n" * 600)
    assert shown.err.count("keeps no temperature of it") == 1
    assert "temperature" not in predict(stdin=b"the cat\n").err
    assert "temperature" not in predict(run="qa", stdin=b"where\tthe cat\n").err


def test_all_classes_and_a_threshold(home, predict):
    text = [PLAIN[0]]
    shown = predict("--scores", "--threshold", "0.9999", "--language", "sw", stdin=b"the cat sat\n\n")
    answer, blank = shown.lines
    assert answer == expected(home, text, scores=True, threshold=0.9999, language="sw")[0]
    assert answer["label"] is None
    assert list(answer) == ["text", "label", "score", "scores", "language"]
    assert blank == {"text": "", "label": None, "score": None, "scores": None, "language": "swh-Latn"}


def test_words_questions_and_pairs(predict):
    (tags, blank) = predict(run="tags", stdin=b"the  cat 3\n\n").lines
    assert tags["words"] == ["the", "cat", "3"]
    assert tags["offsets"] == [[0, 3], [5, 8], [9, 10]]
    assert {"labels", "score", "spans"} < tags.keys() == blank.keys()
    assert set(blank.values()) == {None}
    shown = predict(run="qa", stdin=b"where\tthe cat sat\n\t\nwhere\t \n\n").lines
    assert [answer["answer"] is None for answer in shown] == [False, True, True, True]
    assert "the cat sat"[shown[0]["start"] : shown[0]["end"]] == shown[0]["answer"]
    assert predict(run="pairs", stdin=b"the cat\ta 3\n").lines[0].keys() == {"text", "second", "label", "score"}
    assert (
        "standard input line 2 is not a text and a second text with a tab between"
        in predict(run="pairs", stdin=b"the cat\ta 3\nthe cat\n", code=2).err
    )


# Tables

ROWS = [
    ["id", "text", "label", "note"],
    ["007", "the cat sat", "gold", "1.0"],
    ["b", "", "x", ""],
    ["c", 'a "dog", ran\non', "y", "é\u200d"],
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_passes_its_columns_through(home, predict, tmp_path, delimiter):
    put(tmp_path / "in.csv", ROWS, delimiter=delimiter)
    shown = predict("in.csv")
    assert "in.csv has label of its own: of the answers it is predicted_label" in shown.err
    answers = expected(home, ["the cat sat", 'a "dog", ran\non'])
    for row, line in zip(ROWS[1:], shown.lines, strict=True):
        assert [line[name] for name in ROWS[0]] == row
    assert list(shown.lines[0]) == ["id", "text", "label", "note", "predicted_label", "score"]
    assert [line["predicted_label"] for line in shown.lines] == [answers[0]["label"], None, answers[1]["label"]]
    assert [line["score"] for line in shown.lines] == [answers[0]["score"], None, answers[1]["score"]]


def test_tsv_takes_quotes_as_they_are(predict, tmp_path):
    (tmp_path / "in.tsv").write_text('\ufeffid\ttext\r\n1\t"the" cat\r\n\r\n2\t"a\r\n', encoding="utf-8", newline="")
    assert [line["text"] for line in predict("in.tsv").lines] == ['"the" cat', '"a']


def test_a_table_of_one_column_has_blank_lines(predict, tmp_path):
    (tmp_path / "in.csv").write_text("text\nthe cat\n\na dog\n")
    assert [line["label"] is None for line in predict("in.csv").lines] == [False, True, False]
    (tmp_path / "in.csv").write_text("id,text\n1,the cat\n\n2,a dog\n")
    assert [line["id"] for line in predict("in.csv").lines] == ["1", "2"]


def test_json_lines_pass_whatever_they_hold_through(home, predict, tmp_path):
    rows = [
        {"id": 1, "review": "the cat sat", "tags": ["a", {"b": None}], "big": 10**30, "share": 0.1, "score": 7},
        {"id": "x", "review": None, "more": True},
        {"review": "a dog ran on", "id": 2024, "odd": "\x1b[31m\u202e"},
        {"review": 2024, "id": 4},
    ]
    text = "\n\n".join(json.dumps(row) for row in rows)
    (tmp_path / "in.ndjson").write_text(text.replace("0.1", "NaN"))
    shown = predict("in.ndjson", "--text-column", "review")
    rows[0]["share"] = None
    answers = iter(expected(home, ["the cat sat", "a dog ran on", "2024"]))
    for row, line in zip(rows, shown.lines, strict=True):
        assert {name: line[name] for name in row} == row
        answer = next(answers) if row["review"] else {"label": None, "score": None}
        assert line["label"] == answer["label"]
        assert line["predicted_score"] == answer["score"]
    assert "\x1b" not in shown.out


def parquet_frame():
    return pl.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "text": pl.Series(["the cat sat", None, "a dog ran on", " "], dtype=pl.Categorical),
            "day": [date(2024, 1, 2), None, date(1, 1, 1), date(9999, 12, 31)],
            "at": pl.Series([1, 2, 3, None]).cast(pl.Datetime("ns", "UTC")),
            "wait": [timedelta(seconds=1.5), None, timedelta(0), timedelta(1)],
            "price": [Decimal("1.10"), None, Decimal(2), Decimal("0.01")],
            "parts": [["a", None], [], None, ["b"]],
            "about": [{"x": 1.5}, {"x": float("nan")}, None, {"x": float("inf")}],
            "raw": [b"\xff", b"", None, b"ab"],
            "score": [1.0, float("nan"), None, 2.0],
        }
    )


@pytest.mark.parametrize("groups", [1, 3, 100])
def test_parquet_passes_through_as_it_lies(home, predict, tmp_path, groups):
    frame = parquet_frame()
    frame.write_parquet(tmp_path / "in[1].parquet", row_group_size=groups)
    shown = predict("in[1].parquet", "--output", "out[1].parquet")
    assert shown.out == ""
    found = pl.read_parquet(tmp_path / "out[1].parquet", glob=False)
    assert_frame_equal(found.select(frame.columns), frame)
    answers = expected(home, ["the cat sat", "a dog ran on"])
    assert found["label"].to_list() == [answers[0]["label"], None, answers[1]["label"], None]
    assert found["predicted_score"].to_list() == [answers[0]["score"], None, answers[1]["score"], None]
    lines = predict("in[1].parquet").lines
    assert lines[0]["day"] == "2024-01-02"
    assert lines[0]["wait"] == 1.5
    assert lines[1]["about"] == {"x": None}
    assert [line["score"] for line in lines] == [1.0, None, None, 2.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in[1].parquet", "out[1].parquet"]


@pytest.mark.parametrize("size", [0, 1])
def test_a_table_may_have_no_rows(predict, tmp_path, size):
    parquet_frame().head(size).write_parquet(tmp_path / "in.parquet")
    put(tmp_path / "in.csv", ROWS[: 1 + size])
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n' * size)
    for form in ("parquet", "csv", "jsonl"):
        for out in ("parquet", "csv", "jsonl", "tsv"):
            shown = predict(f"in.{form}", "--output", f"out-{form}.{out}")
            assert shown.out == ""
        assert len(pl.read_parquet(tmp_path / f"out-{form}.parquet")) == size


@pytest.mark.parametrize("run", ["run", "tags", "qa", "pairs"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "text"])
def test_every_form_gives_the_same_answers_in_every_form(predict, tmp_path, run, form):
    """Two hundred and more rows, so that there are several batches; read again they are the same."""
    two = {"qa": ("question", "passage"), "pairs": ("text", "second")}.get(run, ("text",))
    cells = [[f"{WORDS[place % 20]} cat {place}" if place % 7 else "" for place in range(300)] for _ in two]
    frame = pl.DataFrame(dict(zip(two, cells, strict=True)))
    frame.write_csv(tmp_path / "in.csv")
    frame.write_ndjson(tmp_path / "in.jsonl")
    frame.write_parquet(tmp_path / "in.parquet", row_group_size=70)
    (tmp_path / "in.txt").write_text("".join("\t".join(row) + "\n" for row in frame.iter_rows()))
    name = "in.txt" if form == "text" else f"in.{form}"
    more = [] if run == "qa" else ["--scores"]
    lines = predict(name, *more, run=run).lines
    assert len(lines) == 300
    assert lines[0]["score"] is None
    assert lines[1]["score"] is not None
    for out in ("out.jsonl", "out.csv", "out.tsv", "out.parquet"):
        predict(name, *more, "--output", out, run=run)
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == lines
    assert pl.read_parquet(tmp_path / "out.parquet").to_dicts() == lines
    for out, options in {"out.csv": {}, "out.tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE}}.items():
        with (tmp_path / out).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, **options))
        for row, line in zip(rows, lines, strict=True):
            for key, value in line.items():
                assert row[key] == ("" if value is None else value if isinstance(value, str) else json.dumps(value))


def test_columns_of_json_lines_keep_their_types_in_parquet(predict, tmp_path):
    rows = [
        {"text": "a", "whole": 1, "number": 1, "truth": True, "mixed": 1, "big": 10**30, "deep": [1], "none": None},
        {"text": "b", "whole": 2**60, "number": 0.5, "truth": None, "mixed": "x", "late": "y"},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    predict("in.jsonl", "--output", "out.parquet")
    found = pl.read_parquet(tmp_path / "out.parquet").drop("label", "score")
    assert dict(found.schema) == {
        "text": pl.String, "whole": pl.Int64, "number": pl.Float64, "truth": pl.Boolean, "mixed": pl.String,
        "big": pl.String, "deep": pl.String, "none": pl.String, "late": pl.String,
    }  # fmt: skip
    assert found.rows()[0] == ("a", 1, 1.0, True, "1", str(10**30), "[1]", None, None)
    assert found.rows()[1] == ("b", 2**60, 0.5, None, "x", None, None, None, "y")


def test_the_second_column_of_pairs_and_questions(predict, tmp_path):
    put(tmp_path / "in.csv", [["q", "context", "id"], ["where", "the cat sat", "1"], ["where", "", "2"]])
    lines = predict("in.csv", "--text-column", "q", "--second-column", "context", run="qa").lines
    assert [line["answer"] is None for line in lines] == [False, True]
    assert "the cat sat"[lines[0]["start"] : lines[0]["end"]] == lines[0]["answer"]
    put(tmp_path / "in.csv", [["text", "other"], ["the cat", "a 3"]])
    assert predict("in.csv", "--second-column", "other", run="pairs").lines[0]["label"] in LABELS


def test_a_text_of_a_table_may_hold_tabs(predict, tmp_path):
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "the\tcat", "second": "a\t3"}))
    assert predict("in.jsonl", run="pairs").lines[0]["label"] in LABELS


def test_ends_of_lines_within_values_stay_in_csv(predict, tmp_path):
    odd = ["the\rcat", "a\ndog\r", "\r\nran", 'a "b", c', " d "]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text, "id": "007\r"}) + "\n" for text in odd))
    predict("in.jsonl", "--output", "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, strict=True))
    assert [(row["text"], row["id"]) for row in rows] == [(text, "007\r") for text in odd]
    assert pl.read_csv(tmp_path / "out.csv", infer_schema=False)["text"].to_list() == odd
    assert [line["text"] for line in predict("out.csv").lines] == odd


def test_long_rows_are_labelled_in_smaller_batches(predict, monkeypatch):
    from isogloss.cli.predict import labelling
    from isogloss.experiment.predict import Model

    sizes, scored = [], Model.scored
    monkeypatch.setattr(labelling, "CHARACTERS", 100)
    monkeypatch.setattr(Model, "scored", lambda *given: sizes.append(len(given[1])) or scored(*given))
    texts = ["the cat", "cat " * 50, "a dog", *["the red sun"] * 20]
    lines = predict("-", stdin="\n".join(texts).encode()).lines
    assert [line["text"] for line in lines] == texts
    assert sizes == [2, 10, 10, 1]


def test_a_backbone_that_was_moved_is_named(home, predict, tmp_path):
    import shutil

    shutil.copytree(home / "run", tmp_path / "away")
    spec = tmp_path / "away" / "spec.yaml"
    spec.write_text(spec.read_text().replace(str(home / "model"), str(home / "gone")))
    told = predict(run=tmp_path / "away", stdin=b"the cat\n", code=2).err
    assert f"{home / 'gone'} does not exist" in told
    assert "--backbone of predict and serve" in told
    moved = predict("--backbone", home / "model", run=tmp_path / "away", stdin=b"the cat\n").lines
    assert moved == predict(stdin=b"the cat\n").lines


# What cannot be, found before torch is loaded

BAD = {
    "no column": ("in.csv", b"id,review\n1,a\n", [], "in.csv line 1 has no column 'text'; it has 'id', 'review': say"),
    "another column": ("in.csv", b"id,text\n1,a\n", ["--text-column", "txt"], "no column 'txt'"),
    "a second column": ("in.csv", b"id,text\n1,a\n", ["--second-column", "id"], "this run labels single texts"),
    "a column twice": ("in.csv", b"text,text\n1,a\n", [], "the column 'text' more than once"),
    "a short row": ("in.csv", b"id,text\n1,a\n2\n", [], "in.csv line 3 has 1 values; expected 2"),
    "a long row": ("in.tsv", b"id\ttext\n1\ta\tb\n", [], "in.tsv line 2 has 3 values; expected 2"),
    "open quotes": ("in.csv", b'id,text\n1,"a\n', [], "in.csv line 2 is not readable as a table"),
    "an empty table": ("in.csv", b"", [], "in.csv is empty"),
    "a blank head": ("in.csv", b"\ntext\na\n", [], "in.csv line 1 is empty; expected a line with the names"),
    "Latin 1": ("in.csv", b"id,text\n1,caf\xe9\n", [], "in.csv line 2 is not UTF-8"),
    "late": ("in.csv", b"id,text\n" + b"1,a\n" * 5000 + b"1\n", [], "in.csv line 5002 has 1 values"),
    "no JSON": ("in.jsonl", b'{"text": "a"}\n{"text": \n', [], "in.jsonl line 2 is not JSON"),
    "an array": ("in.json", b'[\n{"text": "a"}\n]\n', [], "expected an object a line"),
    "an array in a line": ("in.json", b'[{"text": "a"}]\n', [], "line 1 holds list; expected an object"),
    "a key twice": ("in.jsonl", b'{"text": "a", "text": "b"}\n', [], "the key 'text' twice"),
    "a key less": ("in.jsonl", b'{"text": "a"}\n{"txt": "a"}\n', [], "in.jsonl line 2 has no column 'text'"),
    "a list": ("in.jsonl", b'{"text": ["a"]}\n', [], "'text' is list; expected a text"),
    "a truth": ("in.jsonl", b'{"text": true}\n', [], "'text' is bool; expected a text"),
    "too large": ("in.jsonl", b'{"text": "a", "x": 1e999}\n', [], "too large for a number"),
    "infinite": ("in.jsonl", b'{"text": "a", "x": -Infinity}\n', [], "too large for a number"),
    "many digits": ("in.jsonl", b'{"text": "a", "x": ' + b"9" * 5000 + b"}\n", [], "line 1 is not JSON that can be"),
    "deep": ("in.jsonl", b'{"text": "a", "x": ' + b"[" * 100000 + b"\n", [], "nested too deeply"),
    "too deep": ("in.jsonl", b'{"text": "a", "x": ' + b"[" * 201 + b"]" * 201 + b"}", [], "line 1 is nested more than"),
    "half a pair": ("in.jsonl", b'{"text": "a", "x": "\\ud800"}\n', [], "half of a character"),
    "no Parquet": ("in.parquet", b"PAR1 and more of it PAR2", [], "in.parquet is not Parquet"),
    "cut off": ("in.parquet", b"PAR1" + bytes(100) + b"PAR1", [], "in.parquet is not Parquet, or is damaged"),
    "nothing": ("in.parquet", b"", [], "in.parquet is not Parquet"),
    "lines": ("in.txt", b"a\n", ["--text-column", "text"], "--text-column is for tables"),
    "missing": ("none.csv", None, [], "none.csv could not be read: No such file"),
    "missing Parquet": ("none.parquet", None, [], "none.parquet could not be read: No such file"),
    "a threshold": ("in.txt", b"a\n", ["--threshold", "2"], "threshold is 2.0; expected a number from 0 to 1"),
    "no threshold": ("in.txt", b"a\n", ["--threshold", "nan"], "threshold is nan"),
    "a language": ("in.txt", b"a\n", ["--language", "xx"], "unknown language 'xx'"),
    "an output": ("in.txt", b"a\n", ["--output", "out.xlsx"], "ends in '.xlsx'; expected .jsonl"),
    "no suffix": ("in.txt", b"a\n", ["--output", "out"], "ends in ''; expected .jsonl"),
    "itself": ("in.csv", b"id,text\n1,a\n", ["--output", "in.csv"], "is the file that is read"),
    "a tab": ("in.csv", b'id,text\n1,"a\tb"\n', ["--output", "out.tsv"], "a tab or a line's end within 'a\\tb'"),
    "a text's tab": ("in.txt", b"a\tb\n", ["--output", "out.tsv"], "in.txt line 1 has a tab"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_said_in_a_line_before_a_model_is_loaded(predict, tmp_path, monkeypatch, name):
    from isogloss.experiment.predict import Model

    monkeypatch.setattr(Model, "of", lambda *_: pytest.fail("a model is loaded"))
    file, content, options, said = BAD[name]
    if content is not None:
        (tmp_path / file).write_bytes(content)
    shown = predict(file, *options, code=2)
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert not list(tmp_path.glob("out*"))


def test_a_column_of_something_else_is_refused(predict, tmp_path):
    for column in ([["a"]], [b"a"], [date(2024, 1, 1)], [datetime(2024, 1, 1, tzinfo=UTC)]):
        pl.DataFrame({"text": column}).write_parquet(tmp_path / "in.parquet")
        assert "'text' is" in predict("in.parquet", code=2).err
    pl.DataFrame({"text": [1, 2]}).write_parquet(tmp_path / "in.parquet")
    assert len(predict("in.parquet").lines) == 2


def test_no_scores_of_classes_where_there_are_none(predict):
    assert "scores of all classes" in predict("--scores", run="qa", stdin=b"where\tthe cat\n", code=2).err


def test_nothing_of_a_run_directory_is_replaced(home, predict):
    before = (home / "run" / "scores.parquet").read_bytes()
    for name in ("scores.parquet", "answers.jsonl"):
        shown = predict("--output", home / "run" / name, stdin=b"a\n", code=2)
        assert "is in the run directory" in shown.err
    assert (home / "run" / "scores.parquet").read_bytes() == before


def test_a_failure_on_the_way_leaves_what_was_there(predict, tmp_path, monkeypatch):
    from isogloss.experiment.predict import Model

    (tmp_path / "out.parquet").write_text("of before")
    put(tmp_path / "in.csv", ROWS)

    def failing(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Model, "answered", failing)
    for out in ("out.parquet", "new.csv"):
        assert "No space left on device" in predict("in.csv", "--output", out, code=2).err
    assert (tmp_path / "out.parquet").read_text() == "of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.parquet"]


def test_a_pipe_of_any_name_gives_lines_or_json(predict, tmp_path):
    rows = [
        {"text": f"the cat {place}", "id": place, "pad": "x" * 60} for place in range(1500)
    ]  # more than a pipe holds
    rows[1200]["late"] = 1
    for options, code in (([], 0), (["--output", "out.csv"], 2)):
        with piped(tmp_path / "in.jsonl", "\n".join(map(json.dumps, rows)).encode()):
            shown = predict("in.jsonl", *options, code=code)
        if code:
            assert "line 1201 has 'late', which none of the first 1,000 rows has" in shown.err
        else:
            assert [line["id"] for line in shown.lines] == list(range(1500))
    with piped(tmp_path / "in.csv", b"text\na\n"):
        assert "in.csv is a pipe" in predict("in.csv", code=2).err


@contextmanager
def piped(path, data):
    """A pipe of that name, to which that is written."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    handle = os.open(path, os.O_RDWR)  # which waits for nobody

    def write():
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    yield
    thread.join(timeout=20)


BEFORE_TORCH = """
import sys
sys.argv = ["isogloss", *{words!r}]
from isogloss.cli.commands import main
try:
    main()
except SystemExit as stop:
    assert stop.code == 2, stop.code
    assert "torch" not in sys.modules and "transformers" not in sys.modules
else:
    raise AssertionError
"""


def test_mistakes_are_found_without_torch(home, tmp_path):
    (tmp_path / "in.csv").write_text("id,review\n1,a\n")
    (tmp_path / "in.jsonl").write_text("{")
    pl.DataFrame({"review": ["a"]}).write_parquet(tmp_path / "in.parquet")
    calls = [
        ["predict", str(tmp_path)], ["predict", str(home / "run"), "none.txt"],
        ["predict", str(home / "run"), "in.csv"], ["predict", str(home / "run"), "in.jsonl"],
        ["predict", str(home / "run"), "in.parquet"], ["predict", str(home / "run"), "--method", "none"],
    ]  # fmt: skip
    code = "\n".join(BEFORE_TORCH.format(words=words) for words in calls)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("isogloss: ") == len(calls)


MEASURED = """
import io, re, sys
from pathlib import Path
from types import SimpleNamespace
from isogloss.cli.predict.labelling import Request, label

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

sys.stdout = open("/dev/null", "w")
label(Path({run!r}), Request(Path("warm.{form}"), output=Path("out.{out}")))
few = None
for rows in (5000, 20000):
    label(Path({run!r}), Request(Path(f"{{rows}}.{form}"), output=Path(f"out.{out}")))
    few = few or peak()
print(few, peak(), file=sys.stderr)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what a process takes")
@pytest.mark.parametrize(("form", "out"), [("txt", "jsonl"), ("parquet", "parquet")])
def test_memory_does_not_grow_with_the_number_of_lines(home, tmp_path, form, out):
    for rows in (5000, 20000, 300):
        texts = [f"{WORDS[place % 20]} {WORDS[place % 13]} cat {place}" for place in range(rows)]
        name = "warm" if rows == 300 else rows
        if form == "txt":
            (tmp_path / f"{name}.txt").write_text("\n".join(texts))
        else:
            pl.DataFrame({"id": range(rows), "text": texts}).write_parquet(
                tmp_path / f"{name}.parquet", row_group_size=1000
            )
    code = MEASURED.format(run=str(home / "run"), form=form, out=out)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    few, many = map(int, done.stderr.splitlines()[-1].split())
    assert many <= 1.05 * few
