"""Families of models, found by listing this folder: a module with a `FAMILY` in it is one."""

from __future__ import annotations

from functools import cache

from isogloss.backbones.families.family import Family
from isogloss.runtime.registry import discover


@cache
def families() -> dict[str, Family]:
    """The family of every known model type, as transformers' configs call them."""
    by_type = {kind: family for family in discover(__package__, "FAMILY") for kind in family.model_types}
    return dict(sorted(by_type.items()))
