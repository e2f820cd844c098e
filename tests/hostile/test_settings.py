"""Settings that cannot be meant are refused by their key before anything is read or loaded; from Python too."""

import json
import os
import subprocess
import sys

import pytest

from fork_server import snapshot

ABSURD = [
    "1e22",
    "1e400",
    "1" + "0" * 40,
    ".nan",
    ".inf",
    "-.inf",
    "-1",
    "true",
    "four",
    "{}",
    "{a: 1}",
    "[]",
    "''",
    "2024-01-01",
]
COUNTS = [
    "methods.soft-prompt.epochs",
    "methods.soft-prompt.batch_size",
    "methods.soft-prompt.length",
    "data.shots",
    "data.train_limit",
    "data.dev_limit",
    "data.test_limit",
    "data.longest",
    "dynamics.every",
    "dynamics.examples",
    "dynamics.parallel.sentences",
]
RATES = [
    "methods.soft-prompt.lr",
    "methods.soft-prompt.head_lr",
    "methods.soft-prompt.warmup",
    "methods.soft-prompt.clip",
    "methods.soft-prompt.weight_decay",
    "methods.soft-prompt.dropout",
    "methods.deep-prompt.init_scale",
    "dynamics.cost",
    "checkpoint_minutes",
]
ALLOWED = {  # `clip: 1e22` and its like are absurd too, but so many minutes or so much work only mean "any"
    ("checkpoint_minutes", value) for value in ("1e22", "1" + "0" * 40)
} | {("dynamics.cost", value) for value in ("1e22", "1" + "0" * 40)}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key in (*COUNTS, *RATES) for value in ABSURD if (key, value) not in ALLOWED],
)
def test_an_absurd_number_is_refused_by_its_key(isogloss, tmp_path, key, value):
    *_, last = key.split(".")
    names = ["methods.deep-prompt" if "deep" in key else "methods.soft-prompt"] if key.startswith("methods") else [key]
    if value != "[]":
        names.append(last)
    isogloss("run", "demo", "--dry-run", "--set", f"{key}={value}", cwd=tmp_path).well(*names, code=2)
    assert not snapshot(tmp_path)


OTHERS = {
    "seeds": [
        "[9223372036854775808]",
        "[1e30]",
        "[-1]",
        "[1.5]",
        "[true]",
        "[a]",
        "[[1]]",
        "[]",
        "3",
        "{}",
        "[0, 0]",
        "[.nan]",
        "[null]",
    ],
    "targets": [
        "[xx]",
        "[tlh]",
        "[1]",
        "[[de]]",
        "[true]",
        "[null]",
        "{}",
        "3",
        "nope",
        "['']",
        "[family:Nope]",
        "[script:1]",
        "[a:b]",
        "[en]",
        "['\\u202e']",
        "[de:]",
    ],
    "groups": ["[low]", "low-resource", "[1]", "[family:]", "{}", "[script:Latin]"],
    "source": ["xx", "1", "[]", "{}", "true", "''", "en de", "tlh", "all", "low-resource"],
    "task": ["nope", "''", "[]", "{}", "1", "null", "../sib200", "/etc/passwd", "custom"],
    "methods": [
        "{}",
        "[]",
        "soft-prompt",
        "null",
        "1",
        "{nope: {}}",
        "{soft-prompt: 1}",
        "{soft-prompt: []}",
        "{soft-prompt: null}",
        "{1: {}}",
        "{'a b': {method: soft-prompt}}",
        "{'': {}}",
        "{a/b: {method: lora}}",
        "{x: {method: nope}}",
        "{x: {method: 1}}",
        "{x: {method: [soft-prompt, lora]}}",
        "{x: {method: null}}",
    ],
    "data": [
        "topics",
        "[]",
        "1",
        "{nope: 1}",
        "{path: ''}",
        "{path: 1}",
        "{path: []}",
        "{path: ~nobody-of-that-name/x}",
        "{card: 1}",
        "{splits: {train: nope}}",
        "{splits: {nope: train}}",
        "{splits: {train: 'dev[x:]'}}",
        "{labels: []}",
        "{labels: {a: 1}}",
        "{labels: {a: []}}",
        "{unseen: drop}",
        "{unseen: true}",
        "{subword: middle}",
        "{train: nope}",
        "{train: {}}",
        "{longest: 1}",
    ],
    "verbalizer": [
        "1",
        "{template: ''}",
        "{template: '{text}'}",
        "{template: '{text!r} {answer}'}",
        "{template: '{0} {answer}'}",
        "{template: '{text:>99999999} {answer}'}",
        "{template: '{text.__class__} {answer}'}",
        "{template: '{'}",
        "{template: 1}",
        "{words: []}",
        "{words: {a: 1}}",
        "{words: {a: [x]}}",
        "{words: {xx: {a: b}}}",
        "{words: {en: {a: b}, eng: {a: c}}}",
        "{loss: all}",
    ],
    "dynamics": ["1", "[]", "yes", "{nope: 1}", "{parallel: 1}", "{parallel: {task: nope}}", "{every: 0}", "{cost: 0}"],
    "device": ["gpu", "1", "cuda:", "cuda:-1", "cuda:x", "cuda:1:2", "cpu:0", "''", "[cpu]"],
    "dtype": ["float16", "int8", "32"],
    "deterministic": ["maybe", "2", "[]", "''"],
    "memory": ["0", "-1", ".inf", ".nan", "soon", "[]"],
    "compile": ["maybe", "2", "[]", "''"],
    "gradient_checkpointing": ["maybe", "2", "[]", "''"],
    "backbone": ["1", "[]", "null", "{}", "embedded/nope", "/nowhere", "./nowhere", "~nobody-of-that-name/x", "x.gguf"],
    "version": ["0", "2", "''", "[1]"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in OTHERS.items() for value in values])
def test_what_does_not_fit_is_refused_by_its_key(isogloss, tmp_path, key, value):
    line = isogloss("run", "demo", "--dry-run", "--set", f"{key}={value}", cwd=tmp_path).well(code=2)
    named = value.strip("[{'~").partition(":")[0]  # the key below it
    assert key in line or (key in {"methods", "data"} and named and named in line), line
    assert "validation error" not in line
    assert "Value error" not in line
    assert not snapshot(tmp_path)


RATES_BY_THE_THOUSAND = ", ".join(str(number / 1000) for number in range(1, 1001))
NUMBERS = ", ".join(map(str, range(1, 1001)))
LISTS = {
    "a billion variants": f"{{lr: [{RATES_BY_THE_THOUSAND}], head_lr: [{RATES_BY_THE_THOUSAND}], epochs: [{NUMBERS}]}}",
    "many seeds": f"{{lr: [{RATES_BY_THE_THOUSAND}], seeds: [{NUMBERS}]}}",
    "the same twice": "{lr: [1e-2, 0.01]}",
    "an empty list": "{lr: []}",
    "a list in a list": "{lr: [[1e-2]]}",
    "a wrong one": "{lr: [1e-2, fast]}",
    "no method's": "{rank: [1, 2]}",
    "a null": "{lr: [null]}",
    "a truth": "{epochs: [true]}",
}


@pytest.mark.parametrize("name", LISTS)
def test_variants_that_cannot_be_are_refused(isogloss, tmp_path, name):
    spec = f"name: x\ntask: sib200\nmethods:\n  soft-prompt: {LISTS[name]}\n"
    (tmp_path / "spec.yaml").write_text(spec)
    isogloss("run", "spec.yaml", "--dry-run", cwd=tmp_path, seconds=20).well("methods.soft-prompt", code=2)


def test_a_prompt_longer_than_the_positions_is_refused_before_training(isogloss, home):
    change = ["--set", "methods.soft-prompt.length=4000", "--set", "name=new", "--out", "new"]
    isogloss("run", "spec.yaml", *change, "--dry-run", cwd=home).well("soft-prompt", "shorter", code=2)
    isogloss("run", "spec.yaml", *change, cwd=home).well("soft-prompt", "shorter", code=2)
    assert not (home / "new").exists()


def test_the_largest_seed_trains_and_is_stored(isogloss, home):
    isogloss("run", "spec.yaml", "--set", f"seeds=[{2**63 - 1}]", "--out", "new", cwd=home).well(code=0)
    isogloss("report", "new", cwd=home).well(code=0)


def test_a_source_alone_is_trained_and_reported(isogloss, home):
    isogloss("run", "spec.yaml", "--set", "targets=[]", "--out", "new", cwd=home).well(code=0)
    isogloss("report", "new", cwd=home).well(code=0)


FROM_PYTHON = """
import json, sys
import isogloss
from isogloss.errors import IsoglossError

good = {"name": "x", "task": "sib200", "methods": {"linear-probe": {}}}
class Odd: ...
calls = {
    **{f"Spec {key}={value!r:.20}": (lambda key=key, value=value: isogloss.Spec(**{**good, key: value}))
       for key, values in {
           "name": (None, 1, "", "..", Odd()), "task": (None, 1, []), "methods": (None, {}, [], {"x": 1}, {1: {}}),
           "seeds": (None, 0, [], [True], [2**63], [-1], ["a"], [float("nan")]), "targets": (1, ["xx"], [None],
       "nope"),
           "source": ("xx", 1), "data": (1, {"path": 1}, {"path": "a\\0b"}, {"nope": 1}), "nope": (1,),
           "checkpoint_minutes": (float("nan"), float("inf"), -1, True, "soon"), "device": ("gpu",), "dynamics": (1,),
       }.items() for value in values},
    "Spec()": lambda: isogloss.Spec(), "Spec task missing": lambda: isogloss.Spec(name="x", methods={"lora": {}}),
    **{f"run {value!r:.30}": (lambda value=value: isogloss.run(value)) for value in
       (None, 1, 1.5, b"demo", [], set(), Odd(), "", " ", "nope", "a\\0b", "x" * 5000, {}, {1: 2}, {**good, 1: 2},
       Odd)},
    **{f"out {value!r:.30}": (lambda value=value: isogloss.run(good, value))
       for value in (1, b"x", "", [], Odd(), "a\\0b")},
    **{f"executor {value!r:.30}": (lambda value=value: isogloss.run(good, "x", executor=value))
       for value in (None, 1, "", [])},
    **{f"data {value!r:.30}": (lambda value=value: isogloss.run({**good, "task": "custom"}, "x", data=value))
       for value in
       (1, "x", [], {}, {"train": 1}, {"train": {"en": 1}}, {"train": {1: []}}, {"nope": {}},
       {"train": {"en": [1]}})},
    **{f"{name} {value!r:.30}": (lambda name=name, value=value: getattr(isogloss, name)(value))
       for name in ("open_run", "load", "analyze", "report")
       for value in (None, 1, b"run", "", "nope", Odd(), "a\\0b")},
    "report []": lambda: isogloss.report([]), "report [1]": lambda: isogloss.report([1]),
    "report out": lambda: isogloss.report("run", 1), "report reference": lambda: isogloss.report("run", reference=1),
    "load method": lambda: isogloss.load("run", method=1), "load nope": lambda: isogloss.load("run", method="nope"),
    "load seed": lambda: isogloss.load("run", seed="0"), "load truth": lambda: isogloss.load("run", seed=True),
    "load no seed": lambda: isogloss.load("run", seed=9), "load huge seed": lambda: isogloss.load("run", seed=10**30),
    "analyze name": lambda: isogloss.analyze("run", 1), "analyze nope": lambda: isogloss.analyze("run", "nope"),
    "analyze methods": lambda: isogloss.analyze("run", methods=1),
    "analyze none": lambda: isogloss.analyze("run", methods=["x"]),
    "analyze examples": lambda: isogloss.analyze("run", examples="many"),
    "analyze nan": lambda: isogloss.analyze("run", examples=float("nan")),
    "analyze sentences": lambda: isogloss.analyze("run", sentences=None),
    "analyze few": lambda: isogloss.analyze("run", sentences=1),
    "analyze parallel": lambda: isogloss.analyze("run", parallel=1),
    "analyze reference": lambda: isogloss.analyze("run", reference=1),
}
model = isogloss.load("run")
calls |= {
    **{f"predict {value!r:.30}": (lambda value=value: model.predict(value)) for value in
       (None, 1, "text", b"text", {"a": 1}, [1], [None], [b"x"], [""], ["  "], [["a", "b"]], [[]], [{"a": 1}],
       ["a\\ud800"])},
    **{f"batch_size {value!r:.30}": (lambda value=value: model.predict(["the cat"], batch_size=value)) for value in
       (0, -1, None, "1", 1.5, True, float("nan"))},
    **{f"language {value!r:.30}": (lambda value=value: model.predict(["the cat"], value))
       for value in (1, "", "xx", b"en", [])},
}
wrong = {}
for name, call in calls.items():
    try:
        call()
        wrong[name] = "nothing was said"
    except IsoglossError as error:
        if "\\n" in str(error) or not str(error):
            wrong[name] = repr(error)
    except BaseException as error:
        wrong[name] = f"{type(error).__name__}: {error}"
print(json.dumps({"count": len(calls), "wrong": wrong}))
"""


def test_calls_from_python_are_refused_in_a_line(home):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "ISOGLOSS_CACHE": str(home / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", FROM_PYTHON], cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answered = json.loads(done.stdout.splitlines()[-1])
    assert answered["count"] > 100
    assert answered["wrong"] == {}
