"""The one training loop: K runs at once, each with its own optimiser, rates, order of data and stopping point.

One update takes a batch from every run that is still learning, cuts all their rows together into forward passes of
like length, and steps each run's optimiser on its own mean loss. Runs share nothing but the frozen backbone, so a
stack of K gives what K solo trainings give (`tests/exactness/test_stacked.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isogloss.preprocessing.batching import BatchRow, passes
from isogloss.preprocessing.features import Features
from isogloss.runtime.seeding import derive
from isogloss.tasks import heads
from isogloss.training.monitor import MonitorSample, ParallelStates
from isogloss.training.stack import Run, Stack, room_for_states, wordings
from isogloss.training.train_state import TrainState

LOG_EVERY = 10  # updates between two rows of training loss in the history


class Inputs:
    """The head's inputs: computed for each pass, or once where they never change."""

    def __init__(self, stack: Stack, train_states: Sequence[TrainState], budget: int) -> None:
        self.stack = stack
        self.kept: dict[int, Tensor] = {}  # by the identity of the features
        width = stack.backbone.shape.width
        if stack.head_only:
            for features in (features for train_state in train_states for features in train_state.shown):
                if id(features) not in self.kept and room_for_states(features, width):
                    self.kept[id(features)] = stack.states(features, train_states[0].run, budget=budget)

    def rows(self, rows: Sequence[BatchRow], runs: Sequence[Run]) -> Tensor:
        """Head inputs (units, H) of rows whose `run` counts in `runs`."""
        if all(id(row.features) in self.kept for row in rows):
            return torch.cat([self.kept[id(row.features)][row.features.units([row.row])] for row in rows])
        return self.stack.inputs(rows, self.stack.prompt(runs))

    @torch.no_grad()
    def logits(self, features: Features, run: Run, budget: int) -> Tensor:
        """Scores (units, C) of all of a split by one run; of a verbalizer also the rest of the vocabulary's."""
        if (kept := self.kept.get(id(features))) is None:
            return self.stack.logits(features, [run], budget=budget, rest=True)[0]
        run_rows = torch.zeros(len(kept), dtype=torch.long, device=kept.device)
        return heads.logits([run.head], kept, run_rows)


def train(
    stack: Stack,
    train_states: Sequence[TrainState],
    *,
    budget: int,
    eval_budget: int,
    source: str,
    after_update: Callable[[int, int], None] = lambda _tokens, _updates: None,
) -> None:
    """Train every run to its end, and leave each run with the weights that it selects.

    Args:
        stack: the runs and their backbone.
        train_states: one a run, at the start or where a checkpoint left it.
        budget: most tokens of one training pass, prompt and padding included.
        eval_budget: most tokens of one pass of evaluation.
        source: the source language, for the history.
        after_update: called after each round of updates with the tokens learnt from and the updates done;
            may write a checkpoint.
    """
    inputs = Inputs(stack, train_states, eval_budget)
    for train_state in train_states:
        if train_state.parallel is not None and train_state.step == 0:
            record_parallel(train_state, train_state.parallel, train_state.parallel.before)
    while active := [train_state for train_state in train_states if train_state.step < train_state.total]:
        tokens = update(stack, active, inputs, budget)
        for train_state in active:
            epoch_is_over = train_state.step % train_state.updates == 0
            if train_state.sample is not None and (epoch_is_over or train_state.step % train_state.sample.every == 0):
                record_sample(train_state, train_state.sample, inputs, eval_budget)
            if (
                train_state.parallel is not None and epoch_is_over
            ):  # of the weights that are observed, not of their mean
                states = states_of(train_state.parallel, stack, train_state.run, eval_budget)
                record_parallel(train_state, train_state.parallel, states)
            if epoch_is_over:
                evaluate(train_state, inputs, eval_budget, source)
                if train_state.step == train_state.total and train_state.run.settings.averaged:
                    train_state.run.load_state(train_state.best_state)
                    evaluate(train_state, inputs, eval_budget, source)
        after_update(tokens, len(active))
    for train_state in train_states:
        train_state.run.load_state(train_state.best_state)
        train_state.run.part.eval()


def update(stack: Stack, train_states: Sequence[TrainState], inputs: Inputs, budget: int) -> int:
    """One update of every run. Returns the tokens of text that were learnt from."""
    runs = [train_state.run for train_state in train_states]
    device, width = stack.backbone.device, stack.backbone.shape.width
    rows: list[BatchRow] = []
    gold, share, run_units, hidden_from_head, spoken = [], [], [], [], []  # of each unit, in the order of the rows
    for k, train_state in enumerate(train_states):
        train_state.run.part.train()
        batch = train_state.batch()
        units = train_state.train.units(batch)
        rows += [BatchRow(train_state.train, int(row), k) for row in batch]
        gold.append(train_state.train.labels[units])
        counted = len(batch) if train_state.train.passages else len(units)
        share.append(np.full(len(units), 1 / counted, dtype=np.float32))
        run_units.append(np.full(len(units), k))
        hidden_from_head.append(_dropout(train_state, len(units), width))
        spoken.append(wordings(train_state.train, units, device))
    gold_units, share_units, run_of_unit = (
        torch.from_numpy(np.concatenate(part)).to(device) for part in (gold, share, run_units)
    )
    keep = torch.cat(hidden_from_head).to(device)
    wordings_units = None if spoken[0] is None else torch.cat([part for part in spoken if part is not None])
    loss_units = torch.zeros(len(gold_units), device=device)
    first = np.concatenate([[0], np.cumsum([row.units for row in rows])])
    if not stack.method.frozen:  # dropout inside the backbone draws from the global generator
        torch.manual_seed(derive("backbone", train_states[0].run.seed, train_states[0].step))
    positions = [stack.method.positions(run.settings) for run in runs]
    for some in passes([row.length + positions[row.run] for row in rows], budget=budget):
        units = np.concatenate([np.arange(first[i], first[i + 1]) for i in some])
        states = inputs.rows([rows[i] for i in some], runs) * keep[units]
        wording = None if wordings_units is None else wordings_units[units]
        scores = heads.logits([run.head for run in runs], states, run_of_unit[units], wording, rest=True)
        losses = _losses(scores, gold_units[units], [rows[i] for i in some])
        (losses * share_units[units]).sum().backward()  # type: ignore[no-untyped-call]
        loss_units[units] = losses.detach()
    means = torch.zeros(len(train_states), device=device).index_add_(0, run_of_unit, loss_units * share_units).tolist()
    for k, train_state in enumerate(train_states):
        train_state.tokens += sum(row.length for row in rows if row.run == k)
        row = _row(train_state, loss=means[k])
        train_state.update(means[k])
        if row["step"] % LOG_EVERY == 0:
            train_state.history.append({**row, "learning_rate": train_state.rate})
    return sum(row.length for row in rows)


def evaluate(train_state: TrainState, inputs: Inputs, budget: int, source: str) -> None:
    """Score a run on the source's development data, and keep its weights if they are the best so far."""
    train_state.run.part.eval()
    scores = inputs.logits(train_state.dev, train_state.run, budget)
    gold = torch.from_numpy(train_state.dev.labels).to(scores.device)
    rows = [BatchRow(train_state.dev, row, 0) for row in range(len(train_state.dev))]
    loss = float(_losses(scores, gold, rows).sum()) / (len(rows) if train_state.dev.passages else len(gold))
    value = train_state.score(scores[:, : train_state.run.head.classes])
    train_state.history.append(_row(train_state, loss=loss, metric=train_state.metric, value=value, language=source))
    train_state.keep(value, loss)


def record_sample(train_state: TrainState, sample: MonitorSample, inputs: Inputs, budget: int) -> None:
    """Write a run's scores on what is looked at into its history, and do nothing else with them."""
    train_state.run.part.eval()
    scores = inputs.logits(sample.features, train_state.run, budget)[:, : train_state.run.head.classes]
    train_state.history += [
        _row(train_state, metric=train_state.metric, value=value, language=language)
        for language, value in sample.score(scores).items()
    ]


def states_of(parallel: ParallelStates, stack: Stack, run: Run, budget: int) -> Tensor:
    """The states of parallel sentences at every depth; as they were where a method changes nothing but the head."""
    return parallel.before if stack.head_only else stack.trace(parallel.features, run, budget=budget)


def record_parallel(train_state: TrainState, parallel: ParallelStates, states: Tensor) -> None:
    """Write what a run keeps of its backbone's knowledge into its history, and do nothing else with it."""
    train_state.history += [
        _row(train_state, metric=measure, value=value, language=language)
        for language, measure, value in parallel.means(states)
    ]


def _losses(scores: Tensor, gold: Tensor, rows: Sequence[BatchRow]) -> Tensor:
    """Each unit's part of the loss, the units being those of `rows` in order."""
    if not rows[0].features.passages:
        return heads.losses(scores, gold)
    row = np.repeat(np.arange(len(rows)), [row.units for row in rows])
    return heads.span_losses(scores, gold, torch.from_numpy(row).to(scores.device))


def _dropout(train_state: TrainState, units: int, width: int) -> Tensor:
    """What each unit's head input (units, H) is multiplied by: drawn by seed and update alone."""
    rate = train_state.run.settings.dropout
    generator = torch.Generator().manual_seed(derive("dropout", train_state.run.seed, train_state.step))
    return (torch.rand(units, width, generator=generator) >= rate).float() / (1 - rate)


def _row(train_state: TrainState, **values: Any) -> dict[str, Any]:
    blank = {"loss": None, "learning_rate": None, "metric": None, "value": None, "language": None}
    epoch = train_state.step / train_state.updates
    return {"step": train_state.step, "epoch": epoch, "tokens": train_state.tokens, **blank, **values}
