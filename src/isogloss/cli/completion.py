"""What Tab offers: names that are cheap to know.

Each of these is asked while somebody waits for a letter: nothing heavy is imported, no table is read, and what cannot
be known offers nothing. Where nothing is offered, the shell offers files.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent
MARK = "environment.json"  # what every run directory has
DEEPEST = 3  # folders below what is typed that are looked into for run directories
MOST = 2000  # folders that are looked into at all


@dataclass(frozen=True)
class Line:
    """A line of the shell, as far as it is typed.

    Args:
        words: that stand on it. What typer makes of them is lost where the last is an option that lacks its value.
        begun: the word that is being typed.
    """

    words: tuple[str, ...]
    begun: str

    @classmethod
    def typed(cls, begun: str) -> Line:
        """As the shell tells it."""
        told = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
        return cls(tuple(shlex.split(told)), begun)

    @property
    def before(self) -> str:
        """Of a path that is being typed, the folders."""
        return self.begun[: self.begun.rfind("/") + 1]

    @property
    def folder(self) -> Path:
        """These folders as a path."""
        return Path(self.before or ".").expanduser()

    def after(self, option: str) -> str | None:
        """The word behind an option; None where it is not there."""
        place = self.words.index(option) + 1 if option in self.words else len(self.words)
        return self.words[place] if place < len(self.words) else None

    def records(self) -> Iterator[dict[str, Any]]:
        """What the finished cells of the run directories on the line say of themselves."""
        for folder in map(Path, self.words):
            if (folder / MARK).is_file():
                for file in (folder / "weights").glob("*/*/run.json"):
                    yield json.loads(file.read_text(encoding="utf-8"))


def _offers(names: Callable[[Line], Iterable[str]]) -> Callable[[str], list[str]]:
    """What begins as it was typed; nothing where names cannot be known, since nobody reads an error in mid-line."""

    def offered(incomplete: str) -> list[str]:
        try:
            return sorted({name for name in names(Line.typed(incomplete)) if name.startswith(incomplete)})
        except Exception:  # noqa: BLE001 - whatever is wrong with a folder or a file, the command itself will say
            return []

    offered.__doc__ = names.__doc__
    return offered


def listed(folder: str, attribute: str) -> Iterator[str]:
    """What can be chosen of things found by listing a folder: each is called as its module, or as a folder of its own.

    Args:
        folder: within the package.
        attribute: by which a module says that it is one, such as `ANALYSIS`.
    """
    says = re.compile(rf"^{attribute}\b.* = ", re.MULTILINE)
    for file in (PACKAGE / folder).rglob("*.py"):
        if says.search(file.read_text(encoding="utf-8")):
            named = file if file.parent == PACKAGE / folder else file.parent
            yield named.stem.replace("_", "-")


def _stems(folder: str) -> Iterator[str]:
    return (file.stem for file in (PACKAGE / folder).glob("*.yaml"))


@_offers
def specs(line: Line) -> Iterator[str]:
    """Presets, and YAML files of the folder that is typed."""
    if not line.before:
        yield from _stems("presets")
    yield from (f"{line.before}{file.name}" for file in line.folder.iterdir() if file.suffix in {".yaml", ".yml"})


@_offers
def run_directories(line: Line) -> Iterator[str]:
    """Run directories in the folder that is typed, and a few folders below it."""
    name = line.begun[len(line.before) :]
    level = [one for one in _folders(line.folder) if one.name.startswith(name)]
    seen = 0
    for _ in range(DEEPEST):
        below: list[Path] = []
        for one in level:
            if (seen := seen + 1) > MOST:
                return
            if (one / MARK).is_file():
                yield f"{line.before}{one.relative_to(line.folder)}"
            else:
                below += _folders(one)
        level = below


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if not one.name.startswith(".") and one.is_dir())
    except OSError:  # it may not be read
        return []


@_offers
def methods(line: Line) -> Iterator[str]:
    """Methods of the run directory."""
    return (record["method"] for record in line.records())


@_offers
def seeds(line: Line) -> Iterator[str]:
    """Seeds of the run directory, of the method that is chosen."""
    chosen = line.after("--method")
    return (str(record["seed"]) for record in line.records() if chosen in {None, record["method"]})


@_offers
def languages(line: Line) -> Iterator[str]:
    """Languages that the run directory was scored in."""
    return (code for record in line.records() for code in record["test_data"])


@_offers
def tasks(_: Line) -> Iterator[str]:
    """Data sets that have a card."""
    return _stems("data/cards")


@_offers
def card_languages(line: Line) -> Iterator[str]:
    """Languages of the data set, by the codes that its card has."""
    from isogloss.runtime import yaml

    task = next(word for word in line.words[2:] if word in set(_stems("data/cards")))
    given = yaml.load(PACKAGE / "data" / "cards" / f"{task}.yaml")["languages"]
    return iter(given.split() if isinstance(given, str) else given)


@_offers
def analyses(_: Line) -> Iterator[str]:
    """Every analysis."""
    return listed("analysis", "ANALYSIS")


@_offers
def executors(_: Line) -> Iterator[str]:
    """Every executor."""
    return listed("executors", "EXECUTOR")


@_offers
def formats(_: Line) -> Iterator[str]:
    """Every format of models, and of scores."""
    yield from listed("interop/formats", "FORMAT")
    yield from listed("interop/results", "RESULTS_FORMAT")


@_offers
def lists(_: Line) -> Iterator[str]:
    """What `isogloss list` can show."""
    return iter(("tasks", "methods", "backbones", "presets", "languages"))
