"""Three runs in one forward pass: what each has of its own, and what all share.

`python docs/drawings/run_axis.py > run_axis.svg`
"""

from __future__ import annotations

import sys

import svg

RUNS = [
    (svg.BLUE, "run 0", "seed 0, P = 8, lr 1e-2", [62, 104, 40]),
    (svg.ORANGE, "run 1", "seed 1, P = 8, lr 1e-2", [88, 54, 112]),
    (svg.GREEN, "run 2", "seed 0, P = 16, lr 3e-2", [46, 96, 70]),
]
PROMPTS = {svg.BLUE: 18, svg.ORANGE: 18, svg.GREEN: 34}  # their lengths, as widths
LEFT, MIDDLE, RIGHT = 20, 330, 640
TOP = 86


def draw() -> str:
    """The drawing."""
    return svg.figure(
        900, 440, [*_batches(), *_pass(), *_own(), *_back()],
        title="Rows of three runs go through one frozen backbone; each run has its own prompt, head and optimiser",
    )  # fmt: skip


def _batches() -> list[str]:
    parts = [
        svg.text(LEFT, 30, "Each run draws its own batch", kind="name"),
        svg.text(LEFT, 48, "by its seed and epoch alone", kind="small"),
    ]
    for number, (colour, name, note, lengths) in enumerate(RUNS):
        y = TOP + number * 106
        parts += [svg.text(LEFT, y, name, kind="name"), svg.text(LEFT + 48, y, note, kind="small")]
        parts += [svg.bar(LEFT, y + 12 + 20 * row, length, 14, colour) for row, length in enumerate(lengths)]
        parts.append(
            svg.line(
                (LEFT + 140, y + 40),
                (MIDDLE - 72, y + 40),
                (MIDDLE - 48, 167 + number * 63),
                (MIDDLE - 8, 167 + number * 63),
            )
        )
    return parts


def _pass() -> list[str]:
    rows = [(length, colour) for colour, _, _, lengths in RUNS for length in lengths]
    parts = [
        svg.text(MIDDLE, 30, "One forward pass", kind="name"),
        svg.text(MIDDLE, 48, "rows of all runs, run by run; each knows its own", kind="small"),
    ]
    for row, (length, colour) in enumerate(rows):
        y = 138 + row * 21
        parts += [svg.bar(MIDDLE, y, PROMPTS[colour], 15, colour), svg.bar(MIDDLE + 38, y, length, 15, colour)]
    parts += [
        svg.text(MIDDLE + 18, 122, "each row's own", kind="small"),
        svg.box(MIDDLE + 168, 138, 66, 183, "frozen", "backbone", "one copy", colour=svg.GREY),
        svg.line((MIDDLE + 152, 230), (MIDDLE + 166, 230)),
        svg.box(MIDDLE, 70, 144, 28, "prompts (K, P, H)", colour=svg.PURPLE),
        svg.line((MIDDLE + 10, 98), (MIDDLE + 10, 135)),
    ]  # fmt: skip
    return parts


def _own() -> list[str]:
    parts = [
        svg.text(RIGHT, 30, "Each run learns by itself", kind="name"),
        svg.text(RIGHT, 48, "from the mean loss of its own rows", kind="small"),
    ]
    for number, (colour, name, _, _) in enumerate(RUNS):
        y = TOP + 14 + number * 106
        parts += [
            svg.line((MIDDLE + 236, 208 + number * 22), (RIGHT - 44, y + 28), (RIGHT - 4, y + 28)),
            svg.box(RIGHT, y, 74, 56, "head", f"{name}, (H, C)", colour=colour),
            svg.line((RIGHT + 74, y + 28), (RIGHT + 94, y + 28)),
            svg.box(RIGHT + 96, y, 146, 56, "AdamW", "own rate, schedule,", "clipping, best epoch", colour=colour),
        ]
    return parts


def _back() -> list[str]:
    y = 424
    return [
        svg.line(
            (RIGHT + 169, 370), (RIGHT + 169, y), (MIDDLE - 36, y), (MIDDLE - 36, 84), (MIDDLE - 4, 84), dashed=True
        ),
        svg.text(
            MIDDLE - 24, y - 8, "a step changes one run's prompt and head, and nothing of any other run", kind="small"
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(draw())
