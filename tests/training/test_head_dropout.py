"""Dropout by seed, update and unit: as much as was asked for, and the same whatever surrounds it."""

import pytest
import torch

from isogloss.training.head_dropout import kept

UNITS, WIDTH = 400, 256
NUMBER = torch.arange(UNITS)[None]


def drawn(seed=1, number=NUMBER, width=WIDTH, share=0.3):
    return kept(number, torch.tensor([seed], dtype=torch.int32), width, torch.tensor([share]))[0]


def near(share, expected, count):
    """Within four standard deviations of a share of so many draws."""
    return abs(float(share) - expected) < 4 * (expected * (1 - expected) / count) ** 0.5 + 1e-12


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, -5])
def test_so_much_is_kept(share, seed):
    made = drawn(seed, share=share)
    there = made > 0
    assert near(there.float().mean(), 1 - share, there.numel())
    torch.testing.assert_close(made[there], torch.full_like(made[there], 1 / (1 - share)))
    for mean in (there.float().mean(dim=0), there.float().mean(dim=1)):  # of each column and of each unit
        count = there.numel() // len(mean)
        off = (mean - (1 - share)) / max(1e-9, (share * (1 - share) / count) ** 0.5)
        assert off.abs().max() < 5
        if share:
            assert off.std().item() == pytest.approx(1, abs=0.25)


def test_seeds_units_and_columns_are_unlike():
    """Two draws agree as often as chance has it: 0.3 * 0.3 + 0.7 * 0.7."""
    chance, made = 0.3**2 + 0.7**2, drawn() > 0
    for seed in (0, 2, 3, 1 + 2**16, 2**30):
        assert near(((drawn(seed) > 0) == made).float().mean(), chance, made.numel())
    for step in (1, 2, 7, 100):
        assert near((made[step:] == made[:-step]).float().mean(), chance, made[step:].numel())
        assert near((made[:, step:] == made[:, :-step]).float().mean(), chance, made[:, step:].numel())
    neighbours = [drawn(seed)[0] > 0 for seed in range(400)]  # one unit over consecutive updates
    assert near((torch.stack(neighbours[1:]) == torch.stack(neighbours[:-1])).float().mean(), chance, 399 * WIDTH)


def test_a_stack_a_cut_and_an_order_change_nothing():
    seeds, shares = torch.tensor([1, 9, 4], dtype=torch.int32), torch.tensor([0.3, 0.0, 0.5])
    number = torch.stack([torch.randperm(UNITS, generator=torch.Generator().manual_seed(i)) for i in range(3)])
    made = kept(number, seeds, WIDTH, shares)
    for run, (seed, share) in enumerate(zip(seeds.tolist(), shares.tolist(), strict=True)):
        alone = drawn(seed, share=share)
        assert made[run].equal(alone[number[run]])
        for begin, end in ((0, 7), (7, UNITS)):
            assert drawn(seed, number[run : run + 1, begin:end], share=share).equal(alone[number[run, begin:end]])
    assert drawn(width=100).equal(drawn()[:, :100])
