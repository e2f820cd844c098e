"""A chart: one view of a table, for the page with its menus, and for paper with a panel for each choice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import altair as alt
import polars as pl
import polars.selectors as cs

from isogloss.charts.style import PAPER
from isogloss.runtime.visible import visible

View = alt.Chart | alt.LayerChart  # only these can be as wide as the page
DIGITS = 5  # of numbers in a chart
EXTENT = "extent"  # what expressions of a view call the width of its panel


@dataclass(frozen=True)
class Split:
    """A column by whose values the rows of a chart are told apart: a panel each.

    Args:
        column: its name, which is an identifier of Vega's.
        values: in their order; the first is what a menu shows at first.
        menu: words before a menu from which the page's reader chooses one; none: the page has all of them side by side.
        paper: the values that have a panel on paper; none: all.
        titles: what a panel is called instead of its value.
    """

    column: str
    values: Sequence[str]
    menu: str | None = None
    paper: Sequence[str] | None = None
    titles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Menu:
    """A choice that expressions of the view read, and that leaves out no row; on paper it is the first.

    Args:
        name: what expressions call it.
        values: in their order.
        label: words before it.
    """

    name: str
    values: Sequence[str]
    label: str

    def parameter(self, *, bound: bool) -> alt.Parameter:
        """For the page, bound to a menu, or for paper."""
        bind = alt.binding_select(options=list(self.values), name=f"{self.label} ") if bound else alt.Undefined
        return alt.param(name=self.name, value=self.values[0], bind=bind)


@dataclass(frozen=True, eq=False)
class Chart:
    """One figure.

    Args:
        view: marks and channels, without data of its own but for what is no row of the table.
        table: what is drawn; columns have plain names, and labels are values, never names.
        splits: columns that part it.
        menus: other choices of the page's reader.
        title: of a panel; `{column}` stands for the value of a split there.
        note: what has to be known to read it.
        width: of a panel on paper, in pixels or a step for each value.
        height: of a panel.
        page_height: of a view on the page, where it is another; 0: it is not. A step is for paper alone.
        aspect: height of a view on the page for its width, as of a map; 0: it goes by pixels.
        columns: panels side by side on paper.
        resolve: channels whose scales are `shared` or `independent` between panels on paper, against Vega's custom.
        extent: whether expressions of the view read the width of a panel, as `extent`.
    """

    view: View
    table: pl.DataFrame
    splits: Sequence[Split] = ()
    menus: Sequence[Menu] = ()
    title: str = ""
    note: str = ""
    width: int | alt.Step = 300
    height: int | alt.Step = 240
    page_height: int = 0
    aspect: float = 0
    columns: int = 3
    resolve: Mapping[str, Any] = field(default_factory=dict)
    extent: bool = False

    def page(self) -> list[View]:
        """Views for the page, as wide as it; each has its menus."""
        beside = [split for split in self.splits if split.menu is None]
        chosen = [split for split in self.splits if split.menu is not None]
        views = []
        for values, table in _parts(self.table, beside, paper=False):
            menus = [Menu(split.column, _present(table, split), split.menu or "") for split in chosen]
            parameters = [menu.parameter(bound=True) for menu in (*menus, *self.menus)]
            if self.extent:
                parameters.append(alt.param(name=EXTENT, expr="width"))
            view = self.view.properties(data=_plain(table), width="container", height=self.page_height or self.height)
            for menu in menus:
                view = view.transform_filter(f"datum.{menu.name} === {menu.name}")
            view = view.add_params(*parameters) if parameters else view
            view = view.properties(usermeta={"aspect": self.aspect}) if self.aspect else view
            if self.title:
                text = alt.expr(_expression(self.title, values))
                view = view.properties(
                    title=alt.TitleParams(text, anchor="start", frame="group", fontSize=12, fontWeight="normal")
                )
            views.append(view)
        return views

    def paper(self) -> alt.Chart | alt.LayerChart | alt.ConcatChart:
        """A panel for each choice, in one figure without menus."""
        panels: list[Any] = []
        first = {menu.name: menu.values[0] for menu in self.menus}
        for values, table in _parts(self.table, self.splits, paper=True):
            panel = self.view.properties(data=_plain(table), width=self.width, height=self.height)
            panels.append(panel.properties(title=_words(self.title, values | first)))
        whole: Any = panels[0]
        if len(panels) > 1:
            whole = alt.concat(*panels, columns=self.columns).resolve_scale(**self.resolve)
        parameters = [menu.parameter(bound=False) for menu in self.menus]
        if self.extent:
            parameters.append(alt.param(name=EXTENT, value=self.width))
        if parameters:
            whole.params = [parameter.param for parameter in parameters]
        return whole  # type: ignore[no-any-return]

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> Any:
        """In a notebook: as on paper."""
        return self.paper().configure(**PAPER)._repr_mimebundle_(*arguments, **options)


_PLACE = re.compile(r"\{(\w+)\}")


def _parts(
    table: pl.DataFrame, splits: Sequence[Split], *, paper: bool
) -> Iterator[tuple[dict[str, str], pl.DataFrame]]:
    """The titles of every panel that has rows, and these."""
    kept = [
        [value for value in _present(table, split) if not paper or split.paper is None or value in split.paper]
        for split in splits
    ]
    for values in product(*kept):
        part = table
        for split, value in zip(splits, values, strict=True):
            part = part.filter(pl.col(split.column) == value)
        if len(part) or not splits:
            titles = {split.column: split.titles.get(value, value) for split, value in zip(splits, values, strict=True)}
            yield titles, part


def _present(table: pl.DataFrame, split: Split) -> list[str]:
    present = set(table[split.column])
    return [value for value in split.values if value in present]


def _words(title: str, values: Mapping[str, str]) -> str:
    """A title with the values in their places."""
    return _PLACE.sub(lambda column: values[column[1]], title)


def _expression(title: str, values: Mapping[str, str]) -> str:
    """A Vega expression of a title: what is fixed as JSON's strings, what a menu chooses by its name."""
    parts = _PLACE.split(title)
    words = [
        (json.dumps(visible(values[part])) if part in values else part) if number % 2 else json.dumps(part)
        for number, part in enumerate(parts)
    ]
    return " + ".join(words)


def _plain(table: pl.DataFrame) -> pl.DataFrame:
    """Numbers to some digits, since a page holds them all; JSON has no NaN, so that it is null."""
    return table.with_columns(cs.float().fill_nan(None).round_sig_figs(DIGITS))
