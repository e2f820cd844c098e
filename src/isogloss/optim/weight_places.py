"""Which part of a model a weight belongs to: embeddings, a kind of weights in one of the layers, or the head.

A weight is known by its name, which says the modules that it lies in (`encoder.layer.3.attention.self.query.weight`).
Where a model fuses projections into one matrix, the matrix counts as what stands first in it: queries, keys and values
in one (`c_attn`, `qkv_proj`, `Wqkv`) are of the kind `query-key`, a gate fused with what it gates is feed-forward.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from isogloss.errors import IsoglossError

Kind = Literal["embeddings", "query-key", "value-output", "feed-forward", "norms", "head", "unknown"]
INSIDE: tuple[Kind, ...] = ("query-key", "value-output", "feed-forward", "norms")  # of a layer
KINDS: tuple[Kind, ...] = ("embeddings", *INSIDE, "head")  # those that can be asked for

_LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h|block|blocks)\.(\d+)\.(.+)")
_NORM = re.compile(r"(^|[._])(layer_?norm|rms_?norm|norm|ln)(_|\.|\d|$)|layernorm", re.IGNORECASE)

# Names of modules and of weights, by what they are. To teach it a model, add the model's names here.
_EMBEDDINGS = {"wte", "wpe", "shared", "relative_attention_bias", "project_in", "project_out"}  # besides all with `emb`
_QUERY_KEY = {
    "query", "key", "q", "k", "q_proj", "k_proj", "q_lin", "k_lin", "query_proj", "key_proj", "pos_query_proj",
    "pos_key_proj", "pos_q_proj", "pos_proj", "q_bias", "relative_attention_bias", "distance_embedding", "inv_freq",
    # Fused: queries, keys and, in most, values.
    "query_key_value", "qkv", "qkv_proj", "Wqkv", "c_attn", "in_proj", "in_proj_weight", "in_proj_bias",
}  # fmt: skip
_VALUE_OUTPUT = {"value", "v", "v_proj", "v_lin", "value_proj", "v_bias", "o", "o_proj", "out_proj", "out_lin"}
_FEED_FORWARD = {
    "intermediate", "fc1", "fc2", "c_fc", "fc_in", "fc_out", "lin1", "lin2", "wi", "wi_0", "wi_1", "gate_proj",
    "up_proj", "down_proj", "gate_up_proj", "dense_h_to_4h", "dense_4h_to_h", "Wi",
    # Modules in which everything but a norm is feed-forward.
    "mlp", "ffn", "feed_forward", "DenseReluDense",
}  # fmt: skip
# What these are, the module around them says: the output of an attention, or the second matrix of a feed-forward.
_ENDS = {"dense", "c_proj", "wo", "Wo"}
_ATTENTION = {"attention", "self_attention", "self_attn", "SelfAttention", "attn"}
_AFTER_ATTENTION = {"output"}  # BERT's: of the attention where that is around it, else of the feed-forward


@dataclass(frozen=True, order=True)
class WeightPlace:
    """Where a weight stands."""

    layer: int | None  # from 0; none outside the layers
    kind: Kind

    def __str__(self) -> str:
        return self.kind if self.layer is None else f"layers.{self.layer}.{self.kind}"


def place(name: str) -> WeightPlace:
    """The place of a weight, by its name in the model; of the kind `unknown` where the name says nothing.

    Outside the layers stand the embeddings, their norm among them, and the last norm of models that have one. What
    treats weights by their places asks `places`, which refuses those that are unknown.
    """
    inside = _LAYER.search(name)
    if inside is None:
        return WeightPlace(None, _outside(name))
    return WeightPlace(int(inside[1]), _inside(inside[2]))


def _outside(name: str) -> Kind:
    if "emb" in name.lower() or set(name.split(".")) & _EMBEDDINGS:
        return "embeddings"
    return "norms" if _NORM.search(name) else "unknown"


def _inside(name: str) -> Kind:
    """The kind of a weight, by what its name says behind the layer's number."""
    steps = set(name.split("."))
    if _NORM.search(name):
        return "norms"
    if steps & _QUERY_KEY:
        return "query-key"
    if steps & _VALUE_OUTPUT or (steps & _ATTENTION and steps & _ENDS):
        return "value-output"
    if steps & _FEED_FORWARD or (steps & _AFTER_ATTENTION and steps & _ENDS):
        return "feed-forward"
    return "unknown"


def places(names: Iterable[str], model: str) -> dict[str, WeightPlace]:
    """The places of weights, by their names.

    Args:
        names: of the weights in the model.
        model: what the user calls it.

    Raises:
        IsoglossError: nothing is known of a weight; it is named.
    """
    by_name = {name: place(name) for name in names}
    for name, where in by_name.items():
        if where.kind == "unknown":
            raise IsoglossError(
                f"the weight {name} of {model} is of no known kind ({', '.join(KINDS[:-1])}), so nothing can be set by "
                "kinds of weights; treat all alike, or add its name to isogloss/optim/weight_places.py"
            )
    return by_name


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
        match = _PATTERN.fullmatch(text)
        if match is None or match[3] not in {None, *INSIDE} or (match[2] and int(match[2]) < int(match[1])):
            known = ", ".join(KINDS)
            raise ValueError(f"{text!r} names no weights; expected backbone, {known}, layers.0-5, layers.3.query-key")
        first = 0 if match[1] is None else int(match[1])
        last = None if match[1] is None else int(match[2] or match[1])
        return cls(first, last, kinds.get(match[3] or ""))

    @property
    def by_place(self) -> bool:
        """Whether it tells weights of the backbone apart, so that their places have to be known."""
        return self.first is not None or self.kind not in {None, "head"}

    def __contains__(self, place: WeightPlace) -> bool:
        if place.kind != self.kind if self.kind is not None else place == HEAD:
            return False
        if self.first is None:
            return True
        return place.layer is not None and place.layer >= self.first and (self.last is None or place.layer <= self.last)
