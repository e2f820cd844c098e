"""Learning rates by group of weights and by phase of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from isogloss.optim.weight_places import WeightPlace, WeightSelection

# What a group's peak rate is multiplied by, beside warm-up and decay, given the share of all updates that are done.
Factor = Callable[[float], float]


def always(_: float) -> float:
    """No change."""
    return 1.0


@dataclass(frozen=True, eq=False)
class RateGroup:
    """Weights that learn at one rate, which is not at all while the factor is 0.

    Args:
        parameters: the weights.
        peak: their rate, but for warm-up and decay.
        factor: what it is multiplied by as training goes on.
        of: what they belong to; `method` is what a method adds to the backbone.
        anchors: values that weight decay pulls towards, instead of 0; one a parameter.
        pull: the strength of that.
    """

    parameters: Sequence[nn.Parameter]
    peak: float
    factor: Factor = always
    of: Literal["backbone", "method", "head"] = "method"
    anchors: Sequence[Tensor] | None = None
    pull: float = 0.0


class RateTable:
    """Factors by places and phases, multiplied where several hold.

    Args:
        rates: of places as `WeightSelection.parse` reads them: a factor, or one for each phase.
        phases: shares of the updates at which the phases but the last end.
    """

    def __init__(self, rates: Mapping[str, float | Sequence[float]], phases: Sequence[float]) -> None:
        self.phases = tuple(phases)
        self.rules = [
            (
                WeightSelection.parse(text),
                tuple(factor) if isinstance(factor, Sequence) else (factor,) * (len(phases) + 1),
            )
            for text, factor in rates.items()
        ]

    @property
    def by_place(self) -> bool:
        """Whether weights of the backbone have other factors than one another."""
        return any(selection.by_place for selection, _ in self.rules)

    def factors(self, place: WeightPlace) -> tuple[float, ...]:
        """The factor of a place in each phase."""
        product = [1.0] * (len(self.phases) + 1)
        for selection, factors in self.rules:
            if place in selection:
                product = [one * other for one, other in zip(product, factors, strict=True)]
        return tuple(product)

    def factor(self, place: WeightPlace) -> Factor:
        """The factor of a place as training goes on."""
        factors = self.factors(place)

        def of(share: float) -> float:
            return factors[sum(share >= end for end in self.phases)]

        return of
