"""Seeds made of several things."""

from __future__ import annotations

import hashlib


def derive(*parts: object) -> int:
    """A seed made of several: the same on every machine, and unlike for unlike parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
