import pytest

from isogloss.errors import IsoglossError
from isogloss.runtime import yaml
from isogloss.spec import Spec


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


@pytest.mark.parametrize(
    "number", ["1" * 6000, "0x" + "f" * 6000, "0b" + "1" * 6000, "-0o" + "7" * 6000, '!!int "0x1' + "0" * 6000 + '"']
)
def test_a_number_that_cannot_be_shown_is_refused(tmp_path, number):
    (tmp_path / "spec.yaml").write_text(f"name: small\nseeds: [{number}]\n")
    with pytest.raises(IsoglossError, match="spec.yaml line 2 is not YAML: .* is a number of more than 1,000 digits"):
        yaml.load(tmp_path / "spec.yaml")
    with pytest.raises(IsoglossError, match=r"spec: name: expected a text \(came: a int\)"):
        Spec(name=10**6000, task="sib200", methods={"linear-probe": {}})
