"""The table at the end of a run: a row a language, a column a method, the gap below."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

import polars as pl
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.jupyter import JupyterMixin
from rich.measure import Measurement
from rich.table import Table

from isogloss.languages.groups import members
from isogloss.languages.language import Language
from isogloss.runtime.console import WIDE, PlainConsole, label
from isogloss.stats import collapse
from isogloss.stats.aggregate import by_seed, everywhere
from isogloss.store import Store

ABSENT = "-"
UNLABELLED = "no labels"  # in the place of a score


class Row(NamedTuple):
    """A line of the table."""

    name: str
    code: str
    values: dict[str, str]  # of each method
    bold: bool = False
    last: bool = False  # of a section


class ScoreTable(JupyterMixin):
    """The table of a run directory: prints on a console of rich's, as text by `print`, and shows in a notebook.

    Args:
        stored: the run directory.
    """

    def __init__(self, stored: Store) -> None:
        self.stored = stored

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As many tables as the width asks for."""
        yield from score_tables(self.stored, options.max_width)

    def __str__(self) -> str:
        text = io.StringIO()
        PlainConsole(width=WIDE, file=text).print(self)
        return text.getvalue()


def score_tables(stored: Store, width: int | None = None) -> list[Table]:
    """Test scores of every language and method, mean ± standard deviation over seeds, from the store alone.

    Args:
        stored: a run directory.
        width: characters of a line; as many tables, one below the other, as the methods need. Left out: one table.
    """
    stored = stored.snapshot()  # others may be at work on it
    scores = stored.table("scores")
    metric = scores.filter(split="dev")["metric"][0]
    test = scores.filter(split="test", metric=metric)
    methods = [label for label in stored.labels() if label in set(test["method"])]
    rows = list(_rows(stored, test, methods))
    blocks: list[list[str]] = [[]]
    for method in methods:
        if blocks[-1] and width is not None and _width(_table(rows, [*blocks[-1], method])) > width:
            blocks.append([])
        blocks[-1].append(method)
    tables = [_table(rows, block) for block in blocks]
    seeds = sorted({part["seed"].n_unique() for part in test.partition_by("method")})
    some = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    over = f"mean ± standard deviation over {some} seeds" if seeds[-1] > 1 else "one seed"
    tables[0].title = label(f"{scores['task'][0]} · trained in {Language.parse(scores['source'][0]).name}")
    caption = f"{metric} on the test split; {over}"
    source = scores["source"][0]
    if source not in set(test["language"]):
        caption += f"\n{no_gap(scores['task'][0], Language.parse(source))}"
    words = any(cell.record.kind == "tagging" for cell in stored.finished())  # all are of one task
    for method, found in collapse.collapsed(stored.parts("predictions"), source, words=words).items():
        caption += f"\n{collapse.sentence(method, found, Language.parse(source).name)}"
    tables[-1].caption = label(caption)
    return tables


def no_gap(task: str, source: Language) -> str:
    """Why no gap is claimed where the source is a language of the training set alone."""
    return f"no gap: {task} has no test split in {source.name}, and a score on another data set would not compare"


def _rows(stored: Store, test: pl.DataFrame, methods: list[str]) -> Iterator[Row]:
    cells = {
        (row["language"], row["method"]): _cell(row["mean"], row["std"])
        for row in test.group_by("language", "method")
        .agg(mean=pl.col("value").mean(), std=pl.col("value").std())
        .iter_rows(named=True)
    }
    source = test["source"][0]
    targets = sorted(set(test["language"]) - {source}, key=lambda code: (Language.parse(code).name, code))
    whole = everywhere(test)
    common = [language for language in targets if language in whole]
    without = _unlabelled(stored)
    shown = [source, *targets, *without]
    for language in shown:
        absent = UNLABELLED if language in without else ABSENT
        values = {method: cells.get((language, method), absent) for method in methods}
        first = language == source
        yield Row(Language.parse(language).name, language, values, bold=first, last=first or language == shown[-1])
    averages = by_seed(test, source, common)
    for title, column in ((f"mean of {len(common)} targets", "target"), ("gap", "gap")):
        yield Row(title, "", {method: _spread(averages, method, column) for method in methods}, bold=True)
    spec = stored.spec()
    for group in spec.groups if spec else []:
        inside = {str(language) for language in members(group, [Language.parse(code) for code in common])}
        means = by_seed(test, source, sorted(inside))
        yield Row(
            f"mean of {len(inside)} {group}", "", {method: _spread(means, method, "target") for method in methods}
        )
    records = {cell.record.method: cell.record for cell in stored.finished()}
    trained = {method: records[method].trainable_parameters for method in methods}
    yield Row("trainable parameters", "", {method: f"{count:,}" for method, count in trained.items()})
    shares = {method: trained[method] / records[method].backbone_parameters for method in methods}
    yield Row("of the backbone", "", {method: f"{share:.3%}" for method, share in shares.items()})


def _table(rows: list[Row], methods: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("language")
    table.add_column("code")
    for method in methods:
        table.add_column(label(method), justify="right")
    for row in rows:
        values = [row.values[method] for method in methods]
        table.add_row(row.name, row.code, *values, style="bold" if row.bold else "", end_section=row.last)
    return table


def _width(table: Table) -> int:
    console = PlainConsole(width=10_000)
    return Measurement.get(console, console.options, table).maximum


def _spread(averages: pl.DataFrame, method: str, column: str) -> str:
    values = averages.filter(method=method)[column]
    return _cell(values.mean(), values.std()) if values.null_count() == 0 else ABSENT  # type: ignore[arg-type]


def _cell(mean: float, deviation: float | None) -> str:
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"


def _unlabelled(stored: Store) -> list[str]:
    """Languages that were predicted and have no labels, by name."""
    codes = {code for cell in stored.finished() for code in cell.record.unlabelled}
    return sorted(codes, key=lambda code: (Language.parse(code).name, code))
