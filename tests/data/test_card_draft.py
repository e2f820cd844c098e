"""Your own files: a card is drafted, looked over, trained on."""

import json

import polars as pl
import pytest

from isogloss.data.card_draft import draft
from isogloss.data.dataset import open_data
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language

ROWS = [("1", "good food, really", "good"), ("2", 'bad "service"', "bad"), ("3", "so so\tmaybe", "bad")]


def write(folder, code, split, form):
    names = ["id", "review", "stars"]
    path = (
        folder
        / {"csv": f"{code}/{split}.csv", "jsonl": f"{split}.{code}.jsonl", "parquet": f"{split}-{code}.parquet"}[form]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "csv":
        pl.DataFrame(ROWS, schema=names, orient="row").write_csv(path)
    elif form == "parquet":
        pl.DataFrame(ROWS, schema=names, orient="row").write_parquet(path)
    else:
        path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in ROWS) + "\n")


@pytest.mark.parametrize(("form", "code"), [("csv", "deu_Latn"), ("jsonl", "de"), ("parquet", "zh-TW")])
def test_a_drafted_card_reads_the_files(tmp_path, form, code):
    for split in ("train", "validation", "test"):
        write(tmp_path, "en", split, form)
        write(tmp_path, code, split, form)
    assert draft(tmp_path) == tmp_path / "card.yaml"
    data = open_data("custom", path=tmp_path)
    assert {str(language) for language in data.languages()} == {"eng-Latn", str(Language.parse(code))}
    assert data.card.source == "eng-Latn"
    assert data.card.labels == ["bad", "good"]
    for split in ("train", "dev", "test"):
        assert data.examples(Language.parse(code), split).table.rows() == ROWS
    with pytest.raises(IsoglossError, match="card.yaml exists"):
        draft(tmp_path)


def test_files_that_are_named_otherwise_are_named(tmp_path):
    for split in ("train", "test"):
        write(tmp_path, "en", split, "csv")
    write(tmp_path, "de", "test", "parquet")
    assert draft(tmp_path).read_text().startswith("# Left out, because they are named otherwise: test-de.parquet\n")


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(IsoglossError, match="holds no file named by language and split"):
        draft(tmp_path)
    (tmp_path / "train.en.csv").write_text("a,b\n")
    with pytest.raises(IsoglossError, match="has no rows"):
        draft(tmp_path)
    (tmp_path / "train.en.csv").write_text("a,b\n1,2\n")
    with pytest.raises(IsoglossError, match="hold no label"):
        draft(tmp_path)


def test_custom_needs_a_folder_and_a_card(tmp_path):
    with pytest.raises(IsoglossError, match="needs data.path"):
        open_data("custom")
    with pytest.raises(IsoglossError, match="card.yaml; `isogloss data-card"):
        open_data("custom", path=tmp_path)
    with pytest.raises(IsoglossError, match=r"data.card: kind is missing"):
        open_data("custom", path=tmp_path, card={"name": "x"})


IOB = (
    "# sent_id = 1\n1\tAda\tB-PER\t-\n2\tlives\tO\t-\n\n# sent_id = 2\n1\tParis\tB-LOC\t-\n2\tis\tO\t-\n3\there\tO\t-\n"
)
UPOS = "the\tDET\ncat\tNOUN\n\na\tDET\ndog\tNOUN\n"
CONLLU = "# sent_id = 7\n1\tthe\t_\tDET\t_\t_\t_\t_\t_\t_\n2\tcat\t_\tNOUN\t_\t_\t_\t_\t_\t_\n"
LISTS = '{"tokens": ["Ada", "ran"], "ner": ["B-PER", "O"], "n": 1}\n'
SQUAD = json.dumps(
    {
        "data": [
            {
                "title": "t",
                "paragraphs": [
                    {
                        "context": "a cat",
                        "qas": [{"id": "1", "question": "q", "answers": [{"text": "cat", "answer_start": 2}]}],
                    }
                ],
            }
        ]
    }
)


@pytest.mark.parametrize(
    ("suffix", "text", "kind", "first"),
    [
        ("iob2", IOB, "tagging", ("1", ["Ada", "lives"], ["B-PER", "O"])),
        ("tsv", UPOS, "tagging", ("0", ["the", "cat"], ["DET", "NOUN"])),
        ("conllu", CONLLU, "tagging", ("7", ["the", "cat"], ["DET", "NOUN"])),
        ("jsonl", LISTS, "tagging", ("0", ["Ada", "ran"], ["B-PER", "O"])),
        ("json", SQUAD, "qa", ("1", "q", "a cat", ["cat"], [2])),
    ],
)
def test_words_and_questions_are_recognised(tmp_path, suffix, text, kind, first):
    for code in ("en", "de"):
        (tmp_path / f"test-{code}.{suffix}").write_text(text)
    draft(tmp_path)
    data = open_data("custom", path=tmp_path)
    assert data.card.kind == kind
    assert data.examples(Language.parse("de"), "test").table.row(0) == first
    assert data.card.metrics[0] == {"iob2": "span-f1", "jsonl": "span-f1", "json": "f1"}.get(suffix, "accuracy")


TABLE = "id\ttext\tlabel\n" + "".join(f"{n}\tsome words {n}\t{'ab'[n % 2]}\n" for n in range(4))


def drafted(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")
    draft(folder)
    return open_data("custom", path=folder).card


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("{split}/{code}_{split}.tsv", [f"{s}/{c}_{s}.tsv" for c in ("ha", "yo") for s in ("train", "dev", "test")]),
        ("{code}/{code}.{split}.tsv", [f"{c}/{c}.{s}.tsv" for c in ("en", "de") for s in ("train", "test")]),
        ("ner/{code}.{split}.tsv", [f"ner/{c}.{s}.tsv" for c in ("en", "de") for s in ("train", "test")]),
        (
            "v[1]/{code}-ud-{split}.tsv",
            [f"v[1]/{c}-ud-{s}.tsv" for c in ("en_ewt", "de_gsd") for s in ("train", "test")],
        ),
        ("{code}/{split}.TSV", [f"{c}/{s}.TSV" for c in ("english", "German") for s in ("Train", "Test")]),
    ],
)
def test_split_and_code_are_found_wherever_they_stand(tmp_path, pattern, files):
    card = drafted(tmp_path, dict.fromkeys(files, TABLE))
    assert card.local[0].path == pattern
    assert len(card.languages) * len(card.local[0].splits) == len(files)


def test_a_table_without_a_line_of_names(tmp_path):
    files = {f"eng_{split}.tsv": TABLE.partition("\n")[2].replace("some", split) for split in ("train", "dev", "test")}
    card = drafted(tmp_path, files)
    assert card.local[0].header == ["column1", "column2", "column3"]
    assert (card.columns.text, card.columns.label, card.labels) == ("column2", "column3", ["a", "b"])


def test_windows_line_ends_do_not_hide_sentences(tmp_path):
    card = drafted(tmp_path, {"en/test.tsv": "Ada\tB-PER\r\nran\tO\r\n\r\nOslo\tB-LOC\r\n"})
    assert (card.kind, card.labels) == ("tagging", ["O", "B-LOC", "B-PER"])


def test_names_are_wanted_and_not_chunks(tmp_path):
    text = "Ada NNP I-NP B-PER\nSmith NNP I-NP I-PER\nruns VB O O\n\nOslo NNP I-NP B-LOC\n"
    assert drafted(tmp_path, {"de.test.txt": text}).columns.label == "column4"


def test_a_scheme_that_is_not_read_is_said_in_the_card(tmp_path):
    card = drafted(tmp_path, {"en.test.txt": "Ada PER-B\nSmith PER-I\nruns O\n\nOslo LOC-B\n"})
    assert card.metrics == ["accuracy", "macro-f1"]
    assert "# No span-f1: 'LOC-B' is no tag of a span" in (tmp_path / "card.yaml").read_text()


def test_where_no_file_is_a_test_split_dev_is(tmp_path):
    card = drafted(tmp_path, dict.fromkeys(["q.en.train.tsv", "q.en.dev.tsv"], TABLE))
    assert card.local[0].splits == {"train": "train[:90%]", "dev": "train[90%:]", "test": "dev"}
    assert "# No file is named test" in (tmp_path / "card.yaml").read_text()


def test_a_draft_that_does_not_read_a_file_is_not_written(tmp_path):
    with pytest.raises(IsoglossError, match=r"no card was written; .*test.tsv line 6 has an empty 'text'"):
        drafted(tmp_path, {"en/train.tsv": TABLE, "en/test.tsv": TABLE + "9\t\ta\n"})
    assert not (tmp_path / "card.yaml").exists()


LABELLED = "text,label\na good meal,good\na bad meal,bad\na fine meal,good\n"


@pytest.mark.parametrize(
    ("form", "source", "other"),
    [
        ("csv", LABELLED, "text\nchakula kizuri\nchakula kibaya\n"),
        ("csv", LABELLED, "text,label\nchakula kizuri,\nchakula kibaya,\n"),
        ("csv", LABELLED.replace(",", ",x,"), "text,x\nchakula kizuri,x\nchakula kibaya,x\n"),
        ("tsv", LABELLED.replace(",", ";"), "text\nchakula kizuri\nchakula kibaya\n"),
        ("jsonl", '{"text": "meal", "label": "good"}\n{"text": "plate", "label": "bad"}\n', '{"text": "chakula"}\n'),
        ("tsv", "Ada\tB-PER\nran\tO\n\nOslo\tO\n", "Ada\nalikimbia\n\nOslo\n"),
        ("conllu", *(
            f"1\tAda\t_\t{tags[0]}\t_\t_\t0\troot\t_\t_\n2\tran\t_\t{tags[1]}\t_\t_\t1\tdep\t_\t_\n\n"
            for tags in (("PROPN", "VERB"), ("_", "_"))
        )),
    ],
)  # fmt: skip
def test_files_without_labels_are_read_and_named(tmp_path, form, source, other):
    files = {f"en/{split}.{form}": source for split in ("train", "dev", "test")}
    card = drafted(tmp_path, {**files, f"sw/test.{form}": other})
    assert "# No labels, so that they are predicted and not scored: sw\n" in (tmp_path / "card.yaml").read_text()
    alone = tmp_path / "alone"
    alone.mkdir()
    same = drafted(alone, files)
    assert (card.kind, card.labels, card.columns) == (same.kind, same.labels, same.columns)
    data = open_data("custom", path=tmp_path)
    assert not data.examples(Language.parse("sw"), "test", "any").labelled
    assert data.examples(Language.parse("en"), "test", "any").labelled


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("text,label\nchakula kizuri,good\nchakula kibaya,\n", "has no label: 'label' is empty"),
        ("text,lable\nchakula kizuri,x\nchakula kibaya,y\n", "if 'lable' holds the labels, call it so"),
        ("text,jibu\nchakula kizuri,good\nchakula kibaya,bad\n", "if 'jibu' holds the labels, call it so"),
        ("maandishi\nchakula kizuri\n", "columns|no table"),
    ],
)
def test_a_slip_is_no_language_without_labels(tmp_path, other, message):
    with pytest.raises(IsoglossError, match=message):
        drafted(tmp_path, {"en/train.csv": LABELLED, "en/test.csv": LABELLED, "sw/test.csv": other})
    assert not (tmp_path / "card.yaml").exists()


def in_columns(languages, *, splits=True):
    """A file in which columns say language and split, three rows of each."""
    rows = [
        f"{language} text {split} {number},{['good', 'bad'][number % 2]},{language}" + (f",{split}" if splits else "")
        for language in languages
        for split in (("train", "dev", "test") if language == "en" else ("test",))
        for number in range(5)
    ]
    return "\n".join(["text,label,lang" + (",split" if splits else ""), *rows]) + "\n"


def test_a_single_file_whose_columns_say_language_and_split(tmp_path):
    card = drafted(tmp_path, {"data.csv": in_columns(["en", "sw"])})
    assert (card.local[0].path, card.local[0].split_column, card.local[0].only.column) == ("data.csv", "split", "lang")
    data = open_data("custom", path=tmp_path)
    english, swahili = (Language.parse(code) for code in ("en", "sw"))
    assert data.examples(english, "train").table["text"].to_list() == [f"en text train {n}" for n in range(5)]
    assert data.examples(swahili, "test").table["text"].to_list() == [f"sw text test {n}" for n in range(5)]


@pytest.mark.parametrize("name", ["data.csv", "train.csv", "reviews.en.csv"])
def test_a_single_file_that_says_no_split_is_divided(tmp_path, name):
    drafted(tmp_path, {name: in_columns(["en"] * 4, splits=False)})
    assert "# Nothing says which split a row is of" in (tmp_path / "card.yaml").read_text()
    data = open_data("custom", path=tmp_path)
    parts = [data.examples(Language.parse("en"), split).table["text"].to_list() for split in ("train", "dev", "test")]
    assert list(map(len, parts)) == [48, 6, 6]


def test_one_file_a_split_with_a_column_of_languages(tmp_path):
    files = {f"{split}.csv": in_columns(["en"], splits=False) for split in ("train", "dev")}
    without = in_columns(["sw"], splits=False).replace("good", "").replace("bad", "").partition("\n")[2]
    drafted(tmp_path, {**files, "test.csv": in_columns(["en"], splits=False) + without})
    data = open_data("custom", path=tmp_path)
    assert [str(language) for language in data.languages()] == ["eng-Latn", "swh-Latn"]
    assert not data.examples(Language.parse("sw"), "test", "any").labelled
    assert len(data.examples(Language.parse("en"), "test")) == 15


def test_a_single_file_of_no_language_is_refused_in_a_line(tmp_path):
    with pytest.raises(IsoglossError, match=r"names no language; .* or a column that says which language"):
        drafted(tmp_path, {"data.csv": LABELLED})
