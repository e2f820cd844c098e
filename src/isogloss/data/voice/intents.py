"""`voice-intents`: commands to a smart home, drawn from Home Assistant's sentence templates.

Train, dev and test are split by template within each intent of each language: with sentences split at random a
model meets every template in training, and its score means nothing. What Home Assistant fills in at run time (rooms,
devices, titles) comes from `lexicon.yaml`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.data.cards import Split
from isogloss.errors import IsoglossError, install
from isogloss.runtime import yaml
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.files import atomic_file
from isogloss.runtime.parquet import read_parquet

VERSIONS = {"home-assistant-intents": "2026.10.27", "hassil": "3.12.1"}  # the draw depends on them
SAMPLER = "1"  # part of the cache's key: raise it when the draw changes
SEED = "voice-intents"
SOURCE = "en"
LEAST_TEMPLATES = 3  # of an intent, so that each split gets one
LEAST_INTENTS = 20  # that a target has in common with the source
LEAST_TEST = 100  # test sentences of a target
SHARES: dict[Split, float] = {"test": 0.25, "dev": 0.15}  # of an intent's templates; the rest is for training
SENTENCES: dict[Split, int] = {"test": 8, "dev": 12, "train": 32}  # of an intent, at most
TRIES = 12  # draws from a template for one new sentence

# Which of our lexicon's entries fills which of the templates' lists.
ENTRIES = {
    "area": "area", "floor": "floor", "name": "name", "message": "message", "search_query": "query", "zone": "zone",
    "timer_name": "timer", "timer_command": "command", "shopping_list_item": "item", "todo_list_item": "todo",
}  # fmt: skip

SCHEMA: dict[str, Any] = {
    "language": pl.String, "split": pl.String, "id": pl.String, "text": pl.String, "label": pl.String,
    "template": pl.String, "slots": pl.List(pl.Struct({"start": pl.Int64, "end": pl.Int64, "slot": pl.String})),
}  # fmt: skip


def examples(code: str, split: Split) -> pl.DataFrame:
    """One split in one language, as the card's columns have it.

    Raises:
        IsoglossError: a package is missing or of another version.
    """
    return _table().filter(language=code, split=split)


@cache
def _table() -> pl.DataFrame:
    """All sentences, drawn once for each cache."""
    path = cache_folder() / "data" / f"voice-intents-{fingerprint()[:12]}.parquet"
    try:
        return read_parquet(path)
    except IsoglossError:  # there is none yet, or it is damaged
        table = draw()
        with atomic_file(path) as temporary:
            table.write_parquet(temporary)
        return table


def fingerprint() -> str:
    """sha256 over all that decides the draw.

    Raises:
        IsoglossError: a package is missing or of another version.
    """
    for package, version in VERSIONS.items():
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError as error:
            raise IsoglossError(f"voice-intents needs {package}; {install('demo')}") from error
        if installed != version:
            raise IsoglossError(
                f"voice-intents is drawn from {package} {version}, but {installed} is installed; "
                f"pip install {package}=={version}"
            )
    parts = [SAMPLER, *VERSIONS.values(), _lexicon_path().read_text(encoding="utf-8")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def draw() -> pl.DataFrame:
    """Every sentence of every language: language, split, id, text, label, template, slots."""
    lexicon = yaml.load(_lexicon_path())
    packaged = _packaged()
    intents = {code: _templates(raw) for code, raw in packaged.items()}
    source = set(intents[SOURCE])
    rows: list[dict[str, Any]] = []
    for code in sorted(intents):
        shared = sorted(source & set(intents[code]))
        if code not in lexicon or len(shared) < LEAST_INTENTS:
            continue
        drawn = list(_language(code, packaged[code], {name: intents[code][name] for name in shared}, lexicon[code]))
        if code == SOURCE or sum(row["split"] == "test" for row in drawn) >= LEAST_TEST:
            rows += drawn
    return pl.DataFrame(rows, schema=SCHEMA)


def _language(
    code: str, raw: dict[str, Any], intents: dict[str, dict[str, dict[str, Any]]], lexicon: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """The sentences of one language: no text twice, none under two intents."""
    from isogloss.data.voice.grammar import Grammar, Undrawable

    def grammar(intent: str, block: dict[str, Any]) -> Grammar:
        lists = {**raw["lists"], **(for_lists if "List" in intent else for_names), **block.get("lists", {})}
        return Grammar(lists, {**raw["expansion_rules"], **block.get("expansion_rules", {})})

    for_names = {name: {"values": _values(lexicon[entry])} for name, entry in ENTRIES.items()}
    for_lists = {**for_names, "name": {"values": _values(lexicon["list"])}}
    owner: dict[str, str] = {}  # the intent that a text was first drawn for
    texts: set[str] = set()
    rows: list[dict[str, Any]] = []
    # Test first: a text that two splits could hold belongs to test, so that nothing of test is learnt from.
    for split in ("test", "dev", "train"):
        for intent, templates in intents.items():
            chosen = {t: grammar(intent, templates[t]) for t in _split(code, intent, sorted(templates))[split]}
            taken = 0
            # Round by round, each template gives a sentence, until there are enough.
            for turn, template in itertools.product(range(SENTENCES[split]), list(chosen)):
                if taken == SENTENCES[split]:
                    break
                for attempt in range(TRIES if template in chosen else 0):
                    try:
                        sentence = chosen[template].draw(
                            template, f"{SEED}/{code}/{intent}/{template}/{turn}/{attempt}"
                        )
                    except Undrawable:
                        break
                    text = sentence.text.casefold()
                    if owner.setdefault(text, intent) != intent:
                        owner[text] = ""  # nobody's: it could mean either
                    elif text not in texts:
                        texts.add(text)
                        rows.append(_row(code, split, intent, taken, template, sentence))
                        taken += 1
                        break
                else:
                    chosen.pop(template, None)  # it has nothing new to say
    return (row for row in rows if owner[row["text"].casefold()] == row["label"])


def _row(code: str, split: str, intent: str, number: int, template: str, sentence: Any) -> dict[str, Any]:
    return {
        "language": code, "split": split, "id": f"{code}/{intent}/{split}/{number}", "text": sentence.text,
        "label": intent, "template": template,
        "slots": [{"start": span.start, "end": span.end, "slot": span.slot} for span in sentence.spans],
    }  # fmt: skip


def _split(code: str, intent: str, templates: list[str]) -> dict[str, list[str]]:
    """Deal an intent's templates to the splits, in an order that a hash decides."""
    dealt = sorted(templates, key=lambda text: hashlib.sha256(f"{SEED}/{code}/{intent}/{text}".encode()).digest())
    test = max(1, round(SHARES["test"] * len(dealt)))
    dev = max(1, round(SHARES["dev"] * len(dealt)))
    return {"test": dealt[:test], "dev": dealt[test : test + dev], "train": dealt[test + dev :]}


def _templates(raw: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Intents with enough templates, each template with the block that it stands in; ambiguous templates left out."""
    blocks: dict[str, dict[str, dict[str, Any]]] = {}
    intents_of: dict[str, set[str]] = defaultdict(set)
    for intent, contents in raw["intents"].items():
        for block in contents["data"]:
            for template in block["sentences"]:
                blocks.setdefault(intent, {}).setdefault(template, block)
                intents_of[template].add(intent)
    clear = {
        intent: {template: block for template, block in templates.items() if len(intents_of[template]) == 1}
        for intent, templates in blocks.items()
    }
    return {intent: templates for intent, templates in clear.items() if len(templates) >= LEAST_TEMPLATES}


def _packaged() -> dict[str, dict[str, Any]]:
    """Home Assistant's files by language code."""
    folder = Path(str(resources.files("home_assistant_intents") / "data"))
    files = sorted(folder.glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def _values(entry: str) -> list[str]:
    return [value.strip() for value in entry.split(";")]


def _lexicon_path() -> Path:
    return Path(str(resources.files("isogloss.data.voice") / "lexicon.yaml"))
