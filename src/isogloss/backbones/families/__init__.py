"""Families of models, found by listing this folder: a module with a `FAMILY` in it is one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from isogloss.backbones.families.family import Family

__all__ = ["Family", "families"]


@cache
def families() -> dict[str, Family]:
    """The family of every known model type, as transformers' configs call them."""
    found: dict[str, Family] = {}
    for module in pkgutil.iter_modules(__path__):
        family = getattr(importlib.import_module(f"{__name__}.{module.name}"), "FAMILY", None)
        if family is not None:
            found |= dict.fromkeys(sorted(family.model_types), family)
    return dict(sorted(found.items()))
