"""A run: one method with one setting and one seed, and how a stack of runs goes through one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone, Pooling
from isogloss.backbones.prompts import InputPrompt, Prompt
from isogloss.methods.method import Method, Rated
from isogloss.methods.settings import Settings
from isogloss.optim.param_groups import RateGroup
from isogloss.preprocessing.batching import Batch, BatchRow, collate, passes
from isogloss.preprocessing.features import Features
from isogloss.runtime.seeding import derive
from isogloss.tasks import heads
from isogloss.tasks.heads import ClassificationHead, Head
from isogloss.tasks.verbalizer import Verbalizer, VerbalizerHead

TRACED = 4  # a pass that keeps the states of every layer holds so many times fewer tokens
KEEP_STATES = 1 << 30  # bytes of the head's inputs that may be kept instead of encoding again


@dataclass(eq=False)
class Run:
    """What is trained for one cell of the experiment: a part of the method, and a head."""

    settings: Settings
    seed: int
    part: nn.Module
    head: Head

    def parameters(self) -> list[nn.Parameter]:
        """Everything that trains."""
        return [*self.part.parameters(), *self.head.parameters()]

    def rates(self) -> list[RateGroup]:
        """Everything that trains, by rate."""
        if isinstance(self.part, Rated):
            return self.part.rates(self.settings, self.head)
        head = RateGroup(list(self.head.parameters()), self.settings.head_lr, of="head")
        return [RateGroup(list(self.part.parameters()), self.settings.lr), head]

    def trainable(self) -> int:
        """How many numbers train."""
        return sum(parameter.numel() for parameter in self.parameters())

    def state(self) -> dict[str, Tensor]:
        """Copies of all that trains, by name."""
        modules = {"part": self.part, "head": self.head}
        return {
            f"{prefix}.{name}": tensor.detach().clone()
            for prefix, module in modules.items()
            for name, tensor in module.state_dict().items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        for prefix, module in (("part", self.part), ("head", self.head)):
            begin = f"{prefix}."
            module.load_state_dict({k[len(begin) :]: v for k, v in state.items() if k.startswith(begin)})


class Stack:
    """Runs of one method over one backbone, K of them.

    Args:
        backbone: the frozen backbone that all share, or the one run's own.
        method: the method of all runs.
        runs: alike in what the method needs alike.
    """

    def __init__(self, backbone: Backbone, method: Method[Any, Any], runs: Sequence[Run]) -> None:
        self.backbone = backbone
        self.method = method
        self.runs = list(runs)
        self.pooling: Pooling = runs[0].settings.pooling or backbone.pooling

    @property
    def verbalized(self) -> bool:
        """Whether the answers are words of the model's own."""
        return isinstance(self.runs[0].head, VerbalizerHead)

    @property
    def head_only(self) -> bool:
        """Whether the head's inputs never change, and can be computed once for all updates and all runs."""
        return self.method.frozen and self._prompt(self.runs) is None

    def prompt(self, runs: Sequence[Run]) -> Prompt | None:
        """The prompts of these runs, stacked, ready for as many passes as are made before they learn again."""
        return self.backbone.prepared(self._prompt(runs))

    def _prompt(self, runs: Sequence[Run]) -> Prompt | None:
        stacked: Prompt | None = self.method.prompt([run.part for run in runs], [run.settings for run in runs])
        return stacked

    def room(self, run: Run) -> int:
        """How many tokens of text fit beside the run's prompt."""
        return self.backbone.room(self.method.positions(run.settings))

    def inputs(self, rows: Sequence[BatchRow], prompt: Prompt | None) -> Float[Tensor, "units H"]:
        """The head's inputs, row by row, by one forward pass."""
        batch = self._batch(rows)
        hidden = self.backbone.hidden(
            batch.tokens, batch.mask, types=batch.types, run=batch.run, prompt=prompt, front=batch.front,
            ahead=self.verbalized and self.backbone.causal,
        )  # fmt: skip
        return heads.inputs(hidden, batch, self.pooling)

    def _batch(self, rows: Sequence[BatchRow]) -> Batch:
        pad = self.backbone.tokenizer.pad_token_id
        return collate(rows, pad=0 if pad is None else pad, device=self.backbone.device)

    @torch.no_grad()
    def stream(
        self, features: Features, run: Run, *, budget: int
    ) -> Iterator[tuple[Int[np.ndarray, "units"], Float[Tensor, "units H"], int]]:
        """The head's inputs for all of `features` by one run, in one stream sorted by length.

        Args:
            features: already truncated to the run's room.
            run: whose prompt is put in.
            budget: most tokens of one forward pass.

        Yields:
            Units, their inputs, and the tokens of the pass.
        """
        prompt = self.prompt([run])
        extra = self.method.positions(run.settings)
        for rows in passes((features.lengths + extra).tolist(), budget=budget):
            states = self.inputs([BatchRow(features, i, 0) for i in rows], prompt)
            yield features.units(rows), states, int(features.lengths[rows].sum())

    @torch.no_grad()
    def trace(self, features: Features, run: Run, *, budget: int) -> Float[Tensor, "depths rows H"]:
        """The mean state of each row's tokens at every depth (`Backbone.trace`), in float32 on the CPU.

        A prompt whose place a template says stands behind texts that have none.
        """
        prompt, extra = self.prompt([run]), self.method.positions(run.settings)
        if isinstance(prompt, InputPrompt) and prompt.place == "template" and features.filled is None:
            prompt = replace(prompt, place="after")
        shape = self.backbone.shape
        out = torch.empty(shape.layers + 1, len(features), shape.width)
        for some in passes((features.lengths + extra).tolist(), budget=budget // TRACED):
            batch = self._batch([BatchRow(features, i, 0) for i in some])
            states = self.backbone.trace(
                batch.tokens, batch.mask, types=batch.types, run=batch.run, prompt=prompt, front=batch.front
            )
            for depth, layer in enumerate(states):
                out[depth, some] = heads.pool(layer, batch.mask, "mean").cpu()
        return out

    def states(self, features: Features, run: Run, *, budget: int) -> Float[Tensor, "units H"]:
        """What `stream` gives, in the order of the units."""
        out = torch.empty(len(features.labels), self.backbone.shape.width, device=self.backbone.device)
        for units, states, _ in self.stream(features, run, budget=budget):
            out[units] = states
        return out

    def logits(
        self,
        features: Features,
        runs: Sequence[Run],
        *,
        budget: int,
        rest: bool = False,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Float[Tensor, "units classes"]]:
        """Every unit's scores by each run, on the CPU.

        Where no prompt goes into the backbone, the texts are encoded once for all runs.

        Args:
            features: already truncated to the runs' room.
            runs: those to predict with.
            budget: most tokens of one forward pass.
            rest: whether a verbalizer gives the rest of the vocabulary as one more class.
            advance: called with the tokens of each pass.
        """
        more = int(rest and any(isinstance(run.head, VerbalizerHead) and run.head.whole for run in runs))
        out = [torch.empty(len(features.labels), run.head.classes + more) for run in runs]
        together = (
            [list(zip(runs, out, strict=True))] if self.head_only else [[pair] for pair in zip(runs, out, strict=True)]
        )
        for group in together:
            for units, states, tokens in self.stream(features, group[0][0], budget=budget):
                run_rows = torch.zeros(len(states), dtype=torch.long, device=states.device)
                wording = wordings(features, units, states.device)
                for run, scores in group:
                    with torch.no_grad():
                        scores[units] = heads.logits([run.head], states, run_rows, wording, rest=rest).cpu()
                advance(tokens)
        return out


def wordings(
    features: Features, units: Int[np.ndarray, "units"], device: torch.device
) -> Int[torch.Tensor, "units"] | None:
    """Which wording of a verbalizer each unit has; None where there is no verbalizer."""
    return None if features.filled is None else torch.from_numpy(features.filled.wording[units]).to(device)


def new_run(
    method: Method[Any, Any],
    backbone: Backbone,
    settings: Settings,
    *,
    seed: int,
    classes: int,
    verbalizer: Verbalizer | None = None,
) -> Run:
    """A run at its start: the same for the same seed, whatever it is stacked with.

    Args:
        method: how it learns.
        backbone: what it learns on; its own where the method changes it.
        settings: the method's.
        seed: decides all that is drawn.
        classes: what the head tells apart.
        verbalizer: the words that are the classes, if `settings.head` says so.
    """
    generator = torch.Generator().manual_seed(derive("init", seed))
    head = new_head(backbone, settings, classes=classes, verbalizer=verbalizer, generator=generator)
    part = method.build(backbone, settings, generator)
    return Run(settings, seed, part.to(backbone.device), head.to(backbone.device))


def new_head(
    backbone: Backbone,
    settings: Settings,
    *,
    classes: int,
    verbalizer: Verbalizer | None,
    generator: torch.Generator,
) -> Head:
    """The head that the settings ask for."""
    if settings.head == "linear":
        return ClassificationHead(backbone.shape.width, classes, generator)
    assert verbalizer is not None
    assert backbone.lm_head is not None
    return VerbalizerHead(backbone.lm_head, verbalizer)


def room_for_states(features: Features, width: int) -> bool:
    """Whether the head's inputs may all be kept in memory."""
    return len(features.labels) * width * 4 <= KEEP_STATES
