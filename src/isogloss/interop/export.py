"""From a run directory to a folder that another library loads: the model, its card, and the cell that it was."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import isogloss
from isogloss.errors import IsoglossError, install, unknown
from isogloss.experiment.choice import choose, run_directory
from isogloss.interop.check import Check, check
from isogloss.interop.exported_run import exported_run
from isogloss.interop.formats.format import Format
from isogloss.interop.formats.registry import find, formats
from isogloss.interop.hub import FOLDER, README
from isogloss.interop.model_card import model_card
from isogloss.interop.results.registry import results_formats
from isogloss.interop.results.results_format import ResultsFormat
from isogloss.interop.trained import Trained, load
from isogloss.methods.method import Importer
from isogloss.methods.registry import find as find_method
from isogloss.runtime.files import atomic_folder
from isogloss.store import RunRecord

RECORD = "export.json"


@dataclass(frozen=True)
class Export:
    """What was written.

    Args:
        path: the folder.
        to: the name of the format.
        method: the label of the method.
        seed: of the cell.
        check: how the other library's scores compare.
    """

    path: Path
    to: str
    method: str
    seed: int
    check: Check

    def __str__(self) -> str:
        """In a line."""
        return f"{self.method}, seed {self.seed}, as {find(self.to).title} in {self.path}; {self.check}"


def export(
    folder: Path, out: Path, *, to: str, method: str | None, seed: int | None, say: Callable[[str], None]
) -> Export:
    """Write a trained model in a format of another library's, and check it there.

    Args:
        folder: a run directory.
        out: a new or empty folder.
        to: the name of a format.
        method: the label of one of the methods; None: the best on source development data.
        seed: of it; None: the best on source development data.
        say: is told what is going on.

    Raises:
        IsoglossError: there is no such model or format, the model has no exact form there, the library is not
            installed, or it computes something else.
    """
    if to not in formats():
        raise unknown("format", to, [*formats(), *results_formats()])
    form = find(to)
    refuse_used(out)
    refuse_lacking(form)
    stored = run_directory(folder)
    cell = choose(stored, method, seed)
    refuse_trained_elsewhere(cell.record)
    trained = load(stored, cell)
    record = trained.model.record
    if (why := form.refusal(trained)) is not None:
        others = [name for name, other in formats().items() if name != to and other.refusal(trained) is None]
        where = f"{' and '.join(others)} {'have' if len(others) > 1 else 'has'} one" if others else "no format has one"
        head = " with head: verbalizer" if trained.verbalized else ""
        raise IsoglossError(f"{record.method}{head} has no exact form in {to}: {why}; {where}")
    say(f"{record.method}, seed {record.seed}: writing {form.title}")
    if out.is_dir():
        out.rmdir()  # it is empty; another one takes its place at once
    with atomic_folder(out) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other libraries' own, of what will change in them
        form.write(trained, temporary)
        found = check(form, trained, temporary)
        exported_run(trained.store, trained.cell, temporary / FOLDER)
        card = model_card(
            trained.store, trained.cell, loading=_loading(form, trained, out), title=out.resolve().name,
            library=form.library,
        )  # fmt: skip
        (temporary / README).write_text(card, encoding="utf-8")
        (temporary / RECORD).write_text(json.dumps(_facts(form, trained, found), indent=1) + "\n", encoding="utf-8")
    return Export(out, to, record.method, record.seed, found)


def write_results(folder: Path, out: Path, form: ResultsFormat) -> list[Path]:
    """Write the scores of all finished cells as another project's tools read them.

    Args:
        folder: a run directory.
        out: a new or empty folder.
        form: what is written.

    Raises:
        IsoglossError: nothing is finished, or `out` holds something.
    """
    refuse_used(out)
    stored = run_directory(folder)
    if out.is_dir():
        out.rmdir()
    with atomic_folder(out) as temporary:
        files = [file.relative_to(temporary) for file in form.write(stored, temporary)]
    return [out / file for file in files]


def _loading(form: Format, trained: Trained, out: Path) -> str:
    """How the model is loaded, by the name of its folder alone: whoever has it, has it elsewhere."""
    return form.usage(trained).replace("FOLDER", repr(out.resolve().name))


def refuse_used(out: Path) -> None:
    """Refuse to write into a folder that holds something.

    Raises:
        IsoglossError: it does, or it is a file.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise IsoglossError(f"{out} is there already, and no folder; choose another one to write to")
    if out.is_dir() and any(out.iterdir()):
        raise IsoglossError(f"{out} is not empty; choose a new folder to write to")


def refuse_trained_elsewhere(record: RunRecord) -> None:
    """Refuse a cell that was trained elsewhere, and only scored here.

    Raises:
        IsoglossError: it is one.
    """
    name = record.facts["method"]
    if isinstance(find_method(name), Importer):
        path = record.facts["settings"].get("path")
        raise IsoglossError(
            f"{record.method} (method {name}, seed {record.seed}) was trained elsewhere and only scored here, so there "
            f"is nothing to export: what you would get lies at {path} already; choose another one by --method"
        )


def refuse_lacking(form: Format) -> None:
    """Refuse a format whose library is not here.

    Raises:
        IsoglossError: it is not.
    """
    for library in form.libraries:
        if find_spec(library) is None:
            raise IsoglossError(
                f"{form.name} needs the package {library.replace('_', '-')}, which is not installed; "
                f"{install(form.extra)}"
            )


def _facts(form: Format, trained: Trained, found: Check) -> dict[str, object]:
    """What made an export, and how it was checked."""
    record = trained.model.record
    libraries = ["torch", "transformers", *(name.replace("_", "-") for name in form.libraries)]
    return {
        "format": form.name,
        "method": record.method,
        "seed": record.seed,
        "weights_sha256": record.weights_sha256,
        "backbone": record.facts["backbone"],
        "computed_in": "float32",
        "check": asdict(found),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"isogloss": isogloss.__version__, **{name: version(name) for name in libraries}},
    }
