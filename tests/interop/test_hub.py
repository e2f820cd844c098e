"""An export goes to the hub and comes back from it as a model; what strangers put there reaches nothing."""

import json
import os
import sys
from types import SimpleNamespace

import pytest
from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

import isogloss
from fake_hub import FakeHub
from isogloss.cli import commands
from isogloss.errors import IsoglossError
from isogloss.interop.exported_run import exported_run
from isogloss.interop.hub import LARGEST, local_run_directory, pulled, push, wanted
from isogloss.store import Store
from models import checkpoint, sib200

TEXTS = ["the cat sat", "a dog ran on"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    sib200(folder / "data")
    spec = {
        "name": "small", "backbone": str(checkpoint(folder / "model")), "task": "sib200", "source": "en",
        "targets": ["de"], "data": {"path": str(folder / "data")}, "device": "cpu", "dtype": "float32",
        "methods": {"linear-probe": {"epochs": 1}, "soft-prompt": {"epochs": 1, "length": 2}},
    }  # fmt: skip
    isogloss.run(spec, folder / "run")
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return FakeHub(tmp_path / "hub", monkeypatch)


def export(made, out, method="soft-prompt"):
    store = Store(made / "run")
    exported_run(store, store.has(method, 0), out / "isogloss")
    (out / "README.md").write_text("---\nlicense: unknown\n---\n")
    return out


def test_what_is_pushed_is_loaded_again_by_its_name(made, hub, tmp_path, capsys):
    assert push(export(made, tmp_path / "out"), "org/name") == "https://the.hub/org/name"
    assert hub.private == {"org/name": True}
    there = isogloss.load(made / "run", "soft-prompt").predict(TEXTS)
    assert isogloss.load("org/name", backbone=made / "model").predict(TEXTS) == there
    assert "Downloading org/name at cccccccccccc from the hub" in capsys.readouterr().err
    assert isogloss.load("org/name@v1", backbone=made / "model").predict(TEXTS) == there
    assert "Downloading" not in capsys.readouterr().err
    assert hub.asked == [("org/name", None), ("org/name", "v1")]
    assert "README.md" not in hub.downloaded
    hub.error = ConnectionError("no network")  # the cache has it
    assert isogloss.load("org/name", backbone=made / "model").predict(TEXTS) == there


def test_another_export_takes_the_place_of_the_one_before(made, hub, tmp_path):
    push(export(made, tmp_path / "one"), "org/name", private=False)
    push(export(made, tmp_path / "two", "linear-probe"), "org/name")
    assert hub.private == {"org/name": False}
    assert [cell.record.method for cell in Store(pulled("org/name")).finished()] == ["linear-probe"]


@pytest.mark.usefixtures("hub")
def test_the_command_line_takes_a_name_of_the_hub(made, tmp_path, monkeypatch, capsys):
    from isogloss.runtime import yaml

    out = export(made, tmp_path / "out")
    spec = yaml.load(out / "isogloss" / "spec.yaml")
    (out / "isogloss" / "spec.yaml").write_text(yaml.dumps({**spec, "backbone": str(made / "model")}))
    push(out, "org/name")
    (tmp_path / "in.txt").write_text("the cat sat\n")
    monkeypatch.setattr(sys, "argv", ["isogloss", "predict", "org/name", "in.txt"])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code in {0, None}
    assert json.loads(capsys.readouterr().out)["label"]


def test_a_local_folder_wins_and_a_mistyped_one_is_not_looked_for_on_the_hub(made, hub, tmp_path):
    (tmp_path / "org" / "name").mkdir(parents=True)
    with pytest.raises(IsoglossError, match="holds no finished run"):
        isogloss.load("org/name")
    for name in ("org/nmae", "runs/../x", "/nothing-there/x", "./org/x", "a/b/c", "nothing", "~nobody/x"):
        with pytest.raises(IsoglossError, match="does not exist|no path"):
            isogloss.load(name)
    assert hub.asked == []
    assert local_run_directory(made / "run", str(made / "run")) == made / "run"
    assert local_run_directory(export(made, tmp_path / "out"), "out") == tmp_path / "out" / "isogloss"


def test_what_is_not_there_is_said_in_a_line(hub):
    said = r"org/name: there is no such folder, and from the hub it could not be had \(Repository Not Found"
    with pytest.raises(IsoglossError, match=said) as told:
        isogloss.load("org/name")
    assert "\n" not in str(told.value)
    hub.repository("org/name").mkdir(parents=True)
    with pytest.raises(IsoglossError, match="holds no model of isogloss"):
        isogloss.load("org/name")
    hub.commit = "main"
    with pytest.raises(IsoglossError, match="names no commit"):
        isogloss.load("org/name")


@pytest.mark.parametrize(
    "file",
    ["isogloss/../../x/spec.yaml", "isogloss/weights/../../../x.json", "isogloss/weights/m/0/x.pkl", "x/spec.yaml",
     "isogloss/weights/m/0/.hidden.json", "isogloss/weights/m/zero/run.json", "isogloss/weights/m/run.json",
     "isogloss/weights/m/0/a/run.json", "isogloss/extra.yaml", "isogloss//spec.yaml", "isogloss", "isogloss/",
     "isogloss/weights/m\\x/0/run.json", "isogloss/weights/m/0/pytorch_model.bin", "/isogloss/spec.yaml",
     "isogloss/weights/m/0/run.py", "isogloss/weights/m/٣/run.json"],
)  # fmt: skip
def test_files_that_no_export_has_are_not_fetched(file):
    names = ["isogloss/spec.yaml", "isogloss/weights/deep-prompt_length=4_/0/run.json"]
    sizes = wanted("org/name", [(name, 10) for name in (*names, file)])
    assert list(sizes) == names


@pytest.mark.parametrize("size", [None, -1, LARGEST[".yaml"] + 1, 1 << 62])
def test_files_of_no_sane_size_are_refused(size):
    with pytest.raises(IsoglossError, match=r"org/name: isogloss/spec.yaml is .*; expected at most 2 MiB"):
        wanted("org/name", [("isogloss/spec.yaml", size)])


def test_no_more_files_than_a_model_has_are_fetched():
    files = [("isogloss/spec.yaml", 1), *((f"isogloss/weights/m/{seed}/run.json", 1) for seed in range(200))]
    with pytest.raises(IsoglossError, match="holds 201 files"):
        wanted("org/name", files)


def test_a_file_that_is_not_what_the_hub_says_is_refused(made, hub, tmp_path, monkeypatch):
    push(export(made, tmp_path / "out"), "org/name")
    whole = hub.download

    def cut(name, file, *, revision=None):
        path = whole(name, file, revision=revision)
        if file.endswith("run.json"):
            os.truncate(path, 3)
        return path

    monkeypatch.setattr("huggingface_hub.hf_hub_download", cut)
    with pytest.raises(IsoglossError, match="run.json is not of the size that the hub says"):
        isogloss.load("org/name")


def answered(status, text="403 Client Error.\n\nForbidden: no"):
    error = OSError(text)
    error.response = SimpleNamespace(status_code=status)
    return error


REFUSALS = {
    "offline": (OfflineModeIsEnabled("x"), "HF_HUB_OFFLINE is set; unset it"),
    "no login": (LocalTokenNotFoundError("x"), "knows no such token; log in with `hf auth login`"),
    "bad token": (answered(401), "knows no such token"),
    "no rights": (answered(403), "your token may not write to org; take one that may, or a name of your own"),
    "no network": (ConnectionError("name resolution failed\nmore"), "name resolution failed; try again once the hub"),
    "a fault of theirs": (answered(500, "500 Server Error"), "500 Server Error; try again"),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_why_the_hub_does_not_take_it_is_said_in_a_line(made, hub, tmp_path, why):
    hub.error, said = REFUSALS[why]
    with pytest.raises(IsoglossError, match="org/name cannot be pushed") as told:
        push(export(made, tmp_path / "out"), "org/name")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_without_a_token_nothing_is_asked(made, tmp_path, monkeypatch):
    hub = FakeHub(tmp_path / "hub", monkeypatch, login=None)
    with pytest.raises(IsoglossError, match=r"there is no token; log in with `hf auth login`, or set HF_TOKEN"):
        push(export(made, tmp_path / "out"), "org/name")
    assert hub.private == {}


def test_only_an_export_is_pushed_and_only_to_a_name(made, hub, tmp_path):
    out = export(made, tmp_path / "out")
    for name in ("name", "org/name/x", "org/na me", "../x", "org/..", "", "org/name@main", "https://x.y/z", "org/a--b"):
        with pytest.raises(IsoglossError, match="is no name of a repository"):
            push(out, name)
    (out / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(IsoglossError, match="is a link"):
        push(out, "org/name")
    with pytest.raises(IsoglossError, match=r"has no README.md"):
        push(tmp_path, "org/name")
    assert hub.private == {}
