"""Fine-tuning slow and fast: four policies, each a switch of its own.

The idea and the number of policies are Guo et al.'s (2023, arXiv 2305.11449); what each of them does here, and its
constants, are ours. Any subset may be on; none of them is plain fine-tuning.

* *fast in place*: the head, and the upper layers that serve the task, move faster.
* *slow in time*: what is kept follows slowly: the mean of the weights over the last half of the updates.
* *slow across runs*: the mean of several trainings is one model (`average`).
* *slow in place*: the lower layers and what they compute, which languages share, move little: by a rate of their own,
  or by a penalty on how far the states behind them drift. Fine-tuning's own settings go with it: `hidden_dropout`, and
  words that are frozen (`embeddings: false`).

How slow is chosen on the source's development data, among `FORMS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from isogloss.methods import fine_tuning
from isogloss.methods.fine_tuning import FineTuning, FineTuningSettings, PlaceRates
from isogloss.methods.settings import Drift, MeanOfUpdates, Rate
from isogloss.optim.param_groups import Factor, RateTable
from isogloss.optim.weight_places import WeightPlace

LAST_HALF = MeanOfUpdates(mean=0.5, every=4)
# Forms whose strengths were found together, the slowest first; a setting that one of them leaves out has its default.
# Dropout is of states alone: with that of attention weights names were lost.
FORMS: dict[str, dict[str, Any]] = {
    "D": {"epochs": 6, "attention_dropout": 0.0, "hidden_dropout": 0.3, "lower_factor": 0.3},
    "B": {
        "epochs": 6, "attention_dropout": 0.0, "hidden_dropout": 0.3, "lower_factor": 1.0, "drift": 1.0,
        "embeddings": True,
    },
    "F": {"epochs": 6, "attention_dropout": 0.0, "slow_place": False, "embeddings": True},
}  # fmt: skip


class SlowFastSettings(FineTuningSettings):
    """Fine-tuning's, and those of the four policies; `average` is the switch of the one across runs."""

    GONE: ClassVar[frozenset[str]] = frozenset({"fast_time", "head_alone", "late", "tail"})

    lr: Rate = Field(1e-4, description="peak learning rate of the backbone, before any policy")
    slow_time: bool = Field(
        True, description="slow in time: keep the mean over the last half of the updates, or the one that `select` says"
    )
    slow_place: bool = Field(True, description="slow in place")
    fast_place: bool = Field(True, description="fast in place")
    drift: float = Field(
        0.0,
        ge=0,
        description="slow in place: penalty on the squared distance of hidden states from the pre-trained ones, in "
        "units of their variance, averaged over the tokens of an update",
    )
    lower: float = Field(0.5, ge=0, le=1, description="slow in place: share of the layers that are the lower ones")
    lower_factor: float = Field(
        0.3, ge=0, le=1, description="slow in place: factor on the rate of the embeddings and the lower layers"
    )
    upper: float = Field(0.5, ge=0, le=1, description="fast in place: share of the layers that are the upper ones")
    upper_factor: float = Field(3.0, ge=1, description="fast in place: factor on the rate of the upper layers")
    head_factor: float = Field(3.0, ge=1, description="fast in place: factor on the rate of the head")

    @model_validator(mode="before")
    @classmethod
    def _as_before(cls, values: Any) -> Any:
        """What was written for the policies of before would train to something else now, or not at all."""
        if isinstance(values, Mapping) and (gone := sorted(cls.GONE & values.keys())):
            raise ValueError(f"there is no {' or '.join(gone)} any more; {_instead(values)}")
        return values

    @property
    def kept(self) -> Literal["best", "last", "mean"] | MeanOfUpdates:
        """Slow in time keeps a mean over updates, whatever else `select` says."""
        kept = super().kept
        return LAST_HALF if self.slow_time and not isinstance(kept, MeanOfUpdates) else kept

    @property
    def holds(self) -> Drift | None:
        """The penalty, where slow in place is on."""
        return super().holds if self.slow_place else None


def _instead(values: Mapping[str, Any]) -> str:
    """What to write instead of settings of before."""
    written = []
    if (tail := values.get("tail")) is not None:
        share = tail if isinstance(tail, int | float) else LAST_HALF.mean
        written.append(f"`select: {{mean: {share}}}`, over updates and not epochs")
    if values.get("fast_time") is True or (values.get("head_alone") and values.get("fast_time", True)):
        share = alone if isinstance(alone := values.get("head_alone"), int | float) else 0.1
        written.append(f"for the head alone at first `rates: {{backbone: [0, 1]}}, phases: [{share}]`")
    if not written:
        return "leave it out"
    return f"write {', and '.join(written)}, or leave it out"


def policies(settings: SlowFastSettings, layers: int) -> RateTable:
    """The policies that are rates, as a table of them by place.

    Args:
        settings: what the run is told.
        layers: how many the model has.
    """
    rates: dict[str, float] = {}
    if settings.slow_place:
        rates["embeddings"] = settings.lower_factor
        if lower := round(layers * settings.lower):
            rates[f"layers.0-{lower - 1}"] = settings.lower_factor
    if settings.fast_place:
        rates["head"] = settings.head_factor
        if upper := round(layers * settings.upper):
            rates[f"layers.{layers - upper}-{layers - 1}"] = settings.upper_factor
    return RateTable(rates, [])


def place_rates(settings: SlowFastSettings, layers: int) -> PlaceRates:
    """What fine-tuning's own settings say, times what the policies do.

    Args:
        settings: what the run is told.
        layers: how many the model has.
    """
    plain, table = fine_tuning.place_rates(settings, layers), policies(settings, layers)

    def of(where: WeightPlace) -> Factor:
        of_settings, of_policies = plain.factor(where), table.factor(where)

        def factor(share: float) -> float:
            return of_settings(share) * of_policies(share)

        return factor

    by_place = plain.by_place or table.by_place
    return PlaceRates(lambda where: plain.ever(where) and any(table.factors(where)), of, by_place)


METHOD = FineTuning("slow-fast", SlowFastSettings, place_rates)
