"""Every Eval Ever's records: `data/TASK/isogloss/MODEL/UUID.json`, a model each, with a result a language and metric.

The schema is eval.schema.json of the project evaleval/every_eval_ever. Answers to single examples, which it has a place
for, are not written: they are the data set's.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

from isogloss.interop.cell_scores import LanguageScore
from isogloss.interop.results.published import TOOL, PublishedModel, published, write_json
from isogloss.interop.results.results_format import ResultsFormat
from isogloss.languages.language import Language
from isogloss.stats.bootstrap import RESAMPLES
from isogloss.stats.intervals import CONFIDENCE
from isogloss.store import Store

SCHEMA = "0.3.0"
# By metric: its id among all records, and the family that may be averaged.
METRICS = {
    "accuracy": ("accuracy", "accuracy"), "macro-f1": ("f1_macro", "f1"), "span-f1": ("span_f1", "f1"),
    "exact-match": ("exact_match", "exact_match"), "f1": ("f1", "f1"),
}  # fmt: skip


def _write(store: Store, out: Path) -> list[Path]:
    """A file a model."""
    files = []
    for model in published(store):
        folder = out / "data" / model.task / TOOL / model.short_name
        files.append(write_json(folder / f"{_uuid(model)}.json", _record(model)))
    return files


def _uuid(model: PublishedModel) -> uuid.UUID:
    """The same for the same cell, whenever it is written, in the form of a random one, which the project asks for."""
    identity = json.dumps([model.name, model.revision, model.data_revision], ensure_ascii=False).encode()
    return uuid.UUID(bytes=hashlib.sha256(identity).digest()[:16], version=4)


def _record(model: PublishedModel) -> dict[str, Any]:
    when = f"{model.finished:.0f}"
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{model.task}/{model.name}/{when}",
        "evaluation_timestamp": when,
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": TOOL, "source_type": "evaluation_run", "source_organization_name": "not stated",
            "evaluator_relationship": "first_party",
        },
        "eval_library": {"name": TOOL, "version": model.version},
        "model_info": {
            "name": model.short_name, "id": model.name,
            "inference_engine": {"name": TOOL, "version": model.version},
            "additional_details": _texts(_details(model)),
        },
        "evaluation_results": [_result(model, score) for score in model.scores.languages],
    }  # fmt: skip


def _details(model: PublishedModel) -> dict[str, Any]:
    record = model.record
    return {
        "deployment_type": "self_deployed", "model_availability": "unknown",
        "backbone": model.backbone.hub or model.backbone.name, "backbone_revision": model.backbone.revision,
        "backbone_parameters": record.backbone_parameters, "trainable_parameters": record.trainable_parameters,
        "weights_sha256": record.weights_sha256, "dtype": record.facts["backbone"]["dtype"],
        "method": model.method, "seed": record.seed, "trained_in": model.scores.source, "settings": model.settings,
    }  # fmt: skip


def _result(model: PublishedModel, score: LanguageScore) -> dict[str, Any]:
    known, kind = METRICS.get(score.metric, (f"{TOOL}.{score.metric}", score.metric))
    name = f"{TOOL}.{model.task}.{score.language}"
    return {
        "evaluation_result_id": f"{name}.{score.metric}",
        "evaluation_name": name,
        "source_data": _source_data(model, score),
        "evaluation_timestamp": f"{model.finished:.0f}",
        "metric_config": {
            "evaluation_description": (
                f"{score.metric} on the test split in {Language.parse(score.language).name}, of a model trained on "
                f"labels in {Language.parse(model.scores.source).name}"
            ),
            "metric_id": known, "metric_name": score.metric, "metric_kind": kind, "metric_unit": "proportion",
            "lower_is_better": False, "score_type": "continuous", "min_score": 0, "max_score": 1,
        },
        "score_details": {
            "score": score.value,
            "details": _texts({"language": score.language, "counted": score.n}),
            **_uncertainty(score),
        },
    }  # fmt: skip


def _source_data(model: PublishedModel, score: LanguageScore) -> dict[str, Any]:
    details = _texts({"language": score.language, "trained_in": model.scores.source})
    if model.hub_data is None:
        return {
            "dataset_name": model.scores.task, "source_type": "other", "source_id": model.scores.task,
            "source_version": model.data_revision, "additional_details": details,
        }  # fmt: skip
    hub = model.card.hub if model.card is not None else None
    split = hub.splits.get("test", "test") if hub is not None else "test"
    return {
        "dataset_name": model.scores.task, "source_type": "hf_dataset", "hf_repo": model.hub_data, "hf_split": split,
        "hf_config": model.subset(score.language), "hf_revision": model.data_revision, "additional_details": details,
    }  # fmt: skip


def _uncertainty(score: LanguageScore) -> dict[str, Any]:
    """What new examples would change, where it is known."""
    if score.error is None or score.examples is None:
        return {}
    found: dict[str, Any] = {
        "standard_error": {"value": score.error, "method": "bootstrap"},
        "num_samples": score.examples, "num_bootstrap_samples": RESAMPLES,
    }  # fmt: skip
    if score.own.low is not None:
        found["confidence_interval"] = {
            "lower": score.low, "upper": score.high, "confidence_level": CONFIDENCE,
            "method": "bootstrap standard error, Student's t",
        }  # fmt: skip
    return {"uncertainty": found}


def _texts(values: dict[str, Any]) -> dict[str, str]:
    """Values as texts, as the schema wants them; without what is not known."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if value is not None
    }


RESULTS_FORMAT = ResultsFormat("every-eval-ever", "records of Every Eval Ever", _write)
