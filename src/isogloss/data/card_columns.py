"""What the columns of a data set mean, guessed from their names and from what they hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from isogloss.data.raw_row import RawRow, listed
from isogloss.data.tag_schemes import SPAN_TAG, mark_spans
from isogloss.errors import IsoglossError

MOST_LABELS = 200  # a column with more values than that is no label
MOST_TAGS = 1000  # nor is one of tags
WORDS = re.compile(r"token|word|form", re.IGNORECASE)
TAGS = re.compile(r"tag|label|ner|pos|slot", re.IGNORECASE)
LABELS = (
    "label", "gold_label", "category", "class", "intent", "sentiment", "topic", "stars", "target", "annotation", "tag",
)  # fmt: skip
SEVERAL = re.compile(r"label|categor|class|tag|topic|emotion|intent|genre", re.IGNORECASE)
NEITHER = {"lang", "language", "locale", "split", "partition", "subset"}  # few values, and no label
PAIRS = (
    ("premise", "hypothesis"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("text1", "text2"),
    ("text_a", "text_b"), ("question1", "question2"),
)  # fmt: skip
IDENTIFIER = re.compile(r"(.*_)?(id|idx|uid|guid|index|pairid)", re.IGNORECASE)
# Types of CoNLL-2000's chunks and of those that TreeTagger makes of German: phrases, where names are wanted.
CHUNKS = {"NP", "VP", "PP", "ADJP", "ADVP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP", "NC", "PC", "VC"}
Files = Sequence[Sequence[RawRow]]


def guess(files: Files) -> tuple[str, dict[str, str]]:
    """The kind of task and its columns.

    Args:
        files: the rows of each file.

    Raises:
        IsoglossError: they look like no kind.
    """
    rows = [row for some in files for row in some]
    names = [name for name in rows[0].values if all(name in row.values for row in rows)]
    if answers := next((name for name in names if any(_is_answers(row.values[name]) for row in rows)), None):
        return "qa", _of_questions(names, answers, rows)
    lists = [name for name in names if all(isinstance(row.values[name], list) for row in rows)]
    if len(lists) > 1 and (tagging := _of_words(lists, rows)):
        return "tagging", tagging
    several = [name for name in names if any(isinstance(row.values[name], list) for row in rows)]
    if several and (len(several) == len(names) or any(SEVERAL.search(name) for name in several)):
        named = next((name for name in several if SEVERAL.search(name)), several[0])
        where = next(row.where for row in rows if isinstance(row.values[named], list))
        raise IsoglossError(
            f"{where}: {named!r} holds a list, with no list of as many words beside it; isogloss takes one label a "
            "text, multi-label is not supported"
        )
    return "classification", _of_texts(names, files)


def label_facts(kind: str, labels: list[Any]) -> dict[str, Any]:
    """The labels, and what tells best how well they are predicted."""
    if kind == "qa":
        return {"metrics": ["f1", "exact-match"]}
    if kind == "classification":
        return {"labels": sorted(_distinct(labels))}
    tags = sorted(_distinct(tag for row in labels for tag in row), key=lambda tag: (tag != "O", tag))
    return {"metrics": ["span-f1", "accuracy"] if mark_spans(tags) else ["accuracy", "macro-f1"], "labels": tags}


def _distinct(labels: Iterable[str]) -> Collection[str]:
    """Labels, each once, in whichever of Unicode's normal forms sorts first: files may write one in several."""
    return {unicodedata.normalize("NFC", label): label for label in sorted(set(labels), reverse=True)}.values()


def _is_answers(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and {"text", "answer_start"} <= first.keys()


def _of_questions(names: list[str], answers: str, rows: Sequence[RawRow]) -> dict[str, str]:
    texts = [name for name in names if all(isinstance(row.values[name], str) for row in rows)]
    longest = sorted(texts, key=lambda name: -sum(len(row.values[name]) for row in rows))
    passages = [name for name in ("context", "passage", "paragraph", "document") if name in texts]
    questions = [name for name in ("question", "query") if name in texts]
    passage = next((name for name in [*passages, *longest] if name not in questions), None)
    others = [name for name in longest if not IDENTIFIER.fullmatch(name)]
    question = next((name for name in [*questions, *others] if name != passage), None)
    if passage is None or question is None:
        raise IsoglossError(
            f"{rows[0].where} has answers in {answers!r}, but no passage and question; it has {listed(names)}"
        )
    more = {ours: theirs for ours, theirs in (("id", "id"), ("group", "title")) if theirs in texts}
    return {**more, "text": passage, "second": question, "label": answers}


def _of_words(lists: list[str], rows: Sequence[RawRow]) -> dict[str, str] | None:
    """Of lists as long as each other, tags are those of spans or with the fewest values, words have the most."""
    alike = [
        name for name in lists
        if all(isinstance(item, str) for row in rows for item in row.values[name])
        and any(_are_beside(name, other, rows) for other in lists if other != name)
    ]  # fmt: skip
    values = {name: {item for row in rows for item in row.values[name]} for name in alike if name != "id"}
    varied = [name for name in values if len(values[name]) > 1]
    if len(values) < 2:  # noqa: PLR2004 - words and tags
        return None
    if len(varied) < 2:  # noqa: PLR2004
        raise IsoglossError(
            f"{rows[0].where} and the others: of {listed(values)}, {listed(varied) or 'none'} alone holds more than "
            "one value; expected words and tags"
        )
    spans = [name for name in varied if all(map(SPAN_TAG.fullmatch, values[name]))]
    names = [name for name in spans if not {tag[2:] for tag in values[name] if tag != "O"} <= CHUNKS]
    fewest = sorted(varied, key=lambda name: ("O" not in values[name], len(values[name]), -varied.index(name)))
    called = [name for name in varied if TAGS.search(name) and not WORDS.search(name)]
    tags = [*names, *spans, *called, *fewest][0]
    others = [name for name in values if name != tags]
    words = next((name for name in others if WORDS.search(name)), max(others, key=lambda name: len(values[name])))
    if len(values[tags]) > MOST_TAGS:
        raise IsoglossError(
            f"{rows[0].where} and the others: no column of {listed(values)} holds tags, {MOST_TAGS} at most"
        )
    return {"text": words, "label": tags}


def _are_beside(one: str, other: str, rows: Sequence[RawRow]) -> bool:
    return all(len(row.values[one]) == len(row.values[other]) for row in rows)


def _of_texts(names: list[str], files: Files) -> dict[str, str]:
    """The label by its name or as the column with the fewest values, the texts the longest others."""
    rows = [row for some in files for row in some]
    texts = [name for name in names if all(isinstance(row.values[name], str) for row in rows)]
    values = {name: [row.values[name] for row in rows] for name in texts}
    kinds = {name: len(set(column)) for name, column in values.items()}
    length = {name: sum(map(len, column)) / len(column) for name, column in values.items()}
    fitting = [
        name for name, count in kinds.items()
        if 1 < count <= MOST_LABELS and name.lower() not in NEITHER and not IDENTIFIER.fullmatch(name)
    ]  # fmt: skip
    named = [name for wanted in LABELS for name in fitting if name.lower() == wanted]
    fewest = sorted((name for name in fitting if kinds[name] < len(rows)), key=lambda name: (kinds[name], length[name]))
    if differ := next((row for row in rows if set(row.values) != set(rows[0].values)), None) if not named else None:
        raise IsoglossError(
            f"{differ.where} has the columns {listed(differ.values)}, but {rows[0].where} has "
            f"{listed(rows[0].values)}; the label and the text are called alike in every file"
        )
    if not (named or fewest) or len(texts) < 2:  # noqa: PLR2004 - a text and a label
        raise IsoglossError(
            f"{rows[0].where} and the others: the columns {listed(names)} hold no label: none has 2 to {MOST_LABELS} "
            "values, some of them several times"
        )
    label = [*named, *fewest][0]
    others = sorted((name for name in texts if name != label), key=lambda name: -length[name])
    ids = [
        name for name in others[1:]
        if IDENTIFIER.fullmatch(name) and all(len({row.values[name] for row in some}) == len(some) for some in files)
    ]  # fmt: skip
    # Two columns of several words each are a pair; they stand as in the file.
    worded = [name for name in texts if name in others and sum(" " in value for value in values[name]) > len(rows) / 2]
    named_pair = next((list(pair) for pair in PAIRS if set(pair) <= set(others)), None)
    pair = named_pair or (worded if len(worded) == 2 else others[:1])  # noqa: PLR2004
    chosen = dict(zip(("text", "second"), pair, strict=False))
    return {**({"id": ids[0]} if ids else {}), **chosen, "label": label}
