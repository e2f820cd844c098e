"""A stack: runs of one method over one backbone, and how they go through one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.backbones.backbone import Backbone, Pooling
from isogloss.backbones.layout import to_device
from isogloss.backbones.prompts import Prompt, PromptForm, stack_padded
from isogloss.methods.method import ImportedPart, Method
from isogloss.preprocessing.batching import passes
from isogloss.preprocessing.features import Features
from isogloss.runtime.process_group import current
from isogloss.tasks import heads
from isogloss.tasks.verbalizer import VerbalizerHead
from isogloss.training.batch import Batch, collate
from isogloss.training.run import Run

TRACED = 4  # a pass that keeps the states of every layer holds so many times fewer tokens
KEEP_STATES = 1 << 30  # bytes of the head's inputs that may be kept instead of encoding again


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
        part = runs[0].part
        self.imported = part if isinstance(part, ImportedPart) else None  # then it is the only run
        self.updates: Counter[str] = Counter()  # how they were carried out: plainly, or as a captured graph

    @property
    def verbalized(self) -> bool:
        """Whether the answers are words of the model's own."""
        return isinstance(self.runs[0].head, VerbalizerHead)

    @property
    def ahead(self) -> int:
        """How far in front of a unit's own state the one stands that it is predicted from."""
        if self.imported is not None:
            return self.imported.ahead
        return int(self.verbalized and self.backbone.causal)

    @property
    def head_only(self) -> bool:
        """Whether the head's inputs never change, and can be computed once for all updates and all runs."""
        return self.method.frozen and self.form(self.runs) is None

    def form(self, runs: Sequence[Run]) -> PromptForm | None:
        """Where the prompts of these runs stand."""
        return self.method.form([run.settings for run in runs])

    def prompt(self, runs: Sequence[Run]) -> Prompt | None:
        """The prompts of these runs, stacked, ready for as many passes as are made before they learn again."""
        if (form := self.form(runs)) is None:
            return None
        vectors, lengths = stack_padded([run.part() for run in runs], axis=form.axis)
        return self.backbone.prepared(replace(form, lengths=lengths).of(vectors))

    def room(self, run: Run) -> int:
        """How many tokens of text fit beside the run's prompt."""
        return self.backbone.room(self.method.positions(run.settings))

    def collated(self, parts: Sequence[tuple[Features, np.ndarray]], form: PromptForm | None) -> Batch:
        """Rows of each run as a batch on the device."""
        batch = collate(parts, self.backbone.packing, form, pooling=self.pooling, ahead=self.ahead)
        return batch.to(self.backbone.device)

    def head_inputs(self, batch: Batch, prompt: Prompt | None) -> Float[Tensor, "K U H"]:
        """What the heads score, by one forward pass."""
        assert batch.packing is not None
        types = batch.types if self.imported is None or self.imported.segments else None
        states = self.backbone.states(batch.tokens, batch.packing, types=types, prompt=prompt)
        given = heads.inputs(states, batch.at, text=batch.packing.text, lengths=batch.lengths, there=batch.there)
        return given if self.imported is None else self.imported.read(given)

    @torch.no_grad()
    def stream(
        self, features: Features, run: Run, *, budget: int
    ) -> Iterator[tuple[Int[np.ndarray, "units"], Float[Tensor, "units H"], int]]:
        """The head's inputs for all of `features` by one run, in one stream sorted by length.

        Where several processes compute together, each makes some of the passes, and all go on in step.

        Args:
            features: already truncated to the run's room.
            run: whose prompt is put in.
            budget: most tokens of one forward pass.

        Yields:
            Units, their inputs, and the tokens of the pass, or of those that all processes make at once.
        """
        form, prompt = self.form([run]), self.prompt([run])
        extra = self.method.positions(run.settings)
        for rows, counts, tokens in _in_step(features, passes(features.lengths + extra, budget=budget)):
            batch = self.collated([(features, rows)], form)
            states = self.head_inputs(batch, prompt)[0]
            if counts:
                yield features.units(rows), states, tokens
            else:
                yield features.units(rows[:0]), states[:0], tokens

    @torch.no_grad()
    def trace(self, features: Features, run: Run, *, budget: int) -> Float[Tensor, "depths rows H"]:
        """The mean state of each row's tokens at every depth (`Backbone.depths`), in float32 on the CPU.

        A prompt whose place a template says stands behind texts that have none.
        """
        form, prompt, extra = self.form([run]), self.prompt([run]), self.method.positions(run.settings)
        if form is not None and form.place == "template" and features.filled is None:
            form = replace(form, place="after")
        shape = self.backbone.shape
        out = _blank(shape.layers + 1, len(features), shape.width, device=self.backbone.device)
        for some, counts, _ in _in_step(features, passes(features.lengths + extra, budget=budget // TRACED)):
            batch = self.collated([(features, some)], form)
            assert batch.packing is not None
            lengths = to_device(torch.from_numpy(features.lengths[some].astype(np.int64)), out.device)
            states = self.backbone.depths(batch.tokens, batch.packing, types=batch.types, prompt=prompt)
            rows = to_device(torch.from_numpy(some), out.device)
            for depth, layer in enumerate(states if counts else ()):
                text = layer if batch.packing.text is None else layer.index_select(0, batch.packing.text)
                out[depth, rows] = heads.pool(text, lengths)
        current().sum(out)
        return out.cpu()

    def states(self, features: Features, run: Run, *, budget: int) -> Float[Tensor, "units H"]:
        """What `stream` gives, in the order of the units."""
        out = _blank(len(features.labels), self.backbone.shape.width, device=self.backbone.device)
        for units, states, _ in self.stream(features, run, budget=budget):
            out[to_device(torch.from_numpy(units), out.device)] = states
        current().sum(out)
        return out

    @torch.no_grad()
    def logits(
        self,
        features: Features,
        runs: Sequence[Run],
        *,
        budget: int,
        rest: bool = False,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Float[Tensor, "units classes"]]:
        """Every unit's scores by each run, on the CPU; they are fetched once for all passes.

        Where no prompt goes into the backbone, the texts are encoded once for all runs.

        Args:
            features: already truncated to the runs' room.
            runs: those to predict with.
            budget: most tokens of one forward pass.
            rest: whether a verbalizer gives the rest of the vocabulary as one more class.
            advance: called with the tokens of each pass.
        """
        more = int(rest and any(isinstance(run.head, VerbalizerHead) and run.head.whole for run in runs))
        device = self.backbone.device
        out = [_blank(len(features.labels), run.head.classes + more, device=device) for run in runs]
        pairs = list(zip(runs, out, strict=True))
        for group in [pairs] if self.head_only else [[pair] for pair in pairs]:
            for units, states, tokens in self.stream(features, group[0][0], budget=budget):
                wording, index = wordings(features, units, device), to_device(torch.from_numpy(units), device)
                for run, scores in group if len(units) else ():
                    scores[index] = heads.logits([run.head], states[None], wording, rest=rest)[0]
                advance(tokens)
        current().sum(*out)
        return [scores.cpu() for scores in out]


def _in_step(
    features: Features, cut: Sequence[Int[np.ndarray, "_"]]
) -> Iterator[tuple[Int[np.ndarray, "rows"], bool, int]]:
    """The passes that this process makes: rows, whether they count, and tokens of all passes that are made beside it.

    They are those of one process, so that scores are the same to the bit. All make as many, as weights may be spread
    over them: where others have one more, this one makes one of theirs too, which does not count.
    """
    processes = current()
    for begin in range(0, len(cut), processes.count):
        at_once = cut[begin : begin + processes.count]
        counts = processes.rank < len(at_once)
        yield (
            at_once[processes.rank if counts else 0],
            counts,
            sum(int(features.lengths[rows].sum()) for rows in at_once),
        )


def _blank(*sizes: int, device: torch.device) -> Tensor:
    """A table to be filled; where each process fills a part, zeros, so that their sum is the whole."""
    return torch.zeros(*sizes, device=device) if current().several else torch.empty(*sizes, device=device)


def wordings(
    features: Features, units: Int[np.ndarray, "units"], device: torch.device
) -> Int[torch.Tensor, "one units"] | None:
    """Which wording of a verbalizer each unit of one run has; None where there is no verbalizer."""
    if features.filled is None:
        return None
    return to_device(torch.from_numpy(features.filled.wording[units])[None], device)


def room_for_states(features: Features, width: int) -> bool:
    """Whether the head's inputs may all be kept in memory."""
    return len(features.labels) * width * 4 <= KEEP_STATES
