"""A run directory whose answers are drawn, not computed: for what reads the store alone."""

import numpy as np
import polars as pl
import torch

from isogloss.languages.language import Language, facts
from isogloss.methods.registry import find
from isogloss.spec import ResolvedSpec
from isogloss.store import HISTORY, FinishedCell, RunRecord, Store

NO_SCRIPT = {"bbj", "kea", "kmb"}  # no usual script is known of these
LABELS = ["geography", "politics", "sports"]


RECORD = {  # of a cell of which nothing is known but that it is one
    "method": "one", "seed": 0, "kind": "classification", "labels": LABELS, "inputs": ["text"], "facts": {},
    "test_data": {}, "trainable_parameters": 1000, "backbone_parameters": 10**6, "selected_epoch": 1, "updates": 20,
    "skipped_updates": 0, "source_learnt": None, "observed": None, "truncated": {"train": 0, "dev": 0, "test": 0},
    "environment": {},
}  # fmt: skip


def resolved(**changes):
    """A spec as a run directory has it."""
    spec = {
        "name": "synthetic", "backbone": "embedded/multilingual-e5-small", "task": "sib200", "source": "eng-Latn",
        "targets": [],
    }  # fmt: skip
    return ResolvedSpec.model_validate({**spec, **changes})


def languages(count: int) -> list[str]:
    """The source, and so many others."""
    codes = sorted(set(" ".join(facts()["families"].values()).split()) - {"eng"})
    parsed = {str(Language.parse(code)) for code in codes if code not in NO_SCRIPT}
    return ["eng-Latn", *sorted(parsed)[:count]]


def directory(
    folder,
    *,
    targets=6,
    methods=("fine-tuning", "deep-prompt"),
    seeds=3,
    examples=40,
    labels=LABELS,
    seed=0,
    data="0",
    unlabelled=0,
):
    """Write it. `methods` are labels: each is of the method that it names, or else of fine-tuning.

    `unlabelled` is how many of the targets, the last ones, have no labels.
    """
    generator = np.random.default_rng(seed)
    codes = languages(targets)
    scored = codes[: len(codes) - unlabelled]
    known = {label: label if label in {"fine-tuning", "deep-prompt"} else "fine-tuning" for label in methods}
    methods_of_spec = {label.partition("[")[0]: {"method": name} for label, name in known.items()}
    stored = Store(folder)
    stored.begin(
        resolved(
            methods=methods_of_spec, targets=scored[1:], unlabelled=codes[len(scored) :], seeds=list(range(seeds))
        ),
        {"python": "3", "packages": {}, "git": None},
    )
    ease = dict(zip(codes, [0.95, *generator.uniform(0.3, 0.9, len(codes) - 1)], strict=True))
    for number, label in enumerate(methods):
        settings = find(known[label]).settings.model_validate({})
        for own in range(seeds):
            noise = generator.normal(0, 0.02)
            tables = _tables(generator, codes, ease, labels, examples, label, own, 0.02 * number + noise)
            without = pl.col("language").is_in(codes[len(scored) :])
            tables["scores"] = tables["scores"].filter(~without)
            tables["predictions"] = tables["predictions"].with_columns(pl.when(~without).then("gold").alias("gold"))
            record = {
                **RECORD, "method": label, "seed": own, "labels": list(labels), "test_data": dict.fromkeys(codes, data),
                "unlabelled": codes[len(scored) :],
                "facts": {
                    "method": known[label], "settings": settings.model_dump(mode="json"), "metrics": ["accuracy"],
                    "backbone": {"weights": "0" * 12, "dtype": "float32"},
                },
                "trainable_parameters": 1000 * (number + 1),
            }  # fmt: skip
            stored.put(FinishedCell(RunRecord(**record), {"head.weight": torch.zeros(1)}, tables))
    stored.gather()
    return folder


def _tables(generator, codes, ease, labels, examples, label, seed, shift):
    gold = np.arange(examples) % len(labels)
    ease = np.array([ease[code] for code in codes])[:, None]
    right = generator.random((len(codes), examples)) < np.clip(ease + shift, 0, 1)
    names, every = np.array(labels, dtype=object), np.broadcast_to(gold, right.shape)
    said = np.where(right, every, (every + 1) % len(labels))
    predictions = pl.DataFrame({
        "method": label, "seed": seed, "language": np.repeat(np.array(codes, dtype=object), examples), "split": "test",
        "example": [str(place) for place in range(examples)] * len(codes), "gold": names[every.ravel()],
        "predicted": names[said.ravel()],
    }, schema_overrides=dict.fromkeys(["language", "gold", "predicted"], pl.String)).with_columns(
        pl.lit(None, pl.Float32).alias("score"), pl.col("seed").cast(pl.Int64)
    )  # fmt: skip
    scores = [
        {"language": code, "split": "test", "value": float(value), "n": examples}
        for code, value in zip(codes, right.mean(axis=1), strict=True)
    ]
    scores.append({"language": "eng-Latn", "split": "dev", "value": 0.9, "n": examples})
    named = {
        "backbone": "embedded/multilingual-e5-small", "task": "sib200", "method": label, "seed": seed,
        "source": "eng-Latn", "metric": "accuracy",
    }  # fmt: skip
    columns = ["backbone", "task", "method", "seed", "source", "language", "split", "metric", "value", "n"]
    history = [
        {"method": label, "seed": seed, "step": step, "epoch": step / 10, "tokens": step, "loss": 1 / (step + 1),
         "learning_rate": 1e-3, "metric": None, "value": None, "language": None}
        for step in range(0, 20, 10)
    ] + [
        {"method": label, "seed": seed, "step": step, "epoch": step / 10, "tokens": step, "loss": 0.5,
         "learning_rate": None, "metric": "accuracy", "value": 0.8 + step / 100, "language": "eng-Latn"}
        for step in (10, 20)
    ]  # fmt: skip
    return {
        "scores": pl.DataFrame([{**named, **row} for row in scores]).select(columns),
        "predictions": predictions,
        "history": pl.DataFrame(history, schema=HISTORY),
    }
