"""The table at the end of a run: a row a language, a column a method, the gap below."""

from __future__ import annotations

import re

import polars as pl
from rich import box
from rich.table import Table
from rich.text import Text

from isogloss.groups import members
from isogloss.languages import Language
from isogloss.means import by_seed, everywhere
from isogloss.store import Store

ABSENT = "-"


def score_table(stored: Store) -> Table:
    """Test scores of every language and method, mean ± standard deviation over seeds, from the store alone."""
    scores = stored.table("scores")
    records = {cell.record["method"]: cell.record for cell in stored.finished()}
    metric = scores.filter(split="dev")["metric"][0]
    source = scores["source"][0]
    test = scores.filter(split="test", metric=metric)
    methods = in_order(test["method"].unique(maintain_order=True).to_list(), list(stored.spec()["methods"]))
    seeds = sorted({part["seed"].n_unique() for part in test.partition_by("method")})
    cells = {
        (row["language"], row["method"]): (row["mean"], row["std"])
        for row in test.group_by("language", "method")
        .agg(mean=pl.col("value").mean(), std=pl.col("value").std())
        .iter_rows(named=True)
    }
    some = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    over = f"mean ± standard deviation over {some} seeds" if seeds[-1] > 1 else "one seed"
    caption = f"{metric} on the test split; {over}"
    table = Table(
        box=box.SIMPLE_HEAD, title=f"{scores['task'][0]} · trained in {Language.parse(source).name}", caption=caption
    )
    table.add_column("language")
    table.add_column("code")
    for method in methods:
        table.add_column(Text(method), justify="right")
    targets = sorted(set(test["language"]) - {source}, key=lambda code: (Language.parse(code).name, code))
    whole = everywhere(test)
    common = [language for language in targets if language in whole]
    for language in [source, *targets]:
        values = [_cell(*cells[language, method]) if (language, method) in cells else ABSENT for method in methods]
        parsed = Language.parse(language)
        table.add_row(parsed.name, str(parsed), *values, style="bold" if language == source else "")
        if language == source:
            table.add_section()
    table.add_section()
    averages = by_seed(test, source, common)
    for title, column in ((f"mean of {len(common)} targets", "target"), ("gap", "gap")):
        table.add_row(title, "", *[_spread(averages, method, column) for method in methods], style="bold")
    for group in stored.spec().get("groups", []):
        inside = {str(language) for language in members(group, [Language.parse(code) for code in common])}
        means = by_seed(test, source, sorted(inside))
        table.add_row(f"mean of {len(inside)} {group}", "", *[_spread(means, method, "target") for method in methods])
    trained = [records[method]["trainable_parameters"] for method in methods]
    share = [records[method]["trainable_parameters"] / records[method]["backbone_parameters"] for method in methods]
    table.add_row("trainable parameters", "", *[f"{count:,}" for count in trained])
    table.add_row("of the backbone", "", *[f"{part:.3%}" for part in share])
    return table


def in_order(methods: list[str], names: list[str]) -> list[str]:
    """Methods as the spec has them, variants by their values: 8 before 16."""

    def place(method: str) -> tuple[object, ...]:
        name, _, variant = method.partition("[")
        numbers = re.findall(r"=([-+.\de]+)(?=[],])", variant)
        return names.index(name) if name in names else len(names), [float(number) for number in numbers], variant

    return sorted(methods, key=place)


def _spread(averages: pl.DataFrame, method: str, column: str) -> str:
    values = averages.filter(method=method)[column]
    return _cell(values.mean(), values.std()) if values.null_count() == 0 else ABSENT  # type: ignore[arg-type]


def _cell(mean: float, deviation: float | None) -> str:
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"
