"""Evaluation: every language of a task in one stream sorted by length; predictions first, scores from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from isogloss import heads, metrics, store
from isogloss.batching import Features, tokenise
from isogloss.data import Examples
from isogloss.languages import Language
from isogloss.runs import Run, Stack, decode


@dataclass(frozen=True, eq=False)
class TestSet:
    """The test splits of several languages, end to end and tokenised once for all methods and seeds."""

    __test__ = False  # not a test class of pytest's

    examples: Sequence[Examples]
    features: Features

    @property
    def languages(self) -> list[Language]:
        """In the order of the stream's rows."""
        return [examples.language for examples in self.examples]


def features(examples: Examples, labels: Sequence[str], tokenizer: object) -> Features:
    """A split, tokenised, its labels as class numbers."""
    number = {label: i for i, label in enumerate(labels)}
    return tokenise(examples.texts, [number[label] for label in examples.table["label"]], tokenizer)


def test_set(examples: Sequence[Examples], labels: Sequence[str], tokenizer: object) -> TestSet:
    """Several languages' test splits, tokenised."""
    parts = [features(part, labels, tokenizer) for part in examples]
    starts = np.concatenate([[0], np.cumsum(np.concatenate([part.lengths for part in parts]))])
    joined = Features(
        tokens=np.concatenate([part.tokens for part in parts]),
        types=None
        if parts[0].types is None
        else np.concatenate([part.types for part in parts if part.types is not None]),
        starts=starts,
        labels=np.concatenate([part.labels for part in parts]),
        texts=tuple([text for part in parts for text in part.texts[i]] for i in range(len(parts[0].texts))),
    )
    return TestSet(examples, joined)


test_set.__test__ = False  # type: ignore[attr-defined]


def predict(
    stack: Stack,
    runs: Sequence[Run],
    features: Features,
    *,
    budget: int,
    advance: Callable[[int], None] = lambda _: None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each run's predicted class and its probability for every example.

    Where nothing is inserted into the backbone, the texts are encoded once for all runs.

    Args:
        stack: the runs' backbone and method.
        runs: those to predict with.
        features: texts, not yet truncated.
        budget: most tokens of one forward pass.
        advance: called with the tokens done.
    """
    out, states = [], None
    for run in runs:
        run.part.eval()
        if states is None or not stack.head_only:
            cut = features.truncated(stack.room(run), stack.backbone.tokenizer)
            states = stack.states(cut, run, budget=budget, advance=advance)
        with torch.no_grad():
            zero = torch.zeros(len(states), dtype=torch.long, device=states.device)
            out.append(decode(heads.logits([run.head], states, zero)))
    return out


def predictions_table(
    test: TestSet, predicted: tuple[np.ndarray, np.ndarray], labels: Sequence[str], *, method: str, seed: int
) -> pl.DataFrame:
    """One row an example: what was right, what was said, and how sure the model was."""
    names = np.asarray(labels, dtype=object)
    classes, sure = predicted
    return pl.DataFrame(
        {
            "method": [method] * len(classes),
            "seed": [seed] * len(classes),
            "language": [str(part.language) for part in test.examples for _ in range(len(part))],
            "split": ["test"] * len(classes),
            "example": pl.concat([part.table["id"] for part in test.examples]),
            "gold": names[test.features.labels].tolist(),
            "predicted": names[classes].tolist(),
            "score": sure,
        },
        schema=store.PREDICTIONS,
    )


def scores_table(
    predictions: pl.DataFrame, labels: Sequence[str], names: Sequence[str], common: Mapping[str, object]
) -> pl.DataFrame:
    """Scores of each language and metric, from predictions alone."""
    number = {label: i for i, label in enumerate(labels)}
    rows = []
    for (language,), part in predictions.group_by(["language"], maintain_order=True):
        gold = np.array([number[label] for label in part["gold"]])
        predicted = np.array([number[label] for label in part["predicted"]])
        rows += [
            {
                **common, "language": language, "split": "test", "metric": name,
                "value": metrics.METRICS[name](gold, predicted), "n": len(gold),
            }
            for name in names
        ]  # fmt: skip
    return store.rows(store.SCORES, rows)
