"""The directive `drawing`: an SVG that a module of `docs/drawings` makes as the site is built, in the page."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = Path(__file__).parents[1] / "drawings"


class Drawing(SphinxDirective):
    """A figure; the argument names the module, the content is its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The drawing as HTML, and a caption below."""
        self.env.note_dependency(str(FOLDER / f"{self.arguments[0]}.py"))
        svg = importlib.import_module(self.arguments[0]).draw()
        caption = nodes.container(classes=["caption"])
        self.state.nested_parse(self.content, self.content_offset, caption)
        return [nodes.raw("", f'<div class="drawing">{svg}</div>', format="html"), caption]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    sys.path.insert(0, str(FOLDER))
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
