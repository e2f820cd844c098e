"""The site builds without a warning, asks nothing of other hosts, and its reference is whole."""

import inspect
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from isogloss.cli.commands import app
from isogloss.data.cards import cards
from isogloss.methods.registry import methods
from isogloss.spec import Spec, presets

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object|track|input|image|use)\b[^>]*?\s(?:src|srcset|data|href|xlink:href)=["']?([^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|icon|shortcut|preload|prefetch|modulepreload|preconnect|dns-prefetch|manifest))"""
    r"""[^>]*?\shref=["']?([^"'\s>]+)""",
    re.IGNORECASE,
)
STYLES = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", re.IGNORECASE)
ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for needed in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(needed, reason="the extra docs is not installed")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-d", str(out / "trees"), "-b", "html"]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(out / "html")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def text(page):
    return unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_no_page_loads_anything_from_elsewhere(site):
    pages, found = sorted(site.rglob("*.html")), []
    assert len(pages) > 20
    for path in [*pages, *site.rglob("*.css"), *site.rglob("*.svg")]:
        source = path.read_text(encoding="utf-8")
        patterns = [STYLES] if path.suffix == ".css" else [LOADS, STYLES]
        loaded = ["".join(match) for pattern in patterns for match in pattern.findall(source)]
        found += [(path.name, address) for address in loaded if ELSEWHERE.match(address)]
    assert not found


def test_what_is_loaded_is_told_from_what_is_linked():
    page = '<a href="https://a.org">a</a><link rel="canonical" href="https://b.org">'
    page += '<script async src="//c.org/d.js"></script>'
    page += '<link rel="stylesheet" href="https://e.org/f.css"><style>@import "https://g.org/h.css"</style>'
    loaded = ["".join(match) for pattern in (LOADS, STYLES) for match in pattern.findall(page)]
    assert [address for address in loaded if ELSEWHERE.match(address)] == [
        "//c.org/d.js", "https://e.org/f.css", "https://g.org/h.css",
    ]  # fmt: skip


def test_the_reference_has_every_key_setting_and_option(site):
    spec = text(site / "reference" / "spec.html")
    assert [key for key in Spec.model_fields if f"\n{key} · " not in spec] == []
    assert "\ndata.train_limit · " in spec
    settings = text(site / "reference" / "methods.html")
    for name, method in methods().items():
        assert f"\n{name}" in settings
        assert [key for key in method.settings.model_fields if f"\n{key} · " not in settings] == []
    commands = text(site / "reference" / "commands.html")
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert f"isogloss {name} [OPTIONS]" in commands
        for parameter in inspect.signature(command.callback, eval_str=True).parameters.values():
            (told,) = [one for one in parameter.annotation.__metadata__ if hasattr(one, "help")]
            assert told.help.replace("`", "") in commands


def test_the_lists_are_whole(site):
    for page, names in {"tasks": cards(), "presets": presets()}.items():
        listed = text(site / "reference" / f"{page}.html")
        assert [name for name in names if name not in listed] == []
