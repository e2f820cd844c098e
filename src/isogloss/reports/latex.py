"""Tables of a report as LaTeX with booktabs, by a template."""

from __future__ import annotations

import re
from importlib import resources

import jinja2

from isogloss.reports.tables import ShownRow, ShownTable, ShownValue
from isogloss.runtime.visible import visible

# What LaTeX reads as commands, and what no font of it has.
ESCAPES = {
    "\\": r"\textbackslash{}", "$": r"\$", "%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "\n": " ", "\r": " ", "\t": " ",
}  # fmt: skip
_TABLE = str.maketrans(ESCAPES)
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")  # but that of an exponent


def escape(text: str) -> str:
    """Text that LaTeX sets as it is."""
    escaped = visible(text.replace("\r", " ")).translate(_TABLE)
    # At the beginning of a row, a bracket would be an argument of the end of the row before.
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in {"[", "*"} else escaped


def latex(table: ShownTable) -> str:
    """A table, in a `tabular` of its own: the best of a row is bold, and rows of means stand below a line."""
    environment = jinja2.Environment(
        variable_start_string="<<", variable_end_string=">>", block_start_string="<%", block_end_string="%>",
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - LaTeX is escaped by `escape`
    )  # fmt: skip
    environment.filters["latex"] = escape
    source = (resources.files("isogloss.reports.template") / "table.tex").read_text(encoding="utf-8")
    numeric = [
        any(isinstance(row.values[column].sort, float | int) for row in table.rows)
        for column in range(len(table.columns))
    ]
    return environment.from_string(source).render(
        title=" ".join(table.title.split()), heads=table.columns,
        alignment="".join("r" if one else "l" for one in numeric),
        rows=[_row(row) for row in table.rows], summary=[_row(row) for row in table.summary],
    )  # fmt: skip


def _row(row: ShownRow) -> list[str]:
    return [_value(value, bold=value.best or (row.bold and number == 0)) for number, value in enumerate(row.values)]


def _value(value: ShownValue, *, bold: bool) -> str:
    text = escape(value.text)
    if isinstance(value.sort, float | int):
        text = _MINUS.sub("$-$", text)
    return f"\\textbf{{{text}}}" if bold and text else text
