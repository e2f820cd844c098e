"""What can be added to is found by listing a folder: a module with the right name in it is one more."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def discover(package: str, attribute: str) -> list[Any]:
    """What the modules of a package call `attribute`, in the order of the modules' names.

    Args:
        package: the folder, as a dotted name; folders in it are looked through too.
        attribute: such as `METHOD`.
    """
    folder = importlib.import_module(package)
    names = sorted(entry.name for entry in pkgutil.walk_packages(folder.__path__, f"{package}.") if not entry.ispkg)
    modules = [importlib.import_module(name) for name in names]
    return [getattr(module, attribute) for module in modules if hasattr(module, attribute)]
