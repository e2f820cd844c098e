import pytest

from isogloss.data.dataset import open_data
from isogloss.data.readers import read_tsv
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language

ENGLISH = Language.parse("en")


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
    with pytest.raises(IsoglossError, match=r"dev.tsv could not be read: No such file"):
        data.examples(ENGLISH, "dev")


def test_limits_take_the_first_and_the_fingerprint_sees_every_value(tmp_path):
    data = folder(tmp_path, test="1\ttravel\ta\n2\thealth\tb\n")
    whole = data.examples(ENGLISH, "test")
    data.limits["test"] = 1
    first = data.examples(ENGLISH, "test")
    assert first.table["id"].to_list() == ["1"]
    assert first.fingerprint != whole.fingerprint


def test_a_byte_order_mark_and_windows_lines_are_no_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes("\ufeffid\ttext\r\n1\tä\r\n".encode())
    assert read_tsv(path, ["id", "text"])[0].values == {"id": "1", "text": "ä"}
