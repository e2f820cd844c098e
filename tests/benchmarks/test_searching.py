"""The comparison of a search with a grid counts what both cost."""

import sys

import pytest

from benchmarks import searching
from models import checkpoint, sib200


def test_a_search_costs_the_share_of_the_grid_that_it_was_given(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(searching, "GRIDS", {"soft-prompt": {"lr": [1e-2, 1e-1], "length": [2, 4]}})
    monkeypatch.setattr(searching, "FIXED", {"soft-prompt": {"epochs": 1}})
    monkeypatch.setattr(searching, "CELLS", 4)
    monkeypatch.setattr(searching, "BUDGET", 2)
    monkeypatch.setattr(searching, "BACKBONE", str(checkpoint(tmp_path / "model")))
    data = str(sib200(tmp_path / "data"))
    monkeypatch.setattr(sys, "argv", ["searching", "--task", "sib200", "--data", data, "--out", str(tmp_path / "out")])
    searching.main()
    searching.main()  # nothing is trained anew, and the times are those of the first
    first, second = (line for line in capsys.readouterr().out.splitlines() if line.startswith("│ soft-prompt"))
    assert first == second
    grid, found, taken, passes, seconds = (float(part) for part in first.strip("│").split("│")[1:])
    assert 0 < taken <= found <= 1
    assert 0 < grid <= 1
    assert passes == pytest.approx(0.5, abs=0.15)
    assert seconds > 0
