"""How a command ends where something else than its input is wrong."""

import errno

import pytest

from isogloss.cli.exits import reason


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "full", "run/scores.parquet"), "No space left on device at run/scores.parquet"),
        (OSError(errno.EFBIG, "large", "run/scores.parquet"), "File too large at run/scores.parquet"),
        (OSError(errno.EDQUOT, "quota", "run/run.json"), "Disk quota exceeded at run/run.json"),
        (MemoryError("Unable to allocate 9 GiB"), "not enough memory"),
    ],
)
def test_what_the_machine_refuses_is_said_in_a_line(error, said):
    assert said in reason(error)
