"""isogloss, as `isogloss run` trains and evaluates: the only file of the suite that knows its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.contestants.contestant import PROMPT, Match
from benchmarks.measure import seconds
from benchmarks.texts import CLASSES, Texts
from isogloss.backbones.backbone import Backbone
from isogloss.backbones.loading import load
from isogloss.experiment.evaluate import predict
from isogloss.methods.registry import find
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.ragged import starts_of
from isogloss.preprocessing.tokenize import tokenise
from isogloss.preprocessing.truncate import fit
from isogloss.training.engine import Engine
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState

EPOCHS = 100_000  # more than is ever measured


@dataclass
class Isogloss:
    """K runs of one method, seeds 0 to K - 1. See `Contestant`.

    Args:
        match: what is learnt on.
        runs: K.
        dropout: whether what learns inside the backbone drops out, as by default; a frozen backbone never does.
        settings: more of the method's.
        seen: whether the backbone is told which words training shows (for a word embedding that learns).
    """

    match: Match
    runs: int = 1
    dropout: bool = True
    settings: Mapping[str, Any] | None = None
    seen: bool = False

    def __post_init__(self) -> None:
        match, method = self.match, find(self.match.method)
        backbone = _backbone(match.checkpoint, str(match.device))
        if not method.frozen:
            words = np.unique(np.concatenate(list(match.train.rows)))
            backbone = backbone.copy(torch.from_numpy(words) if self.seen else None)
        given = {
            "batch_size": match.batch, "epochs": EPOCHS, "warmup": 0.0, "decay": "constant",
            **({"length": PROMPT} if "prompt" in match.method else {}),
            **({} if method.frozen or self.dropout else {"backbone_dropout": 0.0}), **(self.settings or {}),
        }  # fmt: skip
        settings = method.settings.model_validate(given)
        made = [new_run(method, backbone, settings, seed=seed, classes=CLASSES) for seed in range(self.runs)]
        self.stack = Stack(backbone, method, made)
        train = fit(features(match.train), self.stack.room(made[0]), backbone.tokenizer)
        self.test = features(match.test)
        self.train_states = [TrainState(run, train, train, "accuracy", lambda _: 0.0) for run in made]
        self.engine = Engine(self.stack, self.train_states, budget=budgets(backbone.device)[0])
        self.dtype = backbone.dtype
        self.way: Mapping[str, Any] = {"trainable": made[0].trainable()}

    def train(self, updates: int) -> float:
        """See `Contestant`."""

        def work() -> None:
            for train_state in self.train_states:
                train_state.run.part.train()
            for _ in range(updates):
                self.engine.update()
            self.engine.fetch()  # as at the end of an epoch

        return seconds(work, self.match.device)

    def evaluate(self) -> float:
        """See `Contestant`."""
        return seconds(lambda: self.scores(self.test), self.match.device)

    def scores(self, texts: Features) -> list[torch.Tensor]:
        """What the first run says of texts."""
        return [predicted.scores for predicted in predict(self.stack, self.stack.runs[:1], texts)]

    def close(self) -> None:
        """Nothing is held outside Python."""


@lru_cache(maxsize=1)
def _backbone(folder: Path, device: str) -> Backbone:
    """Frozen, so that all stacks of a contest share it."""
    return load(str(folder), device=device)


def features(texts: Texts) -> Features:
    """Texts as isogloss has them."""
    rows = [np.asarray(row, dtype=np.int32) for row in texts.rows]
    lengths = np.asarray([len(row) for row in rows])
    return Features(np.concatenate(rows), None, starts_of(lengths), labels=texts.labels)


def tokenised(first: Sequence[str], second: Sequence[str], tokenizer: Any) -> int:
    """Tokens of pairs of texts, tokenised as a training set is."""
    return len(tokenise((first, second), [0] * len(first), tokenizer).tokens)
