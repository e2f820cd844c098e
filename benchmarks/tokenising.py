"""Tokenise many pairs of texts in this process, and say in a line of JSON what it took.

    python -m benchmarks.tokenising PAIRS

The texts are as long as XNLI's premises and hypotheses, of words of the embedded encoder's vocabulary.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from pathlib import Path

PREMISE, HYPOTHESIS = 20, 10  # words on average


def main() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from transformers import AutoTokenizer

    from benchmarks.contestants.isogloss import tokenised
    from isogloss.backbones.packaged import e5

    pairs = int(sys.argv[1])
    tokenizer = AutoTokenizer.from_pretrained(e5.folder())
    draw = random.Random(0)  # noqa: S311
    words = sorted(piece[1:] for piece in tokenizer.get_vocab() if piece[:1] == "\u2581" and piece[1:].isascii())

    def texts(mean: int) -> list[str]:
        return [" ".join(draw.choices(words, k=draw.randint(mean // 2, 3 * mean // 2))) for _ in range(pairs)]

    first, second = texts(PREMISE), texts(HYPOTHESIS)
    before = _now()
    began = time.monotonic()
    tokens = tokenised(first, second, tokenizer)
    taken = time.monotonic() - began
    print(json.dumps({"seconds": taken, "memory": (_most() - before) / 1e9, "pairs": pairs, "tokens": tokens}))


def _most() -> int:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _now() -> int:
    """The bytes that it holds; the most, where the system does not say."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text(encoding="ascii").split()[1]) * resource.getpagesize() if pages.exists() else _most()


if __name__ == "__main__":
    main()
