"""What pages say of files, rooms and versions is so."""

import importlib
import re
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import isogloss
from isogloss.runtime import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md"), *DOCS.glob("*.ipynb")]
)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
NAMED = re.compile(r"\b(?:src/isogloss|tests|benchmarks|docs)/[\w./-]*\w\.(?:py|md|yaml|ipynb|svg)\b")


def name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def drawings(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(DOCS / "drawings"), *sys.path])
    return [path.stem for path in sorted((DOCS / "drawings").glob("*.py")) if path.stem != "svg"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_named_files_are_there(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing
    assert not [path for path in NAMED.findall(text) if "NAME" not in path and not (ROOT / path).exists()]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_drawing_is_a_picture_with_a_title(drawings):
    assert drawings
    for drawing in drawings:
        picture = ET.fromstring(importlib.import_module(drawing).draw())  # noqa: S314 - our own
        assert picture.tag.endswith("svg")
        assert picture.get("aria-label")


def test_the_drawing_of_the_rooms_has_all_of_the_contract(drawings):
    assert "rooms" in drawings
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(one["layers"] for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    rooms = {room.strip(" ()").removeprefix("isogloss.") for layer in layers for room in re.split("[|:]", layer)}
    picture = importlib.import_module("rooms").draw()
    assert [room for room in sorted(rooms) if f">{room}</text>" not in picture] == []


def test_the_citation_names_the_four_papers():
    citation = yaml.load(ROOT / "CITATION.cff")
    assert citation["authors"] == [{"name": "The isogloss developers"}]
    cited = {paper["identifiers"][0]["value"] for paper in citation["references"]}
    assert cited == {"arXiv:2210.12360", "arXiv:2311.07820", "arXiv:2402.03782", "arXiv:2305.11449"}


def test_the_changelog_begins_with_what_is_new():
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert titles[0] == "Unreleased" or titles[0].startswith(isogloss.__version__)
