"""What all jobs of one experiment share: its data, its backbone, and texts as features. Opened once a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isogloss.backbones.attention import lay
from isogloss.backbones.backbone import Backbone
from isogloss.backbones.checkpoint.kinds import HeadKind
from isogloss.backbones.device import device_of
from isogloss.backbones.loading import at_hand, load, outline
from isogloss.backbones.meta_copy import meta_copy, modules_of, shared_by, with_tensors
from isogloss.backbones.stand_in import stand_in
from isogloss.data.cards import Card
from isogloss.data.kinds.registry import data_kinds
from isogloss.errors import IsoglossError, named
from isogloss.experiment.cells import Cell, cells
from isogloss.experiment.data import ExperimentData, read_data
from isogloss.experiment.encoded import EncodedData
from isogloss.experiment.provenance import common_facts, surroundings, verbalizer_facts
from isogloss.experiment.restore import stack_of, verbalizer_of
from isogloss.methods.method import Imported, Importer
from isogloss.preprocessing.features import Features
from isogloss.runtime.console import activity, err
from isogloss.runtime.process_group import ALONE, computing, spreads
from isogloss.spec import Spec
from isogloss.tasks.registry import TASKS
from isogloss.tasks.task import Task
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.monitor import ParallelStates, parallel_states
from isogloss.training.stack import Stack

OF_THIS_PROCESS = {"environment", "meta_copy"}
SOME = 2000  # examples of a split that are enough to know how long its texts are
HEADS: dict[str, HeadKind] = {"classification": "classification", "tagging": "tagging", "qa": "questions"}  # by family


@dataclass(frozen=True, eq=False)
class Workspace:
    """An experiment's data and backbone.

    Args:
        spec: of the experiment.
        cells: all that it consists of.
        data: read and checked.
        backbone: frozen; methods that change it get a copy.
        facts: what decides the result of every cell alike.
        verbalizer: the words that are the classes, where a cell asks for some.
        imported: what was trained elsewhere, by the key of its cell.
        said: lines on the data that were printed; each is of all jobs alike.
        most: examples of a split that are tokenised, see `EncodedData`; None: all.
    """

    spec: Spec
    cells: Sequence[Cell]
    data: ExperimentData
    backbone: Backbone
    facts: dict[str, Any]
    verbalizer: Verbalizer | None
    imported: Mapping[tuple[str, int], Imported] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    most: int | None = None

    @classmethod
    def open(cls, spec: Spec) -> Workspace:
        """Read the data and load the backbone of a spec.

        Raises:
            IsoglossError: something is missing or wrong, or a method does not go with the backbone.
        """
        wanted = cells(spec)
        device_of(spec.device)  # a device that is not there is said before anything is read
        with activity("reading the data"):
            data = read_data(spec)
        words = _words(spec, wanted, data)
        with activity("loading the backbone"):
            backbone = load(
                spec.one_backbone, device=spec.device, dtype=spec.dtype, words=words,
                checkpointing=spec.gradient_checkpointing, compiled=spec.compile, pickle=spec.weights == "pickle",
                on_host=spreads(),
            )  # fmt: skip
        return cls._of(spec, wanted, data, backbone)

    @classmethod
    def outlined(cls, spec: Spec, data: ExperimentData | None = None) -> Workspace | None:
        """The same without the backbone's weights, of which none is read: to reckon with, and to find mistakes early.

        In their place stand numbers that mean nothing, see `stand_in`; and of large splits, some texts for all.

        Args:
            spec: of the experiment.
            data: where it was read already, for the same spec on another backbone.

        Returns:
            Without what was trained elsewhere; None where the backbone is not at hand, see `loading.at_hand`.

        Raises:
            IsoglossError: as `open` does.
        """
        if at_hand(spec.one_backbone) is None:
            return None
        wanted = [cell for cell in cells(spec) if cell.settings.epochs]
        if data is None:
            with activity("reading the data"):
                data = read_data(spec)
        backbone = outline(
            spec.one_backbone, device=spec.device, dtype=spec.dtype, words=_words(spec, wanted, data),
            checkpointing=spec.gradient_checkpointing,
        )  # fmt: skip
        if backbone is None:
            return None
        return cls._of(spec, wanted, data, stand_in(backbone, device_of(spec.device)), outlined=True)

    @classmethod
    def _of(
        cls, spec: Spec, wanted: Sequence[Cell], data: ExperimentData, backbone: Backbone, *, outlined: bool = False
    ) -> Workspace:
        """The workspace of a spec over its data and its backbone."""
        for cell in {cell.label: cell for cell in wanted}.values():  # of whatever seed
            cell.method.check(backbone, cell.settings)
        imported = {cell.key: _imported(cell, spec, data, backbone) for cell in wanted if not cell.settings.epochs}
        wanted = [
            replace(cell, settings=imported[cell.key].settings) if cell.key in imported else cell for cell in wanted
        ]
        facts = common_facts(data, backbone)
        if any(cell.settings.head == "verbalizer" for cell in wanted):
            facts["verbalizer"] = verbalizer_facts(spec, None if outlined else backbone)
        card = data.dataset.card
        inputs = TASKS[card.kind].inputs(card.columns.second is not None)
        for cell in wanted:
            own = imported[cell.key].backbone if cell.key in imported else None
            _refuse_without_room(cell, own or backbone, parts=len(inputs))
        verbalizer = verbalizer_of(backbone, facts, inputs)
        return cls(spec, wanted, data, backbone, facts, verbalizer, imported, most=SOME if outlined else None)

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: texts as features too, but nothing that is of this machine."""
        lay(self.backbone.attention, None)
        return {name: value for name, value in self.__dict__.items() if name not in OF_THIS_PROCESS}

    def arrived(self) -> Workspace:
        """Itself, after it was sent: on the device that its spec means here."""
        device = device_of(self.spec.device)
        if device.type == self.backbone.device.type:
            return self
        place = partial(torch.Tensor.to, device=device)
        # Both hold the backbone: it stays one.
        return with_tensors(self, modules_of(self.backbone), place, shared_by(self.backbone))

    @property
    def card(self) -> Card:
        """Of the data set."""
        return self.data.dataset.card

    @property
    def task(self) -> Task:
        """The kind of task."""
        return TASKS[self.card.kind]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What an example consists of, for people."""
        return self.task.inputs(self.card.columns.second is not None)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What the cells are made with, for the record."""
        return surroundings(self.data, self.backbone)

    @cached_property
    def meta_copy(self) -> Backbone:
        """The backbone without memory, to reckon with."""
        return meta_copy(self.backbone)

    def seen(self, cell: Cell) -> Tensor | None:
        """The words that training shows; None, for all, where they are also what a verbalizer chooses from."""
        if cell.settings.head == "verbalizer":
            return None
        train = self.encoded(cell).train_dev(cell.seed).train
        return torch.from_numpy(np.unique(self.fitted(cell, train).tokens)).long()

    @cached_property
    def parallel_states(self) -> ParallelStates | None:
        """Parallel sentences, and what the backbone makes of them before anything is trained."""
        with computing(ALONE):  # whoever else asks, and when
            return None if self.data.parallel is None else parallel_states(self.data.parallel, self.backbone)

    @cached_property
    def _encoded(self) -> dict[str, EncodedData]:
        verbalizers = {"linear": None, "verbalizer": self.verbalizer}
        return {
            head: EncodedData(self.data, self.task, self.backbone, verbalizer, most=self.most)
            for head, verbalizer in verbalizers.items()
        }

    @cached_property
    def _encoded_for(self) -> dict[tuple[str, int], EncodedData]:
        """The data as those read them that were trained elsewhere; most of them as all others do."""
        linear, encoded = self._encoded["linear"], {}
        for cell in self.cells:
            if cell.key not in self.imported:
                continue
            subword = cell.facts(self.facts)["subword"]
            own = self.imported[cell.key].backbone
            if own is not None or subword != linear.subword:
                encoded[cell.key] = EncodedData(self.data, self.task, own or self.backbone, None, subword)
        return encoded

    def encoded(self, cell: Cell) -> EncodedData:
        """The data as a cell's head reads them."""
        return self._encoded_for.get(cell.key) or self._encoded[cell.settings.head]

    def backbone_of(self, cell: Cell) -> Backbone:
        """The backbone that a cell begins with: that of the spec, unless it brings its own."""
        own = self.imported[cell.key].backbone if cell.key in self.imported else None
        return own or self.backbone

    def imported_stack(self, cell: Cell) -> Stack:
        """What was trained elsewhere, ready to predict: a stack of one."""
        one = self.imported[cell.key]
        own = self.backbone.copy() if one.backbone is None else one.backbone
        return stack_of(cell, own, one.tensors, classes=len(self.data.labels))

    def room(self, cell: Cell) -> int:
        """Tokens of text that fit beside a cell's prompt."""
        return self.backbone_of(cell).room(cell.method.positions(cell.settings))

    def fitted(self, cell: Cell, features: Features) -> Features:
        """Features cut to the room that a cell leaves."""
        return self.encoded(cell).fit(features, self.room(cell))


def _words(spec: Spec, wanted: Sequence[Cell], data: ExperimentData) -> bool:
    """Whether classes are words, for which the backbone's head over its vocabulary is needed.

    Raises:
        IsoglossError: they are, and the data has no classes.
    """
    words = any(cell.settings.head == "verbalizer" for cell in wanted)
    if words and data.dataset.card.kind != "classification":
        raise IsoglossError(f"`head: verbalizer` is for classification, which {spec.task} is not")
    return words


def _imported(cell: Cell, spec: Spec, data: ExperimentData, backbone: Backbone) -> Imported:
    """What a cell that trains nothing is of; what is to be known of it is said."""
    assert isinstance(cell.method, Importer)
    card = data.dataset.card
    with named(f"methods.{cell.name}"):
        if (head := HEADS.get(data_kinds()[card.kind].family)) is None:
            raise IsoglossError(f"nothing that was trained elsewhere can be scored on data of the kind {card.kind}")
        one = cell.method.read(
            backbone, cell.settings, labels=data.labels, kind=head, base=spec.one_backbone, subword=data.subword
        )
    said = [*one.said]
    if len(spec.seeds) > 1:
        said.append("it is trained already, so it is one cell, seed 0, and not one for each seed")
    for line in said:
        err.print(f"{cell.label}: {line}", markup=False, soft_wrap=True)
    return one


def _refuse_without_room(cell: Cell, backbone: Backbone, *, parts: int) -> None:
    """A prompt that takes all positions of the backbone would be found out in the middle of its training."""
    room = backbone.room(cell.method.positions(cell.settings))
    special = len(backbone.tokenizer(*[""] * parts)["input_ids"])
    if room < special + parts:
        raise IsoglossError(
            f"{cell.label} leaves room for {max(0, room)} tokens, of which {special} are special ones; "
            "expected a shorter prompt"
        )
