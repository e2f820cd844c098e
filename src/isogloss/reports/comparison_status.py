"""How far a comparison of backbones is: each of its runs, and those that have not begun."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.jupyter import JupyterMixin

from isogloss.experiment.status import RunStatus, run_status
from isogloss.experiment.submitted import ClusterJob
from isogloss.reports.status import WIDTH, StatusReport
from isogloss.run_directory.comparison import comparison_of
from isogloss.runtime.console import PlainConsole, label
from isogloss.runtime.visible import one_line


@dataclass(frozen=True)
class ComparisonStatusReport(JupyterMixin):
    """Prints on a console of rich's, as text by `print`, and shows in a notebook.

    Args:
        path: the comparison's folder.
        runs: by backbone; None: it has not begun.
    """

    path: Path
    runs: Mapping[str, RunStatus | None]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The status of each, under the backbone's name, and a last line that sums up."""
        for name, status in self.runs.items():
            yield label(one_line(name))
            yield StatusReport(status) if status is not None else label("nothing is trained yet")
            yield ""
        whole = [name for name, status in self.runs.items() if status is not None and _whole(status)]
        yield label(one_line(f"{self.path}: {len(whole)} of {len(self.runs)} backbones are finished"))

    def __str__(self) -> str:
        text = io.StringIO()
        PlainConsole(width=WIDTH, file=text).print(self, soft_wrap=True)
        return text.getvalue()


def _whole(status: RunStatus) -> bool:
    return bool(status.cells) and all(cell.state == "finished" and not cell.lacking for cell in status.cells)


def status_report(folder: Path, look: Callable[[Path], Sequence[ClusterJob]]) -> StatusReport | ComparisonStatusReport:
    """How far a run directory or a comparison of backbones is.

    Args:
        folder: where it is.
        look: gives the jobs of a run directory that are on a cluster.

    Raises:
        IsoglossError: it is none.
    """
    if (comparison := comparison_of(folder)) is None:
        return StatusReport(run_status(folder, look))
    runs = {name: run_status(run, look) if run.is_dir() else None for name, run in comparison.runs.items()}
    return ComparisonStatusReport(folder, runs)
