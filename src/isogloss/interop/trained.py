"""A trained model as other libraries can take it: transformers' own model, and what was trained around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.backbones.backbone import Pooling
from isogloss.backbones.plain import config_of, is_encoder_half, plain_model
from isogloss.backbones.prompts import PromptForm
from isogloss.experiment.predict import Model
from isogloss.methods.settings import Settings
from isogloss.preprocessing.truncate import text_room
from isogloss.store import Store, StoredCell
from isogloss.tasks.heads import ClassificationHead

FULL = 384  # tokens of a passage's window where nobody said, as in isogloss itself


@dataclass(frozen=True, eq=False)
class Trained:
    """One trained cell, loaded in float32.

    Args:
        model: of the run directory.
        store: the run directory.
        cell: as it lies there.
    """

    model: Model
    store: Store
    cell: StoredCell

    @property
    def method(self) -> str:
        """The method's own name, whatever the spec calls it."""
        return self.model.stack.method.name

    @property
    def settings(self) -> Any:
        """Of the method."""
        settings: Settings = self.model.stack.runs[0].settings
        return settings

    @property
    def labels(self) -> list[str]:
        """In the order of the head's classes."""
        return list(self.model.record.labels)

    @property
    def kind(self) -> str:
        """Of its task: `classification`, `tagging`, `qa`, …."""
        return self.model.record.kind

    @property
    def questions(self) -> bool:
        """Whether an answer is a span of a passage."""
        return self.kind.startswith("qa")

    @property
    def pooling(self) -> Pooling:
        """How a text is pooled."""
        return self.model.stack.pooling

    @property
    def verbalized(self) -> bool:
        """Whether its classes are words of the model's own."""
        return self.model.stack.verbalized

    @property
    def form(self) -> PromptForm | None:
        """Where its prompt stands, if it has one."""
        return self.model.stack.form(self.model.stack.runs)

    @cached_property
    def prompt(self) -> Tensor:
        """Its vectors: (P, H) among the embeddings, or keys and values (L, 2, P, heads, D)."""
        with torch.no_grad():
            vectors: Tensor = self.model.stack.runs[0].part()
        return vectors.detach().float().cpu()

    @property
    def head(self) -> tuple[Float[Tensor, "H C"], Float[Tensor, "C"]]:
        """The weights and the biases of its linear head."""
        head = self.model.stack.runs[0].head
        assert isinstance(head, ClassificationHead)
        return head.weight.detach().float().cpu(), head.bias.detach().float().cpu()

    @property
    def tokenizer(self) -> Any:
        """The backbone's."""
        return self.model.stack.backbone.tokenizer

    @property
    def typed(self) -> bool:
        """Whether the model tells the two texts of a pair apart by segment ids."""
        return "token_type_ids" in self.tokenizer.model_input_names

    @property
    def pairs(self) -> bool:
        """Whether an example has two parts."""
        return len(self.model.record.inputs) > 1

    @property
    def longest(self) -> int:
        """Most tokens of a text, special ones included, beside the prompt."""
        run = self.model.stack.runs[0]
        longest = self.model.record.facts["longest"] or (FULL if self.questions else None)
        return text_room(self.model.stack.room(run), longest)

    @property
    def source(self) -> str:
        """What others call the backbone: a hub id, or the name of a folder."""
        return self.model.stack.backbone.identity.name

    @property
    def changed(self) -> bool:
        """Whether it has weights of its own inside the backbone."""
        return not self.model.stack.method.frozen

    @property
    def config(self) -> Any:
        """Transformers' configuration of the backbone."""
        return config_of(self.model.stack.backbone)

    @property
    def encoder_half(self) -> bool:
        """Whether the backbone is the encoder of an encoder-decoder."""
        return is_encoder_half(self.model.stack.backbone)

    def plain(self) -> Any:
        """The backbone as transformers has it, with the weights that training has left in it, but without LoRA's."""
        return plain_model(self.model.stack.backbone)


def load(stored: Store, cell: StoredCell) -> Trained:
    """A cell of a run directory, to be exported.

    Raises:
        IsoglossError: the backbone is not the one it was trained on.
    """
    return Trained(Model.of(stored, cell, dtype="float32"), stored, cell)
