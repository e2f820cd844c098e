"""The tables at the end of a comparison of backbones: that of each, and a row for each backbone and method."""

from __future__ import annotations

import io

import polars as pl
from rich.console import Console, ConsoleOptions, RenderResult
from rich.jupyter import JupyterMixin

from isogloss.experiment.comparison import ComparisonStore
from isogloss.languages.language import Language
from isogloss.reports.score_table import ScoreTable, spread
from isogloss.runtime.console import WIDE, PlainConsole, label
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.aggregate import by_seed, everywhere

BETWEEN = "\0"  # a backbone and a method, neither of which has it


class ComparisonTable(JupyterMixin):
    """The tables of a comparison: print on a console of rich's, as text by `print`, and show in a notebook.

    Args:
        stored: the comparison.
    """

    def __init__(self, stored: ComparisonStore) -> None:
        self.stored = stored

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table of each backbone under its name, and the comparison last."""
        for name, stored in self.stored.started().items():
            yield label(name)
            yield ScoreTable(stored)
        yield comparison_table(self.stored)

    def __str__(self) -> str:
        text = io.StringIO()
        PlainConsole(width=WIDE, file=text).print(self)
        return text.getvalue()


def comparison_table(stored: ComparisonStore) -> ShellTable:
    """A row for each backbone and method, the best mean over the targets first; means over targets that all have."""
    stores = {name: one.snapshot() for name, one in stored.started().items()}
    tables = {name: one.table("scores") for name, one in stores.items()}
    metric = next(iter(tables.values())).filter(split="dev")["metric"][0]
    every = pl.concat(_labelled(table, name).filter(split="test", metric=metric) for name, table in tables.items())
    source = every["source"][0]
    common = sorted(everywhere(every) - {source})
    means = by_seed(every, source, common)
    records = {(name, cell.record.method): cell.record for name, one in stores.items() for cell in one.finished()}
    order = means.group_by("method").agg(pl.col("target").mean()).sort("target", descending=True, nulls_last=True)
    table = ShellTable(title=label(f"{len(stores)} backbones"))
    for head in ("backbone", "method"):
        table.add_column(head, overflow="fold")
    for head in (Language.parse(source).name, f"mean of {len(common)} targets", "gap", "trainable", "of the backbone"):
        table.add_column(head, justify="right")
    for method in order["method"]:
        name, _, plain = method.partition(BETWEEN)
        record = records[name, plain]
        values = [spread(means, method, column) for column in ("source", "target", "gap")]
        share = record.trainable_parameters / record.backbone_parameters
        table.add_row(label(name), label(plain), *values, f"{record.trainable_parameters:,}", f"{share:.3%}")
    if unfinished := stored.unfinished:
        table.caption = label(f"nothing is finished of {', '.join(unfinished)}")
    return table


def _labelled(table: pl.DataFrame, backbone: str) -> pl.DataFrame:
    """A backbone's table, with methods that are told from another's."""
    return table.with_columns(pl.concat_str(pl.lit(backbone + BETWEEN), "method").alias("method"))
