"""Label short texts with a model in memory, beside the forward passes that it takes at least.

    python -m benchmarks.predicting [TEXTS]

The embedded encoder with a linear head and with a deep prompt; texts of SIB-200's length and of a few words. Bare is
one stream of forward passes, sorted by length, over tokens that are there already; `predict` begins with texts and ends
with answers. Says in lines of JSON what both took, the best of several rounds one after the other.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

ROUNDS = 3
WORDS = {"a few words": 6, "a sentence": 20}  # on average
METHODS: dict[str, dict[str, Any]] = {"linear-probe": {}, "deep-prompt": {"length": 16}}
CLASSES = 7


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    import torch

    from isogloss.backbones.loading import load
    from isogloss.backbones.packaged import e5

    backbone = load(e5.NAME)
    words = sorted(piece[1:] for piece in backbone.tokenizer.get_vocab() if piece[:1] == "▁" and piece[1:].isascii())
    for length, mean in WORDS.items():
        draw = random.Random(0)  # noqa: S311
        texts = [" ".join(draw.choices(words, k=draw.randint(mean // 2, 3 * mean // 2))) for _ in range(count)]
        for method, settings in METHODS.items():
            taken = compared(model(backbone, method, settings), texts)
            told = {"texts": count, "of": length, "method": method, "threads": torch.get_num_threads()}
            print(json.dumps({**told, **taken}), flush=True)


def model(backbone: Any, method: str, settings: dict[str, Any]) -> Any:
    """A model with weights that nobody trained, which take as long as others."""
    from isogloss.experiment.predict import Model
    from isogloss.methods.registry import find
    from isogloss.store import RunRecord
    from isogloss.training.run import new_run
    from isogloss.training.stack import Stack

    found = find(method)
    checked = found.settings.model_validate(settings)
    run = new_run(found, backbone, checked, seed=0, classes=CLASSES)
    record = RunRecord(
        method=method, name=method, variant={}, seed=0, facts={"subword": "first", "longest": None}, test_data={},
        kind="classification", inputs=["text"], labels=[f"label {number}" for number in range(CLASSES)],
        trainable_parameters=0, backbone_parameters=1, selected_epoch=1, updates=1, skipped_updates=0,
        source_learnt=None, observed=None, truncated={}, environment={}, temperature=2.0,
    )  # fmt: skip
    return Model(record, Stack(backbone, found, [run]), None)


def compared(model: Any, texts: list[str]) -> dict[str, float]:
    """Seconds of bare forward passes and of `predict`, and how many times longer the second takes."""
    from isogloss.preprocessing.batching import budgets
    from isogloss.preprocessing.truncate import fit

    stack = model.stack
    (run,) = stack.runs
    features = fit(model.features([[text] for text in texts], None), stack.room(run), stack.backbone.tokenizer)
    budget = budgets(stack.backbone.device)[1]
    run.part.eval()
    taken: dict[str, list[float]] = {"bare": [], "predict": []}
    processor: dict[str, list[float]] = {"bare": [], "predict": []}  # which other programs hardly change
    works: dict[str, Callable[[], Any]] = {
        "bare": lambda: stack.logits(features, [run], budget=budget),
        "predict": lambda: model.predict(texts),
    }
    for _ in range(ROUNDS):
        for name, work in works.items():
            began, used = time.perf_counter(), time.process_time()
            work()
            taken[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - used)
    return {
        **{name: min(times) for name, times in taken.items()},
        "ratio": min(taken["predict"]) / min(taken["bare"]),
        "processor_ratio": min(processor["predict"]) / min(processor["bare"]),
    }


if __name__ == "__main__":
    main()
