"""The head that lies beside an adapter, as isogloss's own export leaves it: `head.safetensors` and `labels.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isogloss.backbones.checkpoint.folder import CONFIG, ModelFolder
from isogloss.backbones.checkpoint.heads import TrainedHead
from isogloss.backbones.checkpoint.kinds import HeadKind
from isogloss.backbones.checkpoint.weights import FLOATS, opened

HEAD, LABELS = "head.safetensors", "labels.json"
POOLINGS = ("first", "mean", "last")


@dataclass(frozen=True)
class ExportedHead:
    """A head over states.

    Args:
        head: what it is.
        subword: which sub-word of a word it tags; None: nothing says it.
    """

    head: TrainedHead
    subword: Literal["first", "last"] | None


def exported_head(folder: ModelFolder, kind: HeadKind, width: int) -> ExportedHead:
    """The head beside an adapter that has none among its tensors.

    Args:
        folder: of the adapter.
        kind: of task that it is to do.
        width: H, of the states.

    Raises:
        IsoglossError: there is none, it is of another kind of task, or damaged.
    """
    if not folder.has(HEAD) or not folder.has(LABELS):
        folder.refuse(
            f"it scores nothing by itself (FEATURE_EXTRACTION); expected {HEAD} and {LABELS} beside it, as isogloss "
            "exports them, or an adapter with a head (SEQ_CLS, TOKEN_CLS, QUESTION_ANS)"
        )
    about = folder.json(LABELS)
    names = _names(folder, about.get("labels"))
    said = about.get("kind", kind)
    if said != kind and not (kind == "questions" and str(said).startswith("qa")):
        folder.refuse(f"{LABELS} says kind: {said!r:.40}, but the data are for {kind}")
    pooling, subword = about.get("pooling"), _subword(folder, about)
    if kind == "classification" and pooling not in POOLINGS:
        folder.refuse(f"{LABELS} says pooling: {pooling!r:.40}; expected {', '.join(POOLINGS)}")
    with opened(folder, [folder.part(HEAD)]) as tensors:
        shapes = {"weight": [width, len(names)], "bias": [len(names)]}
        for name, shape in shapes.items():
            if name not in tensors:
                folder.refuse(f"{HEAD} has no {name}; expected weight and bias")
            if (came := list(tensors[name].get_shape())) != shape or tensors[name].get_dtype() not in FLOATS:
                folder.refuse(
                    f"{name} in {HEAD} is {' by '.join(map(str, came))} of {tensors[name].get_dtype()}; expected "
                    f"{' by '.join(map(str, shape))}, states by labels, of floats"
                )
        weight, bias = (tensors[name][...].float() for name in shapes)
    if not bool(weight.isfinite().all()) or not bool(bias.isfinite().all()):
        folder.refuse(f"{HEAD} holds values that are no numbers (NaN or infinite)")
    classifier = weight.T.contiguous(), bias
    return ExportedHead(TrainedHead(classifier, names, pooling=pooling if kind == "classification" else None), subword)


def said_subword(folder: ModelFolder) -> Literal["first", "last"] | None:
    """Which sub-word of a word is tagged, by what lies beside a model; None: nothing says it."""
    return _subword(folder, folder.json(LABELS)) if folder.has(LABELS) else None


def _subword(folder: ModelFolder, about: Mapping[str, Any]) -> Literal["first", "last"] | None:
    subword = about.get("subword")
    if subword is None or subword in ("first", "last"):  # a tuple: it may be anything
        said: Literal["first", "last"] | None = subword
        return said
    raise folder.refusal(f"{LABELS} says subword: {subword!r:.40}; expected first or last")


def class_names(folder: ModelFolder) -> list[str] | None:
    """What the classes of a head are called, by whatever lies in its folder; None: nothing says it."""
    if folder.has(LABELS):
        return _names(folder, folder.json(LABELS).get("labels"))
    return names_in_config(folder, folder.json(CONFIG)) if folder.has(CONFIG) else None


def names_in_config(folder: ModelFolder, config: Mapping[str, Any]) -> list[str] | None:
    """The classes by number, as `id2label` has them; None where there is none.

    Raises:
        IsoglossError: it does not number them from 0.
    """
    by_number = config.get("id2label")
    if not by_number:
        return None
    if not isinstance(by_number, Mapping):
        folder.refuse(f"{CONFIG} says id2label: {by_number!r:.60}; expected names by number")
    if set(by_number) != {str(number) for number in range(len(by_number))}:
        folder.refuse(
            f"{CONFIG} says id2label with the keys {', '.join(by_number)[:60]}; expected 0, 1, … without gaps"
        )
    return [_name(folder, by_number[str(number)], CONFIG) for number in range(len(by_number))]


def _names(folder: ModelFolder, names: Any) -> list[str]:
    if not isinstance(names, list) or not names:
        folder.refuse(f"{LABELS} says labels: {names!r:.60}; expected the list of the head's classes")
    return [_name(folder, name, LABELS) for name in names]


def _name(folder: ModelFolder, name: Any, file: str) -> str:
    """JSON's numbers are names too: `0`, or `-1` of a sentiment."""
    if isinstance(name, bool) or not isinstance(name, str | int | float):
        folder.refuse(f"{file} calls a class {name!r:.60}; expected a name")
    return str(name)
