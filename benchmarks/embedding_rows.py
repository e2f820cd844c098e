"""What it costs to fine-tune the word embedding too: all of its rows, only those that training shows, or none.

    python benchmarks/embedding_rows.py

Updates of the embedded encoder on voice-intents' English sentences, in turn; ratios of the medians, and the numbers
that the optimiser keeps two states of.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from isogloss.backbones.loading import load
from isogloss.data.dataset import open_data
from isogloss.languages.language import Language
from isogloss.methods.registry import find
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training.loop import Inputs, update
from isogloss.training.run import Run, new_run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState

ROUNDS, BUDGET = 15, 2048


def main() -> None:
    backbone = load("embedded/multilingual-e5-small")
    data = open_data("voice-intents")
    table = data.examples(Language.parse("en"), "train").table
    gold = [data.card.labels.index(label) for label in table["label"]]
    features = tokenise((table["text"].to_list(),), gold, backbone.tokenizer)
    seen = torch.from_numpy(np.unique(features.tokens))
    method = find("fine-tuning")
    cases: dict[str, tuple[Run, TrainState, Inputs]] = {}
    for name, embeddings, rows in (("none", False, None), ("rows", True, seen), ("all", True, None)):
        own = backbone.copy(rows)
        settings = method.settings.model_validate({"embeddings": embeddings, "epochs": 10})
        run = new_run(method, own, settings, seed=0, classes=len(data.card.labels))
        train_state = TrainState(run, features, features, "accuracy", lambda _: 0.0)
        cases[name] = run, train_state, Inputs(Stack(own, method, [run]), [train_state], BUDGET)
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (_, train_state, inputs) in cases.items():
            begin = time.perf_counter()
            update(inputs.stack, [train_state], inputs, BUDGET)
            taken[name].append(time.perf_counter() - begin)
    median = {name: statistics.median(times[2:]) for name, times in taken.items()}
    print(f"{len(seen):,} of {backbone.word_embedding.get_parameter('weight').shape[0]:,} rows occur")
    for name, (run, _, _) in cases.items():
        print(f"{name}: {median[name] / median['none']:.2f} of an update's time, {run.trainable():,} numbers learn")


if __name__ == "__main__":
    main()
