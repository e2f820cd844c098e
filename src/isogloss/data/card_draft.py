"""A first card for a folder of the user's own files, guessed from their names and contents."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from isogloss.data.cards import SPLITS
from isogloss.data.raw_row import RawRow
from isogloss.data.readers.plain_text import read_text
from isogloss.data.readers.registry import readers
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language
from isogloss.runtime import yaml
from isogloss.runtime.files import atomic_file

FORMATS = {
    ".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet", ".conllu": "conllu", ".json": "squad",
    ".iob2": "tokens", ".iob": "tokens", ".bio": "tokens", ".conll": "tokens", ".txt": "tokens",
}  # fmt: skip
TAG = re.compile(r"O|[BIES]-.+")
NAMES = {"train": "train", "dev": "dev", "valid": "dev", "validation": "dev", "val": "dev", "test": "test"}
SPLIT = re.compile(rf"(?<![A-Za-z])({'|'.join(NAMES)})(?![A-Za-z])")
CODE = re.compile(r"(?<![A-Za-z{])[a-z]{2,3}([-_]([A-Z][a-z]{3}|[A-Z]{2}))*(?![A-Za-z}])")
MOST_LABELS = 200  # a column with more values than that is no label


def draft(folder: Path) -> Path:
    """Write `card.yaml` into a folder of files, one a language and split.

    Returns:
        Its path.

    Raises:
        IsoglossError: there is a card already, or nothing in the folder looks like a data set.
    """
    target = folder / "card.yaml"
    if not folder.is_dir():
        raise IsoglossError(f"{folder} is no folder")
    if target.exists():
        raise IsoglossError(f"{target} exists; remove it first to have a new one drafted")
    layout = _layout(folder)
    pattern, suffix = max(layout, key=lambda key: len(layout[key]))
    files = layout[pattern, suffix]
    first = next(iter(files.values()))
    form = "tokens" if suffix == ".tsv" and "\n\n" in read_text(first).strip() else FORMATS[suffix]
    header = _header(first) if form == "tokens" else None
    # Files of words hand out only what they are asked for.
    names = ["form", "upos"] if form == "conllu" else header or []
    by_file = [readers()[form](path, names, header) for path in files.values()]
    if not by_file[0]:
        raise IsoglossError(f"{first} has no rows to learn the columns from")
    kind, columns = _kind(form, by_file[0])
    codes = sorted({code for code, _ in files})
    parsed = [str(Language.parse(code)) for code in codes]
    card: dict[str, Any] = {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name),
        "kind": kind,
        "source": "eng-Latn" if "eng-Latn" in parsed else parsed[0],
        **label_facts(kind, [row.values[columns["label"]] for rows in by_file for row in rows]),
        "columns": columns,
        "local": {
            "path": pattern, "format": form, **({"header": header} if header else {}),
            "splits": {NAMES[split]: split for split in dict.fromkeys(split for _, split in files)},
        },
        "languages": " ".join(codes),
    }  # fmt: skip
    chosen = set(files.values())
    others = sorted({path for named in layout.values() for path in named.values()} - chosen)
    left = ", ".join(path.relative_to(folder).as_posix() for path in others)
    note = f"# Left out, because they are named otherwise: {left}\n" if others else ""
    with atomic_file(target) as temporary:
        temporary.write_text(note + yaml.dumps(card), encoding="utf-8")
    return target


def _layout(folder: Path) -> dict[tuple[str, str], dict[tuple[str, str], Path]]:
    """Patterns of paths such as `{code}/{split}.tsv`, each with its files by language and split."""
    layout: dict[tuple[str, str], dict[tuple[str, str], Path]] = defaultdict(dict)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        split = SPLIT.search(name)
        if path.suffix not in FORMATS or not path.is_file() or split is None:
            continue
        name = f"{name[: split.start()]}{{split}}{name[split.end() :]}"
        code = next((match for match in CODE.finditer(name) if _is_language(match.group())), None)
        if code is not None:
            pattern = f"{name[: code.start()]}{{code}}{name[code.end() :]}{path.suffix}"
            layout[pattern, path.suffix][code.group(), split.group()] = path
    if not layout:
        names = ", ".join(f"{{code}}/{{split}}{suffix}" for suffix in FORMATS)
        raise IsoglossError(
            f"{folder} holds no file named by language and split ({', '.join(SPLITS)}); such as {names}"
        )
    return layout


def _is_language(code: str) -> bool:
    try:
        Language.parse(code)
    except IsoglossError:
        return False
    return True


def _kind(form: str, rows: list[RawRow]) -> tuple[str, dict[str, str]]:
    """The kind of task and its columns."""
    if form == "squad":
        return "qa", {"id": "id", "text": "context", "second": "question", "label": "answers", "group": "title"}
    if form == "conllu":
        return "tagging", {"text": "form", "label": "upos"}
    lists = [name for name, value in rows[0].values.items() if isinstance(value, list)]
    if not lists:
        return "classification", _columns(rows)
    # Of lists, the tags are those with the fewest values, the words those with the most.
    values = {name: {item for row in rows for item in row.values[name]} for name in lists}
    order = sorted(lists, key=lambda name: len(values[name]))
    tags = next((name for name in order if all(map(TAG.fullmatch, values[name])) and len(values[name]) > 1), order[0])
    words = max((name for name in lists if name not in {tags, "id"}), key=lambda name: len(values[name]), default=tags)
    return "tagging", {"text": words, "label": tags}


def label_facts(kind: str, labels: list[Any]) -> dict[str, Any]:
    """The labels, and what tells best how well they are predicted."""
    if kind == "qa":
        return {"metrics": ["f1", "exact-match"]}
    if kind == "classification":
        return {"labels": sorted(set(labels))}
    tags = sorted({tag for row in labels for tag in row}, key=lambda tag: (tag != "O", tag))
    spans = all(map(TAG.fullmatch, tags))
    return {"metrics": ["span-f1", "accuracy"] if spans else ["accuracy", "macro-f1"], "labels": tags}


def _header(path: Path) -> list[str]:
    """Names for the fields of a file with a word a line: the one that counts is `id`."""
    text = read_text(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("# ")]
    fields = [line.split("\t" if "\t" in text else None) for line in lines]
    if not fields:
        raise IsoglossError(f"{path} has no rows to learn the columns from")
    names = [f"column{number}" for number in range(1, len(fields[0]) + 1)]
    return ["id", *names[1:]] if fields[0][0].isdigit() and all(row[0][:1].isdigit() for row in fields) else names


def _columns(rows: list[RawRow]) -> dict[str, str]:
    """The label is the column with the fewest values, the texts the longest others, the id a column without repeats."""
    values = {name: [row.values[name] for row in rows] for name in rows[0].values}
    kinds = {name: len(set(column)) for name, column in values.items()}
    length = {name: sum(map(len, column)) / len(column) for name, column in values.items()}
    labels = [name for name, count in kinds.items() if 1 < count <= MOST_LABELS]
    if not labels or len(values) < 2:  # noqa: PLR2004 - a text and a label
        raise IsoglossError(f"the columns {', '.join(values)} hold no label: none has 2 to {MOST_LABELS} values")
    label = min(labels, key=lambda name: (kinds[name], name != "label", length[name]))
    texts = sorted((name for name in values if name != label), key=lambda name: -length[name])
    ids = [name for name in texts[1:] if kinds[name] == len(rows) and re.search(r"id$", name)]
    # Two columns of several words each are a pair; they stand as in the file.
    worded = [name for name in values if name in texts and sum(" " in value for value in values[name]) > len(rows) / 2]
    pair = {"text": worded[0], "second": worded[1]} if len(worded) == 2 else {"text": texts[0]}  # noqa: PLR2004
    return {**({"id": ids[0]} if ids else {}), **pair, "label": label}
