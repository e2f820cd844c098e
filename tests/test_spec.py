import pytest

from isogloss.errors import IsoglossError
from isogloss.experiment.cells import cells, resolved_methods
from isogloss.experiment.provenance import difference, with_defaults
from isogloss.experiment.search.plan import planned, with_settings
from isogloss.spec import Spec, check, presets, read_spec


def write(folder, text):
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


GOOD = "name: x\ntask: sib200\nmethods: {deep-prompt: {}}\n"


def test_every_preset_resolves(tmp_path):
    for name in presets():
        spec = read_spec(name)
        first = {plan.space.name: plan.settings for plan in planned(spec, tmp_path)}
        assert cells(with_settings(spec, first)), name


def test_overrides_reach_any_key_and_read_as_yaml(tmp_path):
    spec = read_spec(
        write(tmp_path, GOOD),
        ["methods.deep-prompt.lr=1e-3", "data.path=/x", "seeds=[1, 2]", "targets=[no, zh-TW]", "backbone=a/b"],
    )
    assert spec.methods["deep-prompt"]["lr"] == 1e-3
    assert str(spec.data.path) == "/x"
    assert spec.seeds == [1, 2]
    assert spec.targets == ["nob-Latn", "zho-Hant"]


@pytest.mark.parametrize(
    ("file", "name"),
    [("topics.yaml", "topics"), ("my own topics.yml", "my-own-topics"), ("v1.2.yaml", "v1.2"), ("Ä.yaml", None)],
)
def test_a_run_is_called_as_its_file_where_the_spec_does_not_say(tmp_path, file, name):
    spec = tmp_path / file
    spec.write_text(GOOD.replace("name: x\n", ""), encoding="utf-8")
    assert read_spec(str(spec), ["name=other"]).name == "other"
    if name is None:
        with pytest.raises(IsoglossError, match="name"):
            read_spec(str(spec))
    else:
        assert read_spec(str(spec)).name == name
        spec.write_text(GOOD)
        assert read_spec(str(spec)).name == "x"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("bakbone=x", r"unknown key 'bakbone'; did you mean 'backbone'\?"),
        ("data.pth=x", r"unknown key 'pth'; did you mean 'path'\?"),
        ("data.train_limit=0", "data.train_limit: .*greater than 0"),
        ("seeds=[]", "seeds: "),
        ("seeds=[-1]", "seeds.0: "),
        ("targets=[xx]", "unknown language 'xx'"),
        ("source=klingon", "unknown language 'klingon'"),
        ("name=a/b", "name: "),
        ("methods={}", "methods: "),
        ("seeds", "KEY=VALUE"),
        ("task.x=1", "'task' holds no keys of its own"),
        ("seeds=[", "is not YAML"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path, override, message):
    with pytest.raises(IsoglossError, match=message) as error:
        read_spec(write(tmp_path, GOOD), [override])
    assert "\n" not in str(error.value)


def test_unknown_presets_and_missing_files(tmp_path):
    with pytest.raises(IsoglossError, match="unknown preset 'demoo'; did you mean 'demo'"):
        read_spec("demoo")
    with pytest.raises(IsoglossError, match="No such file"):
        read_spec(str(tmp_path / "none.yaml"))
    with pytest.raises(IsoglossError, match="holds a list"):
        read_spec(write(tmp_path, "- a\n"))


def methods(**settings):
    return check(Spec, {"name": "x", "task": "sib200", "methods": settings, "seeds": [0, 1]}, where="test")


def test_a_list_makes_a_variant_of_each_value():
    spec = methods(long={"method": "deep-prompt", "length": [16, 64], "lr": [0.005, 0.01]})
    labels = [cell.label for cell in cells(spec)]
    assert labels == [f"long[length={length},lr={lr}]" for length in (16, 64) for lr in (0.005, 0.01) for _ in (0, 1)]
    assert len({(cell.settings.length, cell.settings.lr) for cell in cells(spec)}) == 4
    resolved = resolved_methods(spec)["long"]
    assert resolved["length"] == [16, 64]
    assert resolved["epochs"] == 10
    assert [c.label for c in cells(spec.model_copy(update={"methods": {"long": resolved}}))] == labels


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"deep-promt": {}}, "unknown method 'deep-promt'; did you mean 'deep-prompt'"),
        ({"deep-prompt": {"lenght": 3}}, "unknown key 'lenght'; did you mean 'length'"),
        ({"deep-prompt": {"lr": "fast"}}, "methods.deep-prompt: lr: expected a number"),
        ({"deep-prompt": {"lr": []}}, "empty list"),
        ({"deep-prompt": {"lr": [1e-2, 0.01]}}, "comes twice"),
        ({"soft-prompt": {"init": "words"}}, "`words` and `init: words` need each other"),
        ({"soft-prompt": {"place": "above"}}, "methods.soft-prompt: place: "),
    ],
)
def test_a_mistaken_method_is_named(settings, message):
    with pytest.raises(IsoglossError, match=message) as error:
        cells(methods(**settings))
    assert "\n" not in str(error.value)


def test_differences_are_shown_key_by_key():
    old = {"settings": {"lr": 0.01, "length": 16}, "task": "a"}
    new = {"settings": {"lr": 0.02, "length": 16}, "task": "a", "seed": 1}
    assert difference(old, new) == ["seed: None → 1", "settings.lr: 0.01 → 0.02"]


def test_stored_settings_that_are_new_or_gone_are_told_apart():
    (cell, _) = cells(methods(**{"deep-prompt": {}}))
    now = cell.facts({})
    without = {name: value for name, value in now["settings"].items() if name != "length"}
    assert with_defaults({**now, "settings": without}) == now
    gone = with_defaults({**now, "settings": {**now["settings"], "burst": 2.0}})
    assert difference(gone, now) == ["settings.burst: 2.0 → None"]
    wrong = {**now, "settings": {**now["settings"], "length": -1}}
    assert difference(with_defaults(wrong), now) == [f"settings.length: -1 → {now['settings']['length']}"]


def test_a_method_may_have_seeds_of_its_own():
    spec = methods(few={"method": "deep-prompt"}, many={"method": "deep-prompt", "seeds": [2, 0, 3]})
    assert [(cell.label, cell.seed) for cell in cells(spec)] == [
        ("few", 0), ("few", 1), ("many", 2), ("many", 0), ("many", 3),
    ]  # fmt: skip
    resolved = resolved_methods(spec)
    assert "seeds" not in resolved["few"]
    assert resolved["many"]["seeds"] == [2, 0, 3]
    assert cells(spec.model_copy(update={"methods": resolved})) == cells(spec)
    with pytest.raises(IsoglossError, match=r"methods.many: seeds.0: .*greater than or equal to 0 \(came: -1\)"):
        cells(methods(many={"method": "deep-prompt", "seeds": [-1]}))
