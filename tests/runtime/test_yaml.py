import pytest

from isogloss.errors import IsoglossError
from isogloss.runtime import yaml


def test_norwegian_is_a_language_and_a_rate_is_a_number():
    assert yaml.loads("targets: [no, nb]\nlr: 1e-3\non: off\n") == {"targets": ["no", "nb"], "lr": 0.001, "on": "off"}


def test_what_is_written_reads_the_same():
    value = {"b": ["no", "yes", "1e-3"], "a": {"x": 1e-05, "y": None, "z": True, "t": "größer"}}
    text = yaml.dumps(value)
    assert yaml.loads(text) == value
    assert list(yaml.loads(text)) == ["b", "a"]
    assert "größer" in text


def test_a_broken_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text("name: x\nmethods: {a: [}\n")
    with pytest.raises(IsoglossError, match=r"spec\.yaml line 2 is not YAML"):
        yaml.load(path)
    path.write_bytes(b"name: \xff")
    with pytest.raises(IsoglossError, match="is not UTF-8"):
        yaml.load(path)
    with pytest.raises(IsoglossError, match="No such file"):
        yaml.load(tmp_path / "none.yaml")
