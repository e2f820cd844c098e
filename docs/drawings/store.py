"""How a cell comes into a run directory: all of it or nothing, and never beside one that was made differently.

`python docs/drawings/store.py > store.svg`
"""

from __future__ import annotations

import sys

import svg


def draw() -> str:
    """The drawing."""
    return svg.figure(
        860, 430, [*_making(), *_folder(), *_reading()],
        title="A finished cell is written beside the store and moved in by one rename; tables are put together from cells",
    )  # fmt: skip


def _making() -> list[str]:
    return [
        svg.text(20, 28, "Making", kind="name"),
        svg.box(20, 46, 190, 52, "spec and data", "cells: method × variant × seed", colour=svg.BLUE),
        svg.line((115, 98), (115, 124)),
        svg.box(20, 126, 190, 66, "facts of each cell", "settings, seed, hashes of", "weights and data", colour=svg.BLUE),
        svg.line((115, 192), (115, 218)),
        svg.box(20, 220, 190, 52, "training", "a checkpoint every few minutes", colour=svg.GREEN),
        svg.line((115, 272), (115, 298)),
        svg.box(20, 300, 190, 66, "a hidden folder", "weights, tables, run.json;", "not yet part of the run", colour=svg.GREY,
                dashed=True),
        svg.line((210, 159), (306, 159), dashed=True),
        svg.text(218, 150, "compared with", kind="small"), svg.text(218, 175, "what is there;", kind="small"),
        svg.text(218, 189, "else refused", kind="small"),
        svg.line((210, 333), (306, 333)),
        svg.text(222, 324, "one rename", kind="small"), svg.text(222, 349, "under a lock", kind="small"),
    ]  # fmt: skip


def _folder() -> list[str]:
    names = ["`run.json`  facts, labels, counts", "`weights.safetensors`", "`scores.parquet`", "`predictions.parquet`",
             "`history.parquet`"]  # fmt: skip
    parts = [
        svg.text(310, 28, "The run directory", kind="name"),
        svg.bar(310, 46, 300, 364, svg.GREY),
        svg.text(326, 70, "`spec.yaml` · `environment.json`"),
        svg.text(326, 94, "`weights/`", kind="name"),
    ]
    for number, cell in enumerate(("`deep-prompt/0/`", "`deep-prompt/1/`")):
        left = 326 + number * 14
        top = 104 + number * 26
        parts += [svg.bar(left, top, 254, 148, "under"), svg.bar(left, top, 254, 148, svg.GREEN)]
        parts.append(svg.text(left + 10, top + 18, cell))
    parts += [svg.text(362, 170 + 19 * number, name, kind="small") for number, name in enumerate(names)]
    parts += [
        svg.line((460, 280), (460, 310)),
        svg.text(468, 299, "gathered after each cell", kind="small"),
        svg.box(326, 312, 268, 66, "scores · predictions · history", "`.parquet` at the top: of finished", "cells and nothing else",
                colour=svg.ORANGE),
        svg.text(326, 399, "`checkpoints/` go when their cell is there", kind="small"),
    ]  # fmt: skip
    return parts


def _reading() -> list[str]:
    parts = [svg.text(690, 28, "Reading", kind="name")]
    for y, name, notes, colour in (
        (46, "predict", ("one cell and the", "backbone of its hash"), svg.GREEN),
        (150, "add languages", ("scored with the stored", "weights; run.json decides"), svg.GREEN),
        (250, "analyze", ("tables; some analyses", "restore models"), svg.ORANGE),
        (344, "report", ("tables alone",), svg.ORANGE),
    ):
        parts.append(svg.box(690, y, 150, 66, name, *notes, colour=colour))
    parts += [
        svg.line((610, 150), (650, 150), (650, 79), (688, 79)), svg.line((650, 150), (650, 183), (688, 183)),
        svg.line((596, 345), (650, 345), (650, 283), (688, 283)), svg.line((650, 345), (650, 377), (688, 377)),
    ]  # fmt: skip
    return parts


if __name__ == "__main__":
    sys.stdout.write(draw())
