"""The parameters of K runs in one tensor, a row a run, and their gradients in another.

A run's own modules keep their parameters, which become views of its row. One optimiser then steps all runs in a few
calls, and what computes with the parameters of all runs at once reads them with a run axis, without a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

ALIGNED = 64  # numbers that each parameter's place is a multiple of, for kernels that read several at once


class FlatParameters:
    """Parameters of alike modules, laid out flat.

    Args:
        runs: the parameters of each run by name, float32 and of one device; the same names in all, and shapes that
            may differ in their sizes, where the smaller ones lie in front in the space of the greatest.
        order: of the names; what is used together lies together.
    """

    def __init__(self, runs: Sequence[Mapping[str, nn.Parameter]], order: Sequence[str]) -> None:
        self.runs = runs
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.columns: dict[str, slice] = {}
        end = 0
        for name in order:
            shape = tuple(max(sizes) for sizes in zip(*(run[name].shape for run in runs), strict=True))
            count = torch.Size(shape).numel()
            self.shapes[name], self.columns[name] = shape, slice(end, end + count)
            end += -(-count // ALIGNED) * ALIGNED
        device = next(iter(runs[0].values())).device
        self.values: Float[Tensor, "K M"] = torch.zeros(len(runs), end, device=device)
        self.gradients: Float[Tensor, "K M"] = torch.zeros_like(self.values)
        with torch.no_grad():
            for number, run in enumerate(runs):
                for name in order:
                    self.part(self.values, number, name).copy_(run[name])
                    run[name].data = self.part(self.values, number, name)
                    run[name].grad = self.part(self.gradients, number, name)

    def part(self, table: Float[Tensor, "K M"], run: int, name: str) -> Tensor:
        """One run's part of a table like `values` that belongs to a parameter, in the parameter's shape."""
        whole = table[run, self.columns[name]].view(self.shapes[name])
        return whole[tuple(slice(size) for size in self.runs[run][name].shape)]

    def stacked(self, table: Float[Tensor, "K M"], name: str) -> Float[Tensor, "K *shape"]:
        """The part of a table that belongs to a parameter of all runs, filled up to the greatest shape."""
        return table[:, self.columns[name]].view(len(self.runs), *self.shapes[name])
