"""How often what can ship was right, by halves of a run's test texts."""

import re
import sys

from benchmarks import shipping
from told import told

LABELS = ["off", "on"]


def test_a_score_that_is_the_same_in_both_halves_is_shipped_and_never_falls_short(tmp_path, monkeypatch, capsys):
    rows = {
        code: [{"id": str(place), "text": "t", "label": "on"} for place in range(200)] for code in ("en", "de", "fi")
    }
    wrong = {"en": 0, "de": 4, "fi": 160}

    def answers(_method, _seed, code):
        return ["off"] * wrong[code] + ["on"] * (200 - wrong[code])

    folder = told(tmp_path / "run", rows, answers, labels=LABELS)
    monkeypatch.setattr(sys, "argv", ["shipping", str(folder), "0.8"])
    shipping.main()
    said = capsys.readouterr().out
    made = {name: int(count) for name, count in re.findall(r"^([^:]+): (\d+) of 40", said, re.MULTILINE)}
    assert made == {"ship": 20, "ship with a threshold": 0, "needs labels": 0, "don't": 20}
    assert "ship: 20 of 40; on the other half 0 fell short, 0 by more than chance" in said
