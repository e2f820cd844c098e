"""A stack whose backbone is spread over the processes that train it: its weights, gradients and optimiser's states."""

from __future__ import annotations

import torch
from torch import Tensor

from isogloss.backbones import sharding
from isogloss.errors import IsoglossError
from isogloss.methods.fine_tuning import FineTuningPart
from isogloss.optim.flat_parameters import FlatParameters
from isogloss.optim.master_weights import MasterWeights
from isogloss.runtime.process_group import Processes
from isogloss.training.stack import Stack


def shard(stack: Stack, device: torch.device) -> None:
    """Spread a stack's backbone, which is its own, over all processes.

    Weights that learn inside it learn in each process's part. What a method adds to it stays whole.

    Raises:
        IsoglossError: something asks for the whole backbone at once.
    """
    backbone, runs = stack.backbone, stack.runs
    if stack.verbalized:
        raise IsoglossError("executor: shard does not go with `head: verbalizer`, which reads the table of all words")
    form = stack.form(runs)
    if form is not None and form.kind == "input" and form.place == "before" and backbone.causal:
        raise IsoglossError(
            "executor: shard does not go with a soft prompt in front of a causal model's text, whose keys and values "
            "leave the layers; set `place: after-first`, or take deep-prompt"
        )
    if backbone.compiled:
        raise IsoglossError("executor: shard does not go with `compile: true`; leave one of them out")
    masters = [module for run in runs for module in run.part.modules() if isinstance(module, MasterWeights)]
    learning = {id(weight) for one in masters for weight in one.parameters()}
    added = [weight for run in runs for weight in run.part.parameters() if id(weight) not in learning]
    sharding.shard(backbone, device, added)
    for run in runs:
        for module in run.part.modules():
            if isinstance(module, FineTuningPart):
                module.spread()
        run.part.to(device)
        run.head.to(device)


class SpreadGradients:
    """Gradients of one run of which some are spread over processes, and others are whole in each.

    Args:
        flat: the parameters.
        shapes: of those that are spread, by name.
        processes: over which.
    """

    def __init__(self, flat: FlatParameters, shapes: dict[str, torch.Size], processes: Processes) -> None:
        self.flat, self.processes = flat, processes
        self.whole = [columns for name, columns in flat.columns.items() if name not in shapes]
        # What is whole is counted in every process.
        self.counts = torch.full(flat.values.shape[1:], 1 / processes.count, device=flat.values.device)
        for name in shapes:
            self.counts[flat.columns[name]] = 1.0

    def sum(self, loss: Tensor) -> None:
        """Add up over all processes what is not yet: gradients of what is whole, and the loss (K)."""
        self.processes.sum(*(self.flat.gradients[0, columns] for columns in self.whole), loss)

    def norms(self, groups: list[slice]) -> Tensor:
        """The norm of all processes' gradients by run and group of columns (1, groups)."""
        squares = [(self.flat.gradients[:, own].square() * self.counts[own]).sum(dim=1) for own in groups]
        total = torch.stack(squares, dim=1)
        self.processes.sum(total)
        return total.sqrt()
