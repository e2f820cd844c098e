"""What sets one family of models apart from another."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM

from isogloss.backbones.attention import NAME as ATTENTION
from isogloss.backbones.backbone import Pooling, Shape


def load_as(
    auto: Any, config: Any, weights: Mapping[str, Any] | None, **arguments: Any
) -> tuple[Any, dict[str, set[str]]]:
    """`Family.load` of the model that one of transformers' auto classes has for a configuration.

    The weights are handed over: transformers looks for no files, nor for code.

    Args:
        auto: such as `AutoModel`.
        config: transformers' configuration.
        weights: tensors by name, float32 or to become it; None: a model without any.
        arguments: of the model.
    """
    kind = auto._model_mapping[type(config)]  # noqa: SLF001 - what its own `from_pretrained` begins with
    if weights is None:
        config = copy.deepcopy(config)
        config._attn_implementation = ATTENTION  # noqa: SLF001 - as `from_pretrained` sets it
        with torch.device("meta"):
            return kind(config, **arguments), {}
    loaded: tuple[Any, dict[str, set[str]]] = kind.from_pretrained(
        None, config=config, state_dict=dict(weights), dtype=torch.float32, attn_implementation=ATTENTION,
        trust_remote_code=False, output_loading_info=True, **arguments,
    )  # fmt: skip
    return loaded


def load_decoder(config: Any, *, words: bool, weights: Mapping[str, Any] | None) -> tuple[Any, dict[str, set[str]]]:
    """`Family.load` of a causal language model."""
    return load_as(AutoModelForCausalLM if words else AutoModel, config, weights)


@runtime_checkable
class Family(Protocol):
    """One file in this folder, with an instance of this in `FAMILY`.

    A family says how its models are loaded and called; what all have in common is in `Transformer`.
    """

    model_types: frozenset[str]
    causal: bool  # a token sees only what stands before it
    pooling: Pooling  # how a sentence is pooled where neither the model's name nor the spec says

    def load(self, config: Any, *, words: bool, weights: Mapping[str, Any] | None) -> tuple[Any, dict[str, set[str]]]:
        """The model as transformers loads it, with its vocabulary head if `words`, and its loading report.

        Args:
            config: transformers' configuration.
            words: whether the head over the vocabulary is wanted.
            weights: tensors by name; None: only the model's shapes are wanted, and no report.
        """
        ...

    def prepare(self, model: nn.Module) -> None:
        """Change a freshly loaded model so that every self-attention goes through `attend`."""
        ...

    def shape(self, config: Any) -> Shape:
        """Its sizes."""
        ...

    def inside(self, model: nn.Module) -> list[nn.Module]:
        """All modules behind the embeddings, the layers among them: what computes in the chosen dtype."""
        ...

    def forward(
        self,
        model: nn.Module,
        embedded: Float[Tensor, "1 N H"],
        positions: Int[Tensor, "1 N"],
        types: Int[Tensor, "1 N"] | None,
    ) -> Float[Tensor, "1 N H"]:
        """Hidden states of the last layer, from input embeddings.

        Args:
            model: of this family.
            embedded: rows end to end.
            positions: of each token in its row, from 0.
            types: segment ids, ignored where there are none.
        """
        ...
