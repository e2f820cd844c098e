"""A run directory whose data lie beside it and whose answers are told, not computed."""

import json

import polars as pl
import torch

from isogloss.experiment.data import open_spec
from isogloss.experiment.evaluate import scores_table
from isogloss.languages.language import Language
from isogloss.methods.registry import find
from isogloss.store import CONFIDENCE, HISTORY, PREDICTIONS, FinishedCell, RunRecord, Store
from isogloss.tasks.registry import TASKS
from synthetic import RECORD, resolved

COLUMNS = {
    "classification": {"id": "id", "text": "text", "label": "label"},
    "tagging": {"id": "id", "text": "words", "label": "labels"},
    "qa": {"id": "id", "text": "context", "second": "question", "label": "answers"},
}


def told(folder, rows, answers, *, kind="classification", seeds=1, sure=None, methods=("fine-tuning",), **card):
    """Write it.

    Args:
        folder: where to; the data go beside it.
        rows: test examples by code, each a dictionary in the columns of `COLUMNS`.
        answers: is given method, seed and code, and says what was answered to each example.
        kind: of task.
        seeds: how many.
        sure: is given the same, and says how sure each answer is before the temperature and after; none: nothing is
            known of that.
        methods: labels.
        card: what it says besides.
    """
    data = folder.parent / f"{folder.name}-data"
    for code, own in rows.items():
        (data / code).mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(row, ensure_ascii=False) for row in own)
        (data / code / "test.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    source, *targets = [str(Language.parse(code)) for code in rows]
    whole = {
        "name": "told", "kind": kind, "source": source, "columns": COLUMNS[kind], "languages": list(rows),
        "local": {"path": "{code}/{split}.jsonl", "format": "jsonl"}, **card,
    }  # fmt: skip
    of_methods = {label: {"method": label} for label in methods}
    spec = resolved(
        task="custom", data={"path": str(data), "card": whole}, source=source, targets=targets, methods=of_methods,
        seeds=list(range(seeds)), name="told",
    )  # fmt: skip
    stored = Store(folder)
    stored.begin(spec, {"python": "3", "packages": {}, "git": None})
    tests = {
        code: open_spec(spec).read_for(Language.parse(source)).examples(Language.parse(code), "test") for code in rows
    }
    for label in methods:
        for seed in range(seeds):
            _put(stored, spec, tests, answers, sure, label, seed)
    stored.gather()
    return folder


def _put(stored, spec, tests, answers, sure, label, seed):
    card = open_spec(spec).card
    task, parts, confidence = TASKS[card.kind], [], []
    for code, test in tests.items():
        known = [(None, None)] * len(test) if sure is None else sure(label, seed, code)
        part = pl.DataFrame(
            {"method": label, "seed": seed, "language": str(test.language), "split": "test",
             "example": test.table["id"], "gold": task.gold(test.table), "predicted": answers(label, seed, code),
             "score": [before for before, _ in known]}
        )  # fmt: skip
        parts.append(part.cast(pl.Schema(PREDICTIONS)))
        after = pl.Series("calibrated", [after for _, after in known], pl.Float32)
        confidence.append(parts[-1].with_columns(after).select(*CONFIDENCE))
    predictions = pl.concat(parts)
    common = {"backbone": spec.backbone, "task": "told", "method": label, "seed": seed, "source": spec.source}
    scores = scores_table(predictions, task, card.metrics, common)
    dev = scores.filter(language=spec.source, metric=card.metrics[0]).with_columns(split=pl.lit("dev"))
    record = {
        **RECORD, "method": label, "seed": seed, "kind": card.kind, "labels": card.labels,
        "test_data": {str(test.language): test.fingerprint for test in tests.values()},
        "temperature": None if sure is None else 2.0,
        "facts": {
            "method": label, "settings": find(label).settings.model_validate({}).model_dump(mode="json"),
            "metrics": card.metrics, "backbone": {"weights": "0" * 12, "dtype": "float32"},
        },
    }  # fmt: skip
    tables = {"scores": pl.concat([scores, dev]), "predictions": predictions, "history": pl.DataFrame(schema=HISTORY)}
    if sure is not None:
        tables["confidence"] = pl.concat(confidence)
    stored.put(FinishedCell(RunRecord(**record), {"head.weight": torch.zeros(1)}, tables))
