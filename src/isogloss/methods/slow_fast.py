"""Fine-tuning slow and fast: four policies, each a switch of its own.

The idea and the number of policies are Guo et al.'s (2023, arXiv 2305.11449); what each of them does here, and its
constants, are ours. Any subset may be on; none of them is plain fine-tuning.

* *slow in time*: once the source is learnt, as its own training loss tells (`isogloss.onset`), the backbone slows down;
  and what is kept is not its last state but the mean of its states after the last epochs, which follows slowly.
* *slow in place*: the embeddings and the lower layers, which carry what languages share, move little.
* *fast in place*: the head, and the upper layers that serve the task, move faster.
* *fast in time*: the source is learnt early: by the head alone at first, so that the backbone has less to change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from isogloss.backbones import Backbone, Insert
from isogloss.backbones.anatomy import HEAD, Place
from isogloss.methods.fine_tuning import METHOD as FINE_TUNING
from isogloss.methods.fine_tuning import SEEN, FineTuningPart, FineTuningSettings, factors
from isogloss.methods.settings import Fraction, Rate, Settings
from isogloss.rates import Factor, Progress, RateGroup, RateTable


class SlowFastSettings(FineTuningSettings):
    """Fine-tuning's, and those of the four policies."""

    lr: Rate = Field(1e-4, description="peak learning rate of the backbone, before any policy")
    slow_time: bool = Field(True, description="slow in time")
    slow_place: bool = Field(True, description="slow in place")
    fast_place: bool = Field(True, description="fast in place")
    fast_time: bool = Field(True, description="fast in time")
    late: float = Field(
        0.5, ge=0, le=1, description="slow in time: factor on the backbone's rate once the source is learnt"
    )
    tail: float = Field(
        0.5, gt=0, le=1, description="slow in time: share of the epochs, the last, of whose weights the mean is kept"
    )
    lower: float = Field(0.5, ge=0, le=1, description="slow in place: share of the layers that are the lower ones")
    lower_factor: float = Field(
        0.3, ge=0, le=1, description="slow in place: factor on the rate of the embeddings and the lower layers"
    )
    upper: float = Field(0.5, ge=0, le=1, description="fast in place: share of the layers that are the upper ones")
    upper_factor: float = Field(3.0, ge=1, description="fast in place: factor on the rate of the upper layers")
    head_factor: float = Field(3.0, ge=1, description="fast in place: factor on the rate of the head")
    head_alone: Fraction = Field(0.1, description="fast in time: share of the updates in which the head learns alone")

    @property
    def averaged(self) -> float:
        """Slow in time keeps the mean, whatever `select` says."""
        return self.tail if self.slow_time else super().averaged


def policies(settings: SlowFastSettings, layers: int) -> RateTable:
    """The three policies that follow from the settings alone, as a table of rates by place and phase.

    Args:
        settings: of the run.
        layers: of the model.
    """
    rates: dict[str, float | list[float]] = {}
    phases: list[float] = []
    if settings.slow_place:
        rates["embeddings"] = settings.lower_factor
        if lower := round(layers * settings.lower):
            rates[f"layers.0-{lower - 1}"] = settings.lower_factor
    if settings.fast_place:
        rates["head"] = settings.head_factor
        if upper := round(layers * settings.upper):
            rates[f"layers.{layers - upper}-{layers - 1}"] = settings.upper_factor
    if settings.fast_time:
        phases = [settings.head_alone]
        rates["backbone"] = [0.0, 1.0]
    return RateTable(rates, phases)


class SlowFastPart(nn.Module):
    """One run's weights.

    Args:
        model: the weights, as fine-tuning has them.
    """

    def __init__(self, model: FineTuningPart) -> None:
        super().__init__()
        self.model = model

    def rates(self, settings: SlowFastSettings, head: nn.Module) -> list[RateGroup]:
        """Every place at its pace, times what fine-tuning's own settings say."""
        plain, table = factors(settings, self.model.layers), policies(settings, self.model.layers)

        def of(where: Place) -> Factor:
            before, own = plain(where), table.factor(where)

            def factor(progress: Progress) -> float:
                late = settings.slow_time and progress.onset is not None and where != HEAD
                return before(progress) * own(progress) * (settings.late if late else 1.0)

            return factor

        return self.model.by_place(settings, head, of)


class SlowFast:
    """See `Method`."""

    name = "slow-fast"
    settings: type[Settings] = SlowFastSettings
    frozen = False
    passes = 3.0
    alike: tuple[str, ...] = ()

    def check(self, backbone: Backbone, settings: SlowFastSettings) -> None:
        """What holds of fine-tuning."""
        FINE_TUNING.check(backbone, settings)

    def build(self, backbone: Backbone, settings: SlowFastSettings, generator: torch.Generator) -> SlowFastPart:
        """The backbone's weights, those made trainable that ever move."""
        table = policies(settings, backbone.shape.layers)
        return SlowFastPart(FINE_TUNING.part(backbone, settings, learns=lambda where: any(table.factors(where))))

    def insert(self, parts: Sequence[SlowFastPart], settings: Sequence[SlowFastSettings]) -> Insert | None:
        """Nothing."""
        return None

    def length(self, settings: SlowFastSettings) -> int:
        """No positions."""
        return 0

    def stored(self, part: SlowFastPart) -> dict[str, Tensor]:
        """Every tuned weight, in float32, by its name in the model."""
        return FINE_TUNING.stored(part.model)

    def restore(self, backbone: Backbone, settings: SlowFastSettings, tensors: Mapping[str, Tensor]) -> SlowFastPart:
        """The tuned weights laid over the backbone."""
        backbone.seen = tensors.get(SEEN)
        part = self.build(backbone, settings, torch.Generator())
        part.model.masters.load(tensors)
        return part


METHOD = SlowFast()
