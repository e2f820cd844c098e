"""When the source is learnt, against the rule written out in plain Python."""

import math

import pytest
import torch

from isogloss.optim.loss_trend import LEARNT, MEMORY, START, LossTrend


def by_hand(losses, counts, total):
    """The onset, the mean and how many losses were seen."""
    start = mean = 0.0
    seen, onset = 0, math.inf
    for step, (loss, count) in enumerate(zip(losses, counts, strict=True)):
        if not count or not math.isfinite(loss):
            continue
        seen += 1
        if seen <= START:
            mean += (loss - mean) / seen
            start = mean
            continue
        mean += (loss - mean) * min(1.0, 1 / (MEMORY * total + 1))
        if math.isinf(onset) and mean < LEARNT * start:
            onset = step
    return onset, mean, seen


def seen_by(trend, losses, counts):
    for step in range(len(losses[0])):
        trend.see(
            torch.tensor([own[step] for own in losses]),
            torch.full((len(losses),), float(step)),
            torch.tensor([own[step] for own in counts]),
        )


def test_each_run_has_its_own_trend():
    generator = torch.Generator().manual_seed(0)
    steps = 120
    noise = (torch.rand(4, steps, generator=generator) + 0.5).tolist()
    shapes = [
        [2.0 if step < 20 else 0.1 for step in range(steps)],
        [2.0] * steps,
        [3.0 * 0.9**step for step in range(steps)],
        [1.0 if step < 60 else 0.01 for step in range(steps)],
    ]
    losses = [[loss * own for loss, own in zip(*pair, strict=True)] for pair in zip(shapes, noise, strict=True)]
    losses[0][3], losses[0][30], losses[2][0], losses[3][70] = math.nan, math.inf, -math.inf, math.nan
    counts = [
        [True] * steps,
        [True] * steps,
        [step % 3 > 0 for step in range(steps)],
        [step > 50 for step in range(steps)],
    ]
    totals = [120, 120, 1000, 40]
    trend = LossTrend(torch.tensor(totals, dtype=torch.float32))
    seen_by(trend, losses, counts)
    expected = [by_hand(*own) for own in zip(losses, counts, totals, strict=True)]
    assert trend.onset.tolist() == [onset for onset, _, _ in expected]
    assert trend.seen.tolist() == [seen for _, _, seen in expected]
    assert trend.mean.tolist() == pytest.approx([mean for _, mean, _ in expected], rel=1e-4)
    assert [math.isinf(onset) for onset in trend.onset.tolist()] == [False, True, False, False]


def test_the_source_is_learnt_when_its_loss_has_fallen_to_a_tenth():
    losses = [2.0] * 20 + [0.1] * 80
    losses[10] = float("nan")
    trend = LossTrend(torch.tensor([100.0, 100.0]))
    seen_by(trend, [losses, [2.0] * 100], [[True] * 100] * 2)
    assert 20 < trend.onset[0] < 30
    assert trend.onset[1] == torch.inf


def test_an_onset_stays():
    trend = LossTrend(torch.tensor([50.0]))
    seen_by(trend, [[2.0] * 6 + [0.0] * 20 + [5.0] * 20 + [0.0] * 20], [[True] * 66])
    assert 6 < trend.onset[0] < 20
