"""The one training loop: K runs at once, each with its own optimiser, rates, order of data and stopping point.

One update takes a batch from every run that is still learning and steps each run's weights on its own mean loss
(`isogloss.training.engine`). Runs share nothing but the frozen backbone, so a stack of K gives what K solo trainings
give (`tests/exactness/test_stacked.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from isogloss.preprocessing.features import Features
from isogloss.runtime.process_group import current
from isogloss.tasks import heads
from isogloss.training.engine import Engine
from isogloss.training.monitor import MonitorSample, ParallelStates
from isogloss.training.run import Run
from isogloss.training.stack import Stack, room_for_states
from isogloss.training.train_state import TrainState, updates_until


class Scorer:
    """Scores of a whole split by one run, from states that are kept where they never change.

    Args:
        stack: the runs and their backbone.
        train_states: what they read in training.
        budget: most tokens of a forward pass.
    """

    def __init__(self, stack: Stack, train_states: Sequence[TrainState], budget: int) -> None:
        self.stack, self.budget = stack, budget
        self.kept: dict[int, Tensor] = {}  # states (units, H) by the identity of the features
        if stack.head_only:
            width = stack.backbone.shape.width
            for features in (features for train_state in train_states for features in train_state.shown):
                if id(features) not in self.kept and room_for_states(features, width):
                    self.kept[id(features)] = stack.states(features, train_states[0].run, budget=budget)

    @torch.no_grad()
    def logits(self, features: Features, run: Run) -> Tensor:
        """Scores (units, C) of all of a split; of a verbalizer also the rest of the vocabulary's."""
        if (kept := self.kept.get(id(features))) is None:
            return self.stack.logits(features, [run], budget=self.budget, rest=True)[0]
        return heads.logits([run.head], kept[None])[0]


def train(
    stack: Stack,
    train_states: Sequence[TrainState],
    *,
    budget: int,
    eval_budget: int,
    source: str,
    after_update: Callable[[int, int], None] = lambda _tokens, _updates: None,
    until: float = 1.0,
) -> Scorer:
    """Train every run to its end, and leave each run with the weights that it selects.

    Args:
        stack: the runs and their backbone.
        train_states: one a run, at the start or where a checkpoint left it.
        budget: most tokens of one training pass, prompt included.
        eval_budget: most tokens of one pass of evaluation.
        source: the source language, for the history.
        after_update: called after each round of updates with the tokens learnt from and the updates done;
            may write a checkpoint.
        until: the share of each run's updates after which it pauses; a run that has not ended keeps its weights as they
            are.

    Returns:
        What scores a split by one of the runs.
    """
    scorer = Scorer(stack, train_states, eval_budget)
    begin(train_states, scorer, source)
    goals = {train_state: updates_until(train_state.total, until) for train_state in train_states}
    engine = None
    while active := [train_state for train_state in train_states if train_state.step < goals[train_state]]:
        if engine is not None and engine.train_states != active:
            engine.close()
            engine = None  # its tables go before the next one's come
        if engine is None:
            engine = Engine(stack, active, budget=budget, states=scorer.kept)
        tokens = engine.update()
        for train_state in active:
            train_state.count_in()
            look(train_state, engine, scorer, source)
        after_update(tokens, len(active))
    if engine is not None:
        engine.close()
    for train_state in train_states:
        if train_state.step >= train_state.total:
            train_state.run.load_state(train_state.best_state)
        spread = train_state.run.spread()
        whole = [tensor for name, tensor in train_state.run.live().items() if name not in spread]
        current().same(whole)  # unlike processors may round unlike
        train_state.run.part.eval()
    return scorer


def begin(train_states: Sequence[TrainState], scorer: Scorer, source: str) -> None:
    """What is looked at before the first update; of what was trained elsewhere, all there is to look at."""
    for train_state in train_states:
        if train_state.parallel is not None and train_state.step == 0:
            record_parallel(train_state, train_state.parallel, train_state.parallel.before)
        if not train_state.total:
            evaluate(train_state, scorer, source)


def look(train_state: TrainState, engine: Engine, scorer: Scorer, source: str) -> None:
    """Whatever is looked at after an update; at the end of an epoch, the source's development data."""
    epoch_is_over = train_state.step % train_state.updates == 0
    sample, parallel = train_state.sample, train_state.parallel
    if not epoch_is_over and (sample is None or train_state.step % sample.every):
        return
    engine.fetch()  # what was before is written down before
    train_state.run.part.eval()
    if sample is not None:
        record_sample(train_state, sample, scorer)
    if epoch_is_over:
        if parallel is not None:  # of the weights that are observed, not of their mean
            states = states_of(parallel, scorer.stack, train_state.run, scorer.budget)
            record_parallel(train_state, parallel, states)
        evaluate(train_state, scorer, source)
        if train_state.step == train_state.total and train_state.averages:
            train_state.run.load_state(train_state.best_state)
            evaluate(train_state, scorer, source)
    train_state.run.part.train()


def evaluate(train_state: TrainState, scorer: Scorer, source: str) -> None:
    """Score a run on the source's development data, and keep its weights if they are the best so far."""
    value, loss = development(train_state, scorer)
    train_state.log(loss=loss, metric=train_state.metric, value=value, language=source)
    train_state.keep(value, loss)


def development(train_state: TrainState, scorer: Scorer) -> tuple[float, float]:
    """A run's score and loss on the source's development data."""
    dev = train_state.dev
    scores = scorer.logits(dev, train_state.run).cpu()
    gold = torch.from_numpy(dev.labels)[None].long()
    if dev.passages:
        row = torch.repeat_interleave(torch.arange(len(dev)), torch.from_numpy(dev.unit_starts).diff())
        losses = heads.span_losses(scores[None], gold, row[None], len(dev))
    else:
        losses = heads.losses(scores[None], gold)
    loss = float(losses.sum()) / (len(dev) if dev.passages else gold.numel())
    return train_state.score(scores[:, : train_state.run.head.classes]), loss


def record_sample(train_state: TrainState, sample: MonitorSample, scorer: Scorer) -> None:
    """Write a run's scores on what is looked at into its history, and do nothing else with them."""
    scores = scorer.logits(sample.features, train_state.run)[:, : train_state.run.head.classes]
    for language, value in sample.score(scores).items():
        train_state.log(metric=train_state.metric, value=value, language=language)


def states_of(parallel: ParallelStates, stack: Stack, run: Run, budget: int) -> Tensor:
    """The states of parallel sentences at every depth; as they were where a method changes nothing but the head."""
    return parallel.before if stack.head_only else stack.trace(parallel.features, run, budget=budget)


def record_parallel(train_state: TrainState, parallel: ParallelStates, states: Tensor) -> None:
    """Write what a run keeps of its backbone's knowledge into its history, and do nothing else with it."""
    for language, measure, value in parallel.means(states):
        train_state.log(metric=measure, value=value, language=language)
