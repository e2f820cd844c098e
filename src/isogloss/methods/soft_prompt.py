"""Soft prompt: trained vectors among the input embeddings, the backbone frozen.

Prompt tuning of Lester et al. 2021 (arXiv 2104.08691, section 2); for cross-lingual transfer with the prompt after the
text and an optional MLP, Philippy et al. 2024 (arXiv 2402.03782).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.prompts import PromptForm, PromptPlace
from isogloss.errors import IsoglossError
from isogloss.methods.settings import Rate, Settings

MLP_WIDTH = 200  # of the reparameterisation, as in Philippy et al.'s released code


class SoftPromptSettings(Settings):
    """Settings of a soft prompt."""

    SEARCHED: ClassVar[dict[str, Any]] = {
        "lr": {"from": 1e-2, "to": 0.5},
        "head_lr": {"from": 3e-3, "to": 1e-1},
        "length": [4, 16, 64],
    }

    lr: Rate = Field(1e-1, description="peak learning rate of the prompt; far above fine-tuning's, or nothing moves")
    head_lr: Rate = Field(3e-2, description="peak learning rate of the head")
    epochs: PositiveInt = Field(10, description="passes over the training examples")
    length: PositiveInt = Field(16, description="prompt positions P; each takes one position from the text")
    place: PromptPlace = Field(
        "before",
        description="where the prompt stands: before the text, after it, after its first token, or where the "
        "verbalizer's template says",
    )
    init: Literal["vocabulary", "words", "uniform"] = Field(
        "vocabulary",
        description="what the prompt starts as: random rows of the word embedding, `words`, or U(-0.5, 0.5)",
    )
    words: str = Field("", description="the words that `init: words` starts from, repeated to fill the prompt")
    mlp: bool = Field(False, description="train through a small MLP (reparameterisation), folded away afterwards")

    @model_validator(mode="after")
    def _words_go_together(self) -> SoftPromptSettings:
        if (self.init == "words") != bool(self.words):
            raise ValueError("`words` and `init: words` need each other")
        if self.place == "template" and self.head != "verbalizer":
            raise ValueError("`place: template` needs `head: verbalizer`, whose template says where {prompt} stands")
        return self


class SoftPromptPart(nn.Module):
    """One run's prompt.

    Args:
        start: initial vectors (P, H).
        mlp: the reparameterisation, if any.
    """

    def __init__(self, start: Tensor, mlp: nn.Module | None = None) -> None:
        super().__init__()
        self.start = nn.Parameter(start)
        self.mlp = mlp

    def forward(self) -> Tensor:
        """The prompt (P, H) as the backbone sees it."""
        vectors: Tensor = self.start if self.mlp is None else self.mlp(self.start)
        return vectors


class SoftPrompt:
    """See `Method`."""

    name = "soft-prompt"
    settings: type[Settings] = SoftPromptSettings
    frozen = True
    passes = 2.0
    alike: tuple[str, ...] = ("place", "mlp")

    def check(self, backbone: Backbone, settings: SoftPromptSettings) -> None:
        """A decoder reads nothing behind the text."""
        if backbone.causal and settings.place == "after":
            raise IsoglossError(
                f"place: after puts the prompt where nothing of {backbone.identity.name} sees it, as it is a decoder; "
                "set place to before, after-first, or to template with a verbalizer"
            )

    def build(self, backbone: Backbone, settings: SoftPromptSettings, generator: torch.Generator) -> SoftPromptPart:
        """A prompt at its initial values."""
        width = backbone.shape.width
        if settings.init == "uniform":
            start = torch.rand(settings.length, width, generator=generator) - 0.5
        else:
            if settings.init == "words":
                given = backbone.tokenizer(settings.words, add_special_tokens=False)["input_ids"]
                ids = torch.tensor([given[i % len(given)] for i in range(settings.length)])
            else:
                words = _words(backbone.tokenizer)
                ids = words[torch.randint(len(words), (settings.length,), generator=generator)]
            start = backbone.embed(ids.to(backbone.device)).detach().float()
        return SoftPromptPart(start.clone(), _mlp(width, generator) if settings.mlp else None)

    def form(self, settings: Sequence[SoftPromptSettings]) -> PromptForm:
        """Vectors among the text's."""
        return PromptForm("input", tuple(one.length for one in settings), place=settings[0].place)

    def positions(self, settings: SoftPromptSettings) -> int:
        """A position for each vector."""
        return settings.length

    def stored(self, part: SoftPromptPart) -> dict[str, Tensor]:
        """The prompt with the MLP folded in."""
        return {"vectors": part().detach()}

    def restore(
        self, backbone: Backbone, settings: SoftPromptSettings, tensors: Mapping[str, Tensor]
    ) -> SoftPromptPart:
        """A plain prompt."""
        return SoftPromptPart(tensors["vectors"])


def _words(tokenizer: Any) -> Tensor:
    """Ids of all that a text can hold: neither special tokens nor places kept free (`<mask>`, `[unused7]`)."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    marked = re.compile(r"\[[^\]]+\]|<[^>]+>")
    return torch.tensor(
        sorted(
            number
            for piece, number in tokenizer.get_vocab().items()
            if number not in special and not marked.fullmatch(piece)
        )
    )


def _mlp(width: int, generator: torch.Generator) -> nn.Module:
    mlp = nn.Sequential(nn.Linear(width, MLP_WIDTH), nn.ReLU(), nn.Linear(MLP_WIDTH, width), nn.LayerNorm(width))
    for layer in (mlp[0], mlp[2]):
        assert isinstance(layer, nn.Linear)
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
    return mlp


METHOD = SoftPrompt()
