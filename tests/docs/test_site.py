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

ROOT = Path(__file__).parents[2]
LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object|track|input|image|use)\b[^>]*?\s(?:src|srcset|data|href|xlink:href)=["']?([^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|icon|shortcut|preload|prefetch|modulepreload|preconnect|dns-prefetch|manifest))"""
    r"""[^>]*?\shref=["']?([^"'\s>]+)""",
    re.IGNORECASE,
)
STYLES = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", re.IGNORECASE)
ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


def built(out):
    for needed in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(needed, reason="the extra docs is not installed")
    options = ["-q", "-E", "-W", "--keep-going", "-d", str(out / "trees"), "-b", "html"]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(out / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "html"


def elsewhere(source, *patterns):
    loaded = ["".join(match) for pattern in patterns for match in pattern.findall(source)]
    return [address for address in loaded if ELSEWHERE.match(address)]


def text(page):
    return unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_the_site_builds_without_a_warning_asks_nothing_of_other_hosts_and_its_reference_is_whole(tmp_path):
    site = built(tmp_path)
    assert len(list(site.rglob("*.html"))) > 20
    for path in [found for kind in ("html", "css", "svg") for found in site.rglob(f"*.{kind}")]:
        patterns = [STYLES] if path.suffix == ".css" else [LOADS, STYLES]
        assert (path.name, elsewhere(path.read_text(encoding="utf-8"), *patterns)) == (path.name, [])
    reference = {page.stem: text(page) for page in (site / "reference").glob("*.html")}
    assert [key for key in Spec.model_fields if f"\n{key} · " not in reference["spec"]] == []
    assert "\ndata.train_limit · " in reference["spec"]
    for name, method in methods().items():
        assert f"\n{name}" in reference["methods"]
        keys = method.settings.model_fields.keys() - method.settings.FILLED_IN
        assert [key for key in keys if f"\n{key} · " not in reference["methods"]] == []
    for command in app.registered_commands:
        assert f"isogloss {command.name or command.callback.__name__} [OPTIONS]" in reference["commands"]
        for parameter in inspect.signature(command.callback, eval_str=True).parameters.values():
            (told,) = [one for one in parameter.annotation.__metadata__ if hasattr(one, "help")]
            assert told.help.replace("`", "") in reference["commands"]
    for page, names in {"tasks": cards(), "presets": presets()}.items():
        assert [name for name in names if name not in reference[page]] == []


def test_what_is_loaded_is_told_from_what_is_linked():
    page = '<a href="https://a.org">a</a><link rel="canonical" href="https://b.org">'
    page += '<script async src="//c.org/d.js"></script>'
    page += '<link rel="stylesheet" href="https://e.org/f.css"><style>@import "https://g.org/h.css"</style>'
    assert elsewhere(page, LOADS, STYLES) == ["//c.org/d.js", "https://e.org/f.css", "https://g.org/h.css"]
