"""How much a backbone that learns is disturbed: two settings of every method that trains one."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.dropout import set_attention_dropout, set_dropout
from isogloss.methods.settings import Fraction, Settings


class BackboneDropoutSettings(Settings):
    """Dropout inside the backbone. They are two because dropout of attention rules fast kernels out."""

    SHORTHANDS: ClassVar[dict[str, tuple[str, ...]]] = {"backbone_dropout": ("hidden_dropout", "attention_dropout")}

    hidden_dropout: Fraction = Field(
        0.1,
        description="dropout of the backbone's states: of embeddings, behind attention, in the feed-forward; "
        "`backbone_dropout` sets this and `attention_dropout`",
    )
    attention_dropout: Fraction = Field(
        0.1, description="dropout of the backbone's attention weights; above 0 it rules the fastest kernels out"
    )

    def disturb(self, backbone: Backbone) -> None:
        """Set both inside a backbone, for when it trains."""
        set_dropout(backbone.model, self.hidden_dropout)
        set_attention_dropout(backbone.attention, self.attention_dropout)
