"""Faults: processes that die at any file operation, or work on one directory at once, full disks, flipped bits.

CI does a part, the same each time; `make faults` does all: every file operation, and 200 rounds of processes at once.
"""

import pytest

from faulty import Actors, Place
from models import checkpoint, sib200

LANGUAGES = ("eng_Latn", "deu_Latn", "zho_Hans", "fra_Latn", "swh_Latn")


@pytest.fixture(scope="session")
def actors():
    made = Actors()
    yield made
    made.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data", LANGUAGES, rows=14)
    return folder


@pytest.fixture
def place(tmp_path, home, actors):
    return Place(tmp_path, home, actors)
