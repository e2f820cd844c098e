"""A table for a terminal: nothing in it is cut, least of all a name that is to be typed."""

from __future__ import annotations

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

BLANKS = 4  # columns that stand around a name


class ShellTable(Table):
    """A table whose first column has names, in one piece where they fit; what is too wide goes on in the next line.

    Args:
        columns: their heads; more may be added.
        title: over it.
        caption: under it.
    """

    def __init__(self, *columns: str, title: str | Text | None = None, caption: str | Text | None = None) -> None:
        super().__init__(*columns, box=box.SIMPLE_HEAD, title=title, caption=caption, caption_justify="left")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As rich's, which would end what is too wide with dots."""
        for column in self.columns:
            column.overflow = "fold"
        if self.columns:
            names = self.columns[0]
            longest = max((cell_len(str(name)) for name in names.cells), default=0)
            # A longer one would leave nothing to the other columns, and would itself be cut.
            names.no_wrap = longest + BLANKS <= options.max_width / 2
        yield from super().__rich_console__(console, options)
