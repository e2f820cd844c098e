"""MTEB's results: `MODEL/REVISION/TASK.json` as its `TaskResult` reads it, and `model_meta.json` beside it.

Tasks are called `isogloss-NAME`, and not as MTEB's task of the same data set: MTEB fits a classifier to each language's
own training data over fixed embeddings, and these scores are zero-shot. A table that showed both in one column would be
wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isogloss.interop.results.published import TOOL, PublishedModel, iso_script, published, write_json
from isogloss.interop.results.results_format import ResultsFormat
from isogloss.store import Store

METRICS = {"macro-f1": "f1", "span-f1": "span_f1", "exact-match": "exact_match"}  # that MTEB calls otherwise


def _write(store: Store, out: Path) -> list[Path]:
    """A file a model, which has one task, and one of what is known of the model."""
    files = []
    for model in published(store):
        folder = out / model.name.replace("/", "__") / model.revision
        files.append(write_json(folder / f"{task_name(model)}.json", _task_result(model)))
        files.append(write_json(folder / "model_meta.json", _model_meta(model)))
    return files


def task_name(model: PublishedModel) -> str:
    """What the task of a run is called."""
    return f"{TOOL}-{model.task}"


def _task_result(model: PublishedModel) -> dict[str, Any]:
    return {
        "dataset_revision": model.data_revision,
        "task_name": task_name(model),
        "mteb_version": None,  # MTEB has computed nothing of it
        "scores": {"test": [_subset(model, code) for code in model.record.scored]},
        "evaluation_time": None,
        "kg_co2_emissions": None,
        "date": model.finished,
    }


def _subset(model: PublishedModel, code: str) -> dict[str, Any]:
    """The scores of one language, which MTEB calls a subset of the data set."""
    of_language = {score.metric: score for score in model.scores.languages if score.language == code}
    first = of_language[model.scores.metrics[0]]
    values: dict[str, Any] = {METRICS.get(metric, metric): score.value for metric, score in of_language.items()}
    values |= {"main_score": first.value, "n_samples": first.n}
    if first.own.low is not None:
        values |= {"main_score_low": first.low, "main_score_high": first.high}
    return {**values, "hf_subset": model.subset(code), "languages": [iso_script(code)]}


def _model_meta(model: PublishedModel) -> dict[str, Any]:
    record = model.record
    return {
        "name": model.name, "revision": model.revision, "release_date": None, "loader": None,
        "languages": [iso_script(code) for code in record.scored],
        "n_parameters": record.backbone_parameters, "n_embedding_parameters": None, "memory_usage_mb": None,
        "max_tokens": None, "embed_dim": None, "license": None, "open_weights": None, "public_training_code": None,
        "public_training_data": None, "framework": ["PyTorch"], "reference": None, "similarity_fn_name": None,
        "use_instructions": False, "training_datasets": None, "adapted_from": model.backbone.hub,
        "superseded_by": None, "modalities": ["text"],
    }  # fmt: skip


RESULTS_FORMAT = ResultsFormat("mteb", "results as MTEB keeps them", _write)
