"""The mean of several trainings' weights as one model (Wortsman et al. 2022, arXiv 2203.05482), heads too.

A mean of weights is a model only where all trainings begin at the same weights, or at ones that their loss draws to one
place: fine-tuning from the pre-trained weights, and a linear head over states that stay. Prompts begin somewhere else
with each seed, and of two matrices whose product is the update, as LoRA's are, the product of the means is not the mean
of the products.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from pydantic import Field, PositiveInt
from torch import Tensor

from isogloss.backbones.backbone import Backbone
from isogloss.methods.settings import Settings


class AveragedSettings(Settings):
    """Of methods whose trainings have a mean."""

    LATER: ClassVar[frozenset[str]] = frozenset({"average"})
    MOST_OF: ClassVar[dict[str, int]] = {**Settings.MOST_OF, "average": 1000}

    average: PositiveInt = Field(
        1, description="trainings, each from a seed of its own, whose weights are averaged to one model, heads too"
    )


@runtime_checkable
class Widening(Protocol):
    """A method of which each training may keep rows of words of its own, as few shots show it others."""

    def widened(
        self, backbone: Backbone, tensors: Mapping[str, Tensor], words: Int[Tensor, "rows"]
    ) -> dict[str, Tensor]:
        """What `Method.stored` gave, with rows for more words, which are as they were pre-trained.

        Args:
            backbone: with the pre-trained word embedding.
            tensors: of a training.
            words: ids, those of the training among them, each once.
        """
        ...


class MeanWeights:
    """The mean of several trainings' tensors, which are seen one training after the other."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, tensors: Mapping[str, Tensor]) -> None:
        """One training's tensors by name: the same names and shapes in each."""
        for name, tensor in tensors.items():
            if not tensor.is_floating_point():  # ids, alike in all
                self._sums[name] = tensor.cpu()
            elif self._count:
                self._sums[name] += tensor.cpu().double()
            else:
                self._sums[name] = tensor.cpu().to(torch.float64, copy=True)
        self._count += 1

    def result(self) -> dict[str, Tensor]:
        """The mean, in float32."""
        return {
            name: (total / self._count).float() if total.is_floating_point() else total
            for name, total in self._sums.items()
        }
