"""A few words to draw with: boxes, arrows and texts, in colours that follow the page from light to dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

BLUE, ORANGE, GREEN, PURPLE, GREY = "blue", "orange", "green", "purple", "grey"

STYLE = """
.d text { font-family: var(--font-stack, system-ui, sans-serif); font-size: 13px; fill: var(--color-foreground-primary, #1b1f24) }
.d .small { font-size: 11px; fill: var(--color-foreground-secondary, #57606a) }
.d .mono { font-family: var(--font-stack--monospace, ui-monospace, monospace); font-size: 11.5px }
.d .name { font-weight: 600 }
.d .under { fill: var(--color-background-primary, #fff) }
.d rect.on { stroke: var(--color-foreground-muted, #6b7280); stroke-width: 1 }
.d .blue { fill: rgba(0, 114, 178, .20) } .d .orange { fill: rgba(230, 159, 0, .26) }
.d .green { fill: rgba(0, 158, 115, .22) } .d .purple { fill: rgba(204, 121, 167, .28) }
.d .grey { fill: rgba(128, 128, 128, .14) } .d .none { fill: none }
.d path.line { fill: none; stroke: var(--color-foreground-muted, #6b7280); stroke-width: 1.3 }
.d path.faint { stroke-opacity: .55; stroke-width: 1 }
.d path.dashed { stroke-dasharray: 5 4 }
.d .head { fill: var(--color-foreground-muted, #6b7280) }
"""


def figure(width: float, height: float, parts: Sequence[str], *, title: str) -> str:
    """A whole drawing.

    Args:
        width: in pixels at its natural size.
        height: likewise.
        parts: what is drawn, the lowest first.
        title: what it shows, for those who cannot see it.
    """
    arrow = (
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" class="head"/></marker>'
    )
    return (
        f'<svg class="d" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="{escape(title)}"><style>{STYLE}</style><defs>{arrow}</defs>'
        f"{''.join(parts)}</svg>"
    )


def box(x: float, y: float, width: float, height: float, *lines: str, colour: str = GREY, dashed: bool = False) -> str:
    """A box with its name and, below, what else is to be said, in the middle of it."""
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    shape = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"'
    top = y + height / 2 - 15 * (len(lines) - 1) / 2 + 4.5
    inside = [
        text(x + width / 2, top + 15 * number, line, kind="name" if number == 0 else "small", anchor="middle")
        for number, line in enumerate(lines)
    ]
    return f'<rect {shape} class="under"/><rect {shape} class="on {colour}"{dashes}/>{"".join(inside)}'


def bar(x: float, y: float, width: float, height: float, colour: str, *, edge: bool = True) -> str:
    """A box without a name."""
    shape = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2"'
    return f'<rect {shape} class="{"on " if edge else ""}{colour}"/>'


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> str:
    """Words; between backticks, as code."""
    parts = [
        f'<tspan class="mono">{escape(part)}</tspan>' if number % 2 else escape(part)
        for number, part in enumerate(words.split("`"))
    ]
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{"".join(parts)}</text>'


def line(*points: tuple[float, float], dashed: bool = False, head: bool = True, faint: bool = False) -> str:
    """A line from point to point, with an arrow's head at its end."""
    path = " ".join(f"{'L' if number else 'M'}{x:g} {y:g}" for number, (x, y) in enumerate(points))
    return _path(path, dashed=dashed, head=head, faint=faint)


def curve(start: tuple[float, float], end: tuple[float, float], *, faint: bool = False, head: bool = True) -> str:
    """A line that leaves downwards and arrives downwards."""
    (x1, y1), (x2, y2) = start, end
    bend = (y2 - y1) / 2
    return _path(f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}", faint=faint, head=head)


def _path(path: str, *, dashed: bool = False, head: bool = True, faint: bool = False) -> str:
    kinds = " ".join(["line", *(["dashed"] if dashed else []), *(["faint"] if faint else [])])
    return f'<path d="{path}" class="{kinds}"{" marker-end=" + chr(34) + "url(#head)" + chr(34) if head else ""}/>'
