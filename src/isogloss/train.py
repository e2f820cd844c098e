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

from isogloss import heads
from isogloss.batching import Row, passes
from isogloss.features import Features
from isogloss.lane import Lane
from isogloss.observing import Memory, Sample
from isogloss.runs import Run, Stack, room_for_states, wordings
from isogloss.seeding import derive

LOG_EVERY = 10  # updates between two rows of training loss in the history


class Inputs:
    """The head's inputs: computed for each pass, or once where they never change."""

    def __init__(self, stack: Stack, lanes: Sequence[Lane], budget: int) -> None:
        self.stack = stack
        self.kept: dict[int, Tensor] = {}  # by the identity of the features
        width = stack.backbone.shape.width
        if stack.head_only:
            for features in (features for lane in lanes for features in lane.shown):
                if id(features) not in self.kept and room_for_states(features, width):
                    self.kept[id(features)] = stack.states(features, lanes[0].run, budget=budget)

    def rows(self, rows: Sequence[Row], runs: Sequence[Run]) -> Tensor:
        """Head inputs (units, H) of rows whose `run` counts in `runs`."""
        if all(id(row.features) in self.kept for row in rows):
            return torch.cat([self.kept[id(row.features)][row.features.units([row.row])] for row in rows])
        return self.stack.inputs(rows, self.stack.insert(runs))

    @torch.no_grad()
    def logits(self, features: Features, run: Run, budget: int) -> Tensor:
        """Scores (units, C) of all of a split by one run; of a verbalizer also the rest of the vocabulary's."""
        if (kept := self.kept.get(id(features))) is None:
            return self.stack.logits(features, [run], budget=budget, rest=True)[0]
        run_rows = torch.zeros(len(kept), dtype=torch.long, device=kept.device)
        return heads.logits([run.head], kept, run_rows)


def train(
    stack: Stack,
    lanes: Sequence[Lane],
    *,
    budget: int,
    eval_budget: int,
    source: str,
    after_update: Callable[[int, int], None] = lambda _tokens, _updates: None,
) -> None:
    """Train every lane to its end, and leave each run with the weights that it selects.

    Args:
        stack: the runs and their backbone.
        lanes: one a run, at the start or where a checkpoint left it.
        budget: most tokens of one training pass, prompt and padding included.
        eval_budget: the same for evaluation.
        source: the source language, for the history.
        after_update: called after each round of updates with the tokens learnt from and the updates done;
            may write a checkpoint.
    """
    inputs = Inputs(stack, lanes, eval_budget)
    for lane in lanes:
        if lane.memory is not None and lane.step == 0:
            remember(lane, lane.memory, lane.memory.before)
    while active := [lane for lane in lanes if lane.step < lane.total]:
        tokens = update(stack, active, inputs, budget)
        for lane in active:
            epoch_is_over = lane.step % lane.updates == 0
            if lane.sample is not None and (epoch_is_over or lane.step % lane.sample.every == 0):
                observe(lane, lane.sample, inputs, eval_budget)
            if lane.memory is not None and epoch_is_over:  # of the same weights as are observed, not of their mean
                remember(lane, lane.memory, states_of(lane.memory, stack, lane.run, eval_budget))
            if epoch_is_over:
                evaluate(lane, inputs, eval_budget, source)
                if lane.step == lane.total and lane.run.settings.averaged:
                    lane.run.load_state(lane.best_state)
                    evaluate(lane, inputs, eval_budget, source)
        after_update(tokens, len(active))
    for lane in lanes:
        lane.run.load_state(lane.best_state)
        lane.run.part.eval()


def update(stack: Stack, lanes: Sequence[Lane], inputs: Inputs, budget: int) -> int:
    """One update of every lane. Returns the tokens of text that were learnt from."""
    runs = [lane.run for lane in lanes]
    device, width = stack.backbone.device, stack.backbone.shape.width
    rows: list[Row] = []
    gold, share, run_units, hidden_from_head, spoken = [], [], [], [], []  # of each unit, in the order of the rows
    for k, lane in enumerate(lanes):
        lane.run.part.train()
        batch = lane.batch()
        units = lane.train.units(batch)
        rows += [Row(lane.train, int(row), k) for row in batch]
        gold.append(lane.train.labels[units])
        share.append(np.full(len(units), 1 / (len(batch) if lane.train.passages else len(units)), dtype=np.float32))
        run_units.append(np.full(len(units), k))
        hidden_from_head.append(_dropout(lane, len(units), width))
        spoken.append(wordings(lane.train, units, device))
    gold_units, share_units, run_of_unit = (
        torch.from_numpy(np.concatenate(part)).to(device) for part in (gold, share, run_units)
    )
    keep = torch.cat(hidden_from_head).to(device)
    wordings_units = None if spoken[0] is None else torch.cat([part for part in spoken if part is not None])
    loss_units = torch.zeros(len(gold_units), device=device)
    first = np.concatenate([[0], np.cumsum([row.units for row in rows])])
    if not stack.method.frozen:  # dropout inside the backbone draws from the global generator
        torch.manual_seed(derive("backbone", lanes[0].run.seed, lanes[0].step))
    prompt = [stack.method.length(run.settings) for run in runs]
    for some in passes([row.length + prompt[row.run] for row in rows], budget=budget):
        units = np.concatenate([np.arange(first[i], first[i + 1]) for i in some])
        states = inputs.rows([rows[i] for i in some], runs) * keep[units]
        wording = None if wordings_units is None else wordings_units[units]
        scores = heads.logits([run.head for run in runs], states, run_of_unit[units], wording, rest=True)
        losses = _losses(scores, gold_units[units], [rows[i] for i in some])
        (losses * share_units[units]).sum().backward()  # type: ignore[no-untyped-call]
        loss_units[units] = losses.detach()
    means = torch.zeros(len(lanes), device=device).index_add_(0, run_of_unit, loss_units * share_units).tolist()
    for k, lane in enumerate(lanes):
        lane.tokens += sum(row.length for row in rows if row.run == k)
        row = _row(lane, loss=means[k])
        lane.update(means[k])
        if row["step"] % LOG_EVERY == 0:
            lane.history.append({**row, "learning_rate": lane.rate})
    return sum(row.length for row in rows)


def evaluate(lane: Lane, inputs: Inputs, budget: int, source: str) -> None:
    """Score a lane on the source's development data, and keep its weights if they are the best so far."""
    lane.run.part.eval()
    scores = inputs.logits(lane.dev, lane.run, budget)
    gold = torch.from_numpy(lane.dev.labels).to(scores.device)
    rows = [Row(lane.dev, row, 0) for row in range(len(lane.dev))]
    loss = float(_losses(scores, gold, rows).sum()) / (len(rows) if lane.dev.passages else len(gold))
    value = lane.score(scores[:, : lane.run.head.classes])
    lane.history.append(_row(lane, loss=loss, metric=lane.metric, value=value, language=source))
    lane.keep(value, loss)


def observe(lane: Lane, sample: Sample, inputs: Inputs, budget: int) -> None:
    """Write a lane's scores on what is looked at into its history, and do nothing else with them."""
    lane.run.part.eval()
    scores = inputs.logits(sample.features, lane.run, budget)[:, : lane.run.head.classes]
    lane.history += [
        _row(lane, metric=lane.metric, value=value, language=language)
        for language, value in sample.score(scores).items()
    ]


def states_of(memory: Memory, stack: Stack, run: Run, budget: int) -> Tensor:
    """The states of parallel sentences at every depth; as they were where a method changes nothing but the head."""
    return memory.before if stack.head_only else stack.trace(memory.features, run, budget=budget)


def remember(lane: Lane, memory: Memory, states: Tensor) -> None:
    """Write what a lane keeps of its backbone's knowledge into its history, and do nothing else with it."""
    lane.history += [
        _row(lane, metric=measure, value=value, language=language) for language, measure, value in memory.means(states)
    ]


def _losses(scores: Tensor, gold: Tensor, rows: Sequence[Row]) -> Tensor:
    """Each unit's part of the loss, the units being those of `rows` in order."""
    if not rows[0].features.passages:
        return heads.losses(scores, gold)
    row = np.repeat(np.arange(len(rows)), [row.units for row in rows])
    return heads.span_losses(scores, gold, torch.from_numpy(row).to(scores.device))


def _dropout(lane: Lane, units: int, width: int) -> Tensor:
    """What each unit's head input (units, H) is multiplied by: drawn by seed and update alone."""
    rate = lane.run.settings.dropout
    generator = torch.Generator().manual_seed(derive("dropout", lane.run.seed, lane.step))
    return (torch.rand(units, width, generator=generator) >= rate).float() / (1 - rate)


def _row(lane: Lane, **values: Any) -> dict[str, Any]:
    blank = {"loss": None, "learning_rate": None, "metric": None, "value": None, "language": None}
    epoch = lane.step / lane.updates
    return {"step": lane.step, "epoch": epoch, "tokens": lane.tokens, **blank, **values}
