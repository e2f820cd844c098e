"""How much text of a language XLM-R and its kin saw in pre-training."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from isogloss.languages.language import Language
from isogloss.runtime import yaml

VOCABULARY = 250_002  # pieces of XLM-R's, by which its kin are known


def gibibytes(language: Language) -> float | None:
    """Its text in CC-100, in GiB; 0 where there is none, None where that is not known (see `cc100.yaml`).

    Known to a tenth of a GiB. A region is as its language; a script that is not told apart from another is not known.
    """
    sizes, unknown = _facts()
    size = sizes.get(f"{language.iso}-{language.script}")
    if size is not None:
        return size
    return None if language.iso in unknown or any(code.startswith(f"{language.iso}-") for code in sizes) else 0.0


@cache
def _facts() -> tuple[dict[str, float], set[str]]:
    facts: dict[str, Any] = yaml.load(Path(str(resources.files("isogloss.languages") / "cc100.yaml")))
    rows = (row.split() for row in facts["sizes"].split(", "))
    return {code: float(size) for code, size in rows}, set(facts["unknown"].split())
