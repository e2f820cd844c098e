"""The one console: what is running, how fast, and how long it still takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import LiveError
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from isogloss.runtime.visible import visible

WIDE = 160  # columns of a table in a pipe or a file, where rich would assume 80


class PlainConsole(Console):
    """Text is text: brackets are no markup, names between colons no emoji, and nothing in it steers the terminal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    @contextmanager
    def redirected(self, file: IO[str]) -> Iterator[None]:
        """Whatever is printed meanwhile goes to a file; then again to where standard output or error leads by then."""
        before, self._file = self._file, file
        try:
            yield
        finally:
            self._file = before

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich's, of what may be shown; escaped before it is laid out, so that columns are wide enough."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich's; of what is text already, too."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


def label(text: str, style: str = "") -> Text:
    """A name or a text of the user's in a table, no wider than it is shown."""
    return Text(visible(text), style)


def say(*parts: object) -> None:
    """Print a line on standard output that nothing cuts, however long it is."""
    out.print(*map(str, parts), soft_wrap=True)


out = PlainConsole(width=None if sys.stdout is not None and sys.stdout.isatty() else WIDE)
err = PlainConsole(stderr=True)
LINE_EVERY = 20.0  # seconds between two lines where there is no terminal to draw a bar on
NUMBERS = 46  # columns of a bar's line for percent, speed and times, and what is between them
PATIENCE = 3.0  # seconds after which a step shows how far it is


class _Speed(ProgressColumn):
    """Tokens of text a second, over the phase so far."""

    def render(self, task: Task) -> Text:
        speed = task.fields.get("speed")
        return Text(f"{speed:,.0f} tokens/s" if speed else "", style="progress.data.speed")


def _bar_width() -> int:
    """Of a bar with a phase in front of it and numbers behind it, all in one line."""
    return 30 if err.width >= 120 else 10  # noqa: PLR2004


def _fitted(text: str) -> str:
    """A phase, cut where bar and numbers would not fit into the line."""
    fitted = Text(visible(text))
    fitted.truncate(max(12, err.width - _bar_width() - NUMBERS), overflow="ellipsis")
    return fitted.plain


class ProgressDisplay:
    """Progress of a whole experiment, in units of work that take about equally long.

    Args:
        total: units in all.
        progress: the bar to draw on; None where there is no terminal.
    """

    def __init__(self, total: float, progress: Progress | None) -> None:
        self.total = total
        self.done = 0.0
        self.progress = progress
        self.task = progress.add_task("", total=total) if progress else None
        self.began = self.phase_began = self.last_line = time.monotonic()
        self.tokens = 0
        self.text = ""

    def phase(self, text: str, *, anew: bool = True) -> None:
        """Say what is running now.

        Args:
            text: in words.
            anew: whether its speed is another one; not where it is one of many jobs at once.
        """
        self.text = text
        if anew:
            self.tokens, self.phase_began = 0, time.monotonic()
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, description=_fitted(text))
            if anew:
                self.progress.update(self.task, speed=None)
        else:
            self._line()

    def advance(self, tokens: int, units: float) -> None:
        """Say how much was done: tokens of text, and units of work."""
        self.tokens += tokens
        self.done += units
        speed = self.tokens / max(time.monotonic() - self.phase_began, 1e-6)
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, completed=min(self.done, self.total), speed=speed)
        elif time.monotonic() - self.last_line >= LINE_EVERY:
            self._line(speed)

    def _line(self, speed: float | None = None) -> None:
        now = time.monotonic()
        share = min(1.0, self.done / self.total) if self.total else 1.0
        left = timedelta(seconds=round((now - self.began) * (1 - share) / share)) if share > 0.02 else None  # noqa: PLR2004
        parts = [f"{share:4.0%}", self.text]
        parts += [f"{speed:,.0f} tokens/s"] if speed else []
        parts += [f"{left} left"] if left else []
        err.print("  ".join(parts), markup=False, soft_wrap=True)
        self.last_line = now


class _Count:
    """Progress of one long step, shown once it has taken a while.

    Args:
        text: what is done.
        total: of how many things; None: it is not known.
    """

    def __init__(self, text: str, total: int | None) -> None:
        self.text, self.total, self.done = text, total, 0
        self.began = self.last_line = time.monotonic()
        self.bar: Progress | None = None
        self.task: Any = None

    def advance(self, done: int) -> None:
        """So many more are done."""
        self.done += done
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done)
        elif now - self.began < PATIENCE or (self.total is not None and self.done >= self.total):
            return
        elif err.is_terminal:
            if not self._draw():
                self.began = float("inf")  # something else is being drawn, and says what is going on
        elif now - self.last_line >= (PATIENCE if self.last_line == self.began else LINE_EVERY):
            err.print(f"{self.text}: {self._far(now)}", markup=False, soft_wrap=True)
            self.last_line = now

    def _far(self, now: float) -> str:
        if self.total is None:
            return f"{self.done:,}"
        left = timedelta(seconds=round((now - self.began) * (self.total - self.done) / max(self.done, 1)))
        return f"{self.done:,} of {self.total:,}  {left} left"

    def _draw(self) -> bool:
        columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn(bar_width=30)]
        if self.total is None:
            columns += [TextColumn("{task.completed:,}"), TimeElapsedColumn()]
        else:
            columns += [
                TextColumn("{task.completed:,} of {task.total:,}"), TimeElapsedColumn(), TextColumn("left"),
                TimeRemainingColumn(),
            ]  # fmt: skip
        bar = Progress(*columns, console=err, transient=True)
        try:
            bar.start()
        except LiveError:
            return False
        self.bar, self.task = bar, bar.add_task(self.text, total=self.total, completed=self.done)
        return True


@contextmanager
def counting(text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how far one long step is and how long it still takes; nothing where it takes less than a few seconds.

    Args:
        text: what is done.
        total: of how many things; None: it is not known.

    Yields:
        What is called with how many more are done.
    """
    count = _Count(text, total)
    try:
        yield count.advance
    finally:
        if count.bar is not None:
            count.bar.stop()


@contextmanager
def activity(text: str) -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is going on while the block runs; elsewhere nothing, not even a notebook's widget.

    Yields:
        What says something else from then on.
    """
    if not err.is_terminal:
        yield lambda _: None
        return
    with err.status(label(text)) as status:
        yield lambda now: status.update(label(now))


@contextmanager
def watching(total: float) -> Iterator[ProgressDisplay]:
    """A bar on a terminal, a line now and then elsewhere."""
    if not err.is_terminal:
        yield ProgressDisplay(total, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(_bar_width()), TextColumn("{task.percentage:>3.0f}%"),
        _Speed(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=err, transient=True) as progress:
        yield ProgressDisplay(total, progress)
