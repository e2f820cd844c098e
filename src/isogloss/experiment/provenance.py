"""What decides a result, and what it was made with: facts of a cell, the resolved spec, refusals of a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.device import capability
from isogloss.backbones.loading import fingerprint as weights_fingerprint
from isogloss.data.cards import CUSTOM
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import Cell, resolved_methods
from isogloss.experiment.data import ExperimentData
from isogloss.experiment.encoded import subword
from isogloss.languages.groups import is_group
from isogloss.methods.registry import find
from isogloss.runtime.environment import environment
from isogloss.spec import ResolvedSpec, Spec
from isogloss.store import Store, StoredCell

NO_LIMITS: dict[str, Any] = {}  # what a cell without limits says of them: nothing


def with_defaults(facts: dict[str, Any]) -> dict[str, Any]:
    """Stored facts, with settings that there were none of when they were stored at their defaults.

    Settings that there are none of any more stay, and make a difference.
    """
    model = find(facts["method"]).settings
    try:
        stored = model.spelled_out(facts["settings"])
        known = model.model_validate({name: value for name, value in stored.items() if name in model.model_fields})
    except ValueError:  # of a value that is none any more, the difference tells
        return facts
    return {**facts, "settings": {**stored, **known.model_dump(mode="json")}}


def difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """What changed between two cells' facts, a line each: `settings.lr: 0.01 → 0.02`."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += difference(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {before} → {after}")
    return lines


def common_facts(data: ExperimentData, backbone: Backbone) -> dict[str, Any]:
    """What decides the result of every cell alike."""
    return {
        "backbone": {
            "weights": backbone.identity.weights,
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "pooling": backbone.pooling,
        },
        "task": data.dataset.card.name,
        "kind": data.dataset.card.kind,
        "metrics": data.dataset.card.metrics,
        "labels": data.labels,
        "source": str(data.source),
        "train": data.train.fingerprint,
        "dev": data.dev.fingerprint,
        "subword": subword(data, backbone),
        "longest": data.longest,
        "shots": data.shots,
        **({} if (limits := data.dataset.limit_facts) is None else {"limits": limits}),
    }


def verbalizer_facts(spec: Spec, backbone: Backbone | None) -> dict[str, Any]:
    """What decides how classes are called, and by what head over the vocabulary they are scored.

    Args:
        spec: that names the words.
        backbone: with its head; None: which head it is is not asked for.
    """
    assert spec.verbalizer is not None
    given = spec.verbalizer.model_dump(mode="json")
    if backbone is None:
        return {**given, "vocabulary": ""}
    assert backbone.lm_head is not None
    return {**given, "vocabulary": weights_fingerprint(backbone.lm_head)}


def refuse_changes(
    out: Path,
    finished: Sequence[StoredCell],
    wanted: Sequence[Cell],
    common: Mapping[str, Any],
    test_data: Mapping[str, str],
) -> None:
    """Old results stay as they are: a spec that would make them differently is refused, with the difference.

    Args:
        out: the run directory.
        finished: its cells.
        wanted: the cells of the spec.
        common: the facts that all of these share.
        test_data: the fingerprint of each language's test split.

    Raises:
        IsoglossError: a stored cell would be made differently.
    """
    _refuse_first_rows(out, finished, common.get("limits"))
    common = {"limits": NO_LIMITS, **common}
    by_key = {cell.key: cell for cell in wanted}
    by_label = {cell.label: cell for cell in wanted}
    for stored in finished:
        label, _ = stored.key
        facts = {"limits": NO_LIMITS, **with_defaults(stored.checked().record.facts)}
        if (now := by_key.get(stored.key)) is not None:
            changes = difference(facts, with_defaults(now.facts(common)))
        elif (now := by_label.get(label)) is not None:  # another seed of the same method
            changes = difference({**facts, "seed": None}, {**with_defaults(now.facts(common)), "seed": None})
        else:
            # What words stand for classes matters to those alone whose classes are words.
            shared = {name: fact for name, fact in common.items() if name in facts or name != "verbalizer"}
            if (facts["settings"].get("found") or {}).get("subword"):  # it was trained so, whatever the others are
                shared.pop("subword", None)
            changes = difference({name: facts.get(name) for name in shared}, shared)
        scored = stored.record.test_data
        changes += [
            f"test data of {code}" for code in sorted(scored.keys() & test_data) if scored[code] != test_data[code]
        ]
        if changes:
            raise _made_differently(out, stored, changes)


def refuse_other_labels(out: Path, finished: Sequence[StoredCell], data: ExperimentData) -> None:
    """A language has labels in all of a run directory or in none of it.

    Args:
        out: the run directory.
        finished: its cells.
        data: of the experiment that adds to them.

    Raises:
        IsoglossError: labels have come, or are not looked at any more.
    """
    without = {str(test.language) for test in data.unlabelled}
    for stored in finished:
        before = set(stored.record.unlabelled)
        if come := sorted((before & data.test_data.keys()) - without):
            raise IsoglossError(
                f"{out} has predicted {', '.join(come)} without labels, which are there now: choose another --out to "
                "have it scored, or name it in `unlabelled`"
            )
        if gone := sorted((without & set(stored.record.test_data)) - before):
            raise IsoglossError(
                f"{out} has scored {', '.join(gone)}, which is without labels now: choose another --out, or give the "
                "labels as before"
            )


def refuse_changed_settings(out: Path, finished: Sequence[StoredCell], wanted: Sequence[Cell]) -> None:
    """What `refuse_changes` refuses of a spec alone, before data and backbone are read.

    Args:
        out: the run directory.
        finished: its cells.
        wanted: the cells of the spec.

    Raises:
        IsoglossError: a stored cell would be of another method or of other settings.
    """
    by_label = {cell.label: cell for cell in wanted}
    for stored in finished:
        if (cell := by_label.get(stored.record.method)) is None:
            continue
        facts = with_defaults(stored.checked().record.facts)
        found_out = cell.settings.FILLED_IN  # which only data and backbone tell
        now = {"method": cell.method_name, "settings": cell.settings.model_dump(mode="json", exclude=set(found_out))}
        settings = {name: value for name, value in facts["settings"].items() if name not in found_out}
        if changes := difference({"method": facts["method"], "settings": settings}, now):
            raise _made_differently(out, stored, changes)


def limited_to_first_rows(spec: Spec, finished: Sequence[StoredCell]) -> bool:
    """Whether a run directory is of before limits were drawn, when they took the first rows of each file."""
    given = spec.data.train_limit, spec.data.dev_limit, spec.data.test_limit
    return any(given) and any("limits" not in stored.record.facts for stored in finished)


def refuse_changed_limits(out: Path, finished: Sequence[StoredCell], limits: Mapping[str, Any] | None) -> None:
    """What limits leave of the data is drawn once for all cells of a run directory.

    Args:
        out: the run directory.
        finished: its cells.
        limits: see `DataSet.limit_facts`.

    Raises:
        IsoglossError: a stored cell was made with other limits, or with the first rows, as before limits were drawn.
    """
    _refuse_first_rows(out, finished, limits)
    for stored in finished:
        if changes := difference(stored.record.facts.get("limits", NO_LIMITS), dict(limits or NO_LIMITS), "limits."):
            raise _made_differently(out, stored, changes)


def _refuse_first_rows(out: Path, finished: Sequence[StoredCell], limits: Mapping[str, Any] | None) -> None:
    before = Store(out).spec() if finished and limits else None
    if before is not None and limited_to_first_rows(before, finished):
        raise IsoglossError(
            f"{out} was made when a limit took the first rows of a split, which may be of one label; now it is drawn "
            "from all of them, and the two do not mix: choose another --out (this one still opens and reports)"
        )


def _made_differently(out: Path, stored: StoredCell, changes: Sequence[str]) -> IsoglossError:
    label, seed = stored.key
    return IsoglossError(
        f"{out} holds {label} seed {seed}, made differently ({'; '.join(changes)}); "
        "set it back, give the method another name, or choose another --out"
    )


def resolved_spec(spec: Spec, data: ExperimentData) -> ResolvedSpec:
    """The spec with every default filled in, every path absolute, and its languages named."""
    resolved = spec.model_dump(mode="json")
    if spec.data.path is not None:
        resolved["data"]["path"] = str(spec.data.path.resolve())
    if spec.data.train is not None and spec.data.train.path is not None:
        resolved["data"]["train"]["path"] = str(spec.data.train.path.resolve())
    if (folder := Path(spec.one_backbone).expanduser()).exists():
        resolved["backbone"] = str(folder.resolve())
    if spec.task == CUSTOM:  # the file beside the data may change
        resolved["data"]["card"] = data.dataset.card.model_dump(mode="json", exclude_defaults=True)
    if spec.data.train is not None and spec.data.train.task == CUSTOM and data.dataset.trainer is not None:
        trained = data.dataset.trainer.card
        resolved["data"]["train"]["card"] = trained.model_dump(mode="json", exclude_defaults=True)
    resolved["source"] = str(data.source)
    resolved["targets"] = [str(test.language) for test in data.tests if test.language != data.source]
    resolved["unlabelled"] = [str(test.language) for test in data.unlabelled]
    groups = [target for target in spec.targets if is_group(target)] if spec.targets != "all" else []
    resolved["groups"] = list(dict.fromkeys([*groups, *spec.groups]))
    resolved["methods"] = resolved_methods(spec)
    resolved["executor"] = {}  # where it was carried out is none of what was made
    return ResolvedSpec.model_validate(resolved)


def merged_spec(spec: ResolvedSpec, stored: ResolvedSpec | None) -> ResolvedSpec:
    """A spec together with the one that a run directory holds already."""
    if stored is None:
        return spec
    methods = {**stored.methods, **_with_old_variants(spec.methods, stored.methods)}
    for name in spec.methods.keys() & stored.methods.keys():
        now, before = methods[name], stored.methods[name]
        if "seeds" in now or "seeds" in before:
            now["seeds"] = sorted({*before.get("seeds", stored.seeds), *now.get("seeds", spec.seeds)})
    changes = {
        "data": _covering(spec, stored),
        "methods": methods,
        # What is only begun may still have been meant otherwise; `refuse_other_labels` sees to what is finished.
        "targets": sorted({*stored.targets, *spec.targets} - set(spec.unlabelled)),
        "unlabelled": sorted({*stored.unlabelled, *spec.unlabelled} - set(spec.targets)),
        "groups": list(dict.fromkeys([*stored.groups, *spec.groups])),
        "verbalizer": spec.verbalizer or stored.verbalizer,
        "seeds": sorted({*stored.seeds, *spec.seeds}),
    }
    return spec.model_copy(update=changes)


def _covering(spec: ResolvedSpec, stored: ResolvedSpec) -> Any:
    """The data as they are given now, unless those of before alone hold every language of the run directory.

    Each set of examples from Python has a folder of its own; one with fewer languages must not take those from the
    analyses.
    """
    languages = {*stored.targets, *spec.targets, *stored.unlabelled, *spec.unlabelled}

    def held(one: ResolvedSpec) -> set[str]:
        return set((one.data.card or {}).get("languages") or languages)

    return stored.data if languages <= held(stored) and not languages <= held(spec) else spec.data


def _with_old_variants(methods: dict[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Methods with the variants that are stored beside those that are asked for now."""
    return {
        name: {
            key: [*before, *(one for one in value if one not in before)]
            if isinstance(value, list) and isinstance(before := old.get(name, {}).get(key), list)
            else value
            for key, value in settings.items()
        }
        for name, settings in methods.items()
    }


def surroundings(data: ExperimentData, backbone: Backbone) -> dict[str, Any]:
    """What the run was made with and from."""
    card = data.dataset.card
    return {
        **environment(),
        "backbone": {
            "name": backbone.identity.name, "weights_sha256": backbone.identity.weights,
            "tokenizer_sha256": backbone.identity.tokenizer, "config": backbone.identity.config,
            "revision": backbone.identity.revision,
            "device": str(backbone.device), "capability": capability(backbone.device), "dtype": str(backbone.dtype),
        },
        "data": {
            "task": card.name, "hub": card.hub.id if card.hub and data.dataset.path is None else None,
            "revision": data.dataset.revision, "licence": card.licence,
            "train": data.dataset.trainer
            and {"task": data.dataset.trainer.card.name, "revision": data.dataset.trainer.revision},
            "sha256": {
                "train": data.train.fingerprint, "dev": data.dev.fingerprint, "test": data.test_data,
            },
            "dropped": {
                "train": data.train.dropped, "dev": data.dev.dropped,
                "test": {str(test.language): test.dropped for test in data.predicted if test.dropped},
            },
        },
    }  # fmt: skip
