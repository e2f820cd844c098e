"""Decision boundaries of a run: how those of source and targets differ, and the states around them in the plane."""

from __future__ import annotations

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from isogloss.analysis.analysis import Analysis, AnalysisOptions, AnalysisResult, Results, Section, model_cells, titled
from isogloss.analysis.boundary.classifiers import SCHEMA, HeadStates
from isogloss.analysis.boundary.plane import Projection
from isogloss.charts import boundary as drawn
from isogloss.charts.chart import Chart
from isogloss.errors import NotApplicableError
from isogloss.experiment.cells import Cell
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.console import activity
from isogloss.runtime.shell_table import ShellTable
from isogloss.store import StoredCell


def linear_cells(opened_run: OpenedRun, options: AnalysisOptions) -> list[tuple[Cell, StoredCell]]:
    """The cells whose head is linear over one state a text.

    Raises:
        IsoglossError: there are none.
    """
    kind = opened_run.data.dataset.card.kind
    linear = [(cell, stored) for cell, stored in model_cells(opened_run, options) if cell.settings.head == "linear"]
    if kind != "classification" or not linear:
        came = f"this is {kind}" if kind != "classification" else "all heads here are verbalizers"
        raise NotApplicableError(f"a decision boundary is looked at in classification with a linear head; {came}")
    return linear


def _boundary(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    chosen = linear_cells(opened_run, options)
    rows, shown = [], {}
    with activity("boundary: reading the examples") as say:
        head_states = HeadStates(opened_run, options.examples)
        projection = Projection.of(opened_run, [cell.label for cell, _ in chosen], head_states.parts, head_states.gold)
        for number, (cell, stored) in enumerate(chosen, start=1):
            say(f"boundary: {cell.label} seed {cell.seed} ({number} of {len(chosen)})")
            stack = opened_run.stack(stored)
            states = head_states.states(stack)
            common = {"method": cell.label, "seed": cell.seed}
            rows += [{**common, "language": code, **row} for code, row in head_states.compare(states)]
            if cell.label not in shown:
                shown[cell.label] = projection.of_cell(cell, stack.runs[0], states, head_states.labels)
    table = pl.DataFrame(rows, schema=SCHEMA)
    points, regions, planes = (pl.concat(parts) for parts in zip(*shown.values(), strict=True))
    source = str(opened_run.data.source)
    tables = {"boundary": table, "boundary-points": points, "boundary-regions": regions, "boundary-planes": planes}
    said: list[RenderableType] = [_means(table, source)]
    if opened_run.data.dataset.card.parallel:
        said.append(Text("texts are parallel: source and target are fitted to the same items, the source's halves not"))
    return AnalysisResult(tables, said)


def _means(table: pl.DataFrame, source: str) -> ShellTable:
    of_source, targets = table.filter(language=source), table.filter(pl.col("language") != source)
    known = targets.drop_nulls("angle")
    columns = {
        "angle": "angle", "agreement": "agreement", "source_on_source": "source's in source",
        "source_on_target": "source's in target", "target_on_target": "target's in target", "centroid": "centroids",
    }  # fmt: skip
    shown = ShellTable(
        "method", *columns.values(), "angle of source's halves",
        title="boundaries fitted to the source's and to the target's states, the mean of "
        f"{known['language'].n_unique()} of {targets['language'].n_unique()} targets",
    )  # fmt: skip
    for (method,), part in known.group_by(["method"], maintain_order=True):
        means = part.select(list(columns)).mean().row(0)
        noise = of_source.filter(method=str(method)).drop_nulls("angle")["angle"].to_numpy()
        words = [
            f"{value:.1f}°" if name == "angle" else f"{value:.3f}" for name, value in zip(columns, means, strict=True)
        ]
        shown.add_row(Text(str(method)), *words, f"{noise.mean():.1f}°" if len(noise) else "")
    return shown


def _charts(results: Results) -> dict[str, Chart]:
    table, points = results.table("boundary"), results.table("boundary-points")
    charts = {}
    if table is not None and table["angle"].is_not_null().any():
        numbers = pl.col("angle", "source_on_target", "target_on_target")
        means = table.drop_nulls("angle").group_by("method", "language", maintain_order=True).agg(numbers.mean())
        targets = means.filter(pl.col("language") != results.source)
        charts["boundary"] = drawn.accuracies(targets, results.methods)
        charts["boundary-angle"] = drawn.angles(means, results.methods, results.source)
    if points is not None:
        charts["boundary-pca"] = drawn.plane(
            points, results.methods, axes=("pca_x", "pca_y"), regions=results.table("boundary-regions"),
            planes=results.table("boundary-planes"),
        )  # fmt: skip
        if points["tsne_x"].is_not_null().any():
            charts["boundary-tsne"] = drawn.plane(points, results.methods, axes=("tsne_x", "tsne_y"))
    return charts


ANALYSIS = Analysis(
    "boundary",
    _boundary,
    computes=True,
    section=Section(
        "Decision boundary",
        "States that enter the head, and regions where it gives each class; distances in t-SNE mean little.",
        _charts,
        titled(
            {
                "boundary": "A classifier of the source against one of the target",
                "boundary-planes": "How much of the states the plane holds, and how often it gives the model's answer",
            }
        ),
        small=True,
    ),
)
