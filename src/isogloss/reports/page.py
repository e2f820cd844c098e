"""A report as one HTML file: text, tables and charts, with everything they need inside."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from isogloss.analysis.registry import analyses
from isogloss.charts.chart import Chart
from isogloss.charts.export import VERSION, specifications
from isogloss.charts.worldmap import placed
from isogloss.reports import cost, mistakes, searches, ship, summary, tables, words
from isogloss.reports.figures import figures
from isogloss.reports.mistakes import PagePart
from isogloss.reports.run_group import RunGroup
from isogloss.reports.tables import ShownTable
from isogloss.runtime import yaml
from isogloss.runtime.visible import visible

TEMPLATE = "isogloss.reports.template"


# In a report analyses stand in this order; others, which come from elsewhere, behind them.
ORDER = (
    "calibration", "significance", "distance", "tokenization", "dynamics", "representation", "boundary", "importance",
    "forgetting", "unlabelled", "forecast",
)  # fmt: skip


@dataclass(frozen=True)
class PageSection:
    """One part of a chapter.

    Args:
        name: its anchor.
        title: over it.
        text: what is to be known to read it.
        charts: Vega-Lite of each view, in order.
        notes: what is to be known to read the charts.
        tables: in order.
        small: whether charts stand side by side where there is room.
        parts: that a reader opens one by one, behind the tables.
    """

    name: str
    title: str
    text: list[str] = field(default_factory=list)
    charts: list[dict[str, Any]] = field(default_factory=list)
    tables: list[ShownTable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    small: bool = False
    parts: list[PagePart] = field(default_factory=list)


@dataclass(frozen=True)
class Chapter:
    """What is said of one group of runs.

    Args:
        title: over it.
        answer: sentences, the most important first.
        caveats: what has to be known before the numbers are trusted.
        sections: in order.
        provenance: name, command, spec and environment of each run.
    """

    title: str
    answer: list[str]
    caveats: list[str]
    sections: list[PageSection]
    provenance: list[tuple[str, str, str, str]]


def page(run_groups: Sequence[RunGroup], title: str, command: str, missing: Sequence[str]) -> str:
    """The page.

    Args:
        run_groups: one a task.
        title: of the page.
        command: that makes it again.
        missing: lines on analyses that could not be carried out.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    environment.filters |= {"told": words.told, "broken": words.broken}
    # Not one character of a library's code may end the element that it stands in.
    bundle: str = vl_convert.javascript_bundle(None, VERSION)  # type: ignore[arg-type]
    library = bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return environment.get_template("report.html").render(
        title=title, chapters=[_chapter(run_group) for run_group in run_groups], command=command, missing=missing,
        style=Markup(_file("style.css")), script=Markup(_file("script.js")), library=Markup(library),  # noqa: S704 - ours
    )  # fmt: skip


def _shown(value: Any) -> Any:
    """Text of others; what is markup already is ours."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _file(name: str) -> str:
    return (resources.files(TEMPLATE) / name).read_text(encoding="utf-8")


def _chapter(run_group: RunGroup) -> Chapter:
    count = len(run_group.targets)
    to = f"to {count} {'language' if count == 1 else 'languages'}" if count else "alone"
    title = f"{run_group.task}: {run_group.source.name} {to}"
    provenance = []
    for name, opened_run in run_group.opened_runs.items():
        environment = opened_run.stored.environment()
        command = shlex.join(environment.get("command") or [])
        provenance.append(
            (name, command, yaml.dumps(opened_run.spec.model_dump(mode="json")), json.dumps(environment, indent=2))
        )
    return Chapter(title, summary.answer(run_group), summary.caveats(run_group), _sections(run_group), provenance)


def _sections(run_group: RunGroup) -> list[PageSection]:
    """Scores first, then what analyses say of them."""
    charts = figures(run_group)
    text = (
        f"{run_group.metric} on the test split. Means are over the languages that every run was scored in. In "
        "brackets, 95 % intervals over seeds and test examples."
    )
    spread = charts["methods"]
    sections = [
        *_ship(run_group),
        PageSection(
            "methods", "Methods", [text, *summary.drawn(run_group)], specifications(spread),
            [tables.overview_table(run_group)], _notes([spread]),
        ),
        PageSection(
            "languages", "Languages",
            ["Mean over seeds ± standard deviation; bold, the best method of a language. A click on a head sorts."],
            tables=[tables.language_table(run_group)],
        ),
    ]  # fmt: skip
    if found := cost.costs(run_group):
        sections.append(PageSection("cost", "Cost", cost.notes(found), tables=[cost.shown_costs(found)]))
    if told := mistakes.text(run_group):
        parts = list(mistakes.parts(run_group))
        sections.append(PageSection("errors", "What goes wrong", told, tables=mistakes.overall(run_group), parts=parts))
    if "map" in charts:
        told = ["Languages stand where Glottolog has them at home, not everywhere they are spoken."]
        _, missing = placed(sorted(set(run_group.by_language["language"])))
        if missing:
            told.append(f"Without a place: {', '.join(missing)}.")
        views = [view for title in ("map", "map-part") if title in charts for view in specifications(charts[title])]
        sections.append(PageSection("map", "On the map", told, views, small=True))
    if "learning" in charts:
        curves = specifications(charts["learning"])
        sections.append(
            PageSection(
                "training", "Training", ["Means over seeds."], curves, notes=_notes([charts["learning"]]), small=True
            )
        )
    if searched := searches.searches(run_group):
        told = ["Chosen on the source's development data alone, with a seed that is none of the runs'."]
        told += [searches.words(name, record) for name, record in searched.items()]
        shown = [tables.plain_table(name, searches.table(record)) for name, record in searched.items()]
        sections.append(PageSection("settings", "Settings that were searched", told, tables=shown))
    return sections + analysis_sections(run_group)


def _ship(run_group: RunGroup) -> list[PageSection]:
    """Which languages can ship, where somebody has said what is good enough."""
    if run_group.decisions is None:
        return []
    told = list(ship.sentences(run_group))
    shown = [ship.ship_table(run_group)]
    how = PagePart("What the decisions mean, and how they are made", lines=ship.meanings(run_group))
    return [PageSection("ship", "What can ship", told, tables=shown, parts=[how])]


def _notes(charts: Iterable[Chart]) -> list[str]:
    return list(dict.fromkeys(chart.note for chart in charts if chart.note))


def analysis_charts(run_group: RunGroup) -> dict[str, Chart]:
    """The charts of all analyses that were carried out, by title."""
    sections = (analysis.section for analysis in analyses().values())
    charts = (section.charts(run_group.results) for section in sections if section is not None)
    return {title: chart for some in charts for title, chart in some.items()}


def analysis_sections(run_group: RunGroup) -> list[PageSection]:
    """What analyses found, as far as they were carried out."""
    names = [*ORDER, *(name for name in analyses() if name not in ORDER)]
    sections = []
    for name in names:
        section = analyses()[name].section
        if section is None:
            continue
        drawn, text = section.charts(run_group.results).values(), [section.text, *section.notes(run_group.results)]
        charts = [view for chart in drawn for view in specifications(chart)]
        one = ["run"] if len(run_group.opened_runs) == 1 else []
        shown = [
            tables.plain_table(title, table.drop(one, strict=False))
            for title, table in section.tables(run_group.results).items()
        ]
        if charts or shown:
            sections.append(PageSection(name, section.title, text, charts, shown, _notes(drawn), small=section.small))
    return sections
