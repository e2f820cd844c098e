"""What an experiment consists of: cells, one for each variant of each method and each seed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin

from isogloss.errors import IsoglossError, named, unknown
from isogloss.methods.method import Method
from isogloss.methods.registry import find, methods
from isogloss.methods.settings import Settings
from isogloss.preprocessing.templates import Template
from isogloss.spec import OwnSeeds, Spec, check
from isogloss.store import RunRecord, label_of

MOST = 100_000  # cells of an experiment
TRAINING = 3  # part of every fingerprint: raise it when the same spec would train to another result
UNTRAINED = [0]  # seeds of what is not trained here, and so depends on none


@dataclass(frozen=True)
class Cell:
    """One method with one setting and one seed: what is trained, stored and never trained twice.

    Args:
        name: what the spec calls the method.
        variant: the settings that tell it from others of that name, as pairs; none where there is one alone.
        method_name: which method it is, as `isogloss list methods` has it.
        settings: of the method.
        seed: decides all that is drawn.
        member: which of how many trainings whose mean is a cell of the experiment, if it is such a training.
    """

    name: str
    variant: tuple[tuple[str, Any], ...]
    method_name: str
    settings: Settings
    seed: int
    member: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """What tables call it: the name, with the variant's settings behind it."""
        label = label_of(self.name, self.variant)
        return label if self.member is None else f"{label}, {self.member_title}"

    @property
    def member_title(self) -> str:
        """Which of several trainings it is, for people; empty where it is none such."""
        return "" if self.member is None else f"member {self.member[0] + 1} of {self.member[1]}"

    @property
    def whole(self) -> tuple[str, int]:
        """Label and seed of the cell of the experiment that it is, or is a part of."""
        return label_of(self.name, self.variant), self.seed if self.member is None else self.seed // self.member[1]

    @property
    def average(self) -> int:
        """How many trainings its weights are the mean of."""
        return int(getattr(self.settings, "average", 1))

    @property
    def trainings(self) -> list[Cell]:
        """The trainings that it takes: itself, or each whose weights are averaged, as if it were a cell of its own.

        Member m of seed s has the seed s · K + m, so that no two cells of a method have a training in common.
        """
        if (count := self.average) == 1:
            return [self]
        settings = self.settings.model_copy(update={"average": 1})
        return [
            replace(self, settings=settings, seed=self.seed * count + number, member=(number, count))
            for number in range(count)
        ]

    @property
    def key(self) -> tuple[str, int]:
        """Label and seed, which no two cells of an experiment have in common."""
        return self.label, self.seed

    @property
    def method(self) -> Method[Any, Any]:
        """What trains."""
        return find(self.method_name)

    @classmethod
    def of(cls, record: RunRecord) -> Cell:
        """The cell that a record is of.

        Raises:
            IsoglossError: its method or one of its settings is none any more.
        """
        method = find(record.facts["method"])
        stored = method.settings.stored(record.facts["settings"])
        settings = check(method.settings, stored, where=f"{record.method} seed {record.seed}")
        return cls(record.name, tuple(record.variant.items()), method.name, settings, record.seed)

    def facts(self, common: Mapping[str, Any]) -> dict[str, Any]:
        """All that decides the result, given what the whole experiment has in common."""
        settings = self.settings.facts()
        if (found := getattr(self.settings, "found", None)) is not None and found.subword is not None:
            common = {**common, "subword": found.subword}  # it was trained so, whatever the others are
        if self.settings.head == "linear":  # what other cells' classes are called is not its business
            common = {name: fact for name, fact in common.items() if name != "verbalizer"}
        return {"training": TRAINING, **common, "method": self.method_name, "settings": settings, "seed": self.seed}


def member_checkpoint(file: Path, member: Cell) -> Path:
    """Where one of the trainings of an averaged cell keeps how far it is: below the cell's own folder.

    Args:
        file: the checkpoint of the cell.
        member: the training.
    """
    assert member.member is not None
    return file.parent / f"member-{member.member[0]}" / file.name


def cells(spec: Spec) -> list[Cell]:
    """Every cell of an experiment, in the order of the spec.

    Raises:
        IsoglossError: a method or setting is unknown or wrong, or two variants are the same.
    """
    every: list[Cell] = []
    labels: set[str] = set()
    trainings = 0
    for name, raw in spec.methods.items():
        seeds = check(OwnSeeds, raw, where=f"methods.{name}").seeds or spec.seeds
        if len(set(seeds)) < len(seeds):
            where = f"methods.{name}.seeds" if raw.get("seeds") else "seeds"
            twice = next(seed for number, seed in enumerate(seeds) if seed in seeds[:number])
            raise IsoglossError(f"{where}: {twice} comes twice; expected each seed once")
        for variant, method, settings in _variants(name, raw):
            _agree(spec, name, settings)
            if not settings.epochs and (raw.get("seeds") or UNTRAINED) != UNTRAINED:
                raise IsoglossError(
                    f"methods.{name}.seeds is {raw['seeds']!r:.60}, but a {method} is trained already; expected none, "
                    "or [0]"
                )
            own_seeds = seeds if settings.epochs else UNTRAINED
            variants = [Cell(name, variant, method, settings, seed) for seed in own_seeds]
            if variants[0].label in labels:
                raise IsoglossError(f"methods.{name}: the variant {variants[0].label} comes twice")
            labels.add(variants[0].label)
            every += variants
            trainings += sum(cell.average for cell in variants)
            if trainings > MOST:
                raise IsoglossError(f"methods.{name}: variants and seeds make more than {MOST:,} trainings")
    return every


def _agree(spec: Spec, name: str, settings: Settings) -> None:
    """Whether the spec has what the settings point to."""
    if settings.head == "linear":
        return
    if spec.verbalizer is None:
        raise IsoglossError(
            f"methods.{name}: `head: verbalizer` needs a `verbalizer` in the spec, a template and words"
        )
    if getattr(settings, "place", None) == "template" and not Template.parse(spec.verbalizer.template).prompted:
        raise IsoglossError(f"methods.{name}: `place: template` needs {{prompt}} in {spec.verbalizer.template!r}")


def own_backbone(cell: Cell) -> bool:
    """Whether a cell was trained elsewhere on a backbone of its own, which it brings."""
    found = getattr(cell.settings, "found", None)
    return found is not None and found.backbone is not None


def resolved_methods(spec: Spec) -> dict[str, dict[str, Any]]:
    """The spec's methods with every default filled in; lists that make variants stay lists."""
    out = {}
    for name, raw in spec.methods.items():
        variants = _variants(name, raw)
        given = {
            key: value for key, value in raw.items() if key == "seeds" or makes_variants(variants[0][2], key, value)
        }
        settings = variants[0][2]
        stood_for = {field for key in given for field in settings.SHORTHANDS.get(key, ())}
        stood_for |= settings.FILLED_IN
        filled = settings.model_dump(mode="json", exclude=stood_for)
        if not settings.epochs:
            given = {**given, "seeds": UNTRAINED}
        out[name] = {"method": raw.get("method", name), **filled, **given}
    return out


def _variants(name: str, raw: dict[str, Any]) -> list[tuple[tuple[tuple[str, Any], ...], str, Settings]]:
    """The settings that tell each variant from the others, the method's name, and all of its settings."""
    given = {key: value for key, value in raw.items() if key not in {"method", "seeds"}}
    where = f"methods.{name}"
    if not isinstance(chosen := raw.get("method", name), str):
        raise IsoglossError(f"{where}: method is {chosen!r:.60}; expected the name of one method")
    with named(where):
        method = find(chosen)
    if filled_in := sorted(method.settings.FILLED_IN & given.keys()):
        known = method.settings.model_fields.keys() - method.settings.FILLED_IN
        raise IsoglossError(f"{where}: {unknown('key', filled_in[0], known)}")
    if "average" in given and "average" not in method.settings.model_fields:
        others = [name for name, one in methods().items() if "average" in one.settings.model_fields]
        raise IsoglossError(
            f"{where}: there is no `average` for {method.name}: {method.settings.NO_MEAN}; leave it out, or take "
            f"{' or '.join(others)}"
        )
    # By name, so that a spec with its keys in another order means the same cells.
    varied = {key: value for key, value in sorted(given.items()) if makes_variants(method.settings, key, value)}
    if any(len(values) == 0 for values in varied.values()):
        raise IsoglossError(f"{where}: an empty list makes no variant")
    if (count := math.prod(map(len, varied.values()))) > MOST:
        raise IsoglossError(f"{where}: its lists make {count:,} variants, more than {MOST:,}; expected shorter lists")
    variants = []
    for values in itertools.product(*varied.values()):
        choice = dict(zip(varied, values, strict=True))
        settings = check(method.settings, {**given, **choice}, where=where)
        plain = settings.model_dump(mode="json")  # as the record keeps it
        variants.append((tuple((key, plain[_field(settings, key)]) for key in choice), method.name, settings))
    return variants


def makes_variants(settings: type[Settings] | Settings, key: str, value: Any) -> bool:
    """Whether a list was given where one value is expected."""
    fields = type(settings).model_fields if isinstance(settings, Settings) else settings.model_fields
    if not isinstance(value, list) or (field := _field(settings, key)) not in fields:
        return False
    annotation = fields[field].annotation
    return list not in {get_origin(annotation), *(get_origin(part) for part in get_args(annotation))}


def _field(settings: type[Settings] | Settings, key: str) -> str:
    """The field that holds what a key sets; of a shorthand the first, which says it for all of them."""
    return settings.SHORTHANDS.get(key, (key,))[0]


def stacks(todo: Sequence[Cell], pooling: str) -> list[list[Cell]]:
    """Cells that can train together: one method, a frozen backbone, and alike in what has to be.

    Members of averaged cells do not train with cells that are whole.

    Args:
        todo: cells to train.
        pooling: the backbone's own, for cells that leave it open.
    """
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for position, cell in enumerate(todo):
        alike = tuple(getattr(cell.settings, name) for name in cell.method.alike)
        key = (
            cell.method.name,
            cell.settings.head,
            cell.settings.pooling or pooling,
            alike,
            cell.member is None,
            None if cell.method.frozen else position,
        )
        groups.setdefault(key, []).append(cell)
    return list(groups.values())
