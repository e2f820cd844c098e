"""How far a run is, for people: a row a method, a line for whatever is not just finished or missing, and the sum."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.jupyter import JupyterMixin
from rich.table import Table

from isogloss.experiment.status import CellStatus, RunStatus, State
from isogloss.runtime.console import PlainConsole, label
from isogloss.runtime.visible import one_line

WIDTH = 80  # columns of a terminal
MOST = 40  # lines of one kind; a grid has thousands of cells
COLUMNS: dict[State, str] = {
    "finished": "finished", "training": "at work", "queued": "queued", "over": "over", "failed": "failed",
    "damaged": "damaged", "missing": "missing",
}  # fmt: skip
ALWAYS = {"finished", "missing"}  # columns that are there though nothing is in them


@dataclass(frozen=True)
class StatusReport(JupyterMixin):
    """Prints on a console of rich's, as text by `print`, and shows in a notebook.

    Args:
        status: what it says.
    """

    status: RunStatus

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, and the lines below it."""
        if self.status.cells:
            yield self._table(min(options.max_width, WIDTH))
        for line in [*self.lines(), self.sentence()]:
            yield label(one_line(line))

    def __str__(self) -> str:
        text = io.StringIO()
        PlainConsole(width=WIDTH, file=text).print(self, soft_wrap=True)
        return text.getvalue()

    def lines(self) -> Iterator[str]:
        """What is to be said of searches, of single cells, and of what could not be read."""
        yield from self.status.searches
        for state in ("training", "queued", "over", "failed", "missing"):
            told = (_told(cell) for cell in self.status.cells if cell.state == state)
            yield from _few([line for line in told if line], COLUMNS[state])
        yield from _few([cell.said for cell in self.status.cells if cell.state == "damaged"], "damaged")
        lacking = Counter(cell.lacking for cell in self.status.cells if cell.lacking)
        for languages, count in lacking.items():
            few = 8
            named = ", ".join(languages[:few]) + (f" and {len(languages) - few} more" if len(languages) > few else "")
            yield f"{count} finished cell{'s lack' if count > 1 else ' lacks'} {len(languages)} languages: {named}"
        yield from _few(self.status.problems, "lines")

    def sentence(self) -> str:
        """The sum."""
        counts = Counter(cell.state for cell in self.status.cells)
        if not self.status.cells:
            return f"{self.status.path}: nothing is trained yet"
        others = [f"{counts[state]} {word}" for state, word in COLUMNS.items() if state != "finished" and counts[state]]
        of = f"{counts['finished']} of {len(self.status.cells)} cells are finished"
        return f"{self.status.path}: {', '.join([of, *others])}"

    def _table(self, width: int) -> Table:
        by_label: dict[str, Counter[State]] = {}
        for cell in self.status.cells:
            by_label.setdefault(cell.label, Counter())[cell.state] += 1
        every = sum(by_label.values(), Counter[State]())
        shown = [state for state in COLUMNS if state in ALWAYS or every[state]]
        table = Table(box=box.SIMPLE, show_footer=len(by_label) > 1, width=None)
        numbers = sum(len(COLUMNS[state]) + 2 for state in shown)
        table.add_column("method", "all", overflow="fold", max_width=max(20, width - numbers - 4))
        for state in shown:
            table.add_column(COLUMNS[state], str(every[state]), justify="right", no_wrap=True)
        for name, counts in by_label.items():
            table.add_row(label(name), *(str(counts[state] or "-") for state in shown))
        return table


def _told(cell: CellStatus) -> str:
    """A line on a cell; none where there is nothing to say."""
    parts = [cell.said] if cell.said else []
    if cell.members is not None and (cell.said or cell.members[0]):
        parts.append(f"{cell.members[0]} of {cell.members[1]} members are done")
    if cell.updates is not None:
        done, total = cell.updates
        parts.append(f"its checkpoint is at update {done:,}{f' of {total:,}' if total else ''}")
    return f"{cell.label} seed {cell.seed}: {'; '.join(parts)}" if parts else ""


def _few(lines: Sequence[str], what: str) -> Iterator[str]:
    yield from lines[:MOST]
    if len(lines) > MOST:
        yield f"and {len(lines) - MOST} more {what}"
