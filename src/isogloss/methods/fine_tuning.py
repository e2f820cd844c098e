"""Fine-tuning: every weight of the backbone learns (Devlin et al. 2019), or those that the rates leave.

Its neighbours are settings: frozen layers and groups of weights at rates of their own, by phase (`rates`, `phases`);
layer-wise decay and gradual unfreezing (Howard and Ruder 2018, arXiv 1801.06146, sections 3.2 and 3.3); a pull towards
the pre-trained weights (L2-SP, Li et al. 2018, arXiv 1802.01483, here decoupled from the gradient as AdamW's decay is);
one of hidden states towards the pre-trained ones (`drift`); the mean of the weights over the last updates (`select`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.prompts import PromptForm
from isogloss.errors import IsoglossError
from isogloss.methods.averaged import AveragedSettings
from isogloss.methods.backbone_dropout import BackboneDropoutSettings
from isogloss.methods.settings import Drift, Fraction, Rate, Settings
from isogloss.optim.master_weights import MasterWeights
from isogloss.optim.param_groups import Factor, RateGroup, RateTable
from isogloss.optim.sparse_embedding import SparseEmbedding, let_learn
from isogloss.optim.weight_places import EMBEDDINGS, HEAD, WeightPlace, place, places
from isogloss.runtime.process_group import current

SEEN = "words"  # the stored ids of words whose rows learnt


class FineTuningSettings(AveragedSettings, BackboneDropoutSettings):
    """Settings of fine-tuning."""

    SEARCHED: ClassVar[dict[str, Any]] = {
        "lr": {"from": 1e-5, "to": 1e-3},
        "head_lr": {"from": 1e-3, "to": 3e-2},
        "epochs": [3, 6, 12],
    }

    LATER: ClassVar[frozenset[str]] = AveragedSettings.LATER | {"drift", "drift_layer"}

    lr: Rate = Field(3e-5, description="peak learning rate of the backbone")
    head_lr: Rate = Field(1e-2, description="peak learning rate of the head; at the backbone's rate it stays behind")
    epochs: PositiveInt = Field(5, description="passes over the training examples")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decoupled weight decay, of matrices only")
    embeddings: bool = Field(
        False,
        description="train the word embedding too: the rows of words that occur, or all where it is also the head",
    )
    rates: dict[str, NonNegativeFloat | list[NonNegativeFloat]] = Field(
        {}, description="factors on `lr` by weights, one or one a phase: {embeddings: 0, layers.0-5: [0, 0.1]}"
    )
    phases: list[Fraction] = Field(
        [], description="shares of the updates at which the phases of `rates` end, but the last"
    )
    layer_decay: float = Field(1.0, gt=0, le=1, description="factor on `lr` for each layer farther from the top")
    unfreeze: Fraction = Field(0.0, description="share of the updates over which layers begin to learn, the top first")
    l2_sp: float = Field(
        0.0, ge=0, description="decoupled weight decay towards the pre-trained values, in place of that towards 0"
    )
    drift: float = Field(
        0.0,
        ge=0,
        description="penalty on the squared distance of hidden states from the pre-trained ones, in "
        "units of their variance, averaged over the tokens of an update",
    )
    drift_layer: PositiveInt | None = Field(
        None, description="behind so many layers `drift` takes the states; left out: behind half of them"
    )

    @model_validator(mode="after")
    def _table_is_whole(self) -> FineTuningSettings:
        if list(self.phases) != sorted(set(self.phases)):
            raise ValueError(f"phases have to rise; came: {self.phases}")
        for text, factor in self.rates.items():
            if isinstance(factor, list) and len(factor) != len(self.phases) + 1:
                raise ValueError(
                    f"rates.{text} has {len(factor)} factors, expected {len(self.phases) + 1}: one a phase"
                )
        RateTable(self.rates, self.phases)
        return self

    @property
    def holds(self) -> Drift | None:
        """The penalty that `drift` is."""
        return Drift(self.drift, self.drift_layer) if self.drift else None


class PlaceRates(NamedTuple):
    """How fast the weights of each place learn."""

    ever: Callable[[WeightPlace], bool]  # whether they ever do
    factor: Callable[[WeightPlace], Factor]  # what their rate is multiplied by as training goes on
    by_place: bool  # whether that differs within the backbone, so that the place of each of its weights has to be known


def place_rates(settings: FineTuningSettings, layers: int) -> PlaceRates:
    """The rates that fine-tuning's settings set.

    Args:
        settings: what the run is told.
        layers: of the model; the embeddings count as the layer below the first, a last norm and the head as the top.
    """
    table = RateTable(settings.rates, settings.phases)

    def of(where: WeightPlace) -> Factor:
        tabled = table.factor(where)
        depth = layers - 1 - where.layer if where.layer is not None else layers if where.kind == "embeddings" else 0
        constant = settings.layer_decay**depth
        begins = settings.unfreeze * depth / layers

        def factor(share: float) -> float:
            return constant * tabled(share) * (share >= begins)

        return factor

    by_place = table.by_place or settings.layer_decay < 1 or settings.unfreeze > 0
    return PlaceRates(lambda where: any(table.factors(where)), of, by_place)


class FineTuningPart(nn.Module):
    """One run's weights, and the backbone that computes with them.

    Args:
        model: the run's own transformers model.
        embeddings: whether its word embedding trains.
        rates: of its weights by place; what never learns outside the word embedding is left as it is.
    """

    def __init__(self, model: nn.Module, *, embeddings: bool, rates: PlaceRates) -> None:
        super().__init__()
        words: nn.Embedding | SparseEmbedding = model.get_input_embeddings()  # type: ignore[operator]
        if isinstance(words, SparseEmbedding):
            self.seen: Tensor | None = words.ids
            shared = words.table.weight
        else:
            self.seen, shared = None, words.weight
            if embeddings:
                words.weight = nn.Parameter(shared.detach().clone())
        self.masters = MasterWeights(
            model,
            {
                name: weight
                for name, weight in model.named_parameters()
                if rates.ever(place(name)) and weight is not shared
            },
        )
        self.model = [model]  # in a list: its weights are not this module's own, the masters are
        self.place_rates = rates
        self.start: dict[str, Tensor] = {}  # the pre-trained values, where something pulls towards them

    def train(self, mode: bool = True) -> FineTuningPart:
        """Turn the backbone's dropout on or off as well."""
        super().train(mode)
        self.model[0].train(mode)
        return self

    def spread(self) -> None:
        """Learn in this process's parts of the weights, once the backbone's are spread over several processes."""
        self.masters.spread(self.model[0])
        whole = self.start
        self.start = {name: current().own(whole[name]) if self.masters.is_part(name) else whole[name] for name in whole}

    def rates(self, settings: FineTuningSettings, head: nn.Module) -> list[RateGroup]:
        """The weights by place, and the head."""
        names_at: dict[WeightPlace, list[str]] = {}
        masters = self.masters.parameters_by_name()
        for name in masters:
            names_at.setdefault(place(name), []).append(name)
        groups = [
            RateGroup(
                [masters[name] for name in names], settings.lr, self.place_rates.factor(where), of="backbone",
                pull=settings.l2_sp, anchors=[self.start[name] for name in names] if settings.l2_sp else None,
            )
            for where, names in names_at.items()
        ]  # fmt: skip
        head_rate = self.place_rates.factor(HEAD)
        return [*groups, RateGroup(list(head.parameters()), settings.head_lr, head_rate, of="head")]


@dataclass(frozen=True, eq=False)
class FineTuning:
    """See `Method`.

    Args:
        name: of the method.
        settings: fine-tuning's own, or more.
        rates: what follows from them, for a model of so many layers.
    """

    name: str
    settings: type[Settings]
    rates: Callable[[Any, int], PlaceRates]
    frozen = False
    passes = 3.0
    alike: ClassVar[tuple[str, ...]] = ()

    def check(self, backbone: Backbone, settings: FineTuningSettings) -> None:
        """Whether the model has the weights that rates are given for, and all of its weights have known places.

        And as many layers as `drift` looks behind.
        """
        self._place_rates(backbone, settings)
        layers = backbone.shape.layers
        if settings.drift_layer is not None and settings.drift_layer > layers:
            raise IsoglossError(
                f"drift_layer is {settings.drift_layer}, and {backbone.identity.name} has {layers} layers; expected "
                f"1 to {layers}, or none for {Drift(1.0, None).depth(layers)}, the middle"
            )
        known = {place(name) for name in backbone.weights()} | {HEAD}
        for text, (selection, _) in zip(settings.rates, RateTable(settings.rates, settings.phases).rules, strict=True):
            if not any(where in selection for where in known):
                raise IsoglossError(
                    f"rates.{text} is of no weights of {backbone.identity.name}, which has layers 0 to "
                    f"{backbone.shape.layers - 1}"
                )

    def build(self, backbone: Backbone, settings: FineTuningSettings, generator: torch.Generator) -> FineTuningPart:
        """The backbone's weights, those made trainable that ever move."""
        rates = self._place_rates(backbone, settings)
        embeddings = settings.embeddings and rates.ever(EMBEDDINGS)
        if embeddings and backbone.seen is not None:
            let_learn(backbone.model, backbone.seen)
        part = FineTuningPart(backbone.model, embeddings=embeddings, rates=rates)
        settings.disturb(backbone)
        if settings.l2_sp:
            part.start = {name: tensor.clone() for name, tensor in part.masters.named().items()}
        return part

    def form(self, settings: Sequence[FineTuningSettings]) -> PromptForm | None:
        """Nothing."""
        return None

    def positions(self, settings: FineTuningSettings) -> int:
        """No positions."""
        return 0

    def stored(self, part: FineTuningPart) -> dict[str, Tensor]:
        """Every tuned weight, in float32, by its name in the model; of a word embedding the rows that learnt."""
        return part.masters.named() if part.seen is None else {**part.masters.named(), SEEN: part.seen}

    def widened(self, backbone: Backbone, tensors: Mapping[str, Tensor], words: Tensor) -> dict[str, Tensor]:
        """Nothing, unless some rows of the word embedding learnt."""
        if SEEN not in tensors:
            return dict(tensors)
        table: nn.Embedding = backbone.model.get_input_embeddings()  # type: ignore[operator]
        (name,) = (name for name, module in backbone.model.named_modules() if module is table)
        rows: Tensor = table.weight.detach()[words.to(table.weight.device)].float().cpu()
        at = {word: row for row, word in enumerate(words.tolist())}
        rows[[at[word] for word in tensors[SEEN].tolist()]] = tensors[f"{name}.rows.weight"].cpu()
        return {**tensors, SEEN: words, f"{name}.rows.weight": rows}

    def restore(
        self, backbone: Backbone, settings: FineTuningSettings, tensors: Mapping[str, Tensor]
    ) -> FineTuningPart:
        """The tuned weights laid over the backbone."""
        backbone.seen = tensors.get(SEEN)
        part = self.build(backbone, settings, torch.Generator())
        part.masters.load(tensors)
        return part

    def _place_rates(self, backbone: Backbone, settings: FineTuningSettings) -> PlaceRates:
        """The rates, where the places that they are for are known.

        Raises:
            IsoglossError: rates go by place, and a weight's is not known.
        """
        rates = self.rates(settings, backbone.shape.layers)
        if rates.by_place:
            places(backbone.weights(), backbone.identity.name)
        return rates


METHOD = FineTuning("fine-tuning", FineTuningSettings, place_rates)
