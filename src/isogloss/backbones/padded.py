"""Padded rows, as tokenizers give them, for a backbone that computes on packed ones.

Training and evaluation pack their rows from the start; this is for whoever has tensors in hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from isogloss.backbones.layout import Packing, Rows
from isogloss.backbones.prompts import InputPrompt, Prompt

if TYPE_CHECKING:
    from isogloss.backbones.backbone import Backbone


@dataclass(frozen=True, eq=False)
class PaddedBatch:
    """Padded rows, packed.

    Args:
        tokens: of all rows end to end.
        types: segment ids of those.
        packing: how they lie.
        at: where each stands among the padded ones.
        shape: of those: rows and columns.
    """

    tokens: Int[Tensor, "N"]
    types: Int[Tensor, "N"] | None
    packing: Packing
    at: Int[Tensor, "N"]
    shape: tuple[int, int]

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        tokens: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        *,
        types: Int[Tensor, "B T"] | None,
        run: Int[Tensor, "B"] | None,
        prompt: Prompt | None,
        front: Int[Tensor, "B"] | None,
    ) -> PaddedBatch:
        """Rows of any order, padded on either side or between. The arguments are those of `Backbone.hidden`."""
        real = mask.cpu().numpy()
        runs = np.zeros(len(real), dtype=np.int64) if run is None else run.cpu().numpy()
        order = np.argsort(runs, kind="stable")
        columns = [np.flatnonzero(real[row]) for row in order]
        at = torch.from_numpy(
            np.concatenate([row * real.shape[1] + part for row, part in zip(order, columns, strict=True)])
        )
        at = at.to(tokens.device)
        ahead = None if front is None else front.cpu().numpy()[order]
        rows = Rows(np.asarray([len(part) for part in columns]), runs[order], ahead)
        form = None if prompt is None else prompt.form
        if isinstance(prompt, InputPrompt) and prompt.place == "template" and front is None:
            raise ValueError("a prompt whose place a template says needs `front`")
        packing = backbone.packing(rows, form).to(tokens.device)
        flat = [None if part is None else part.flatten().index_select(0, at) for part in (tokens, types)]
        assert flat[0] is not None
        return cls(flat[0], flat[1], packing, at, (real.shape[0], real.shape[1]))

    def padded(self, states: Float[Tensor, "joined H"], *, ahead: bool = False) -> Float[Tensor, "B T H"]:
        """States of the text's tokens where those stood, zeros elsewhere; or of what stands in front of each."""
        places = self.packing.text
        if ahead:
            states = states.roll(1, dims=0)
        if places is not None:
            states = states.index_select(0, places)
        rows, width = self.shape
        out = states.new_zeros(rows * width, states.shape[-1]).index_copy(0, self.at, states)
        return out.view(rows, width, -1)
