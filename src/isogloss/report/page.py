"""A report as one HTML file: text, tables and charts, with everything they need inside."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import altair as alt
import jinja2
import polars as pl
import vl_convert
from markupsafe import Markup

from isogloss.charts import curves, languages, scores, states, worldmap
from isogloss.charts.style import Chart
from isogloss.report import summary, tables
from isogloss.report.run_group import RunGroup
from isogloss.report.tables import Sheet
from isogloss.runtime import yaml

TEMPLATE = "isogloss.report.template"


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Args:
        name: of its anchor.
        title: over it.
        text: what is to be known to read it.
        charts: in order.
        sheets: tables, in order.
        small: whether charts stand side by side where there is room.
    """

    name: str
    title: str
    text: list[str] = field(default_factory=list)
    charts: list[dict[str, Any]] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    small: bool = False


@dataclass(frozen=True)
class Part:
    """What is said of one run_group."""

    title: str
    answer: list[str]
    caveats: list[str]
    sections: list[Section]
    provenance: list[tuple[str, str, str, str]]  # name, command, spec and environment of each run


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
        lstrip_blocks=True,
    )  # fmt: skip
    # Not one character of a library's code may end the element that it stands in.
    bundle: str = vl_convert.javascript_bundle(None, alt.VEGALITE_VERSION.rpartition(".")[0])  # type: ignore[arg-type]
    library = bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return environment.get_template("report.html").render(
        title=title, parts=[_part(run_group) for run_group in run_groups], command=command, missing=missing,
        style=Markup(_file("style.css")), script=Markup(_file("script.js")), library=Markup(library),  # noqa: S704 - ours
    )  # fmt: skip


def _file(name: str) -> str:
    return (resources.files(TEMPLATE) / name).read_text(encoding="utf-8")


def _part(run_group: RunGroup) -> Part:
    count = len(run_group.targets)
    named = f"{run_group.task}: {run_group.source.name} to {count} {'language' if count == 1 else 'languages'}"
    provenance = []
    for name, opened_run in run_group.opened_runs.items():
        environment = opened_run.stored.environment()
        command = shlex.join(environment.get("command") or [])
        provenance.append(
            (name, command, yaml.dumps(opened_run.spec.model_dump(mode="json")), json.dumps(environment, indent=2))
        )
    sections = [made for build in SECTIONS if (made := build(run_group)) is not None]
    return Part(named, summary.answer(run_group), summary.caveats(run_group), sections, provenance)


def _drawn(charts: Sequence[Chart]) -> list[dict[str, Any]]:
    with alt.data_transformers.enable("default", max_rows=None):  # the page is bounded as a whole
        return [_finite(chart.to_dict()) for chart in charts]


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is not known is null."""
    if isinstance(value, dict):
        return {name: _finite(own) for name, own in value.items()}
    if isinstance(value, list):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _methods(run_group: RunGroup) -> Section:
    text = (
        f"{run_group.metric} on the test split. Means are over the languages that every run was scored in. In "
        "brackets, 95 % intervals over seeds and test examples. A diamond is the source, a tick a language, a dot "
        "their mean."
    )
    return Section("methods", "Methods", [text], _drawn(scores.spread(run_group)), [tables.overview_sheet(run_group)])


def _languages(run_group: RunGroup) -> Section:
    text = ["Mean over seeds ± standard deviation; bold, the best method of a language. A click on a head sorts."]
    return Section("languages", "Languages", text, [], [tables.language_sheet(run_group)])


def _map(run_group: RunGroup) -> Section | None:
    table, missing = worldmap.placed(run_group)
    charts = worldmap.world(run_group, table)
    text = ["Languages stand where Glottolog has them at home, not everywhere they are spoken."]
    if missing:
        text.append(f"Without a place: {', '.join(missing)}.")
    return Section("map", "On the map", text, _drawn(charts)) if charts else None


def _differences(run_group: RunGroup) -> Section | None:
    charts = [*scores.forest(run_group), *scores.by_language(run_group)]
    if not charts:
        return None
    text = (
        "Differences of mean target scores, in the languages that both methods have, and of single languages, with "
        "95 % intervals over seeds and test examples. "
        "p holds for new seeds; p items exchanges the methods' answers to an example and holds for these trained "
        "models alone. Both are corrected by Holm's procedure in the columns that say so: over all pairs of methods, "
        "or in a second table over the pairs with one of them alone."
    )
    sheets = [tables.plain_sheet("Overall", run_group.tables["significance"].filter(pl.col("scope") != "language"))]
    held = run_group.tables["significance-reference"]
    if held["one"].n_unique() > 1:
        title = f"Over {held['other'][0]}, corrected over these pairs alone"
        sheets += _sheets(run_group, {"significance-reference": title})
    sheets += _sheets(run_group, {"significance-mixed": "Mixed-effects model: languages and seeds are random"})
    return Section("differences", "Differences between methods", [text], _drawn(charts), sheets)


def _training(run_group: RunGroup) -> Section | None:
    charts = [*curves.learning(run_group), *curves.opening(run_group)]
    sheets = _sheets(run_group, {"dynamics-onset": "When the gap opens, in updates"})
    return Section("training", "Training", [], _drawn(charts), sheets, small=True) if charts else None


def _section(
    name: str,
    title: str,
    charts: Callable[[RunGroup], list[Chart]],
    sheets: dict[str, str],
    text: str,
    *,
    small: bool = False,
) -> Callable[[RunGroup], Section | None]:
    def build(run_group: RunGroup) -> Section | None:
        made, shown = charts(run_group), _sheets(run_group, sheets)
        return Section(name, title, [text], _drawn(made), shown, small=small) if made or shown else None

    return build


def _sheets(run_group: RunGroup, titles: dict[str, str]) -> list[Sheet]:
    found = {title: run_group.table(name) for name, title in titles.items()}
    one = ["run"] if len(run_group.opened_runs) == 1 else []
    return [
        tables.plain_sheet(title, table.drop(one, strict=False)) for title, table in found.items() if table is not None
    ]


SECTIONS: list[Callable[[RunGroup], Section | None]] = [
    _methods,
    _languages,
    _map,
    _differences,
    _section(
        "distance", "Distance", languages.distance,
        {"distance-correlation": "Correlation with score and gap", "distance": "Distances to the source"},
        "Linguists' distances (URIEL+), script, text in pre-training, tokens, and the model's own before training: one "
        "less the mean cosine of parallel sentences, each language's mean taken off, and one less retrieval.",
    ),
    _section(
        "tokenization", "Tokenization", languages.tokenization,
        {
            "tokenization-correlation": "Correlation with score and gap", "tokenization": "By language",
            "tokenization-groups": "Low-resource languages against the rest",
        },
        "Measures of words are left out where neither the data nor spaces tell words apart.",
    ),
    _training,
    _section(
        "states", "Inside the model", states.depths, {},
        "States of parallel sentences at every layer, the mean over target languages; dotted, before training.",
        small=True,
    ),
    _section(
        "boundary", "Decision boundary", states.boundary,
        {
            "boundary": "A classifier of the source against one of the target",
            "boundary-planes": "How much of the states the plane holds, and how often it gives the model's answer",
        },
        "States that enter the head, and regions where it gives each class; distances in t-SNE mean little.",
        small=True,
    ),
    _section(
        "importance", "Which weights", states.importance, {},
        "What one group of weights does: set back to its pre-trained values, or put alone into the pre-trained model.",
    ),
    _section(
        "forgetting", "Forgetting", states.memory, {"forgetting-gap": "Correlation of the gap with what is forgotten"},
        "A line is a run, a point the end of an epoch.",
        small=True,
    ),
    _section(
        "forecast", "Forecast", languages.forecast, {"forecast-error": "How far it misses"},
        "Expected scores with 90 % intervals. Scored languages (crosses) were left out one by one to judge it by.",
    ),
]  # fmt: skip
