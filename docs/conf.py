"""How the site is built: `make docs`, or `python -m sphinx -W --keep-going docs docs/_build/html`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import isogloss

project = "isogloss"
author = copyright = "The isogloss developers"
version = release = isogloss.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference", "drawing", "notebook"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown", ".ipynb": "notebook"}
nitpicky = True
# What annotations of the API name, but this site has no page for.
nitpick_ignore_regex = [("py:.*", r"(?!isogloss\.(run|open_run|load|analyze|report|status|Spec)$).*")]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes = False  # quotes in descriptions are YAML
default_role = "code"  # docstrings write `name`
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"isogloss {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-dark"
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0b5c8f", "color-brand-content": "#0b5c8f"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}
