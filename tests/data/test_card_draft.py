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


IOB = "# sent_id = 1\n1\tAda\tB-PER\t-\n2\tlives\tO\t-\n\n# sent_id = 2\n1\tParis\tB-LOC\t-\n2\tis\tO\t-\n3\there\tO\t-\n"
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
