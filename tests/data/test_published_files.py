"""Files of published data sets, where they lie beside the project."""

import pytest

from isogloss.data.dataset import open_data
from isogloss.languages.language import Language
from real_data import SHARED

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the published data sets are not beside the project")


def test_real_files_of_xnli():
    data = open_data("xnli", path=SHARED / "xnli")
    assert [str(language) for language in data.languages()] == ["eng-Latn", "swh-Latn", "urd-Arab"]
    for language in data.languages():
        assert len(data.examples(language, "dev")) == 2490
        test = data.examples(language, "test").table
        assert len(test) == 5010
        assert test["label"].value_counts()["count"].to_list() == [1670] * 3
    assert data.examples(Language.parse("en"), "dev").table["text"][0] == "And he said, Mama, I'm home."


def test_real_files_of_xquad():
    data = open_data("xquad", path=SHARED / "xquad")
    assert len(data.languages()) == 5
    ids = set()
    for language in data.languages():
        table = data.examples(language, "test").table
        assert len(table) == 1190
        ids.add(tuple(table["id"]))
        for passage, answers, starts in table.select("passage", "answers", "starts").iter_rows():
            assert all(passage.startswith(text, at) for text, at in zip(answers, starts, strict=True))
    assert len(ids) == 1  # parallel
