"""Examples that are given from Python: frames and lists, kept as files so that all else reads them as such.

They are written once to the user's cache, in a folder named by their contents; the same checks as of any file follow
when they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.data.card_draft import label_facts
from isogloss.data.cards import CUSTOM, SPLITS
from isogloss.errors import IsoglossError, unknown
from isogloss.languages.language import Language
from isogloss.runtime.cache import frames_folder
from isogloss.runtime.files import atomic_folder
from isogloss.spec import Spec

Frames = Mapping[str, Any]  # by split, and below it by language
Row = dict[str, Any]
TEXTS = {  # of each kind of task: the columns that hold a text, or a list of texts
    "classification": ("text", "second", "label"), "tagging": ("words", "labels"), "qa": ("question", "passage"),
}  # fmt: skip
CARDS: dict[str, dict[str, str]] = {  # columns as cards have them
    "classification": {"text": "text", "label": "label"}, "tagging": {"text": "words", "label": "labels"},
    "qa": {"id": "id", "text": "context", "second": "question", "label": "answers"},
}  # fmt: skip


def stored_frames(spec: Spec, frames: Frames) -> Spec:
    """A spec of examples that are given from Python.

    Args:
        spec: of the task `custom`; what its `data.card` says stands over what is found in the examples.
        frames: examples by split and language: frames of polars or pandas, `datasets.Dataset`s, lists of dictionaries.

    Raises:
        IsoglossError: the examples are of no kind of task, or something in them is wrong.
    """
    if spec.task != CUSTOM or spec.data.path is not None:
        raise IsoglossError(f"examples are given, so expected `task: custom` and no data.path; came: task {spec.task}")
    rows = {
        (split, code): list(_rows(frame, f"data[{split!r}][{code!r}]"))
        for split, code, frame in _parts(frames)
    }  # fmt: skip
    kind = _kind(rows)
    for (split, code), part in rows.items():
        _check(part, kind, f"data[{split!r}][{code!r}]")
    digest = hashlib.sha256(json.dumps([[*key, part] for key, part in sorted(rows.items())]).encode()).hexdigest()
    folder = frames_folder() / digest[:32]
    if not folder.is_dir():
        with atomic_folder(folder) as temporary:
            for (split, code), part in rows.items():
                _write(temporary / code / split, part, kind)
    card = {**_card(spec, rows, kind), **(spec.data.card or {})}
    return spec.model_copy(update={"data": spec.data.model_copy(update={"path": folder, "card": card})})


def _parts(frames: Frames) -> Iterator[tuple[str, str, Any]]:
    """Split, language in its canonical form, and examples."""
    for split, by_language in frames.items():
        if split not in SPLITS:
            raise unknown("split of data", split, SPLITS)
        if not isinstance(by_language, Mapping):
            raise IsoglossError(
                f"data[{split!r}] is {type(by_language).__name__}; expected examples by language: {{'en': frame}}"
            )
        codes = [str(Language.parse(code)) for code in by_language]
        if twice := next((code for code in codes if codes.count(code) > 1), None):
            raise IsoglossError(f"data[{split!r}] has {twice} twice, as {' and '.join(map(repr, by_language))}")
        yield from ((split, code, frame) for code, frame in zip(codes, by_language.values(), strict=True))


def _rows(frame: Any, where: str) -> Iterator[Row]:
    """The examples of whatever holds some."""
    if isinstance(frame, pl.DataFrame):
        yield from frame.iter_rows(named=True)
    elif hasattr(frame, "to_dict") and hasattr(frame, "columns"):  # pandas, which need not be installed
        yield from ({str(name): value for name, value in row.items()} for row in frame.to_dict("records"))
    elif hasattr(frame, "features"):  # datasets
        names = {name: _names(feature) for name, feature in frame.features.items()}
        for number, row in enumerate(frame, start=1):
            yield {name: _named(value, names[name], f"{where} row {number}: {name}") for name, value in row.items()}
    elif isinstance(frame, Sequence) and all(isinstance(row, Mapping) for row in frame):
        yield from map(dict, frame)
    else:
        raise IsoglossError(
            f"{where} is {type(frame).__name__}; expected a frame of polars or pandas, a datasets.Dataset, or a list "
            "of dictionaries"
        )


def _names(feature: Any) -> list[str] | None:
    """The labels that a feature of `datasets` counts, be it one or a list of them."""
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
    return list(names) if names else None


def _named(value: Any, names: list[str] | None, where: str) -> Any:
    if names is None:
        return value
    if isinstance(value, list):
        return [_named(number, names, where) for number in value]
    if not isinstance(value, int) or not 0 <= value < len(names):  # -1 stands for an unknown label in many sets
        raise IsoglossError(f"{where} is {value}; expected a number from 0 to {len(names) - 1}, of {', '.join(names)}")
    return names[value]


def _kind(rows: Mapping[tuple[str, str], list[Row]]) -> str:
    """The kind of task, by the columns."""
    first = next((part[0] for part in rows.values() if part), None)
    if first is None:
        raise IsoglossError("data holds no examples; expected such as {'train': {'en': frame}, 'test': {'sw': frame}}")
    for kind, columns in {"qa": ("question", "answers"), "tagging": ("words", "labels"),
                          "classification": ("text", "label")}.items():  # fmt: skip
        if all(column in first for column in columns):
            return kind
    raise IsoglossError(
        f"data has the columns {', '.join(first)}; expected text and label, words and labels, or question, passage and "
        "answers"
    )


def _check(rows: list[Row], kind: str, where: str) -> None:
    """Bring the examples into one form: texts are texts, numbers as labels too, what is missing is empty."""
    for number, row in enumerate(rows, start=1):
        if kind == "qa":
            row["passage"] = row.pop("context", row.get("passage"))
            row["answers"] = _answers(row, f"{where} row {number}")
        for column in TEXTS[kind]:
            if column not in row and column == "second":
                continue
            row[column] = _text(row.get(column), column, kind, f"{where} row {number}")
        kept = {"id", "answers", *TEXTS[kind]}
        for column in [name for name in row if name not in kept]:
            del row[column]
        if "id" in row:
            row["id"] = str(row["id"])


def _text(value: Any, column: str, kind: str, where: str) -> str | list[str]:
    if kind == "tagging":
        if not isinstance(value, Iterable) or isinstance(value, str | Mapping):
            raise IsoglossError(f"{where}: {column} is {type(value).__name__}; expected a list of texts")
        return [str(item) for item in value]
    if value is None or value != value:  # noqa: PLR0124 - NaN, as pandas says that there is nothing
        return ""
    if column == "label" and isinstance(value, int | bool):
        return str(value)
    if not isinstance(value, str):
        raise IsoglossError(f"{where}: {column} is {type(value).__name__}; expected a text")
    return value


def _answers(row: Row, where: str) -> dict[str, list[Any]]:
    """Texts and where they begin, as `datasets` has them; texts alone are looked up."""
    answers = row["answers"]
    if isinstance(answers, Mapping) and {"text", "answer_start"} <= answers.keys():
        starts = [int(start) for start in answers["answer_start"]]  # numpy's, in a frame of pandas
        return {"text": [str(text) for text in answers["text"]], "answer_start": starts}
    if isinstance(answers, Iterable) and not isinstance(answers, str | Mapping):
        texts = [str(answer) for answer in answers]
        return {"text": texts, "answer_start": [max(0, str(row["passage"]).find(text)) for text in texts]}
    raise IsoglossError(f"{where}: answers is {type(answers).__name__}; expected texts, or text and answer_start")


def _write(path: Path, rows: list[Row], kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind != "qa":
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(path.with_suffix(".parquet"))
        return
    articles = [
        {"title": str(number), "paragraphs": [{"context": row["passage"], "qas": [{
            "id": row.get("id", str(number)), "question": row["question"],
            "answers": [
                {"text": text, "answer_start": start}
                for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
            ],
        }]}]}
        for number, row in enumerate(rows)
    ]  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps({"data": articles}), encoding="utf-8")


def _card(spec: Spec, rows: Mapping[tuple[str, str], list[Row]], kind: str) -> dict[str, Any]:
    """What the examples are, as far as they tell."""
    trained = [code for split, code in rows if split == "train"]
    columns, label = dict(CARDS[kind]), CARDS[kind]["label"]
    first = next(part[0] for part in rows.values() if part)
    if kind == "classification" and "second" in first:
        columns["second"] = "second"
    if kind != "qa" and all("id" in row for part in rows.values() for row in part):
        columns["id"] = "id"
    splits = {split: split for split in SPLITS if any(split == name for name, _ in rows)}
    suffix, form = (".json", "squad") if kind == "qa" else (".parquet", "parquet")
    return {
        "name": spec.name, "kind": kind, "source": spec.source or (trained[0] if trained else next(iter(rows))[1]),
        **label_facts(kind, [row[label] for part in rows.values() for row in part]), "columns": columns,
        "local": {"path": f"{{code}}/{{split}}{suffix}", "format": form, "splits": splits},
        "languages": {code: code for code in dict.fromkeys(code for _, code in rows)},
    }  # fmt: skip
