"""Examples that are given from Python: frames and lists, kept as files so that all else reads them as such.

They are written once to the user's cache, in a folder named by their contents; the same checks as of any file follow
when they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.data.card_columns import label_facts
from isogloss.data.cards import CUSTOM, SPLITS, read_card
from isogloss.data.kinds.registry import data_kinds
from isogloss.data.label_column import may_mean
from isogloss.data.raw_row import RawRow
from isogloss.errors import IsoglossError, unknown
from isogloss.languages.language import distinct
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
        came = f"task {spec.task}" if spec.task != CUSTOM else f"data.path {spec.data.path}"
        raise IsoglossError(f"examples are given, so expected `task: custom` and no data.path; came: {came}")
    rows, names = {}, {}
    for split, code, name, frame in _parts(frames):
        names[split, code] = name
        rows[split, code] = list(_rows(frame, name))
    kind = _kind(rows)
    pairs = kind == "classification" and any(not _missing(row.get("second")) for part in rows.values() for row in part)
    named = all(not _missing(row.get("id")) for part in rows.values() for row in part)
    columns = [*(name for name in TEXTS[kind] if name != "second" or pairs), *(["id"] if named else [])]
    label = CARDS[kind]["label"]
    for key, part in rows.items():
        if not part:
            raise IsoglossError(f"{names[key]} holds no examples; leave it out or fill it in")
        labelled = key[0] != "test" or not all(_has_nothing(row.get(label)) for row in part)
        if not labelled and label not in part[0] and (like := [name for name in part[0] if may_mean(str(name), label)]):
            raise IsoglossError(f"{names[key]} has no column {label!r}, but {like[0]!r}; call it so, or leave it out")
        of_part = columns if labelled else [name for name in columns if name != label]
        for number, row in enumerate(part):
            part[number] = _checked(row, kind, of_part, f"{names[key]} row {number + 1}", labelled=labelled)
        counts = Counter(row["id"] for row in part if named)
        if twice := next((name for name, count in counts.items() if count > 1), None):
            raise IsoglossError(f"{names[key]} has the id {twice!r} twice; ids name one example each")
    card = {**_card(spec, rows, kind), **(spec.data.card or {})}
    _try(spec, card, rows, names)
    digest = hashlib.sha256(json.dumps([[*key, part] for key, part in sorted(rows.items())]).encode()).hexdigest()
    folder = frames_folder() / digest[:32]
    if not folder.is_dir():
        with atomic_folder(folder) as temporary:
            for (split, code), part in rows.items():
                _write(temporary / code / split, part, kind)
    return spec.model_copy(update={"data": spec.data.model_copy(update={"path": folder, "card": card})})


def _try(
    spec: Spec, card: dict[str, Any], rows: Mapping[tuple[str, str], list[Row]], names: Mapping[tuple[str, str], str]
) -> None:
    """What reading the files will refuse of the examples, said of the examples.

    Raises:
        IsoglossError: of a row; it is named by where it came from.
    """
    try:
        read = read_card(card, where="data.card")
    except IsoglossError:
        return  # which whoever opens the data says, as of any card
    read = read.model_copy(update={"aliases": read.aliases | (spec.data.labels or {})})
    for key, part in rows.items():
        given = [
            RawRow(f"{names[key]} row {number}", _as_in_files(row, number)) for number, row in enumerate(part, start=1)
        ]
        label, labelled = read.columns.label, CARDS[_kind(rows)]["label"] in part[0]
        kept = [row for row in given if row.values.get(label) not in read.drop]
        data_kinds()[read.kind].columns(kept, read, labelled=labelled)


def _as_in_files(row: Row, number: int) -> Row:
    """Of questions, in the columns of SQuAD's files, as which they are kept."""
    if "passage" not in row:
        return row
    return {**row, "id": row.get("id", str(number)), "context": row["passage"]}


def _parts(frames: Frames) -> Iterator[tuple[str, str, str, Any]]:
    """Split, language in its canonical form, what errors call it, and examples."""
    if not isinstance(frames, Mapping):
        raise IsoglossError(
            f"data is {type(frames).__name__}; expected examples by split and language: {{'train': {{'en': frame}}}}"
        )
    for split, by_language in frames.items():
        if split not in SPLITS:
            raise unknown("split of data", split, SPLITS)
        if not isinstance(by_language, Mapping):
            raise IsoglossError(
                f"data[{split!r}] is {type(by_language).__name__}; expected examples by language: {{'en': frame}}"
            )
        for code in by_language:
            if not isinstance(code, str):
                raise IsoglossError(f"data[{split!r}] has {code!r} for a language; expected a code such as en")
        try:
            codes = distinct(by_language)
        except IsoglossError as error:
            raise IsoglossError(f"data[{split!r}]: {error}") from error
        for form, code in codes.items():
            yield split, form, f"data[{split!r}][{code!r}]", by_language[code]


def _rows(frame: Any, where: str) -> Iterator[Row]:
    """The examples of whatever holds some."""
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        try:
            yield from frame.lazy().collect().iter_rows(named=True)
        except (pl.exceptions.PolarsError, OSError) as error:  # of a plan that is carried out only now
            raise IsoglossError(
                f"{where} could not be collected: {[*str(error).splitlines(), 'unreadable'][0]}"
            ) from error
    elif hasattr(frame, "to_dict") and hasattr(frame, "columns"):  # pandas, which need not be installed
        for column, count in Counter(map(str, frame.columns)).items():  # of which a dictionary has the last alone
            if count > 1:
                raise IsoglossError(f"{where} has the column {column!r} {count} times; name each differently")
        yield from ({str(name): value for name, value in row.items()} for row in frame.to_dict("records"))
    elif hasattr(frame, "features"):  # datasets
        names = {name: _names(feature) for name, feature in (frame.features or {}).items()}
        for row in frame.with_format(None):  # plain values, whatever it hands out otherwise
            yield {name: _named(value, names.get(name)) for name, value in row.items()}
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


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None or value is None:
        return value
    if isinstance(value, list):
        return [_named(number, names) for number in value]
    return names[value] if value >= 0 else None  # -1 stands for no label, as in many a test split


def _kind(rows: Mapping[tuple[str, str], list[Row]]) -> str:
    """The kind of task, by the columns of the first part, or where these hold no labels of the first that has some."""
    firsts = [part[0] for part in rows.values() if part]
    if not firsts:
        raise IsoglossError("data holds no examples; expected such as {'train': {'en': frame}, 'test': {'sw': frame}}")
    labels = {card["label"] for card in CARDS.values()}
    first = next((row for row in firsts if not labels.isdisjoint(row)), firsts[0])
    for kind, columns in {"qa": ("question", "answers"), "tagging": ("words", "labels"),
                          "classification": ("text", "label")}.items():  # fmt: skip
        if all(column in first for column in columns):
            return kind
    raise IsoglossError(
        f"data has the columns {', '.join(first)}; expected text and label, words and labels, or question, passage and "
        "answers"
    )


def _checked(row: Row, kind: str, columns: Sequence[str], where: str, *, labelled: bool) -> Row:
    """An example in the form of all: texts are texts, numbers as labels too, and nothing is missing but all labels."""
    if kind == "qa":
        row = {**row, "passage": row.get("context") if _missing(row.get("passage")) else row["passage"]}
    read = _words if kind == "tagging" else _text
    checked: Row = {name: (_text if name == "id" else read)(row.get(name), name, where) for name in columns}
    if kind == "qa" and labelled:
        checked["answers"] = _answers(row.get("answers"), str(checked["passage"]), where)
    return checked


def _has_nothing(value: Any) -> bool:
    """Whether a test example has no label: nothing stands there, or an empty text or list."""
    value = _plain(value)
    return _missing(value) or (isinstance(value, str | list | tuple | Mapping) and not value)


def _missing(value: Any) -> bool:
    """Nothing: None, or NaN, NaT and NA, by which pandas says so."""
    nan = isinstance(value, float) and value != value  # noqa: PLR0124
    return value is None or nan or type(value).__name__ in {"NAType", "NaTType"}


def _text(value: Any, column: str, where: str) -> str:
    value = _plain(value)
    if _missing(value):
        raise IsoglossError(f"{where}: {column} is missing; remove the row or fill it in")
    if column in {"label", "labels", "id"} and isinstance(value, int | float):
        # Pandas has whole numbers as floats where any is missing.
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if not isinstance(value, str):
        raise IsoglossError(f"{where}: {column} is {type(value).__name__}; expected a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise IsoglossError(f"{where}: {column} is no text that can be written as UTF-8: {value[:60]!a}") from error
    return str(value)


def _words(value: Any, column: str, where: str) -> list[str]:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise IsoglossError(f"{where}: {column} is {type(value).__name__}; expected a list of texts")
    return [_text(item, column, where) for item in value]


def _answers(answers: Any, passage: str, where: str) -> dict[str, list[Any]]:
    """Texts and where they begin, as `datasets` or SQuAD's files have them; texts alone are looked up."""
    answers = _plain(answers)
    if isinstance(answers, Mapping) and {"text", "answer_start"} <= answers.keys():
        lists = [_plain(answers[key]) for key in ("text", "answer_start")]
        if not all(isinstance(items, Iterable) and not isinstance(items, str | bytes | Mapping) for items in lists):
            raise IsoglossError(f"{where}: answers has no lists of text and answer_start; expected as many of both")
        texts, starts = ([_plain(item) for item in items] for items in lists)
        if len(texts) != len(starts):
            raise IsoglossError(f"{where}: answers has {len(texts)} text and {len(starts)} answer_start")
    elif isinstance(answers, Iterable) and not isinstance(answers, str | bytes | Mapping):
        found = [item if isinstance(item, Mapping) else {"text": item} for item in answers]
        texts = [item.get("text") for item in found]
        starts = [_plain(item.get("answer_start", max(0, passage.find(str(item.get("text")))))) for item in found]
    else:
        raise IsoglossError(f"{where}: answers is {type(answers).__name__}; expected texts, or text and answer_start")
    for start in starts:
        if not isinstance(start, int) or isinstance(start, bool):
            raise IsoglossError(f"{where}: answer_start is {type(start).__name__}; expected a whole number")
    return {"text": [_text(text, "answers", where) for text in texts], "answer_start": starts}


def _plain(value: Any) -> Any:
    """What an array or a number of NumPy holds."""
    return value.tolist() if type(value).__module__ == "numpy" else value


def _write(path: Path, rows: list[Row], kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind != "qa":
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(path.with_suffix(".parquet"))
        return
    articles = [
        {"title": str(number), "paragraphs": [{"context": row["passage"], "qas": [{
            "id": row.get("id", str(number)), "question": row["question"],
            **({} if "answers" not in row else {"answers": [
                {"text": text, "answer_start": start}
                for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
            ]}),
        }]}]}
        for number, row in enumerate(rows)
    ]  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps({"data": articles}), encoding="utf-8")


def _card(spec: Spec, rows: Mapping[tuple[str, str], list[Row]], kind: str) -> dict[str, Any]:
    """What the examples are, as far as they tell."""
    trained = [code for split, code in rows if split == "train"]
    columns, label = dict(CARDS[kind]), CARDS[kind]["label"]
    first = next(part[0] for part in rows.values() if label in part[0])
    if kind == "classification" and "second" in first:
        columns["second"] = "second"
    if kind != "qa" and "id" in first:
        columns["id"] = "id"
    splits = {split: split for split in SPLITS if any(split == name for name, _ in rows)}
    suffix, form = (".json", "squad") if kind == "qa" else (".parquet", "parquet")
    return {
        "name": spec.name, "kind": kind, "source": spec.source or (trained[0] if trained else next(iter(rows))[1]),
        **label_facts(kind, [row[label] for part in rows.values() for row in part if label in row]), "columns": columns,
        "local": {"path": f"{{code}}/{{split}}{suffix}", "format": form, "splits": splits},
        "languages": {code: code for code in dict.fromkeys(code for _, code in rows)},
    }  # fmt: skip
