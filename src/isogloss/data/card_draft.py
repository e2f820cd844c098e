"""A first card for a folder of the user's own files: guessed from their names and contents, and tried on them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from isogloss.data.card_columns import label_facts
from isogloss.data.card_dialect import dialect
from isogloss.data.card_layout import FORMATS, NAMES, FileLayout, file_layout
from isogloss.data.card_rows import Rows, by_column, kind_and_columns, read_rows, unlabelled
from isogloss.data.cards import Card, read_card
from isogloss.data.kinds.registry import data_kinds
from isogloss.data.label_column import refuse_misspelt
from isogloss.data.raw_row import RawRow
from isogloss.data.tag_schemes import strange_tag
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language
from isogloss.runtime import yaml
from isogloss.runtime.files import atomic_file

SQUAD = {"id": "id", "text": "context", "second": "question", "label": "answers", "group": "title"}
CONLLU = {"text": "form", "label": "upos"}
MOST_NAMES = 20  # in a note
PARTITIONS = ("split", "partition", "subset", "set")  # what a column is called that says which split a row is of
DIVISIBLE = 10  # rows of a language, of which one is for testing
PARTS = {"train": "all[:80%]", "dev": "all[80%:90%]", "test": "all[90%:]"}  # of one file that nothing divides


def draft(folder: Path) -> Path:
    """Write `card.yaml` into a folder of files: one a language and split, or fewer with columns that say which.

    Files of other languages than the source may have no labels.

    Returns:
        Its path.

    Raises:
        IsoglossError: there is a card already, nothing in the folder looks like a data set, or what was guessed does
            not read every file; then nothing is written.
    """
    target = folder / "card.yaml"
    if not folder.is_dir():
        raise IsoglossError(f"{folder} is no folder")
    if target.exists() or target.is_symlink():
        raise IsoglossError(f"{target} exists; remove it first to have a new one drafted")
    layout = _layout(folder)
    paths = list(layout.files.values())
    local: dict[str, Any] = {"path": layout.pattern, **dialect(FORMATS[layout.suffix], layout.suffix, paths)}
    columns, rows = _read(local, layout)
    card = _card(folder, layout, local, columns, rows)
    without = unlabelled(rows, card["columns"]["label"])
    _try(card, layout, rows, without)
    with atomic_file(target) as temporary:
        temporary.write_text(_notes(layout, card, without) + yaml.dumps(card), encoding="utf-8")
    return target


def _layout(folder: Path) -> FileLayout:
    """Files named by language, or where none is, files in which a column says which language each row is in."""
    try:
        return file_layout(folder)
    except IsoglossError as error:
        if (layout := by_column(folder)) is None:
            raise
        del error
        return layout


def _read(local: dict[str, Any], layout: FileLayout) -> tuple[dict[str, str] | None, Rows]:
    """The columns, where the format says what they are, and the rows of each file."""
    form = local["format"]
    columns = {"squad": SQUAD, "conllu": CONLLU}.get(form)
    # Files of words hand out only what they are asked for.
    asked = list(CONLLU.values()) if form == "conllu" else local["header"] if form == "tokens" else []
    return columns, read_rows(layout, local, asked)


def _card(
    folder: Path, layout: FileLayout, local: dict[str, Any], columns: dict[str, str] | None, rows: Rows
) -> dict[str, Any]:
    source = layout.languages[_source(layout)]
    kind, columns = ("qa" if columns == SQUAD else "tagging", columns) if columns else kind_and_columns(rows, source)
    without = unlabelled(rows, columns["label"])
    labelled = [row for key, some in rows.items() if key not in without for row in some]
    splits = _splits(layout) if layout.splits else _split_column(folder, layout, rows, local)
    if layout.column is not None:
        local["only"] = {"column": layout.column, "equals": "{code}"}
    own = sorted(layout.languages.values())
    same = all(_parses(code, form) for form, code in layout.languages.items())
    return {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name) or "data",
        "kind": kind,
        "source": _source(layout),
        **label_facts(kind, [_label(row, kind, columns["label"]) for row in labelled]),
        "columns": columns,
        "local": {**local, "splits": splits},
        "languages": " ".join(own) if same else layout.languages,
    }


def _notes(layout: FileLayout, card: dict[str, Any], without: list[tuple[str, str]]) -> str:
    """What a reader of the card has to know: files that it does not read or that lack labels, and made-up splits."""
    names = [path.as_posix() if path.as_posix().isprintable() else ascii(str(path)) for path in layout.left_out]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    notes = ""
    if names:
        notes += f"# Left out, because they are named otherwise: {', '.join(names[:MOST_NAMES])}{more}\n"
    if without:
        codes = ", ".join(dict.fromkeys(code for code, _ in without))
        notes += f"# No labels, so that they are predicted and not scored: {codes}\n"
    if card["local"]["splits"] == PARTS:
        notes += "# Nothing says which split a row is of: the last tenth is test, the tenth before it dev.\n"
    elif "test" not in layout.splits and not card["local"].get("split_column"):
        notes += "# No file is named test: dev stands for it, and the last tenth of train for dev.\n"
    strange = strange_tag(card["labels"]) if card["kind"] == "tagging" else None
    if strange is not None and any(label == "O" or "-" in label for label in card["labels"]):
        notes += (
            f"# No span-f1: {strange!a} is no tag of a span, which is O or a type behind B-, I-, E-, S-, L- or U-.\n"
        )
    return notes


def _splits(layout: FileLayout) -> dict[str, str]:
    """Our splits by the files'; where none is a test split, dev is, as of SQuAD and TyDiQA.

    Raises:
        IsoglossError: there is neither.
    """
    splits = layout.splits
    if "test" in splits:
        return splits
    if "dev" not in splits:
        raise IsoglossError(
            f"only training files were found, such as {next(iter(layout.files.values()))}; expected a file of each "
            "language that is named test (or dev)"
        )
    train = splits.get("train")
    return {**({"train": f"{train}[:90%]", "dev": f"{train}[90%:]"} if train else {}), "test": splits["dev"]}


def _label(row: RawRow, kind: str, column: str) -> Any:
    if kind == "qa":
        return None
    return row.texts(column) if kind == "tagging" else row.label(column)


def _parses(code: str, form: str) -> bool:
    """Whether a card may list a language by the files' own code."""
    try:
        return str(Language.parse(code)) == form
    except IsoglossError:
        return False


def _source(layout: FileLayout) -> str:
    """English if it has training data, and best a test too, else a language that has; of none, English or the first."""
    trained, tested = (
        {form for form, code in layout.languages.items() if (code, layout.splits.get(split, "")) in layout.files}
        for split in ("train", "test")
    )
    candidates = (trained & tested) or trained or layout.languages
    return "eng-Latn" if "eng-Latn" in candidates else min(candidates)


def _split_column(folder: Path, layout: FileLayout, rows: Rows, local: dict[str, Any]) -> dict[str, str]:
    """Where no name has a split: what the column that says which calls each; of one file, parts of it if none does."""
    every = [row for some in rows.values() for row in some]
    for name in PARTITIONS:
        values = {row.text(name) for row in every if isinstance(row.values.get(name), str)}
        if values and values <= NAMES.keys() and all(isinstance(row.values.get(name), str) for row in every):
            local["split_column"] = name
            return {NAMES[value]: value for value in sorted(values)}
    if len(set(layout.files.values())) == 1 and min(map(len, rows.values())) >= DIVISIBLE:
        return dict(PARTS)
    first = next(iter(layout.files.values())).relative_to(folder)
    raise IsoglossError(
        f"{folder} holds files named by language, such as {first}, but none says which split it is; expected train, "
        f"dev or test in each name, such as en/train.tsv, or a column that says so ({', '.join(PARTITIONS)})"
    )


def _try(card: dict[str, Any], layout: FileLayout, rows: Rows, without: list[tuple[str, str]]) -> None:
    """Read every file by the card.

    Raises:
        IsoglossError: the card, or a row by it, is refused.
    """
    columns = card["columns"]
    try:
        read: Card = read_card(card, where="the card")
        kind = data_kinds()[read.kind]
        for key, some in rows.items():
            if key in without and read.columns.label not in some[0].values:
                missing = IsoglossError(f"{some[0].where} has no column {read.columns.label!r}")
                refuse_misspelt(some, read, missing)
            kind.columns(some, read, labelled=key not in without)
    except IsoglossError as error:
        shown = ", ".join(
            f"{name}: {column if column.isprintable() else ascii(column)}" for name, column in columns.items()
        )
        raise IsoglossError(
            f"no card was written; {error} (what was tried is {card['kind']} from {layout.pattern!r} with {shown})"
        ) from error
