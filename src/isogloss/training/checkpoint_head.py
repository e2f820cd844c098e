"""What a checkpoint says of itself, read without anything that trains."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

KEY = "lane"  # of the facts in a file; checkpoints that lie in run directories are called so


def progress(file: Path) -> tuple[int, int] | None:
    """How many updates of how many a checkpoint holds, whatever run it is of, as it says itself; None: it says nothing.

    Checkpoints of before do not say of how many, which is 0.
    """
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {})[KEY])
        return int(facts["step"]), int(facts.get("total", 0))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
        return None
