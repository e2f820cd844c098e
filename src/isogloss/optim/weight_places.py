"""Which part of a model a weight belongs to: embeddings, a kind of weights in one of the layers, or the head."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["embeddings", "query-key", "value-output", "feed-forward", "norms", "head"]
INSIDE: tuple[Kind, ...] = ("query-key", "value-output", "feed-forward", "norms")  # of a layer
KINDS: tuple[Kind, ...] = ("embeddings", *INSIDE, "head")

_LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h|block)\.(\d+)\.(.+)")
_NORM = re.compile(r"(^|[._])(layer_?norm|norm|ln)(_|\.|$)|layernorm", re.IGNORECASE)
# Where a model fuses queries, keys and values into one matrix, it counts as the first of them.
_QUERY_KEY = {"query", "key", "query_key_value", "q_proj", "k_proj", "q", "k", "relative_attention_bias"}
_VALUE_OUTPUT = {"value", "v_proj", "o_proj", "out_proj", "v", "o"}
_ATTENTION = {"attention", "self_attention", "self_attn", "SelfAttention"}


@dataclass(frozen=True, order=True)
class WeightPlace:
    """Where a weight stands."""

    layer: int | None  # from 0; none outside the layers
    kind: Kind

    def __str__(self) -> str:
        return self.kind if self.layer is None else f"layers.{self.layer}.{self.kind}"


def place(name: str) -> WeightPlace:
    """The place of a weight, by its name in the model.

    Outside the layers stand the embeddings, their norm among them, and the last norm of models that have one.
    """
    inside = _LAYER.search(name)
    if inside is None:
        embedding = "emb" in name.lower()
        return WeightPlace(None, "embeddings" if embedding or not _NORM.search(name) else "norms")
    layer, rest = int(inside[1]), inside[2]
    steps = set(rest.split("."))
    if _NORM.search(rest):
        return WeightPlace(layer, "norms")
    if steps & _QUERY_KEY:
        return WeightPlace(layer, "query-key")
    if steps & _VALUE_OUTPUT or (steps & _ATTENTION and "dense" in steps):
        return WeightPlace(layer, "value-output")
    return WeightPlace(layer, "feed-forward")


HEAD, EMBEDDINGS = WeightPlace(None, "head"), WeightPlace(None, "embeddings")
_PATTERN = re.compile(r"layers(?:\.(\d+)(?:-(\d+))?)?(?:\.([a-z-]+))?")


@dataclass(frozen=True)
class WeightSelection:
    """A selection of places: `head`, `backbone`, `embeddings`, `norms`, `layers`, `layers.0-5`, `layers.3.query-key`.

    Args:
        first: the lowest layer; none: no matter which, and outside the layers too.
        last: the highest layer.
        kind: none: any but the head.
    """

    first: int | None
    last: int | None
    kind: Kind | None

    @classmethod
    def parse(cls, text: str) -> WeightSelection:
        """A selection from its text.

        Raises:
            ValueError: it is none.
        """
        kinds = {str(kind): kind for kind in KINDS}
        if text == "backbone" or text in kinds:
            return cls(None, None, kinds.get(text))
        found = _PATTERN.fullmatch(text)
        if found is None or found[3] not in {None, *INSIDE} or (found[2] and int(found[2]) < int(found[1])):
            known = ", ".join(KINDS)
            raise ValueError(f"{text!r} names no weights; expected backbone, {known}, layers.0-5, layers.3.query-key")
        first = 0 if found[1] is None else int(found[1])
        last = None if found[1] is None else int(found[2] or found[1])
        return cls(first, last, kinds.get(found[3] or ""))

    def __contains__(self, place: WeightPlace) -> bool:
        if place.kind != self.kind if self.kind is not None else place == HEAD:
            return False
        if self.first is None:
            return True
        return place.layer is not None and place.layer >= self.first and (self.last is None or place.layer <= self.last)
