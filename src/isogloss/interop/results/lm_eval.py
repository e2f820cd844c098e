"""lm-evaluation-harness's results: `MODEL/results_DATE.json`, a task a language, and the targets' mean as a group."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isogloss.interop.cell_scores import LanguageScore
from isogloss.interop.results.published import TOOL, PublishedModel, published, write_json
from isogloss.interop.results.results_format import ResultsFormat
from isogloss.stats.bootstrap import RESAMPLES
from isogloss.stats.intervals import CONFIDENCE
from isogloss.store import Store

METRICS = {"accuracy": "acc", "macro-f1": "f1", "span-f1": "span_f1", "exact-match": "exact_match"}
VERSION = 1.0  # of the tasks: raise it where the same run would be scored otherwise
NOT_KNOWN = "N/A"  # the harness's word for a standard error that was not computed


def _write(store: Store, out: Path) -> list[Path]:
    """A file a model."""
    files = []
    for model in published(store):
        date = datetime.fromtimestamp(model.finished, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        folder = out / model.name.replace("/", "__")
        files.append(write_json(folder / f"results_{date.replace(':', '-')}.json", _results(model)))
    return files


def _results(model: PublishedModel) -> dict[str, Any]:
    group = _plain(f"{TOOL}_{model.task}")
    tasks = {code: _plain(f"{group}_{code}") for code in model.record.scored}
    by_language: dict[str, list[LanguageScore]] = {code: [] for code in tasks}
    for score in model.scores.languages:
        by_language[score.language].append(score)
    mean = _of_group(model, group)
    results = {group: mean} if mean else {}
    results |= {task: {"alias": code, **_of_language(by_language[code])} for code, task in tasks.items()}
    better = {_metric(metric): True for metric in model.scores.metrics}
    return {
        "results": results,
        **({"groups": {group: mean}} if mean else {}),
        "group_subtasks": {group: list(tasks.values())} if mean else {task: [] for task in tasks.values()},
        "configs": {task: _config(model, task, code) for code, task in tasks.items()},
        "versions": {**({group: VERSION} if mean else {}), **dict.fromkeys(tasks.values(), VERSION)},
        "n-shot": dict.fromkeys(tasks.values(), 0),
        "higher_is_better": dict.fromkeys(results, better),
        "n-samples": {tasks[code]: _samples(by_language[code]) for code in tasks},
        "config": {
            "model": TOOL, "model_args": _arguments(model), "model_num_parameters": model.record.backbone_parameters,
            "model_dtype": str(model.record.facts["backbone"]["dtype"]), "model_revision": model.revision,
            "model_sha": model.record.weights_sha256 or "", "batch_size": None, "batch_sizes": [], "device": None,
            "use_cache": None, "limit": None, "bootstrap_iters": RESAMPLES, "gen_kwargs": None,
            "random_seed": model.record.seed,
        },
        "git_hash": model.record.environment.get("git"),
        "date": model.finished,
        "pretty_env_info": "",
        "transformers_version": _package(model, "transformers"),
        "lm_eval_version": None,  # the harness has computed nothing of it
        "isogloss_version": model.version,
        "task_hashes": {},
        "model_source": TOOL,
        "model_name": model.name,
        "model_name_sanitized": model.name.replace("/", "__"),
        "system_instruction": None, "system_instruction_sha": None, "fewshot_as_multiturn": None,
        "chat_template": None, "chat_template_sha": None, "start_time": None, "end_time": None,
        "total_evaluation_time_seconds": None,
    }  # fmt: skip


def _of_language(scores: list[LanguageScore]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for score in scores:
        values[f"{_metric(score.metric)},none"] = score.value
        values[f"{_metric(score.metric)}_stderr,none"] = NOT_KNOWN if score.error is None else score.error
    return values


def _of_group(model: PublishedModel, group: str) -> dict[str, Any]:
    """The mean over targets, in the first metric; nothing where there is none."""
    mean = model.scores.over.get("target")
    if mean is None or mean.value is None or not math.isfinite(mean.value):
        return {}
    name = _metric(model.scores.metrics[0])
    error: float | str = NOT_KNOWN
    if mean.low is not None and mean.high is not None:
        error = (mean.high - mean.low) / (2 * _quantile())
    return {"alias": group, f"{name},none": mean.value, f"{name}_stderr,none": error}


def _quantile() -> float:
    """Half of a 95 % interval in standard errors, where examples are many."""
    from scipy import special

    return float(special.ndtri((1 + CONFIDENCE) / 2))


def _config(model: PublishedModel, task: str, code: str) -> dict[str, Any]:
    """What the harness would have in a task's file, as far as there is such a thing."""
    metrics = [
        {"metric": _metric(metric), "aggregation": "mean", "higher_is_better": True} for metric in model.scores.metrics
    ]
    return {
        "task": task, "dataset_path": model.hub_data or model.scores.task, "dataset_name": model.subset(code),
        "training_split": "train", "validation_split": "dev", "test_split": "test", "output_type": model.record.kind,
        "num_fewshot": 0, "repeats": 1, "metric_list": metrics,
        "metadata": {
            "version": VERSION, "language": code, "trained_in": model.scores.source,
            "data_revision": model.data_revision,
        },
    }  # fmt: skip


def _samples(scores: list[LanguageScore]) -> dict[str, int]:
    return dict.fromkeys(("original", "effective"), scores[0].n)


def _arguments(model: PublishedModel) -> dict[str, Any]:
    """What made the model; the harness's `pretrained` names the backbone."""
    return {
        "pretrained": model.backbone.hub or model.backbone.name, "method": model.method,
        "seed": model.record.seed, "source": model.scores.source, **model.settings,
    }  # fmt: skip


def _package(model: PublishedModel, name: str) -> str | None:
    packages = model.record.environment.get("packages")
    return packages.get(name) if isinstance(packages, dict) else None


def _metric(name: str) -> str:
    return METRICS.get(name, _plain(name))


def _plain(name: str) -> str:
    """A name as the harness has them: a comma or a stroke would mean something."""
    return re.sub(r"\W+", "_", name)


RESULTS_FORMAT = ResultsFormat("lm-eval", "results as lm-evaluation-harness writes them", _write)
