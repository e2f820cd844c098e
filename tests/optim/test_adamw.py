"""AdamW over K runs against PyTorch's own, run by run: rates by group, decay, clipping, rest and infinities."""

import pytest
import torch
from torch import nn

from isogloss.optim.adamw import AdamW, Segment
from isogloss.optim.flat_parameters import ALIGNED, FlatParameters

STEPS, RUNS = 20, 3
SHAPES = {"matrix": [(3, 5), (4, 5), (2, 5)], "vector": [(7,), (7,), (7,)], "head": [(5, 2)] * 3}
GROUPS = {"matrix": 0, "vector": 0, "head": 1}
DECAY = {"matrix": (0.1, 0.0, 0.3), "vector": (0.0,) * 3, "head": (0.1, 0.0, 0.3)}
CLIP = [1.0, 0.05, 1e9]


def runs():
    generator = torch.Generator().manual_seed(0)
    return [
        {name: nn.Parameter(torch.randn(shapes[number], generator=generator)) for name, shapes in SHAPES.items()}
        for number in range(RUNS)
    ]


def ours(made, **more):
    flat = FlatParameters(made, list(SHAPES))
    segments = [Segment(flat.columns[name], GROUPS[name], DECAY[name], **more.get(name, {})) for name in SHAPES]
    return flat, AdamW(flat, segments, groups=2, clip=CLIP)


def rates(step, run):
    """Of each group: they rise and fall, and rest at first or in the middle."""
    first = 0.01 * (step + 1) * (run + 1)
    return [0.0 if run == 0 and step < 4 else first, 0.0 if run == 1 and 5 <= step < 9 else 0.02 * (STEPS - step)]


def gradients(step, run, broken=()):
    generator = torch.Generator().manual_seed(100 * step + run)
    made = {name: torch.randn(shapes[run], generator=generator) for name, shapes in SHAPES.items()}
    if step in broken:
        made["vector"][step % 7] = (torch.nan, torch.inf, -torch.inf)[step % 3]
    return made


def theirs(made, number, broken=()):
    """PyTorch's clipping and AdamW; what rests has no gradient."""
    groups = [{"params": [made[name]], "weight_decay": DECAY[name][number], "name": name, "lr": 0.0} for name in SHAPES]
    optimizer = torch.optim.AdamW(groups, eps=1e-8)
    for step in range(STEPS):
        if step in broken:
            continue
        drawn = gradients(step, number)
        for group in optimizer.param_groups:
            group["lr"] = rates(step, number)[GROUPS[group["name"]]]
            made[group["name"]].grad = drawn[group["name"]] if group["lr"] else None
        torch.nn.utils.clip_grad_norm_(made.values(), CLIP[number])
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("broken", [(), (0, 3, 7, 8)])
def test_each_run_learns_as_by_pytorch_alone(broken):
    """Run 2 has gradients that are not finite: its moments stay, and the others' do too."""
    made = runs()
    flat, optimizer = ours(made)
    for step in range(STEPS):
        before = optimizer.mean[2].clone(), optimizer.square[2].clone(), flat.values[2].clone()
        flat.gradients.zero_()
        for number, run in enumerate(made):
            for name, tensor in gradients(step, number, broken if number == 2 else ()).items():
                run[name].grad.copy_(tensor)
        learnt = optimizer.step(torch.tensor([rates(step, number) for number in range(RUNS)]))
        assert learnt.tolist() == [True, True, step not in broken]
        if step in broken:
            after = optimizer.mean[2], optimizer.square[2], flat.values[2]
            assert all(one.equal(other) for one, other in zip(before, after, strict=True))
    assert optimizer.skipped.tolist() == [0, 0, len(broken)]
    for number, expected in enumerate(runs()):
        reference = theirs(expected, number, broken if number == 2 else ())
        for index, (name, parameter) in enumerate(expected.items()):
            torch.testing.assert_close(made[number][name], parameter, rtol=1e-5, atol=1e-6)
            state = reference.state[parameter]
            torch.testing.assert_close(flat.part(optimizer.mean, number, name), state["exp_avg"])
            torch.testing.assert_close(flat.part(optimizer.square, number, name), state["exp_avg_sq"])
            assert optimizer.steps[number, index] == state["step"]


def test_an_infinite_gradient_of_what_rests_is_no_reason_to_leave_out():
    made = runs()
    flat, optimizer = ours(made)
    flat.gradients.fill_(1.0)
    flat.part(flat.gradients, 0, "head").fill_(torch.inf)
    before = made[0]["head"].clone()
    assert optimizer.step(torch.tensor([[0.1, 0.0], [0.1, 0.1], [0.0, 0.0]])).tolist() == [True] * 3
    assert optimizer.skipped.tolist() == [0] * 3
    assert made[0]["head"].equal(before)
    assert made[0]["matrix"].isfinite().all()
    assert optimizer.steps.tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 0]]


def test_what_fills_up_the_greatest_shape_stays_nothing():
    made = runs()
    flat, optimizer = ours(made)
    for _ in range(3):
        for run in made:
            for parameter in run.values():
                parameter.grad.fill_(1.0)
        optimizer.step(torch.full((RUNS, 2), 0.1))
        flat.gradients.zero_()
    assert flat.stacked(flat.values, "matrix").shape == (RUNS, 4, 5)
    assert not flat.stacked(flat.values, "matrix")[0, 3:].any()
    assert not flat.stacked(flat.values, "matrix")[2, 2:].any()
    assert all(columns.start % ALIGNED == 0 for columns in flat.columns.values())


def test_weights_are_pulled_towards_their_anchors():
    """Decoupled: beside Adam's step, a share rate times strength of the way to the anchor, and all of it at most."""
    for pull, rate in ((2.0, 0.1), (30.0, 0.1), (0.0, 0.1)):
        made = [runs()[0]]
        start = made[0]["matrix"].detach().clone()
        flat = FlatParameters(made, list(SHAPES))
        anchors = torch.zeros(1, flat.columns["matrix"].stop)
        anchors[0, :15] = torch.arange(15.0)
        segments = [
            Segment(flat.columns["matrix"], 0, (0.0,), (pull,), anchors),
            *(Segment(flat.columns[name], 1, (0.0,)) for name in ("vector", "head")),
        ]
        optimizer = AdamW(flat, segments, groups=2, clip=[1e9])
        made[0]["matrix"].grad.fill_(1.0)
        optimizer.step(torch.tensor([[rate, 0.0]]))
        moved = start - rate  # Adam's first step
        expected = moved + min(1.0, pull * rate) * (torch.arange(15.0).view(3, 5) - moved)
        torch.testing.assert_close(made[0]["matrix"].detach(), expected, rtol=1e-5, atol=1e-5)
        made[0]["matrix"].grad.fill_(torch.nan)
        before = made[0]["matrix"].detach().clone()
        optimizer.step(torch.tensor([[rate, 0.0]]))
        assert made[0]["matrix"].equal(before)  # one that is left out is not pulled either


def test_the_parameters_of_modules_are_views():
    module = nn.Linear(3, 2)
    flat = FlatParameters([dict(module.named_parameters())], ["bias", "weight"])
    before = module(torch.ones(3)).detach()
    flat.values.mul_(2)
    torch.testing.assert_close(module(torch.ones(3)), 2 * before)
    module(torch.ones(3)).sum().backward()
    assert flat.part(flat.gradients, 0, "weight").equal(torch.ones(2, 3))
