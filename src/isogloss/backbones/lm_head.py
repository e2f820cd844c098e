"""A model's own head over its vocabulary, computed only where an answer is wanted and for the words that are asked."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn


class LMHead(nn.Module):
    """Logits of words, from hidden states.

    Args:
        model: the backbone's model, whose word embedding is the head's where they are tied.
        transform: what stands between states and words in a masked language model; None in a causal one.
        weight: of words (V, H); None where it is the word embedding.
        bias: of words (V), if any.
        cap: logits are kept within ± this by a tanh, if given (Gemma 2).
    """

    def __init__(
        self, model: Any, *, transform: nn.Module | None, weight: Tensor | None, bias: Tensor | None, cap: float | None
    ) -> None:
        super().__init__()
        self.model = [model]  # in a list: its weights are not this module's own
        self.transform = transform
        self.weight: Tensor | None
        self.bias: Tensor | None
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.cap = cap

    def of(self, model: nn.Module) -> LMHead:
        """This head over a copy of the model."""
        return LMHead(model, transform=self.transform, weight=self.weight, bias=self.bias, cap=self.cap)

    def states(self, hidden: Float[Tensor, "units H"]) -> Float[Tensor, "units H"]:
        """What is compared with words."""
        return hidden if self.transform is None else self.transform(hidden)

    def logits(
        self, states: Float[Tensor, "units H"], words: Int[Tensor, "W"] | None = None
    ) -> Float[Tensor, "units W"]:
        """Scores of these words, or of the whole vocabulary.

        Args:
            states: by `states`.
            words: their ids.
        """
        weight = self.model[0].get_input_embeddings().weight if self.weight is None else self.weight
        bias = self.bias
        if words is not None:
            weight, bias = weight[words], None if bias is None else bias[words]
        logits = nn.functional.linear(states, weight.to(states.dtype), bias)
        return logits if self.cap is None else self.cap * (logits / self.cap).tanh()


def lm_head_of(whole: Any, model: nn.Module) -> LMHead | None:
    """The head of a model that was loaded with one; None where there is none.

    Args:
        whole: as `AutoModelForCausalLM` or `AutoModelForMaskedLM` gives it.
        model: the part of it that makes hidden states.
    """
    decoder = whole.get_output_embeddings()
    if decoder is None:
        return None
    tied = decoder.weight is model.get_input_embeddings().weight  # type: ignore[operator]
    return LMHead(
        model,
        transform=_transform(whole),
        weight=None if tied else decoder.weight.detach(),
        bias=None if decoder.bias is None else decoder.bias.detach(),
        cap=getattr(whole.config, "final_logit_softcapping", None),
    ).requires_grad_(requires_grad=False)


def _transform(whole: Any) -> nn.Module | None:
    """BERT's, RoBERTa's and DistilBERT's dense layer, activation and norm."""
    if hasattr(whole, "cls"):
        transform: nn.Module = whole.cls.predictions.transform
        return transform
    if hasattr(whole, "vocab_transform"):  # DistilBERT
        return nn.Sequential(whole.vocab_transform, whole.activation, whole.vocab_layer_norm)
    if hasattr(whole, "lm_head") and hasattr(whole.lm_head, "dense"):
        head = whole.lm_head
        return nn.Sequential(head.dense, nn.GELU(), head.layer_norm)
    return None
