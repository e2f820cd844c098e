"""isogloss: train in one language, know how well it works in every other, and close the gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isogloss.runtime.threads import let_wait

if TYPE_CHECKING:
    from isogloss.api import analyze, export, load, open_run, report, run, status
    from isogloss.spec import Spec

__version__ = "0.2.0"
__all__ = ["Spec", "analyze", "export", "load", "open_run", "report", "run", "status"]

let_wait()  # here, because it has to be before torch is imported


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for: `import isogloss` loads neither torch nor polars."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("isogloss.spec" if name == "Spec" else "isogloss.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
