"""Notebooks as pages: text as MyST, code as code, and what was printed or drawn when it was last run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx


class NotebookParser(MystParser):
    """Reads a notebook by way of MyST."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Turn the notebook into nodes."""
        super().parse("\n".join(page(json.loads(inputstring))), document)


def page(notebook: dict[str, Any]) -> Iterator[str]:
    """A notebook as MyST, line by line."""
    for cell in notebook["cells"]:
        text = joined(cell["source"])
        if cell["cell_type"] == "markdown":
            yield from [text, ""]
        elif cell["cell_type"] == "code" and text.strip():
            yield from ["```python", text, "```", ""]
            for output in cell["outputs"]:
                yield from shown(output)


def shown(output: dict[str, Any]) -> Iterator[str]:
    """One output of a cell: as a drawing where it is one, else as HTML, else as text."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/svg+xml" in data:
        yield from ["```{raw} html", f'<div class="output">{joined(data["image/svg+xml"])}</div>', "```", ""]
    elif "image/png" in data:
        image = f'<img alt="" src="data:image/png;base64,{joined(data["image/png"]).strip()}">'
        yield from ["```{raw} html", f'<div class="output">{image}</div>', "```", ""]
    elif "text/html" in data:
        yield from ["```{raw} html", f'<div class="output">{joined(data["text/html"])}</div>', "```", ""]
    elif text := joined(data.get("text/plain", "")).strip("\n"):
        yield from ["```{code-block} text", ":class: output", "", text, "```", ""]


def joined(text: str | list[str]) -> str:
    """A text that the format may have split into lines."""
    return text if isinstance(text, str) else "".join(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the parser."""
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
