"""The rooms of the house by layer, as import-linter's contract orders them, and what each really imports.

`python docs/drawings/rooms.py > rooms.svg`
"""

from __future__ import annotations

import ast
import sys
import tomllib
from itertools import product
from pathlib import Path

import svg

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "isogloss"
WIDE, HIGH, BETWEEN, LAYER = 190, 44, 26, 78
NOTES = {
    "api": "what Python imports", "cli": "the command line", "reports": "one page", "executors": "where jobs run",
    "analysis": "where the gap comes from", "experiment": "from spec to directory", "charts": "tables in, charts out",
    "training": "K runs at once", "methods": "one file a method", "stats": "tables in, numbers out",
    "optim": "weights by place", "tasks": "kinds, heads, metrics", "store": "the run directory",
    "run_directory": "records, cells, tables", "backbones": "models, attention", "spec": "what the user writes", "preprocessing": "tokens, templates",
    "data": "cards and readers", "languages": "codes and facts", "runtime": "files, seeds, console",
    "errors": "one line each",
}  # fmt: skip


def layers() -> list[list[str]]:
    """Rooms from top to bottom, as the contract has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    order = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    rows = [[name.strip(" ()").removeprefix("isogloss.") for name in row.replace(":", "|").split("|")] for row in order]
    there = {path.stem for path in SOURCE.iterdir()}
    return [kept for row in rows if (kept := [name for name in row if name in there])]


def imports() -> set[tuple[str, str]]:
    """Which room imports from which."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found |= {(room, name.split(".")[1]) for name in names if name.startswith("isogloss.")}
    return found


def direct(edges: set[tuple[str, str]], order: list[list[str]]) -> set[tuple[str, str]]:
    """Edges downwards, without those that a longer way downwards says already."""
    depth = {name: number for number, row in enumerate(order) for name in row}
    down = {(a, b) for a, b in edges if depth.get(a, 99) < depth.get(b, -1)}
    reach = set(down)
    for middle in (name for row in reversed(order) for name in row):
        above = {a for a, b in reach if b == middle}
        below = {b for a, b in reach if a == middle}
        reach |= set(product(above, below))
    return {(a, b) for a, b in down if not any((a, c) in down and (c, b) in reach for c in depth)}


def draw() -> str:
    """The drawing."""
    order = layers()
    width = 2 * 20 + max(len(row) for row in order) * (WIDE + BETWEEN) - BETWEEN
    place = {
        name: ((width - len(row) * (WIDE + BETWEEN) + BETWEEN) / 2 + column * (WIDE + BETWEEN), 14 + number * LAYER)
        for number, row in enumerate(order)
        for column, name in enumerate(row)
    }
    # Everything may import from the last layer: lines to it would say nothing.
    edges = sorted((above, below) for above, below in direct(imports(), order) if below not in order[-1])
    parts = []
    for above, below in edges:
        begin = _port(above, below, [b for a, b in edges if a == above], place)
        end = _port(below, above, [a for a, b in edges if b == below], place)
        parts.append(svg.curve((begin, place[above][1] + HIGH), (end, place[below][1] - 2), faint=True))
    colours = [svg.PURPLE, svg.BLUE, svg.GREEN, svg.ORANGE, svg.GREY]
    for number, row in enumerate(order):
        colour = colours[number * len(colours) // len(order)]
        parts += [
            svg.box(*place[name], WIDE, HIGH, name, *([NOTES[name]] if name in NOTES else []), colour=colour)
            for name in row
        ]
    return svg.figure(width, 14 + len(order) * LAYER - 20, parts, title="The rooms by layer, and what they import")


def _port(room: str, other: str, others: list[str], place: dict[str, tuple[float, float]]) -> float:
    """Where on a room's edge the line to another begins: lines to the left stand to the left."""
    rank = sorted(others, key=lambda name: place[name]).index(other)
    return place[room][0] + WIDE * (rank + 1) / (len(others) + 1)


if __name__ == "__main__":
    sys.stdout.write(draw())
