"""A disk that is full: one line that names the file, and what was finished is there."""

import subprocess

import pytest

from faulty import whole

LONG = {"checkpoint_minutes": 0, "methods": {"soft-prompt": {"length": 2, "epochs": 2}}}


@pytest.mark.parametrize("name", ["small", "long"])
@pytest.mark.parametrize("largest", [3_500, 4_200, 5_000, 7_000])
def test_a_run_that_may_write_no_more_ends_in_a_line_and_goes_on(place, name, largest):
    changes = {"small": {}, "long": LONG}[name]
    place.begin_with(None)
    (answer,) = place(place.run(place.spec(**changes), largest=largest))
    if answer.code:
        assert "File too large at run/" in answer.well(code=2)
    (answer,) = place(place.run(place.spec(**changes)))
    answer.well(code=0)
    whole(place.run_directory, place.whole(name, **changes))


@pytest.mark.parametrize("arguments", [["analyze", "run", "gap"], ["report", "run"]])
def test_so_does_what_looks_at_it(place, arguments):
    place.begin_with(place.whole("small"))
    (answer,) = place(place.actor(*arguments, largest=1_500))
    assert "File too large at run/" in answer.well(code=2)
    whole(place.run_directory, place.whole("small"))


@pytest.mark.parametrize("size", [20, 48, 100])
def test_a_full_file_system_ends_a_run_in_a_line(place, size):
    place.begin_with(None)
    place.run_directory.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", place.run_directory],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if mounted.returncode:
        pytest.skip("mounting is not allowed")
    try:
        (answer,) = place(place.run(place.spec()))
        if answer.code:
            assert "No space left on device at run/" in answer.well(code=2)
            subprocess.run(["mount", "-o", "remount,size=10M", place.run_directory], check=True)
        (answer,) = place(place.run(place.spec()))
        answer.well(code=0)
        whole(place.run_directory, place.whole("small"))
    finally:
        subprocess.run(["umount", place.run_directory], check=True)
