"""Cards that a stranger sends: each is read, or refused in one line that names file and field; none runs a thing.

The folder holds a module that tells if it was imported; a file that the card may not read lies outside of it.
"""

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fork_server import snapshot
from isogloss.data.cards import cards, read_card
from isogloss.errors import IsoglossError
from isogloss.runtime import yaml

CARD = {
    "name": "own",
    "kind": "classification",
    "source": "en",
    "labels": ["a", "b"],
    "languages": {"en": "en", "de": "de"},
    "columns": {"text": "text", "label": "label"},
    "local": {"path": "{code}.{split}.tsv", "format": "tsv"},
}
KEPT = "what nobody may read"
TRAP = "import pathlib\npathlib.Path(__file__).with_name('sprung').touch()\n"
FIELDS = [
    "{nope}",
    "{code.__class__}",
    "{code:>2000000000}",
    "{0}",
    "{",
    "}",
    "{code",
    "code}",
    "{code!r}",
    "{split:x}",
    "{code[0]}",
    "{code.upper}",
    "{}",
    "{code}{",
    "{code:{split}}",
    "{code!}",
    "{code!z}",
    "{ code}",
    "{{code}",
    "{CODE}",
    "{split.__init__.__globals__}",
    "{code:\x00}",
    "{code.__class__.__mro__[1].__subclasses__}",
    "{" * 900,
    "{code:9" * 99,
]
OUTSIDE = [
    "../secret.tsv",
    "/etc/passwd",
    "a/../../secret.tsv",
    "..",
    "/",
    "",
    " ",
    "./../secret.tsv",
    "..\\secret.tsv",
    "C:\\secret.tsv",
    "{code}/../../secret.tsv",
    "\x00",
    "a\x00b",
    "a\nb",
    "\x1b[31m.tsv",
    "x" * 300,
    "x/" * 900,
    "~/../..",
    "//secret",
    "\\\\host\\share",
    "{code}/..",
    "a/..",
    ".. /..",
]
VALUES = {
    "nothing": None,
    "a number": 7,
    "a fraction": 0.5,
    "a truth": True,
    "a list": ["x"],
    "a mapping": {"x": "y"},
    "nested": [[[[["x"]]]]],
    "empty list": [],
    "empty mapping": {},
    "empty": "",
    "blank": " ",
    "long": "x" * 5000,
    "control": "a\x1b[2Jb",
    "bidi": "a\u202eb",
    "line": "a\nb",
    "huge": 10**400,
    "astral": "\U0001f600",
}
PLACES = [
    "name",
    "title",
    "kind",
    "source",
    "parallel",
    "metrics",
    "labels",
    "aliases",
    "columns",
    "columns.text",
    "columns.label",
    "columns.id",
    "columns.second",
    "columns.group",
    "local",
    "local.path",
    "local.format",
    "local.header",
    "local.splits",
    "local.split_column",
    "local.folder",
    "local.columns",
    "local.codes",
    "local.only",
    "local.prefix",
    "local.delimiter",
    "local.quoting",
    "hub",
    "train",
    "only",
    "drop",
    "void",
    "languages",
    "generator",
    "nope",
    "local.nope",
]
RAW = {
    "not YAML": "a: [",
    "a list": "- a\n- b\n",
    "a text": "card",
    "nothing": "",
    "a number": "7\n",
    "tabs": "\ta: b\n",
    "recursion": "&a [*a]\n",
    "recursive card": "name: own\nlabels: &a [*a, b]\n",
    "recursive mapping": "&a {name: *a}\n",
    "a key that is a list": "? [a, b]\n: c\n",
    "a key that is a mapping": "? {a: b}\n: c\n",
    "twice": "name: a\nname: b\n",
    "an object": "name: !!python/object/apply:os.system [touch sprung]\n",
    "a module": "name: !!python/module:trap\n",
    "a name": "name: !!python/name:trap.x\n",
    "bytes": "name: !!binary aGVsbG8=\n",
    "a set": "labels: !!set {a, b}\n",
    "an own tag": "name: !nope x\n",
    "a date": "name: 2020-01-01\n",
    "a bad date": "name: !!timestamp x\n",
    "a bad number": "name: !!int x\n",
    "a bad truth": "name: !!bool x\n",
    "many digits": "name: " + "9" * 5000 + "\n",
    "deep": "name: " + "[" * 3000 + "]" * 3000 + "\n",
    "deeper mappings": "".join(" " * n + "a:\n" for n in range(500)),
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)),
    "two documents": "name: a\n---\nname: b\n",
    "a directive": "%YAML 9.9\n---\nname: a\n",
    "NUL": "name: a\x00b\n",
    "a lone surrogate": 'name: "\\ud800"\n',
    "not UTF-8": b"name: \xff\n",
    "UTF-16": "name: a\n".encode("utf-16"),
    "merge": "<<: 7\nname: a\n",
    "an unknown alias": "name: *nope\n",
    "a key that is nothing": "~: x\n",
    "a key that is a truth": "true: x\n",
    "a key that is a number": "1: x\n",
    "an anchor alone": "&a\n",
}


def changed(place, value):
    """The card with another value in one place."""
    card = copy.deepcopy(CARD)
    at = card
    *parents, last = place.split(".")
    for parent in parents:
        at = at[parent]
    at[last] = value
    return card


WHOLE = {
    "a trainer of no name": {**CARD, "train": "../../x"},
    "generator": {**CARD, "generator": "trap"},
    "a generator alone": {**{k: v for k, v in CARD.items() if k != "local"}, "generator": "trap"},
    "a generator of ours": {**CARD, "generator": "isogloss.data.voice.intents"},
    "a package": {**CARD, "generator": "os.path"},
    "two codes of one language": {**CARD, "languages": "en be be-x-old"},
    "no and nb": {**CARD, "languages": "en no nb"},
    "a family": {**CARD, "languages": "en bat"},
    "no language": {**CARD, "languages": "en xx"},
    "one code of two": {**CARD, "languages": {"en": "en", "de": "en"}},
    "codes are lists": {**CARD, "languages": {"en": ["a"]}},
    "a code upwards": {**CARD, "languages": {"en": "../../secret", "de": "de"}},
    "a code from the root": {**CARD, "languages": {"en": "/etc/passwd", "de": "de"}},
    "a split upwards": changed("local.splits", {"test": "../secret"}),
    "two dots of two halves": {
        **CARD,
        "languages": {"en": ".", "de": "de"},
        "local": {"path": "{code}{split}/secret.tsv", "format": "tsv", "splits": {"test": "."}},
    },
    "an own code upwards": changed("local.codes", {"en": "../secret"}),
    "a foreign code": changed("local.codes", {"fr": "fr"}),
    "a folder upwards": changed("local.folder", "../.."),
    "a folder from the root": changed("local.folder", "/etc"),
    "one file of all": changed("local.path", "test.tsv"),
    "only a missing column": {**CARD, "only": {"column": "no", "equals": "{code}"}},
    "only without code": {
        **CARD,
        "local": {"path": "en.test.tsv", "format": "tsv"},
        "only": {"column": "text", "equals": "x"},
    },
    "only of a beginning": {
        **CARD,
        "languages": {"en": "e", "de": "ed"},
        "local": {"path": "en.test.tsv", "format": "tsv"},
        "only": {"column": "text", "begins": "{code}"},
    },
    "only of both": {**CARD, "only": {"column": "text", "begins": "{code}", "equals": "{code}"}},
    "only of neither": {**CARD, "only": {"column": "text"}},
    "only wild": {**CARD, "only": {"column": "text", "equals": "{code:>99999999}"}},
    "void of a missing column": {**CARD, "void": {"nope": [""]}},
    "void of text": {**CARD, "void": {"text": "x"}},
    "an alias of none": {**CARD, "aliases": {"c": "z"}},
    "aliases that meet": {**CARD, "aliases": {"c": "a", "c ": "b"}},
    "labels that meet": {**CARD, "labels": ["a", "a "]},
    "an empty label": {**CARD, "labels": ["a", ""]},
    "one label": {**CARD, "labels": ["a"]},
    "a label twice": {**CARD, "labels": ["a", "a"]},
    "numbers": {**CARD, "labels": [0, 1]},
    "labels of truth": {**CARD, "labels": [True, False]},
    "labels of nothing": {**CARD, "labels": [None, "a"]},
    "labels of lists": {**CARD, "labels": [["a"], ["b"]]},
    "many labels": {**CARD, "labels": [str(n) for n in range(30_000)]},
    "text is label": changed("columns.label", "text"),
    "a header twice": changed("local.header", ["text", "text", "label"]),
    "no split": changed("local.splits", {}),
    "an unknown split": changed("local.splits", {"validation": "dev"}),
    "a part of a part": changed("local.splits", {"test": "test[1:2][3:4]"}),
    "digits": changed("local.splits", {"test": "test[" + "9" * 5000 + ":]"}),
    "backwards": changed("local.splits", {"test": "test[90%:10%]"}),
    "much": changed("local.splits", {"test": "test[:900%]"}),
    "one column for two": changed("local.columns", {"text": "x", "label": "x"}),
    "columns moved": changed("local.columns", {"text": "label", "label": "text"}),
    "a prefix of tsv": changed("local.prefix", ":"),
    "no local": {k: v for k, v in CARD.items() if k != "local"},
    "hub alone": {**{k: v for k, v in CARD.items() if k != "local"}, "hub": {"id": "a/b", "config": "{code}"}},
    "a wild hub": {**CARD, "hub": {"id": "a/b", "config": "{code.__class__}"}},
    "a hub of one": {**CARD, "hub": {"id": "a/b"}},
    "many languages": {**CARD, "languages": {f"en-Latn-x-{n}": str(n) for n in range(9000)}},
    "no layout": changed("local", []),
    "split column": changed("local.split_column", "nope"),
    "tagging of tsv": {**CARD, "kind": "tagging"},
    "qa of tsv": {**CARD, "kind": "qa"},
    "conllu": changed("local.format", "conllu"),
    "parquet": changed("local.format", "parquet"),
    "squad": changed("local.format", "squad"),
    "a delimiter of none": changed("local.delimiter", ""),
    "a quote between": changed("local.delimiter", '"'),
}
HOSTILE = {
    **{f"path {text[:40]!r}": changed("local.path", text) for text in FIELDS},
    **{f"equals {text[:40]!r}": {**CARD, "only": {"column": "text", "equals": text}} for text in FIELDS},
    **{f"outside {text[:40]!r}": changed("local.path", text) for text in OUTSIDE},
    **{f"folder {text[:40]!r}": changed("local.folder", text) for text in OUTSIDE if text.strip()},
    **{f"code {text[:40]!r}": {**CARD, "languages": {"en": text, "de": "de"}} for text in OUTSIDE},
    **WHOLE,
}
# Every third of the many that differ in a place and a value alone.
MANY = [(place, name) for place in PLACES for name in VALUES][::3]
TAKEN = {"numbers", "two documents"}  # what may well be taken


@pytest.fixture
def folder(tmp_path):
    """`data` with three splits in two languages, and outside of it what nobody may read."""
    folder = tmp_path / "data"
    folder.mkdir()
    for code in ("en", "de"):
        for split in ("train", "dev", "test"):
            (folder / f"{code}.{split}.tsv").write_text(f"text\tlabel\n{code} {split} x\ta\n{code} {split} y\tb\n")
    (tmp_path / "secret.tsv").write_text(f"text\tlabel\n{KEPT}\ta\n")
    (tmp_path / "trap.py").write_text(TRAP)
    return folder


def answer(isogloss, folder, card):
    text = card if isinstance(card, str | bytes) else yaml.dumps(card)
    (folder / "card.yaml").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    before = snapshot(folder.parent)
    given = isogloss("data", "custom", "--path", "data", cwd=folder.parent)
    assert snapshot(folder.parent) == before
    assert KEPT not in given.out + given.err
    return given


def test_the_card_itself_is_read(isogloss, folder):
    answer(isogloss, folder, CARD).well(code=0)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_wild_card_is_refused_by_name(isogloss, folder, name):
    given = answer(isogloss, folder, HOSTILE[name])
    if given.well() == "":
        assert (
            name in {"a hub of one", "numbers", "a trainer of no name", "columns moved", "much"}
            or "~" in name
            or "x/x" in name
        )
    else:
        assert "data" in given.err


@pytest.mark.parametrize(("place", "name"), MANY)
def test_a_value_of_another_kind_is_refused_or_means_itself(isogloss, folder, place, name):
    answer(isogloss, folder, changed(place, VALUES[name])).well()


@pytest.mark.parametrize("name", RAW)
def test_a_file_that_is_no_card_is_refused(isogloss, folder, name):
    answer(isogloss, folder, RAW[name]).well("card.yaml", code=2)


@pytest.mark.parametrize("name", ["generator", "a code upwards", "a folder upwards", "path '{nope}'"])
def test_in_a_stored_spec_it_is_refused_too(isogloss, home, name):
    (home / "trap.py").write_text(TRAP)
    spec = yaml.load(home / "run" / "spec.yaml")
    spec["task"], spec["data"] = "custom", {"path": str(home), "card": HOSTILE[name]}
    (home / "run" / "spec.yaml").write_text(yaml.dumps(spec), encoding="utf-8")
    before = snapshot(home)
    isogloss("analyze", "run", "tokenization", cwd=home).well("data.card", code=2)
    assert snapshot(home) == before


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(place=st.sampled_from(PLACES), value=TREES)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_is_refused_in_a_line_or_read(place, value):
    try:
        read_card(changed(place, value), where="card.yaml")
        said = "card.yaml: "
    except IsoglossError as error:
        said = str(error)
    assert "\n" not in said
    assert said.startswith("card.yaml: ")


def test_ours_are_cards_as_well():
    for card in cards().values():
        raw = card.model_dump(mode="json", exclude_defaults=True)
        if card.generator is None:
            assert read_card(raw, where="here") == card
