"""What a checkpoint that was trained elsewhere consists of, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.checkpoint.heads import TrainedHead
from isogloss.backbones.checkpoint.kinds import Form


@dataclass(frozen=True, eq=False)
class TrainedElsewhere:
    """What a checkpoint holds, checked against the backbone that it goes with.

    Args:
        form: what it does to a backbone.
        tensors: with which it does so: `vectors` of a prompt (P, H) or a prefix (L, 2, P, heads, D), changes as
            `checkpoint.updates` has them, or a model's files as `checkpoint.fine_tuned` has them.
        head: what scores the states.
        length: positions P of a prompt or a prefix.
        pools_prompt: whether the first state that it reads is a prompt's, which stands in front of the text.
        segments: whether it is told which of two texts a token is of, where its backbone could be.
        subword: which sub-word of a word it was trained to tag; None: as the data are read otherwise.
        backbone: its own; None: it goes with the one that it was checked against.
        said: what a user has to know of it, a line each.
    """

    form: Form
    tensors: Mapping[str, Tensor]
    head: TrainedHead
    length: int = 0
    pools_prompt: bool = False
    segments: bool = True
    subword: Literal["first", "last"] | None = None
    backbone: Backbone | None = None
    said: Sequence[str] = field(default_factory=list)
