"""The models of a service: cells of run directories, those over one backbone on one copy of it in memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.loading import fingerprint
from isogloss.errors import IsoglossError, unknown
from isogloss.experiment.choice import chosen_run
from isogloss.experiment.comparison import finished_runs
from isogloss.experiment.predict import Model, choose
from isogloss.experiment.restore import (
    check_reading,
    load_backbone,
    recorded_dtype,
    refuse_other_reading,
    restore,
    verbalizer_of,
)
from isogloss.interop.serve.messages import SHOWN, ServedModelCard
from isogloss.interop.serve.refusal import RefusedError
from isogloss.interop.serve.shared_pass import SharedPass, Texts
from isogloss.run_directory.comparison import comparison_of
from isogloss.runtime.console import activity
from isogloss.runtime.determinism import deterministic
from isogloss.store import Snapshot, Store, StoredCell


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model with its name.

    Args:
        name: what requests call it.
        model: what answers.
        shared: the models that share a forward pass, this one among them.
        number: its place among those.
    """

    name: str
    model: Model
    shared: SharedPass
    number: int


class ServedModels:
    """All models of a service by name.

    Args:
        by_name: of each model.
        also: other names, each of a model that has a name.
    """

    def __init__(self, by_name: Mapping[str, ServedModel], also: Mapping[str, str] | None = None) -> None:
        self.by_name = dict(by_name)
        self.also = dict(also or {})

    def find(self, name: str | None) -> ServedModel:
        """The model that a request asks for.

        Raises:
            RefusedError: there is none of that name, or it names none of several.
        """
        if name is None:
            if len(self.by_name) == 1:
                return next(iter(self.by_name.values()))
            some = ", ".join(sorted(self.by_name)[:5])
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"body: model is missing; expected one of the {len(self.by_name)} names of /models, such as {some}",
            )
        served = self.by_name.get(self.also.get(name, name))
        if served is None:
            known = [*self.by_name, *self.also]
            raise RefusedError(HTTPStatus.NOT_FOUND, str(unknown("model", name[:SHOWN], known)))
        return served

    def cards(self) -> list[ServedModelCard]:
        """What is said of each."""
        return [self._card(self.by_name[name]) for name in sorted(self.by_name)]

    def _card(self, served: ServedModel) -> ServedModelCard:
        record, backbone = served.model.record, served.model.stack.backbone
        others = [other.name for other in self.by_name.values() if other.shared is served.shared]
        return ServedModelCard(
            name=served.name,
            also=sorted(name for name, of in self.also.items() if of == served.name),
            method=record.method,
            seed=record.seed,
            kind=record.kind,
            inputs=record.inputs,
            labels=record.labels,
            languages=sorted(record.test_data),
            backbone=backbone.identity.name,
            dtype=str(backbone.dtype).removeprefix("torch."),
            temperature=served.model.temperature,
            shares=sorted(name for name in others if name != served.name),
        )

    def warm_up(self) -> None:
        """A pass of each kind, so that the first request does not wait for what is done once; it shows faults, too."""
        for shared in dict.fromkeys(served.shared for served in self.by_name.values()):
            texts = []
            for number, model in enumerate(shared.models):
                with suppress(IsoglossError):  # a tokenizer that knows no "a"
                    features = model.features([["a"] * len(model.record.inputs)], None)
                    texts.append(Texts(number, shared.fitted(number, features)))
            if texts:
                shared.predicted(texts)


def load(
    folders: Mapping[str, Path],
    *,
    method: str | None = None,
    seed: int | None = None,
    every: bool = False,
    backbone: str | None = None,
) -> ServedModels:
    """The models of run directories.

    Args:
        folders: run directories, or comparisons of backbones, by the names of their models.
        method: a label of their methods; None: any.
        seed: of their seeds; None: any.
        every: every cell of that method and seed, `NAME/METHOD/SEED`, of a comparison `NAME/BACKBONE/METHOD/SEED`, and
            not the best one alone, which is `NAME`.
        backbone: a folder or a hub id that the backbone of them all is taken from; None: as each directory says. Of a
            comparison which of its backbones; None: that of the best.

    Raises:
        IsoglossError: nothing such is stored, or a backbone is not the one that a cell was trained on.
    """
    wanted: dict[str, _Wanted] = {}
    also: dict[str, str] = {}
    for name, folder in folders.items():
        meant = chosen_run(folder, method, seed, backbone)
        stored = Store(meant.path).snapshot()
        best = choose(stored, method, seed)
        if not every:
            wanted[name] = _Wanted(stored, best, meant.backbone)
            continue
        runs = {name: meant.path}
        if comparison_of(folder) is not None:
            chosen = finished_runs(folder) if backbone is None else {backbone: meant.path}
            runs = {f"{name}/{run.name}": run for run in chosen.values()}
            also[name] = _long_name(f"{name}/{meant.path.name}", best)
        for own, run in runs.items():
            stored = Store(run).snapshot()
            fitting = [
                cell for cell in stored.finished()
                if method in {None, cell.record.method} and seed in {None, cell.record.seed}
            ]  # fmt: skip
            if fitting:
                also[own] = _long_name(own, choose(stored, method, seed))
            wanted |= {_long_name(own, cell): _Wanted(stored, cell, meant.backbone) for cell in fitting}
    for one in wanted.values():
        check_reading(one.cell)
    models = _on_backbones(wanted)
    kinds: dict[Hashable, list[str]] = {}
    for name, model in models.items():
        kinds.setdefault(SharedPass.kind(model), []).append(name)
    by_name: dict[str, ServedModel] = {}
    for names in kinds.values():
        shared = SharedPass([models[name] for name in names])
        by_name |= {name: ServedModel(name, models[name], shared, number) for number, name in enumerate(names)}
    return ServedModels({name: by_name[name] for name in wanted}, also)


def _long_name(name: str, cell: StoredCell) -> str:
    return f"{name}/{cell.record.method}/{cell.record.seed}"


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A cell that is to be served, and where its backbone is to be taken from."""

    stored: Snapshot
    cell: StoredCell
    backbone: str | None


def _on_backbones(wanted: Mapping[str, _Wanted]) -> dict[str, Model]:
    """Each cell on its backbone, which is loaded once for all that stand on it."""
    # Whether the head over the vocabulary is wanted is known before the first cell of a backbone is looked at.
    worded = {_weights(one.cell) for one in wanted.values() if one.cell.record.facts.get("verbalizer") is not None}
    loaded: list[_LoadedBackbone] = []
    models = {}
    with activity("loading") as say:
        for name, one in wanted.items():
            stored, cell = one.stored, one.cell
            say(f"loading {name}")
            dtype = recorded_dtype(stored.known_spec().dtype, [cell])
            known = next((backbone for backbone in loaded if backbone.fits(stored, cell, dtype)), None)
            if known is None:
                words = _weights(cell) in worded
                known = _LoadedBackbone(load_backbone(stored, [cell], words=words, dtype=dtype, name=one.backbone))
                loaded.append(known)
            models[name] = _on(known.backbone, stored, cell)
    return models


def _on(backbone: Backbone, stored: Store, cell: StoredCell) -> Model:
    """A cell on a backbone that others share; what changes the weights takes a copy of them."""
    record, same = cell.record, stored.known_spec().deterministic
    with deterministic(same):
        verbalizer = verbalizer_of(backbone, record.facts, record.inputs)
        return Model(record, restore(backbone, record, cell.weights(), verbalizer), verbalizer, same)


def _weights(cell: StoredCell) -> str:
    return str(cell.record.facts["backbone"]["weights"])


@dataclass(frozen=True, eq=False)
class _LoadedBackbone:
    backbone: Backbone

    @cached_property
    def vocabulary(self) -> str | None:
        """Which head over the vocabulary it has."""
        return None if self.backbone.lm_head is None else fingerprint(self.backbone.lm_head)

    def fits(self, stored: Store, cell: StoredCell, dtype: str) -> bool:
        """Whether a cell was trained on it, by all that a run directory says of its backbone."""
        facts = cell.record.facts
        if self.backbone.identity.weights != _weights(cell) or str(self.backbone.dtype) != f"torch.{dtype}":
            return False
        if facts.get("verbalizer") is not None and facts["verbalizer"]["vocabulary"] != self.vocabulary:
            return False
        try:
            refuse_other_reading(stored, [cell], self.backbone)
        except IsoglossError:  # the same weights read otherwise, which are another backbone
            return False
        return True
