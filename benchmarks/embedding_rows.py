"""What it costs to fine-tune the word embedding too: all of its rows, only those that training shows, or none.

    python -m benchmarks.embedding_rows

Updates of the embedded encoder on voice-intents' English sentences, in turn; ratios of the medians, and the numbers
that the optimiser keeps two states of.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.contestants.contestant import Match
from benchmarks.contestants.isogloss import Isogloss
from benchmarks.shapes import SHAPES
from benchmarks.texts import CLASSES, Texts
from isogloss.backbones.packaged import e5
from isogloss.data.dataset import open_data
from isogloss.languages.language import Language

ROUNDS = 15


def main() -> None:
    from transformers import AutoTokenizer

    sentences = open_data("voice-intents").examples(Language.parse("en"), "train").table["text"].to_list()
    rows = [np.array(row) for row in AutoTokenizer.from_pretrained(e5.folder())(sentences)["input_ids"]]
    texts = Texts(rows, np.arange(len(rows)) % CLASSES)
    match = Match(SHAPES["small"], Path(e5.folder()), "fine-tuning", 32, texts, texts, torch.device("cpu"))
    cases = {
        name: Isogloss(match, settings={"embeddings": embeddings}, seen=seen)
        for name, embeddings, seen in (("none", False, False), ("rows", True, True), ("all", True, False))
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(ROUNDS):
        for name, case in cases.items():
            seconds = case.train(1)
            if number > 1:  # the first ones warm up
                taken[name].append(seconds)
    print(f"{len(np.unique(np.concatenate(rows))):,} rows occur")
    for name, case in cases.items():
        ratio = median(taken[name]) / median(taken["none"])
        print(f"{name}: {ratio:.2f} of an update's time, {case.way['trainable']:,} numbers learn")


if __name__ == "__main__":
    main()
