"""An update of K runs: their rows in as few forward and backward passes as fit, and one step of all their optimisers.

The host lays out batches and says the rates; it reads nothing back. Losses, norms and what follows from them (a run
whose gradient is not finite is left out, a source that is learnt) stay on the device, and the history is fetched every
so many updates. On a GPU batches are filled up to a few shapes, so that an update is one captured graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.backbones.prompts import Prompt
from isogloss.optim.adamw import AdamW
from isogloss.optim.flat_parameters import FlatParameters
from isogloss.optim.loss_trend import FIELDS, LossTrend
from isogloss.optim.master_weights import MasterWeights
from isogloss.preprocessing.batching import passes
from isogloss.runtime.process_group import current
from isogloss.runtime.seeding import derive
from isogloss.tasks import heads
from isogloss.tasks.heads import ClassificationHead
from isogloss.training.batch import Batch, Part, collate, without_loss
from isogloss.training.drift import VARIANCE, DriftPenalty, held
from isogloss.training.fixed_shapes import FixedShapes
from isogloss.training.graphs import Graphs
from isogloss.training.head_dropout import kept
from isogloss.training.plan import Plan, Step
from isogloss.training.segments import segments
from isogloss.training.sharding import SpreadGradients
from isogloss.training.share import share
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState

LOG_EVERY = 10  # updates between two rows of training loss in the history
FETCH_EVERY = 50  # updates after which what is to be logged is fetched, at the latest


class Engine:
    """Updates of the same runs, one after the other.

    Args:
        stack: their backbone and method.
        train_states: where each run is; all are still learning.
        budget: most tokens of one forward pass.
        states: a head's inputs (units, H) by the identity of features, where they never change and are kept.
        fixed: whether batches are filled up to fixed shapes; None: on a GPU, and where layers are compiled.
    """

    def __init__(
        self,
        stack: Stack,
        train_states: Sequence[TrainState],
        *,
        budget: int,
        states: dict[int, Tensor] | None = None,
        fixed: bool | None = None,
    ) -> None:
        self.stack, self.train_states, self.budget = stack, list(train_states), budget
        self.runs = [train_state.run for train_state in train_states]
        self.device = stack.backbone.device
        self.kept = states if states and all(id(one.train) in states for one in train_states) else {}
        self.processes = current()
        # A head alone learns faster than processes could tell each other of it: each does all of it.
        self.divided = self.processes.several and not self.kept
        first, count = self.runs[0], len(self.runs)
        laid = segments(self.runs)
        self.flat = FlatParameters([run.named() for run in self.runs], laid.order)
        clip = [run.settings.clip for run in self.runs]
        spread = first.spread()
        self.spread = SpreadGradients(self.flat, spread, self.processes) if spread else None
        norms = self.spread.norms if self.spread else None
        self.optimizer = AdamW(self.flat, laid.of(self.flat), groups=len(laid.kinds), clip=clip, norms=norms)
        totals = torch.tensor([float(one.total) for one in train_states], device=self.device)
        self.trend = LossTrend(totals) if "backbone" in laid.kinds else None
        self.kinds = laid.kinds
        learning = sorted({segment.group for segment in self.optimizer.segments})
        asked = [group for group in learning if laid.kinds[group] != "head"] or learning
        self.shown = slice(asked[0], asked[-1] + 1)  # of the rates, those whose highest the history has
        self.loss = torch.zeros(count, device=self.device)
        self.recent = torch.zeros(FETCH_EVERY, count, 2, device=self.device)  # losses and rates
        self.waiting: list[tuple[int, int, int, float, int]] = []  # slot, run, step, epoch and tokens of rows to fetch
        self.form = stack.method.form([run.settings for run in self.runs])
        learnt_alone = stack.method.frozen  # the parameters of all runs are then read with a run axis
        self.leaves: dict[str, Tensor] = {}
        if learnt_alone:
            self.leaves = {name: self.flat.stacked(self.flat.values, name).requires_grad_() for name in laid.order}
        self.gradients = [self.flat.stacked(self.flat.gradients, name) for name in self.leaves]
        self.linear = isinstance(first.head, ClassificationHead)
        self.masters = [
            module for run in self.runs for module in run.part.modules() if isinstance(module, MasterWeights)
        ]
        self.hidden = torch.tensor([run.settings.dropout for run in self.runs], device=self.device)
        self.drops = any(run.settings.dropout for run in self.runs)
        self.drift = DriftPenalty(stack, train_states[0], budget=budget) if held(first) else None
        for run in self.runs:
            run.part.train()  # how rows lie goes by what drops out
        divided = self.processes.count if self.divided else 1
        alone = not self.divided and not self.processes.shards  # a graph speaks to no other process
        captures = self.device.type == "cuda" and alone
        fixed = captures or stack.backbone.compiled if fixed is None else fixed
        self.shapes = FixedShapes(train_states, self.form, stack.backbone, divided) if fixed and not self.kept else None
        self.graphs = Graphs(self) if captures and not self.kept else None
        self.next: Plan | None = None
        for number, train_state in enumerate(train_states):
            train_state.adopt(self._state(number))
            train_state.fetch = self.fetch

    def _state(self, number: int) -> dict[str, Tensor]:
        """What of the optimiser is one run's, by name: parts of the tables of all."""
        optimizer = self.optimizer
        tables = {"mean": optimizer.mean, "square": optimizer.square}
        state = {
            f"{what}.{name}": self.flat.part(table, number, name)
            for what, table in tables.items()
            for name in self.flat.shapes
        }
        state |= {"steps": optimizer.steps[number], "skipped": optimizer.skipped[number]}
        if self.trend is not None:
            state |= {f"trend.{name}": getattr(self.trend, name)[number] for name in FIELDS}
        if self.drift is not None:
            state[VARIANCE] = self.drift.variance
        return state

    def update(self) -> int:
        """One update of every run. Returns the tokens of text that were learnt from."""
        plan = self.next or self.plan()
        if self.graphs is not None:
            self.graphs.update(plan)
        else:
            self.stack.updates["plain"] += len(plan.batches)
            self.draw(plan)
            self.begin()
            step = plan.step.to(self.device)
            for batch in plan.batches:
                self.learn(batch.to(self.device), step)
            if self.spread is not None:
                self.spread.sum(self.loss)
            elif self.divided:
                self.processes.sum(self.flat.gradients, self.loss)
            self.finish(step)
        self._count(plan)
        self.next = self.plan() if self.graphs is not None and self._goes_on() else None
        return sum(plan.tokens)

    def _goes_on(self) -> bool:
        return all(train_state.step < train_state.total for train_state in self.train_states)

    def draw(self, plan: Plan) -> None:
        """Make what is drawn inside the backbone follow from the update alone."""
        if not self.stack.method.frozen:
            torch.manual_seed(plan.seed)

    def begin(self) -> None:
        """Forget the last update's gradients."""
        self.flat.gradients.zero_()
        self.loss.zero_()

    def learn(self, batch: Batch, step: Step) -> None:
        """One forward and backward pass; gradients and losses are added to what is there.

        The loss that is written down is the task's, whatever a drift penalty adds to what is learnt from.
        """
        with self.drift.watching() if self.drift is not None else nullcontext():
            given = self._inputs(batch)
        if self.drops:
            given = given * kept(batch.number, step.seeds, given.shape[-1], self.hidden)
        scores = self._scores(given, batch)
        if batch.row is not None:
            if batch.there is not None:
                scores = scores.masked_fill(~batch.there[..., None], torch.finfo(scores.dtype).min)
            losses = heads.span_losses(scores, batch.labels, batch.row, batch.rows)
        else:
            losses = heads.losses(scores, batch.labels)
        if batch.there is not None:  # not a product: what is not there may be infinite
            losses = losses.masked_fill(~batch.there, 0.0)
        of_runs = (losses * batch.share).sum(dim=1)
        if self.leaves:
            torch._foreach_add_(self.gradients, torch.autograd.grad(of_runs.sum(), list(self.leaves.values())))
        else:
            whole = of_runs.sum() if self.drift is None else of_runs.sum() + self.drift(batch)
            whole.backward()  # type: ignore[no-untyped-call]
        self.loss += of_runs.detach()

    def _inputs(self, batch: Batch) -> Float[Tensor, "K U H"]:
        if self.kept:
            of_runs = (self.kept[id(state.train)] for state in self.train_states)
            return torch.stack([own.index_select(0, number) for own, number in zip(of_runs, batch.number, strict=True)])
        return self.stack.head_inputs(batch, self._prompt())

    def _prompt(self) -> Prompt | None:
        if self.form is None:
            return None
        if not self.leaves:
            return self.form.of(self.runs[0].part()[None])
        part = self.runs[0].part
        own = {name.removeprefix("part."): leaf for name, leaf in self.leaves.items() if name.startswith("part.")}

        def vectors(parameters: dict[str, Tensor]) -> Tensor:
            made: Tensor = torch.func.functional_call(part, parameters, ())
            return made

        return self.form.of(torch.vmap(vectors)(own))

    def _scores(self, given: Float[Tensor, "K U H"], batch: Batch) -> Float[Tensor, "K U classes"]:
        if self.linear and self.leaves:
            return heads.scored(given, self.leaves["head.weight"], self.leaves["head.bias"])
        return heads.logits([run.head for run in self.runs], given, batch.wording, rest=True)

    def finish(self, step: Step) -> None:
        """Step all optimisers on the gradients that are there, and write the update down."""
        rates = step.rates
        if self.trend is not None:
            self.trend.see(self.loss, step.before, step.counts > 0)
        self.optimizer.step(rates)
        for masters in self.masters:
            masters.publish()
        shown = rates[:, self.shown].amax(dim=1)
        self.recent.index_copy_(0, step.slot, torch.stack([self.loss, shown], dim=1)[None])

    def plan(self) -> Plan:
        """The next update of every run, laid out on the host."""
        states, method = self.train_states, self.stack.method
        parts = [(state.train, state.batch()) for state in states]
        counted = [len(rows) if features.passages else len(features.units(rows)) for features, rows in parts]
        rates = np.asarray([state.rates() for state in states], dtype=np.float32)
        backbone = np.asarray([kind == "backbone" for kind in self.kinds])
        slot = states[0].step % FETCH_EVERY
        step = Step(
            rates=torch.from_numpy(rates),
            before=torch.tensor([float(state.step) for state in states]),
            counts=torch.from_numpy((rates[:, backbone] > 0).any(axis=1).astype(np.float32)),
            seeds=torch.tensor(
                [derive("dropout", state.run.seed, state.step) % 2**31 for state in states], dtype=torch.int32
            ),
            slot=torch.tensor([slot]),
        )
        own = (self.processes.rank,) if self.divided else ()
        seed = derive("backbone", states[0].run.seed, states[0].step, *own) if not method.frozen else 0
        tokens = [int(features.lengths[rows].sum()) for features, rows in parts]
        batches = self._divided(parts, counted, tokens) if self.divided else self._batches(parts, counted, tokens)
        return Plan(list(batches), step, seed, tokens, slot)

    def _divided(self, parts: Sequence[Part], counted: Sequence[int], tokens: Sequence[int]) -> Iterator[Batch]:
        """This process's passes; as many as any other's, where weights have to be put together for each."""
        rank, count = self.processes.rank, self.processes.count
        shares = [
            [
                (features, share(features, rows, rank=(number - run) % count, count=count))
                for run, (features, rows) in enumerate(parts)  # of small batches not all runs' are one process's
            ]
            for number in (range(count) if self.processes.shards else [rank])
        ]
        if not self.processes.shards:
            yield from self._batches(shares[0], counted, tokens)
            return
        most = max(len(self._cut(one)) for one in shares)
        own = list(self._batches(shares[rank], counted, tokens))
        yield from own
        for _ in range(most - len(own)):
            yield without_loss(next(self._batches(shares[0], counted, tokens)))

    def _batches(self, parts: Sequence[Part], counted: Sequence[int], tokens: Sequence[int]) -> Iterator[Batch]:
        stack = self.stack
        form = None if self.kept else self.form
        make = partial(
            collate,
            packing=None if self.kept else stack.backbone.packing,
            form=form,
            pooling=stack.pooling,
            ahead=stack.ahead,
            counted=counted,
            tokens_counted=tokens if self.drift is not None else None,
        )
        if not any(len(rows) for _, rows in parts):  # of a small batch some processes have nothing
            return
        if self.shapes is not None:
            for some, shape in self.shapes.cut(parts, self.budget):
                yield make(some, shape=shape)
            return
        for some in self._cut(parts):
            yield make(some)

    def _cut(self, parts: Sequence[Part]) -> list[list[Part]]:
        """The rows of each pass, by run."""
        form = None if self.kept else self.form
        run = np.repeat(np.arange(len(parts)), [len(rows) for _, rows in parts])
        positions = np.asarray(
            [self.stack.method.positions(one.settings) if form and form.kind == "input" else 0 for one in self.runs]
        )
        lengths = np.concatenate([features.lengths[rows] for features, rows in parts]) + positions[run]
        every = np.concatenate([rows for _, rows in parts])
        cut = [np.sort(together) for together in passes(lengths, budget=self.budget)]
        return [
            [(features, every[own[run[own] == number]]) for number, (features, _) in enumerate(parts)] for own in cut
        ]

    def _count(self, plan: Plan) -> None:
        slot = plan.slot
        for number, (train_state, tokens) in enumerate(zip(self.train_states, plan.tokens, strict=True)):
            train_state.tokens += tokens
            if train_state.step % LOG_EVERY == 0:
                self.waiting.append((slot, number, train_state.step, train_state.epoch, train_state.tokens))
            train_state.step += 1
        if slot == FETCH_EVERY - 1:
            self.fetch()

    def close(self) -> None:
        """Let go of the runs, some of which have ended: they keep nothing of this engine, nor of one another, alive."""
        self.fetch()
        self.graphs = None  # which know the engine
        for train_state in self.train_states:
            train_state.leave(copied=len(self.train_states) > 1)

    def fetch(self) -> None:
        """Write the losses and rates of recent updates into the runs' histories."""
        if self.waiting:
            recent = self.recent.cpu()
            for slot, number, step, epoch, tokens in self.waiting:
                loss, rate = recent[slot, number].tolist()
                row = {"step": step, "epoch": epoch, "tokens": tokens, "loss": loss, "learning_rate": rate}
                self.train_states[number].log(**row)
            self.waiting.clear()
