"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isogloss.cli import completion
from isogloss.runtime.files import given_path


def as_path(text: str) -> Path:
    """A path of the command line; an empty one, as of a variable that is not set, is not the folder one is in."""
    if not text.strip() or "\0" in text:
        raise typer.BadParameter(f"{text!r} is no path")
    return given_path(text)


def _backbone(text: str) -> str:
    return str(as_path(text))


RunDirectory = Annotated[
    Path,
    typer.Argument(parser=as_path, metavar="DIR", help="A run directory.", autocompletion=completion.run_directories),
]
Method = Annotated[
    str | None,
    typer.Option(help="Left out: the best on the source's development data.", autocompletion=completion.methods),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Left out: the best on the source's development data.", autocompletion=completion.seeds),
]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show the whole error.")]
NoTexts = Annotated[
    bool, typer.Option("--no-texts", help="Leave texts of the data out, and remove those that were there.")
]
Backbone = Annotated[
    str | None,
    typer.Option(
        parser=_backbone,
        metavar="DIR",
        help="Where the backbone lies now, or its hub id; left out: as the run says. Of a comparison, which.",
    ),
]
