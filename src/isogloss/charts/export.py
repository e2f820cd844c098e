"""Charts as JSON for a page, and as files: SVG, PDF and PNG, drawn by vl-convert without a network."""

from __future__ import annotations

import math
import re
import textwrap
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from isogloss.charts.chart import Chart
from isogloss.charts.style import PAPER
from isogloss.runtime.files import atomic_file
from isogloss.runtime.visible import visible

KINDS = ("svg", "pdf", "png")
VERSION = alt.VEGALITE_VERSION.rpartition(".")[0]
LINE = 110  # characters of a note
SCALE = 2  # pixels of a PNG for one of the figure's
_TAG = re.compile(r"<[^<>]*>")
_REFERENCE = re.compile(
    r'(?P<before> (?:id|fill|stroke|clip-path)="(?:url\(#)?)(?P<kind>gradient_?|clip_?)(?P<number>\d+)(?P<after>\)?")'
)


def specifications(chart: Chart) -> list[dict[str, Any]]:
    """Vega-Lite of a chart's views on a page."""
    with alt.data_transformers.enable("default", max_rows=None):  # a page is bounded as a whole
        return [_writable(view.to_dict()) for view in chart.page()]


def svg(chart: Chart) -> str:
    """A chart as on paper; the same bytes for the same chart."""
    with alt.data_transformers.enable("default", max_rows=None):
        specification = _writable(chart.paper().to_dict())
    if chart.note:
        specification = _noted(specification, chart.note)
    drawn: str = vl_convert.vegalite_to_svg(specification, vl_version=VERSION, config=PAPER, allowed_base_urls=[])
    return _numbered(drawn)


def save(chart: Chart, stem: Path) -> None:
    """Write a chart as SVG, PDF and PNG.

    Args:
        chart: what is drawn.
        stem: the files' path without the end of their names.
    """
    drawn = svg(chart)
    contents = {"svg": drawn.encode(), "pdf": vl_convert.svg_to_pdf(drawn), "png": vl_convert.svg_to_png(drawn, SCALE)}
    for kind in KINDS:
        with atomic_file(stem.with_name(f"{stem.name}.{kind}")) as file:
            file.write_bytes(contents[kind])


def _numbered(drawn: str) -> str:
    """With gradients and clips numbered from the first on, which a process counts over all that it draws."""
    numbers: dict[str, str] = {}

    def renamed(reference: re.Match[str]) -> str:
        kind, number = reference["kind"], reference["number"]
        return f"{reference['before']}{kind}{numbers.setdefault(kind + number, str(len(numbers)))}{reference['after']}"

    return _TAG.sub(lambda tag: _REFERENCE.sub(renamed, tag[0]), drawn)


def _noted(specification: dict[str, Any], note: str) -> dict[str, Any]:
    """With a line under the figure."""
    top = ("$schema", "config", "datasets", "params")
    outer: dict[str, Any] = {key: specification.pop(key) for key in top if key in specification}
    line = {
        "text": textwrap.wrap(note, LINE),
        "orient": "bottom",
        "anchor": "start",
        "fontSize": 10,
        "color": "#555555",
        "offset": 8,
    }
    return {**outer, "concat": [specification], "title": line}


def _writable(value: Any) -> Any:
    """Without what JSON or XML cannot hold: NaN is null, and of characters what may be shown."""
    if isinstance(value, dict):
        return {_writable(name): _writable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_writable(inner) for inner in value]
    if isinstance(value, str):
        return visible(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
