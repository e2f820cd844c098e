"""A first card for a folder of the user's own files, guessed from their names and contents."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from isogloss import yaml
from isogloss.cache import atomic_file
from isogloss.data.cards import SPLITS
from isogloss.data.readers import READERS, Raw
from isogloss.errors import IsoglossError
from isogloss.languages import Language

FORMATS = {f".{name}": name for name in READERS}
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
    found = _layout(folder)
    pattern, suffix = max(found, key=lambda key: len(found[key]))
    files = found[pattern, suffix]
    rows = READERS[FORMATS[suffix]](next(iter(files.values())), [], None)
    if not rows:
        raise IsoglossError(f"{next(iter(files.values()))} has no rows to learn the columns from")
    columns = _columns(rows)
    everything = [row for path in files.values() for row in READERS[FORMATS[suffix]](path, [], None)]
    codes = sorted({code for code, _ in files})
    parsed = [str(Language.parse(code)) for code in codes]
    card: dict[str, Any] = {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name),
        "kind": "classification",
        "source": "eng-Latn" if "eng-Latn" in parsed else parsed[0],
        "labels": sorted({row.values[columns["label"]] for row in everything}),
        "columns": columns,
        "local": {
            "path": pattern, "format": FORMATS[suffix],
            "splits": {NAMES[split]: split for split in dict.fromkeys(split for _, split in files)},
        },
        "languages": " ".join(codes),
    }  # fmt: skip
    with atomic_file(target) as temporary:
        temporary.write_text(yaml.dumps(card), encoding="utf-8")
    return target


def _layout(folder: Path) -> dict[tuple[str, str], dict[tuple[str, str], Path]]:
    """Patterns of paths such as `{code}/{split}.tsv`, each with its files by language and split."""
    found: dict[tuple[str, str], dict[tuple[str, str], Path]] = defaultdict(dict)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        split = SPLIT.search(name)
        if path.suffix not in FORMATS or not path.is_file() or split is None:
            continue
        name = f"{name[: split.start()]}{{split}}{name[split.end() :]}"
        code = next((match for match in CODE.finditer(name) if _is_language(match.group())), None)
        if code is not None:
            pattern = f"{name[: code.start()]}{{code}}{name[code.end() :]}{path.suffix}"
            found[pattern, path.suffix][code.group(), split.group()] = path
    if not found:
        names = ", ".join(f"{{code}}/{{split}}{suffix}" for suffix in FORMATS)
        raise IsoglossError(
            f"{folder} holds no file named by language and split ({', '.join(SPLITS)}); such as {names}"
        )
    return found


def _is_language(code: str) -> bool:
    try:
        Language.parse(code)
    except IsoglossError:
        return False
    return True


def _columns(rows: list[Raw]) -> dict[str, str]:
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
    out = {"id": ids[0]} if ids else {}
    out |= {"text": texts[0], "label": label}
    return out
