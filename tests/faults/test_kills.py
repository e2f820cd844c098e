"""A process killed at any of its file operations leaves nothing that the next one does not put right."""

import signal

import pytest

from faulty import EVERY, whole

METHODS = {"linear-probe": {"epochs": 2}, "soft-prompt": {"length": 2, "epochs": 1}}
RUNS = {  # what is there before (None: nothing), and what is to be there
    "a run": (None, {}),
    "a long run": (None, {"checkpoint_minutes": 0, "methods": {"soft-prompt": {"length": 2, "epochs": 2}}}),
    "more languages": ({}, {"targets": ["de", "zh", "fr"]}),
    "another seed": ({}, {"seeds": [0, 1]}),
    "another method": ({}, {"methods": {**METHODS, "slow": {"method": "linear-probe", "lr": 1e-5}}}),
}
READING = {"an analysis": ["analyze", "run", "gap"], "a report": ["report", "run"]}


def killed(place, actor, before):
    """Leaves the directory as each kill left it; says at which operation."""
    place.begin_with(before)
    count = place.folder / "count"
    (answer,) = place({**actor, "counted": str(count)})
    answer.well(code=0)
    operations = int(count.read_text())
    assert operations > 10
    for number in range(1, operations + 1, EVERY) if EVERY else (operations // 3, operations - 7):
        place.begin_with(before)
        (answer,) = place({**actor, "fatal": number})
        assert answer.code in {-signal.SIGKILL, 0}, answer
        yield number


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_goes_on_to_the_same(place, name):
    before, changes = RUNS[name]
    before = before if before is None else place.whole("small")
    reference = place.whole(name, **changes)
    actor = place.run(place.spec(**changes))
    for number in killed(place, actor, before):
        if place.run_directory.exists() and any(place.run_directory.glob("weights/*/0/run.json")):
            (answer,) = place(place.actor("analyze", "run", "gap", "--quiet"))
            answer.well(code=0)  # whatever is finished can be looked at
            for path in place.run_directory.glob("analysis/*"):
                path.unlink()
        (answer,) = place(actor)
        answer.well(code=0)
        try:
            whole(place.run_directory, reference)
        except AssertionError as error:
            raise AssertionError(f"killed at operation {number}") from error


@pytest.mark.parametrize("name", READING)
def test_what_only_looks_at_a_run_leaves_it_whole_when_killed(place, name):
    reference = place.whole("small")
    actor = place.actor(*READING[name])
    for _ in killed(place, actor, reference):
        whole(place.run_directory, reference, left=True)
        (answer,) = place(actor)
        answer.well(code=0)
        whole(place.run_directory, reference)
