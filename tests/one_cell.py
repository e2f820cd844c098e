"""A run directory of one cell whose answers are given: for what reads the store alone."""

import polars as pl
import torch

from isogloss.methods.registry import find
from isogloss.store import HISTORY, PREDICTIONS, SCORES, FinishedCell, RunRecord, Store, rows
from isogloss.tasks.registry import TASKS
from synthetic import RECORD, resolved


def one_cell(
    folder, gold, predicted, *, kind="classification", task="sib200", labels=("a", "b"), metrics=("accuracy",),
    method="linear-probe", name=None, seed=0, source="eng-Latn", spec=None, **record,
):  # fmt: skip
    """Write it.

    Args:
        gold: right answers by language, the source's first.
        predicted: what the cell says, alike.
        spec: keys of the spec besides the usual.
        record: of what `run.json` says besides the usual.
    """
    label = name or method
    settings = find(method).settings.model_validate({}).model_dump(mode="json")
    facts = {
        "method": method, "settings": settings, "metrics": list(metrics), "labels": list(labels), "source": source,
        "backbone": {"weights": "0" * 12, "dtype": "float32"},
    }  # fmt: skip
    made = RunRecord.model_validate({
        **RECORD, "method": label, "seed": seed, "kind": kind, "labels": list(labels), "facts": facts,
        "test_data": dict.fromkeys(gold, "0"), **record,
    })  # fmt: skip
    answers = [
        {"method": label, "seed": seed, "language": code, "split": "test", "example": str(number), "gold": right,
         "predicted": said, "score": 0.5}
        for code in gold
        for number, (right, said) in enumerate(zip(gold[code], predicted[code], strict=True))
    ]  # fmt: skip
    common = {"backbone": "b", "task": task, "method": label, "seed": seed, "source": source}
    scores = [
        {**common, "language": code, "split": "test", "metric": metric, "n": TASKS[kind].count(gold[code]),
         "value": TASKS[kind].metrics[metric](gold[code], predicted[code], code)}
        for code in gold
        for metric in metrics
    ]  # fmt: skip
    scores.append({**common, "language": source, "split": "dev", "metric": metrics[0], "value": 0.5, "n": 4})
    history = [{"method": label, "seed": seed, "step": 1, "epoch": 1.0, "tokens": 9, "loss": 0.5}]
    store = Store(folder)
    whole = {
        "task": task, "source": source, "targets": [code for code in gold if code != source],
        "methods": {label: {"method": method}}, **(spec or {}),
    }  # fmt: skip
    store.begin(resolved(**whole), {})
    tables = {
        "scores": rows(SCORES, scores), "predictions": rows(PREDICTIONS, answers).cast(pl.Schema(PREDICTIONS)),
        "history": rows(HISTORY, history),
    }  # fmt: skip
    store.put(FinishedCell(made, {"head.weight": torch.zeros(1)}, tables))
    store.gather()
    return store
