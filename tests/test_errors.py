"""What errors say of names that are not known, and of what is to be installed."""

import re
import tomllib
from pathlib import Path

from isogloss.errors import install, unknown

ROOT = Path(__file__).parent.parent
TOLD = [
    file
    for folder in ("src", "docs", "benchmarks")
    for file in sorted((ROOT / folder).rglob("*"))
    if file.suffix in {".py", ".md", ".ipynb", ".yaml", ".html"} and "_build" not in file.parts
]


def test_of_few_names_all_are_told_and_of_many_the_nearest():
    assert str(unknown("list", "taks", ["tasks", "methods"])) == (
        "unknown list 'taks'; did you mean 'tasks'? known: methods, tasks"
    )
    assert str(unknown("list", "x", ["tasks", "methods"])) == "unknown list 'x'; known: methods, tasks"
    many = [f"name-{number}" for number in range(30)]
    assert str(unknown("name", "name-3x", many)) == "unknown name 'name-3x'; did you mean 'name-3'?"
    assert str(unknown("name", "?", many)).endswith("(and 10 more)")


def test_what_is_to_be_installed_exists():
    """The package is on no index: an extra is one of a clone's, and there is an extra of that name."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert install("hub") == "in a clone of isogloss: pip install '.[hub]'"
    seen = 0
    for file in [*TOLD, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"""pip install (-\S+ )*["']?isogloss\b|isogloss\[[a-z]""", text), file
        for found in re.findall(r"""install\(["']([a-z-]+)["']\)|['"]\.\[([a-z,-]+)\]""", text):
            for extra in "".join(found).split(","):
                assert extra in extras, (file, extra)
                seen += 1
    assert seen > 15
