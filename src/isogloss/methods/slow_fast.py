"""Fine-tuning slow and fast: four policies, each a switch of its own.

The idea and the number of policies are Guo et al.'s (2023, arXiv 2305.11449); what each of them does here, and its
constants, are ours. Any subset may be on; none of them is plain fine-tuning.

* *slow in time*: once the source is learnt, as its own training loss tells (`optim.loss_trend`), the backbone
  slows down; and what is kept is not its last state but the mean of its states after the last epochs, which follows
  slowly.
* *slow in place*: the embeddings and the lower layers, which carry what languages share, move little.
* *fast in place*: the head, and the upper layers that serve the task, move faster.
* *fast in time*: the source is learnt early: by the head alone at first, so that the backbone has less to change.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from isogloss.methods import fine_tuning
from isogloss.methods.fine_tuning import FineTuning, FineTuningSettings, PlaceRates
from isogloss.methods.settings import Fraction, MeanOfUpdates, Rate
from isogloss.optim.param_groups import Factor, Progress, RateTable
from isogloss.optim.weight_places import HEAD, WeightPlace


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
    def kept(self) -> Literal["best", "last", "mean"] | MeanOfUpdates:
        """Slow in time keeps a mean, whatever `select` says."""
        return MeanOfUpdates(mean=self.tail) if self.slow_time else super().kept


def policies(settings: SlowFastSettings, layers: int) -> RateTable:
    """The three policies that follow from the settings alone, as a table of rates by place and phase.

    Args:
        settings: what the run is told.
        layers: how many the model has.
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


def place_rates(settings: SlowFastSettings, layers: int) -> PlaceRates:
    """What fine-tuning's own settings say, times what the policies do.

    Args:
        settings: what the run is told.
        layers: how many the model has.
    """
    plain, table = fine_tuning.place_rates(settings, layers), policies(settings, layers)

    def of(where: WeightPlace) -> Factor:
        of_settings, of_policies = plain.factor(where), table.factor(where)

        def factor(progress: Progress) -> float:
            late = settings.slow_time and progress.onset is not None and where != HEAD
            return of_settings(progress) * of_policies(progress) * (settings.late if late else 1.0)

        return factor

    by_place = plain.by_place or table.by_place
    return PlaceRates(lambda where: plain.ever(where) and any(table.factors(where)), of, by_place)


METHOD = FineTuning("slow-fast", SlowFastSettings, place_rates)
