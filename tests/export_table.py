"""The table of what goes where, in docs/how-to/export.md: each test of an export holds its own cell to what came of it.

To make it anew from what the tests export and refuse:
ISOGLOSS_EXPORT_TABLE=write python -m pytest -q tests/interop/test_export.py
"""

import os
from pathlib import Path

from isogloss.interop.formats.registry import formats

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "export.md"
BEGIN, END = "<!-- what goes where: made by tests/interop/test_export.py -->\n", "<!-- end of what goes where -->\n"
EXACT = "exact"
# Of each refusal what stands in the table, by words of it.
SHORT = {
    "trains no adapter": "no adapter", "no place for a prompt": "no prompts", "stands elsewhere": "`place: before`",
    "above the lowest layer": "`first_layer: 0`", "keep their positions": "`shift_positions: true`",
    "labels more than whole texts": "whole texts only", "no windows": "no windows", "fill a gap": "no templates",
    "where rows are padded": "padding", "trained elsewhere": "trained elsewhere", "no segment ids": "no segment ids",
}  # fmt: skip


def outcome(error):
    """What stands in the table where an export is refused so; None: it was not."""
    if error is None:
        return EXACT
    (found,) = {short for words, short in SHORT.items() if words in str(error)}
    return found


def stored():
    """The cells of the page's table, by row and format."""
    _, table = PAGE.read_text(encoding="utf-8").split(BEGIN)
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.split(END)[0].splitlines()
    ]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def holds(row, to, error):
    """Hold a cell of the page to what came of an export, or write it there."""
    cells, word = stored(), outcome(error)
    if os.environ.get("ISOGLOSS_EXPORT_TABLE") == "write":
        cells.setdefault(row, dict.fromkeys(formats(), ""))[to] = word
        lines = [f"| {' | '.join(['', *formats()])} |".replace("|  |", "| |"), f"|{'---|' * (1 + len(formats()))}"]
        lines += [f"| {' | '.join([name, *(of[one] for one in formats())])} |" for name, of in cells.items()]
        front, behind = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(front + BEGIN + "\n".join(lines) + "\n" + END + behind.split(END)[1], encoding="utf-8")
        return
    assert cells.get(row, {}).get(to) == word, f"{PAGE.name} says otherwise of {row} in {to}; see {__name__}"
