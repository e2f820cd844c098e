"""How rows of unequal length and a prefix in front of them go through the attention function.

`python docs/drawings/attention.py > attention.svg`
"""

from __future__ import annotations

import sys

import svg

ROWS = [96, 84, 78, 40, 34]  # tokens of each row, as widths
PREFIX = 30
COLOURS = [svg.BLUE, svg.ORANGE, svg.BLUE, svg.ORANGE, svg.BLUE]  # of each row: its run's
GROUPS = [slice(0, 3), slice(3, 5)]


def draw() -> str:
    """The drawing."""
    return svg.figure(
        760, 492, [*_packed(40, "before"), *_groups(), *_scores(), *_packed(446, "after")],
        title="Packed rows are padded group by group, get a prefix in front, and are packed again",
    )  # fmt: skip


def _packed(y: float, when: str) -> list[str]:
    names = {
        "before": ("Tokens of all rows end to end, (1, N, H): no padding in any layer but here", -14),
        "after": ("Packed again: all that does not mix tokens works on real ones alone", 36),
    }
    words, away = names[when]
    parts, x = [svg.text(20, y + away, words, kind="name")], 20.0
    for length, colour in zip(ROWS, COLOURS, strict=True):
        parts.append(svg.bar(x, y, length, 16, colour))
        x += length
    return parts


def _groups() -> list[str]:
    parts, x = [], 20.0
    for number, rows in enumerate(GROUPS):
        widths, colours = ROWS[rows], COLOURS[rows]
        width, left = max(widths), 20 + number * 380
        parts += [
            svg.curve((x + sum(widths) / 2, 58), (left + PREFIX + width / 2, 128)),
            svg.text(left, 122, f"group {number + 1}", kind="small"),
        ]
        for row, (length, colour) in enumerate(zip(widths, colours, strict=True)):
            y = 132 + row * 20
            parts += [svg.bar(left, y, PREFIX - 4, 15, colour), svg.bar(left + PREFIX, y, length, 15, colour)]
            if length < width:
                parts.append(svg.bar(left + PREFIX + length, y, width - length, 15, "none"))
        x += sum(widths)
    parts += [
        svg.text(174, 144, "rows of like length; what is", kind="small"),
        svg.text(174, 159, "white is padding, for this group", kind="small"),
        svg.text(174, 174, "and in attention only", kind="small"),
        svg.text(486, 144, "in front: keys and values of", kind="small"),
        svg.text(486, 159, "each row's own run, by an index", kind="small"),
        svg.text(486, 174, "into `(K P, heads, D)`", kind="small"),
    ]
    return parts


def _scores() -> list[str]:
    parts = []
    for left, tokens, blank in ((20, 96, 14), (400, 48, 22)):
        top, end = 262, 262 + tokens
        across = left + PREFIX + tokens
        way = [(80, 432)] if left == 20 else [(460, 454), (358, 454)]
        parts += [
            svg.line((left + 60, 202), (left + 60, 232)),
            svg.text(left, 252, "scores (B, heads, T, P + T)", kind="small"),
            svg.bar(left, top, PREFIX, tokens, svg.PURPLE),
            svg.bar(left + PREFIX, top, tokens, tokens, svg.GREEN),
            svg.bar(across, top, blank, tokens, "none"),
            svg.line((left + 60, end + 8), *way),
        ]
    x = 190
    parts += [
        svg.bar(x, 268, 14, 12, svg.PURPLE), svg.text(x + 20, 279, "towards the prefix: its", kind="small"),
        svg.text(x + 20, 293, "distances, if positions shift", kind="small"),
        svg.bar(x, 304, 14, 12, svg.GREEN), svg.text(x + 20, 315, "among the text: causal, window,", kind="small"),
        svg.text(x + 20, 329, "ALiBi or T5's buckets; made once", kind="small"),
        svg.bar(x, 340, 14, 12, "none"), svg.text(x + 20, 351, "ignored, to reach a multiple of", kind="small"),
        svg.text(x + 20, 365, "32 keys (bf16 on a CPU)", kind="small"),
        svg.box(540, 262, 200, 108, "kernel", "CPU, up to 384 keys:", "two matmuls and a softmax", "else: PyTorch's fused one;", "on a GPU also without padding",
                colour=svg.GREY),
        svg.text(90, 420, "times values; the padding is left out again", kind="small"),
    ]  # fmt: skip
    return parts


if __name__ == "__main__":
    sys.stdout.write(draw())
