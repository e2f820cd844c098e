"""The mean of the weights over the last updates: which count, how exact it is, and how it goes on when resumed."""

from fractions import Fraction

import pytest
import torch

from isogloss.errors import IsoglossError
from isogloss.methods.registry import find
from isogloss.methods.settings import MeanOfUpdates
from isogloss.preprocessing.tokenize import tokenise
from isogloss.spec import check
from isogloss.training.checkpoint import Checkpoints
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, backbone, train_state

TEXTS = [" ".join(WORDS[(3 * i + j * j) % len(WORDS)] for j in range(2 + i % 5)) for i in range(20)]
GOLD = [i % 3 for i in range(20)]
HALF = {"mean": 0.5, "every": 3}
METHODS = ["fine-tuning", "soft-prompt", "linear-probe"]


@pytest.mark.parametrize("total", [1, 2, 7, 10, 96])
@pytest.mark.parametrize("share", ["0.01", "0.3", "0.5", "0.7", "1"])
@pytest.mark.parametrize("every", [1, 4, 5, 200])
def test_updates_count_back_from_the_last(total, share, every):
    kept = MeanOfUpdates(mean=float(share), every=every)
    span = max(1, -(-Fraction(share) * total // 1))
    counted = list(range(total, total - int(span), -every))[::-1]
    numbers = {step: kept.number(step, total) for step in range(1, total + 1)}
    assert {step: number for step, number in numbers.items() if number} == {s: n for n, s in enumerate(counted, 1)}


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("bets", r"m: select: expected best, last, mean \(of all epochs\) or a mean .* \(came: 'bets'\)"),
        ({"mean": 2}, "m: select: mean: expected a number less than or equal to 1"),
        ({"mean": 0.5, "often": 2}, "m: select: unknown key 'often'; known: every, mean"),
        ({"mean": 0.5, "every": 0}, "m: select: every: expected a number greater than 0"),
        ({}, "m: select: mean is missing; expected share"),
        (0.5, "m: select: expected best"),
    ],
)
def test_another_choice_is_refused_in_a_line(select, message):
    with pytest.raises(IsoglossError, match=message) as told:
        check(find("lora").settings, {"select": select}, where="m")
    assert "\n" not in str(told.value)


def start(model, name, **more):
    method = find(name)
    own = model if method.frozen else model.copy()
    settings = method.settings(**{"epochs": 4, "batch_size": 5, "lr": 1e-2, "head_lr": 1e-2, "select": HALF} | more)
    run = new_run(method, own, settings, seed=0, classes=3)
    return Stack(own, method, [run]), train_state(run, tokenise((TEXTS,), GOLD, model.tokenizer))


def carry_out(stack, one, after_update=lambda *_: None):
    train(stack, [one], budget=60, eval_budget=60, source="eng-Latn", after_update=after_update)


@pytest.mark.parametrize("name", METHODS)
def test_it_is_the_mean_of_the_weights_after_those_updates(name, tmp_path):
    stack, one = start(backbone(tmp_path), name)
    seen, count_in = {}, one.count_in
    one.count_in = lambda: (seen.update({one.step: {k: t.double() for k, t in one.run.state().items()}}), count_in())
    carry_out(stack, one)
    assert one.total == 16
    for key, tensor in one.run.state().items():
        exact = torch.stack([seen[step][key] for step in (10, 13, 16)]).mean(0)
        torch.testing.assert_close(tensor.double(), exact, rtol=1e-6, atol=1e-7)
    scored = [row for row in one.history if row["value"] is not None]
    assert [row["step"] for row in scored] == [4, 8, 12, 16, 16]  # the mean itself was scored last
    assert one.best[0] == scored[-1]["value"]
    assert one.best_epoch == 4


def test_a_long_running_mean_stays_exact():
    torch.manual_seed(0)
    run = torch.nn.Linear(50, 40)
    kept, total = MeanOfUpdates(mean=1.0, every=1), 4000
    exact, mean = torch.zeros(40, 50, dtype=torch.float64), torch.zeros(40, 50)
    for step in range(1, total + 1):
        weights = run.weight.detach() + 0.01 * torch.randn(40, 50)
        exact += weights.double()
        torch._foreach_lerp_([mean], [weights], 1 / kept.number(step, total))
    assert float((mean.double() - exact / total).abs().max()) < 1e-5 * float(exact.abs().max() / total)


def test_the_score_of_every_epoch_is_of_the_weights_as_they_are(tmp_path):
    """What is kept changes nothing of the training itself."""
    model, rows = backbone(tmp_path), []
    for select in (HALF, "last"):
        stack, one = start(model, "fine-tuning", select=select)
        carry_out(stack, one)
        rows.append([row for row in one.history if row["value"] is not None][:4])
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("name", "steps"), [("fine-tuning", 4), ("fine-tuning", 11), ("linear-probe", 13)])
def test_it_goes_on_from_a_checkpoint(name, steps, tmp_path):
    model = backbone(tmp_path)
    stack, whole = start(model, name)
    carry_out(stack, whole)
    stack, first = start(model, name)
    kept = Checkpoints([tmp_path / "one.safetensors"], ["same"], minutes=9.0)

    def stop(*_):
        if first.step == steps:
            kept.save([first])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(stack, first, stop)
    stack, second = start(model, name)
    kept.load([second])
    assert second.step == steps
    assert bool(second.best_state) == (steps > 8)
    carry_out(stack, second)
    assert second.history == whole.history
    assert all(second.run.state()[key].equal(tensor) for key, tensor in whole.run.state().items())
