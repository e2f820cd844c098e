"""The texts of test examples, where the data are still what the cells were scored on, and cut to something readable."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import polars as pl

from isogloss.analysis.errors.passages import Passage
from isogloss.data.cards import CUSTOM, find
from isogloss.data.dataset import Examples
from isogloss.errors import IsoglossError
from isogloss.experiment.data import open_spec, watched_apart
from isogloss.experiment.opened_run import OpenedRun
from isogloss.experiment.provenance import limited_to_first_rows
from isogloss.languages.language import Language
from isogloss.runtime.console import activity

LONGEST = 280  # characters of a text
AROUND = 90  # characters of a passage to either side of an answer
WORDS_AROUND = 12  # words of a sentence to either side of the ones that are wrong
NAMED = 5  # languages that a line names


@dataclass(frozen=True)
class Texts:
    """Test examples by language.

    Args:
        tables: by code, in the columns of the kind of task, in the order of the predictions.
        why_not: why some have none, a line each.
    """

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    why_not: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, opened_run: OpenedRun, wanted: Sequence[str], *, fetch: bool = True) -> Texts:
        """Those of some languages, of which test data alone are read.

        Args:
            opened_run: the run directory.
            wanted: codes of languages.
            fetch: whether they may be fetched from the hub.
        """
        if not fetch and on_hub(opened_run):
            return cls({}, ["The texts lie on the hub, which a report does not ask: isogloss analyze DIR errors does."])
        scored: dict[str, str] = {}
        for _, stored in opened_run.cells:
            scored |= stored.record.test_data
        tests = _tests(opened_run, wanted)
        same = {code: test.table for code, test in tests.items() if test.fingerprint == scored.get(code)}
        return cls(same, [_changed(changed)] if (changed := [code for code in wanted if code not in same]) else [])

    def passages(self, code: str) -> dict[int, Passage] | None:
        """The passages of a language's questions by their places; None where they are not known."""
        table = self.tables.get(code)
        if table is None or "passage" not in table.columns:
            return None
        rows = table.select("passage", "answers", "starts").iter_rows()
        return {item: Passage(*row) for item, row in enumerate(rows)}

    def shown(self, code: str, item: int, first: int | None = None, last: int | None = None) -> str | None:
        """One example for people, or the part of it around some words; None where it is not known.

        Args:
            code: of its language.
            item: its place.
            first: of its words, the first that is wrong.
            last: and the last.
        """
        table = self.tables.get(code)
        if table is None:
            return None
        row = table.row(item, named=True)
        if "words" in row:
            return _sentence(row["words"], first, last)
        if "passage" in row:
            return f"{cut(row['question'])} · {_around(row['passage'], row['starts'][0], len(row['answers'][0]))}"
        return cut(" · ".join(row[name] for name in ("text", "second") if name in row))


def _changed(codes: Sequence[str]) -> str:
    """A line on languages whose texts are not shown."""
    named = ", ".join(codes[:NAMED]) + (f" and {len(codes) - NAMED} more" if len(codes) > NAMED else "")
    return f"No texts are shown of {named}: the test data are gone, or are not what was scored."


def on_hub(opened_run: OpenedRun) -> bool:
    """Whether the test examples come from the hub."""
    spec = opened_run.spec
    return spec.data.path is None and spec.task != CUSTOM and find(spec.task).generator is None


def _tests(opened_run: OpenedRun, wanted: Sequence[str]) -> dict[str, Examples]:
    """The test split of each language that can be read.

    Why another cannot is not told: an error quotes what it has read, which may be a file that a stranger's spec names.
    """
    spec, found = opened_run.spec, {}
    with activity("errors: reading the texts"), suppress(IsoglossError):
        first_rows = limited_to_first_rows(spec, [stored for _, stored in opened_run.cells])
        data = open_spec(spec).read_for(Language.parse(spec.source), first_rows=first_rows)
        for code in wanted:
            try:
                found[code] = data.examples(Language.parse(code), "test")
            except IsoglossError:
                if data.path is None:  # whoever does not reach the hub waits but once
                    break
        if spec.dynamics is not None:  # what was looked at in training is not scored
            targets = len(found.keys() - {spec.source})
            _, tests = watched_apart(data, list(found.values()), targets, spec.dynamics.examples)
            found = {str(test.language): test for test in tests}
    return found


def cut(text: str, most: int = LONGEST) -> str:
    """A text on one line, cut behind a word where it is long; where no space is near, between two characters."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    head = line[:most]
    space = head.rfind(" ")
    return f"{head[:space] if space > most // 2 else head}…"


def _sentence(words: Sequence[str], first: int | None, last: int | None) -> str:
    """Words around those that are wrong, which stand in brackets."""
    if first is None or last is None:
        return cut(" ".join(words))
    begin, end = max(0, first - WORDS_AROUND), last + 1 + WORDS_AROUND
    marked = [*words[begin:first], f"[{cut(' '.join(words[first : last + 1]))}]", *words[last + 1 : end]]
    return f"{'… ' if begin else ''}{' '.join(marked)}{' …' if end < len(words) else ''}"


def _around(passage: str, start: int, length: int) -> str:
    """A passage around an answer, which stands in brackets."""
    begin, end = max(0, start - AROUND), start + length + AROUND
    before, after = passage[begin:start], passage[start + length : end]
    if begin and " " in before:
        before = before[before.index(" ") + 1 :]
    if end < len(passage) and " " in after:
        after = after[: after.rindex(" ")]
    whole = f"{'… ' if begin else ''}{before}[{cut(passage[start : start + length])}]{after}"
    return " ".join(f"{whole}{' …' if end < len(passage) else ''}".split())
