"""`isogloss data`: samples, counts, and the problems of files as people have them."""

import io

import pytest
from rich.console import Console

from isogloss.backbones.loading import EMBEDDED
from isogloss.backbones.recommended import RECOMMENDED
from isogloss.cli.catalog import LISTS
from isogloss.cli.inspect_data import look
from isogloss.errors import IsoglossError
from models import sib200


def shown(*parts, width=120):
    console = Console(width=width, file=io.StringIO(), record=True)
    for part in parts:
        console.print(part)
    return console.export_text()


@pytest.fixture
def folder(tmp_path):
    return sib200(tmp_path / "data")


def test_a_look_shows_samples_and_counts(folder):
    text = shown(*look("sib200", folder, None))
    assert "English (eng-Latn)" in text
    assert "licence:" in text
    counts = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()[:1] != []}
    assert counts["travel"] == ["3", "2", "3"]
    assert counts["all"] == ["24", "14", "21"]


def test_a_look_names_what_is_strange(folder):
    test = folder / "deu_Latn" / "test.tsv"
    text = test.read_text() + "90\ttravel\tthe same text\n91\tsports\tthe same text\n"
    test.write_text(text)
    (folder / "deu_Latn" / "train.tsv").write_text(text)
    (folder / "deu_Latn" / "dev.tsv").write_text("index_id\tcategory\ttext\n1\ttravels\ta\n")
    found = shown(*look("sib200", folder, "de"))
    assert "test: 1 texts have more than one label, such as 'the same text'" in found
    assert "texts are in both train and test" in found
    assert "dev: " in found
    assert "travels" in found


def test_a_split_that_is_not_there_is_no_problem(folder):
    (folder / "deu_Latn" / "train.tsv").unlink()
    assert "train" not in shown(*look("sib200", folder, "de-DE"))
    (folder / "deu_Latn" / "test.tsv").unlink()
    with pytest.raises(IsoglossError, match="has no test split of sib200 in deu-Latn; expected deu_Latn/test.tsv or"):
        list(look("sib200", folder, "de"))


@pytest.mark.parametrize("what", sorted(LISTS))
def test_every_list_has_entries(what):
    text = shown(LISTS[what]())
    known = {
        "tasks": "sib200", "methods": "deep-prompt", "backbones": "multilingual-e5-small", "presets": "demo",
        "languages": "swh-Latn",
    }  # fmt: skip
    assert known[what] in text


def test_recommended_backbones_are_of_families_that_are_read_and_are_never_cut_short():
    lines = shown(LISTS["backbones"](), width=80)
    assert len({one.name for one in RECOMMENDED}) == len(RECOMMENDED)
    for one in RECOMMENDED:
        assert one.name in lines
        assert one.licence.split()[0] in lines
    embedded = {one.name for one in RECOMMENDED if one.name.startswith("embedded/")}
    assert embedded == set(EMBEDDED)
