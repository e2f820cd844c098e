"""Files without labels: what is read, and what is more likely a mistake."""

import json

import polars as pl
import pytest

from isogloss.data.dataset import open_data
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language

SWAHILI = Language.parse("sw")
TEXTS = ["paka amelala", "mbwa anakimbia", "jua linawaka"]
TAGS, ANSWERS = ["B-X O", "O B-X", "O O"], ["paka", "mbwa", "jua"]


def card(kind, form, **changes):
    """A card of files in English and Swahili."""
    labels = {"classification": ["good", "bad"], "tagging": ["O", "B-X"], "qa": []}[kind]
    columns = {
        "classification": {"text": "text", "label": "label"}, "tagging": {"text": "words", "label": "tags"},
        "qa": {"text": "context", "second": "question", "label": "answers"},
    }[kind]  # fmt: skip
    local = {"path": "{code}.{split}", "format": form}
    local |= {"header": ["words", "tags"]} if form == "tokens" else {}
    local |= {"header": ["text", "label"]} if changes.pop("unnamed", False) else {}
    return {
        "name": "own", "kind": kind, "source": "en", "columns": columns, "local": local, "languages": "en sw",
        **({"labels": labels} if labels else {}), **changes,
    }  # fmt: skip


def rows(kind, labels):
    """Rows of a file; `labels` are good ones, empty ones ("empty"), or not there at all ("column")."""
    column = {"classification": "label", "tagging": "tags", "qa": "answers"}[kind]
    full = {
        "classification": ["good", "bad", "good"], "tagging": [tags.split() for tags in TAGS],
        "qa": [{"text": [answer], "answer_start": [0]} for answer in ANSWERS],
    }[kind]  # fmt: skip
    empty = {"classification": "", "tagging": [], "qa": {"text": [], "answer_start": []}}[kind]
    made = []
    for text, label in zip(TEXTS, full, strict=True):
        row = {
            "classification": {"text": text}, "tagging": {"words": text.split()},
            "qa": {"context": text, "question": "nini?"},
        }[kind]  # fmt: skip
        made.append(row | ({} if labels == "column" else {column: empty if labels == "empty" else label}))
    return made


def write(file, form, made, kind):
    column = {"classification": "label", "tagging": "tags"}.get(kind)
    if form == "csv":
        names = list(made[0])
        file.write_text("\n".join([",".join(names), *(",".join(row[name] for name in names) for row in made)]) + "\n")
    elif form == "unnamed":
        file.write_text("\n".join("\t".join(row.values()) for row in made) + "\n")
    elif form == "jsonl":
        file.write_text("\n".join(map(json.dumps, made)) + "\n")
    elif form == "parquet":
        pl.DataFrame(made).write_parquet(file)
    elif form == "tokens":
        pairs = [zip(row["words"], row.get(column) or [""] * 2, strict=True) for row in made]
        lines = ["\n".join(f"{word}\t{tag}" if column in made[0] else word for word, tag in some) for some in pairs]
        file.write_text("\n\n".join(lines) + "\n")
    else:
        qas = [{"id": str(number), "question": row["question"],
                **({} if "answers" not in row else {"answers": [
                    {"text": text, "answer_start": 0} for text in row["answers"]["text"]
                ]})} for number, row in enumerate(made)]  # fmt: skip
        paragraphs = [{"context": row["context"], "qas": [one]} for row, one in zip(made, qas, strict=True)]
        file.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))


FORMS = [
    ("classification", "csv"), ("classification", "unnamed"), ("classification", "jsonl"),
    ("classification", "parquet"), ("tagging", "tokens"), ("tagging", "jsonl"), ("qa", "squad"), ("qa", "jsonl"),
]  # fmt: skip


@pytest.fixture
def opened(tmp_path):
    def make(kind, form, labels, **changes):
        for code in ("en", "sw"):
            given = labels if code == "sw" else "full"
            write(tmp_path / f"{code}.test", form, rows(kind, given), kind)
        read_as, unnamed = ("tsv", {"unnamed": True}) if form == "unnamed" else (form, {})
        return open_data("custom", path=tmp_path, card=card(kind, read_as, **unnamed, **changes))

    return make


@pytest.mark.parametrize("labels", ["column", "empty"])
@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_texts_without_labels_read_as_those_with_labels_that_are_ignored(opened, kind, form, labels):
    read = opened(kind, form, labels).examples(SWAHILI, "test", "any")
    whole = opened(kind, form, "full")
    ignored, full = (whole.examples(SWAHILI, "test", how) for how in ("ignored", "any"))
    assert (read.labelled, ignored.labelled, full.labelled) == (False, False, True)
    assert read.table.equals(ignored.table)
    assert read.fingerprint == ignored.fingerprint != full.fingerprint
    assert read.inputs_fingerprint == full.inputs_fingerprint
    assert read.table["id"].to_list() == full.table["id"].to_list()
    answers = [name for name in ("label", "labels", "answers", "starts") if name in read.table.columns]
    assert answers
    assert all(read.table[name].null_count() == len(TEXTS) == len(read) for name in answers)


@pytest.mark.parametrize("labels", ["column", "empty"])
@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_where_labels_are_needed_none_is_an_error(opened, kind, form, labels):
    with pytest.raises(IsoglossError, match=r"label|tags|answers|values; expected|fields; expected"):
        opened(kind, form, labels).examples(SWAHILI, "test")


@pytest.mark.parametrize("labels", ["any", "needed"])
def test_half_a_column_of_labels_is_an_error_that_says_what_to_do(tmp_path, labels):
    (tmp_path / "sw.test").write_text("text,label\npaka,good\nmbwa,\njua,\n")
    data = open_data("custom", path=tmp_path, card=card("classification", "csv"))
    with pytest.raises(IsoglossError, match=r"line 3 has no label: 'label' is empty in 2 of 3 rows; .* `unlabelled`"):
        data.examples(SWAHILI, "test", labels)
    assert len(data.examples(SWAHILI, "test", "ignored")) == 3


def test_lines_of_which_some_lack_the_key_are_an_error(tmp_path):
    (tmp_path / "sw.test").write_text('{"text": "paka", "label": "good"}\n{"text": "mbwa"}\n')
    data = open_data("custom", path=tmp_path, card=card("classification", "jsonl"))
    with pytest.raises(IsoglossError, match="line 2 has no column 'label'"):
        data.examples(SWAHILI, "test", "any")
    assert not data.examples(SWAHILI, "test", "ignored").labelled


@pytest.mark.parametrize(
    ("name", "values"), [("lable", ["x", "y"]), ("Label", ["x", "y"]), ("meinung", ["good", "bad"])]
)
def test_a_column_that_is_the_labels_by_another_name_is_told(tmp_path, name, values):
    (tmp_path / "sw.test").write_text(f"text,{name}\npaka,{values[0]}\nmbwa,{values[1]}\n")
    data = open_data("custom", path=tmp_path, card=card("classification", "csv"))
    with pytest.raises(IsoglossError, match=f"no column 'label'.* if '{name}' holds the labels, .*`unlabelled`"):
        data.examples(SWAHILI, "test", "any")
    assert not data.examples(SWAHILI, "test", "ignored").labelled


def test_other_columns_are_no_labels(tmp_path):
    (tmp_path / "sw.test").write_text("text,date\npaka,monday\nmbwa,tuesday\n")
    data = open_data("custom", path=tmp_path, card=card("classification", "csv"))
    assert not data.examples(SWAHILI, "test", "any").labelled


def test_what_is_wrong_besides_is_told_by_its_line(tmp_path):
    (tmp_path / "sw.test").write_text("text,date\npaka,monday\nmbwa\n")
    data = open_data("custom", path=tmp_path, card=card("classification", "csv"))
    with pytest.raises(IsoglossError, match="line 3 has 1 values; expected 2"):
        data.examples(SWAHILI, "test", "any")


@pytest.mark.parametrize("said", ["drop", "void"])
def test_labels_that_mark_a_row_as_void_are_heeded_where_labels_are_ignored_too(tmp_path, said):
    (tmp_path / "sw.test").write_text("text,label\npaka,good\nmbwa,-\njua,bad\n")
    void = {"drop": ["-"]} if said == "drop" else {"void": {"label": ["-"]}}
    data = open_data("custom", path=tmp_path, card=card("classification", "csv", **void))
    full, ignored = (data.examples(SWAHILI, "test", how) for how in ("needed", "ignored"))
    assert ignored.table.drop("label").equals(full.table.drop("label"))
    assert (full.dropped, ignored.dropped) == (1, 1)


def test_a_limit_draws_without_looking_at_labels(tmp_path):
    lines = [f"text {number},{['good', 'bad'][number > 30]}" for number in range(40)]
    data_of = {}
    for name, label in (("one", "good"), ("other", "bad")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "sw.test").write_text("text,label\n" + "\n".join(line.split(",")[0] + f",{label}" for line in lines))
        data_of[name] = open_data("custom", path=folder, card=card("classification", "csv"), limits={"test": 9})
    one, other = (data.examples(SWAHILI, "test", "ignored") for data in data_of.values())
    assert len(one) == 9
    assert one.table.equals(other.table)
