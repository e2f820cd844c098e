"""What sets one family of models apart from another."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM

from isogloss.backbones.backbone import Pooling, Shape


def load_decoder(where: str, *, words: bool, **options: Any) -> Any:
    """`Family.load` of a causal language model."""
    return (AutoModelForCausalLM if words else AutoModel).from_pretrained(where, **options)


@runtime_checkable
class Family(Protocol):
    """One file in this folder, with an instance of this in `FAMILY`.

    A family says how its models are loaded and called; what all have in common is in `Transformer`.
    """

    model_types: frozenset[str]
    causal: bool  # a token sees only what stands before it
    pooling: Pooling  # how a sentence is pooled where neither the model's name nor the spec says

    def load(self, where: str, *, words: bool, **options: Any) -> tuple[Any, dict[str, Any]]:
        """The model as transformers loads it, with its vocabulary head if `words`, and its loading report.

        Args:
            where: a folder or a hub id.
            words: whether the head over the vocabulary is wanted.
            options: for `from_pretrained`, `output_loading_info` among them.
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
