"""An experiment from spec to run directory: what is missing is carried out, what is stored is never mixed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isogloss.backbones import Backbone, fingerprint, load
from isogloss.console import err
from isogloss.data.cards import CUSTOM
from isogloss.environment import environment
from isogloss.errors import IsoglossError
from isogloss.groups import is_group
from isogloss.laboratory import Laboratory
from isogloss.material import Material, gather
from isogloss.plan import Cell, cells, difference, resolved_methods, with_defaults
from isogloss.sheets import subword
from isogloss.spec import Spec
from isogloss.store import Finished, Store
from isogloss.tasks import TASKS
from isogloss.verbalizer import Verbalizer


def run(spec: Spec, out: Path) -> Store:
    """Train, evaluate and store what is missing of an experiment.

    Args:
        spec: the experiment.
        out: the run directory; new, or holding results of the same cells.

    Raises:
        IsoglossError: the spec cannot be carried out, or what is stored was made by another one.
    """
    wanted = cells(spec)
    stored = Store(out)
    material = gather(spec)
    words = any(cell.settings.head == "verbalizer" for cell in wanted)
    if words and material.data.card.kind != "classification":
        raise IsoglossError(f"`head: verbalizer` is for classification, which {spec.task} is not")
    with err.status("loading the backbone"):
        backbone = load(
            spec.backbone, device=spec.device, dtype=spec.dtype, words=words, checkpointing=spec.gradient_checkpointing
        )
    for cell in wanted:
        cell.method.check(backbone, cell.settings)
    common = common_facts(material, backbone)
    verbalizer = None
    if words:
        common["verbalizer"] = verbalizer_facts(spec, backbone)
        verbalizer = Verbalizer.of(
            backbone, material.labels, common["verbalizer"], source=str(material.source),
            inputs=TASKS[material.data.card.kind].inputs(material.data.card.columns.second is not None),
        )  # fmt: skip
    finished = stored.finished()
    _refuse_changes(out, finished, wanted, common, material.test_data)
    surroundings = _surroundings(material, backbone)
    stored.begin(_resolved(spec, material, stored), surroundings)
    found = {cell.key: cell for cell in stored.finished()}
    todo = [cell for cell in wanted if (cell.label, cell.seed) not in found]
    short = [
        (cell, found[cell.label, cell.seed])
        for cell in wanted
        if (cell.label, cell.seed) in found
        and material.test_data.keys() - found[cell.label, cell.seed].record["test_data"].keys()
    ]
    if todo or short:
        laboratory = Laboratory(
            material, backbone, stored, common, surroundings, checkpoint_minutes=spec.checkpoint_minutes,
            verbalizer=verbalizer, cells=wanted,
        )  # fmt: skip
        laboratory.carry_out(todo, short)
    stored.gather()
    return stored


def common_facts(material: Material, backbone: Backbone) -> dict[str, Any]:
    """What decides the result of every cell alike."""
    return {
        "backbone": {
            "weights": backbone.identity.weights,
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "pooling": backbone.pooling,
        },
        "task": material.data.card.name,
        "kind": material.data.card.kind,
        "metrics": material.data.card.metrics,
        "labels": material.labels,
        "source": str(material.source),
        "train": material.train.fingerprint,
        "dev": material.dev.fingerprint,
        "subword": subword(material, backbone),
        "longest": material.longest,
        "shots": material.shots,
    }


def verbalizer_facts(spec: Spec, backbone: Backbone) -> dict[str, Any]:
    """What decides how classes are called, and by what head over the vocabulary they are scored."""
    assert spec.verbalizer is not None
    assert backbone.vocabulary is not None
    return {**spec.verbalizer.model_dump(mode="json"), "vocabulary": fingerprint(backbone.vocabulary)}


def _refuse_changes(
    out: Path,
    finished: Sequence[Finished],
    wanted: Sequence[Cell],
    common: Mapping[str, Any],
    test_data: Mapping[str, str],
) -> None:
    """Old results stay as they are: a spec that would make them differently is refused, with the difference."""
    by_key = {(cell.label, cell.seed): cell for cell in wanted}
    by_label = {cell.label: cell for cell in wanted}
    for cell in finished:
        label, seed = cell.key
        facts = with_defaults(cell.record["facts"])
        if (now := by_key.get(cell.key)) is not None:
            changes = difference(facts, now.facts(dict(common)))
        elif (now := by_label.get(label)) is not None:  # another seed of the same method
            changes = difference({**facts, "seed": None}, {**now.facts(dict(common)), "seed": None})
        else:
            # What words stand for classes matters to those alone whose classes are words.
            own = {name: fact for name, fact in common.items() if name in facts or name != "verbalizer"}
            changes = difference({name: facts.get(name) for name in own}, own)
        scored = cell.record["test_data"]
        changes += [
            f"test data of {code}" for code in sorted(scored.keys() & test_data) if scored[code] != test_data[code]
        ]
        if changes:
            raise IsoglossError(
                f"{out} holds {label} seed {seed}, made differently ({'; '.join(changes)}); "
                "set it back, give the method another name, or choose another --out"
            )


def _resolved(spec: Spec, material: Material, stored: Store) -> dict[str, Any]:
    """The spec with every default filled in, together with what the directory already holds."""
    resolved = spec.model_dump(mode="json")
    if spec.data.path is not None:
        resolved["data"]["path"] = str(spec.data.path.resolve())
    if spec.data.train is not None and spec.data.train.path is not None:
        resolved["data"]["train"]["path"] = str(spec.data.train.path.resolve())
    if (folder := Path(spec.backbone).expanduser()).exists():
        resolved["backbone"] = str(folder.resolve())
    if spec.task == CUSTOM:  # the file beside the data may change
        resolved["data"]["card"] = material.data.card.model_dump(mode="json", exclude_defaults=True)
    resolved["source"] = str(material.source)
    resolved["targets"] = [str(test.language) for test in material.tests if test.language != material.source]
    named = [target for target in spec.targets if is_group(target)] if spec.targets != "all" else []
    resolved["groups"] = list(dict.fromkeys([*named, *spec.groups]))
    resolved["methods"] = resolved_methods(spec)
    if old := stored.spec():
        resolved["methods"] = {**old["methods"], **_with_old_variants(resolved["methods"], old["methods"])}
        for name in resolved["methods"].keys() & old["methods"].keys() & spec.methods.keys():
            now, before = resolved["methods"][name], old["methods"][name]
            if "seeds" in now or "seeds" in before:
                now["seeds"] = sorted({*before.get("seeds", old["seeds"]), *now.get("seeds", spec.seeds)})
        resolved["targets"] = sorted({*old["targets"], *resolved["targets"]})
        resolved["groups"] = list(dict.fromkeys([*old.get("groups", []), *resolved["groups"]]))
        resolved["verbalizer"] = resolved["verbalizer"] or old.get("verbalizer")
        resolved["seeds"] = sorted({*old["seeds"], *resolved["seeds"]})
    return resolved


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


def _surroundings(material: Material, backbone: Backbone) -> dict[str, Any]:
    """What the run was made with and from."""
    card = material.data.card
    return {
        **environment(),
        "backbone": {
            "name": backbone.identity.name, "weights_sha256": backbone.identity.weights,
            "revision": backbone.identity.revision, "device": str(backbone.device), "dtype": str(backbone.dtype),
        },
        "data": {
            "task": card.name, "hub": card.hub.id if card.hub and material.data.path is None else None,
            "revision": material.data.revision, "licence": card.licence,
            "train": material.data.trainer
            and {"task": material.data.trainer.card.name, "revision": material.data.trainer.revision},
            "sha256": {
                "train": material.train.fingerprint, "dev": material.dev.fingerprint, "test": material.test_data,
            },
            "dropped": {
                "train": material.train.dropped, "dev": material.dev.dropped,
                "test": {str(test.language): test.dropped for test in material.tests if test.dropped},
            },
        },
    }  # fmt: skip
