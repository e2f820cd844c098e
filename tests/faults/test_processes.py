"""Two and four processes on one run directory: nothing is lost, doubled, torn or mixed, and no traceback is seen."""

import random
import signal

import pytest

from faulty import ROUNDS, asked_for, whole

METHODS = {"linear-probe": {"epochs": 2}, "soft-prompt": {"length": 2, "epochs": 1}}
SLOW = {"method": "linear-probe", "lr": 1e-5}
MANY = {"methods": {"linear-probe": {"epochs": [1, 2, 3]}, "tuned": {"method": "fine-tuning", "epochs": 1}}}


def many(count):
    """Cells that train one by one or in a stack: each process takes some."""
    return [{**MANY, "seeds": [0, 1]}] * count


def same(count):
    return [{}] * count


def languages(count):
    return [{"targets": codes} for codes in (["de", "zh"], ["de", "fr"], ["de", "sw"], ["zh", "sw"])[:count]]


def methods(count):
    return [{"methods": {**METHODS, f"slow-{number}": SLOW}} for number in range(count)]


def seeds(count):
    return [{"seeds": [0, 1 + number]} for number in range(count)]


def mixture(count):
    return [{"seeds": [0, 1]}, {"targets": ["de", "zh"]}, {}, {"targets": ["de", "zh"], "seeds": [1]}][:count]


TOGETHER = {kind.__name__: kind for kind in (many, same, languages, methods, seeds, mixture)}


def together(place, draw, kind, count):
    """Each adds something; what one of them has finished, another one's work does not take away."""
    wanted = TOGETHER[kind](count)
    place.begin_with(None if kind == "many" or draw.random() < 0.5 else place.whole("small"))
    for answer in place(*(place.run(place.spec(**changes), after=draw.uniform(0, 0.3)) for changes in wanted)):
        answer.well(code=0)
    for changes in wanted:
        asked_for(place.run_directory, **changes)
    every = {"methods": {}, "seeds": set(), "targets": set()}
    for changes in wanted:
        every["methods"] |= changes.get("methods", METHODS)
        every["seeds"] |= {*changes.get("seeds", [0])}
        every["targets"] |= {*changes.get("targets", ["de"])}
    every = {**every, "seeds": sorted(every["seeds"]), "targets": sorted(every["targets"])}
    if wanted != wanted[:1] * count:  # a cell that none of them was to score in a language, say, is missing still
        (answer,) = place(place.run(place.spec(**every)))
        answer.well(code=0)
    whole(place.run_directory, place.whole(f"{kind}{count}", **every))


def settings(place, draw, _, count):
    """The same name with other settings: one is made, and the other is refused in a line."""
    place.begin_with(None)
    epochs = [1, 2, 1, 2][:count]
    draw.shuffle(epochs)
    changes = [{"methods": {**METHODS, "linear-probe": {"epochs": number}}} for number in epochs]
    answers = place(*(place.run(place.spec(**change), after=draw.uniform(0, 0.3)) for change in changes))
    (made,) = {number for number, answer in zip(epochs, answers, strict=True) if answer.code == 0}
    for number, answer in zip(epochs, answers, strict=True):
        if number == made:
            answer.well(code=0)
        else:
            answer.well("linear-probe", "epochs", code=2)
    whole(place.run_directory, place.whole(f"settings{made}", **changes[epochs.index(made)]))


def beside(place, draw, _, count):
    """Analyses and a report of a directory that grows meanwhile."""
    every = {"seeds": [0, 1], "methods": {**METHODS, "slow": SLOW}}
    place.begin_with(place.whole("small"))
    looking = [place.actor("analyze", "run", "gap", after=draw.uniform(0, 1)) for _ in range(count - 1)]
    looking.append(place.actor("report", "run", "--out", place.folder / "page.html", after=draw.uniform(0, 1)))
    for answer in place(place.run(place.spec(**every)), *looking):
        answer.well(code=0)
    whole(place.run_directory, place.whole("beside", **every))


def killed(place, draw, _, count):
    """One of them dies; the others take over what it had in training."""
    every = many(1)[0]
    place.begin_with(None)
    dying = place.run(place.spec(**every), fatal=draw.randrange(20, 250))
    others = [place.run(place.spec(**every), after=draw.uniform(0, 0.3)) for _ in range(count - 1)]
    first, *answers = place(dying, *others)
    assert first.code in {-signal.SIGKILL, 0}, first
    for answer in answers:
        answer.well(code=0)
    (answer,) = place(place.run(place.spec(**every)))  # which sweeps up
    answer.well(code=0)
    whole(place.run_directory, place.whole("killed", **every))


OTHERS = {kind.__name__: kind for kind in (settings, beside, killed)}
KINDS = [*TOGETHER, *OTHERS]


@pytest.mark.parametrize(
    ("number", "kind", "count"),
    [(number, KINDS[number % len(KINDS)], 2 + 2 * (number // len(KINDS) % 2)) for number in range(ROUNDS)],
)
def test_processes_at_once(place, number, kind, count):
    draw = random.Random(number)  # noqa: S311 - the same each time
    OTHERS.get(kind, together)(place, draw, kind, count)
