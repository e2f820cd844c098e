"""Run directories are served under names, those over one backbone on one copy of it."""

import shutil

import pytest

from isogloss.errors import IsoglossError
from isogloss.interop.serve.models import load
from isogloss.interop.serve.names import named_folders
from isogloss.interop.serve.refusal import RefusedError


def test_models_over_one_backbone_share_it_and_a_pass(models):
    assert len(models.by_name) == 8
    tuned = models.by_name.keys() & {"topics/fine-tuning/0"}
    backbones = {name: served.model.stack.backbone for name, served in models.by_name.items()}
    assert len({id(backbone) for name, backbone in backbones.items() if name not in tuned}) == 1
    assert len({id(backbone) for backbone in backbones.values()}) == 2  # one that is changed is a copy
    cards = {card.name: card for card in models.cards()}
    soft = cards["topics/soft-prompt[length=2]/0"]
    assert soft.shares == [f"topics/soft-prompt[length={length}]/{seed}" for length, seed in ((2, 1), (5, 0), (5, 1))]
    assert soft.languages == ["deu-Latn", "eng-Latn"]
    assert cards["tags/soft-prompt/0"].shares == []  # words are no texts
    assert cards["tags/soft-prompt/0"].labels == ["A", "B", "C"]
    assert {card.also[0] for card in cards.values() if card.also} == {"topics", "tags"}
    models.warm_up()


def test_the_best_alone_is_served_where_all_are_not_asked_for(folders):
    best = load({"a": folders["topics"], "b": folders["topics"]}, method="linear-probe")
    assert set(best.by_name) == {"a", "b"}
    assert best.by_name["a"].shared is best.by_name["b"].shared
    with pytest.raises(IsoglossError, match="unknown method of this run 'nope'"):
        load(folders, method="nope")


def test_a_model_is_found_by_its_name(models, folders):
    assert models.find("topics/linear-probe/1").model.record.seed == 1
    assert models.find("tags") is models.find("tags/soft-prompt/0")
    with pytest.raises(RefusedError, match="did you mean 'topics/linear-probe/1'") as caught:
        models.find("topics/linear-prob/1")
    assert caught.value.status == 404
    with pytest.raises(RefusedError, match="model is missing; expected one of the 8 names") as caught:
        models.find(None)
    assert caught.value.status == 422
    alone = load({"one": folders["tags"]})
    assert alone.find(None).name == "one"


def test_the_same_weights_read_otherwise_are_another_backbone(folders, tmp_path):
    """A copy of the run whose spec asks for another number format."""
    shutil.copytree(folders["tags"], tmp_path / "tags")
    file = tmp_path / "tags" / "spec.yaml"
    file.write_text(file.read_text().replace("dtype: float32", "dtype: bfloat16"))
    both = load({"a": folders["tags"], "b": tmp_path / "tags"})
    one, other = (both.by_name[name].model.stack.backbone for name in ("a", "b"))
    assert one is not other
    assert both.by_name["a"].shared is not both.by_name["b"].shared


def test_an_export_on_the_hub_is_called_as_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr("isogloss.interop.hub.pulled", lambda name: asked.append(name) or tmp_path)
    assert list(named_folders(["org/one", "org/two@v1.0", "x=org/three"])) == ["one", "two", "x"]
    assert asked == ["org/one", "org/two@v1.0", "org/three"]


def test_names_are_those_of_folders_or_given(tmp_path):
    for name in ("one", "two", "a=b"):
        (tmp_path / name).mkdir()
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert list(named_folders([one, two + "/", f"x.y={one}", str(tmp_path / "a=b")])) == ["one", "two", "x.y", "a=b"]
    (tmp_path / "export" / "isogloss").mkdir(parents=True)
    (tmp_path / "export" / "isogloss" / "spec.yaml").touch()
    export = str(tmp_path / "export")
    assert named_folders([export, f"x={export}"]) == dict.fromkeys(["export", "x"], tmp_path / "export" / "isogloss")
    for given, said in {
        (one, one): "would both be called 'one'; name one of them: other=",
        (f"x={one}", f"x={two}"): "would both be called 'x'",
        ("nowhere",): "nowhere does not exist; expected a run directory, or NAME=DIR",
        ("x=nowhere",): "nowhere does not exist",
        ("",): "is no path",
        ("a\0b",): "is no path",
    }.items():
        with pytest.raises(IsoglossError, match=said):
            named_folders(given)
