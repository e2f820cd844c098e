"""Run the notebook, and keep what its cells give in it: `python docs/run_notebook.py`, from an empty folder.

What was printed on the way, such as progress, is left out, and so is all that differs from one run to the next.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("notebook.ipynb")
KINDS = ("image/svg+xml", "text/html", "text/plain")  # the first that there is, is kept
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def executed(folder: Path) -> Any:
    """The notebook after it was run in a folder."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [_kept(output) for output in cell.outputs if output.output_type == "execute_result"]
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def _kept(output: Any) -> Any:
    kind = next(kind for kind in KINDS if kind in output.data)
    data = {kind: ANSI.sub("", output.data[kind])}
    return nbformat.v4.new_output("execute_result", data, execution_count=None)


if __name__ == "__main__":
    nbformat.write(executed(Path.cwd()), NOTEBOOK)
