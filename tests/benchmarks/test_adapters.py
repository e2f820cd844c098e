"""The library adapters takes its turns in a process of its own."""

import sys

import pytest
import torch

from benchmarks.contestants.adapters import Adapters
from benchmarks.contestants.contestant import Match
from benchmarks.shapes import tiny
from benchmarks.texts import Source, read

ANSWERS = """#!{python}
import json, sys, shutil
given = json.load(open(sys.argv[-1]))
shutil.copy(given["train"], {copy!r})
print(json.dumps({{"way": {{"precision": "autocast"}}, "bf16": True}}), flush=True)
for line in sys.stdin:
    what = line.split()
    if what[0] == "evaluate":
        sys.exit("out of paper")
    print(json.dumps({{"seconds": int(what[1]) * 0.5}}), flush=True)
"""


@pytest.fixture
def match(tmp_path):
    source = Source()
    train, test = source.texts("train", 5), source.texts("test", 3)
    return Match(tiny("small"), tmp_path, "deep-prompt", 4, train, test, torch.device("cpu"))


def test_a_process_is_told_what_to_do(match, tmp_path):
    python = tmp_path / "python"
    python.write_text(ANSWERS.format(python=sys.executable, copy=str(tmp_path / "copy.npz")), encoding="utf-8")
    python.chmod(0o755)
    one = Adapters(match, python, dropout=False)
    assert one.way == {"precision": "autocast"}
    assert one.dtype == torch.bfloat16
    assert one.train(3) == 1.5
    texts = read(tmp_path / "copy.npz")
    assert [row.tolist() for row in texts.rows] == [row.tolist() for row in match.train.rows]
    assert texts.labels.tolist() == match.train.labels.tolist()
    with pytest.raises(RuntimeError, match="out of paper"):
        one.evaluate()
    one.close()
    assert one.process.returncode == 1


def test_without_its_environment_it_says_how_to_make_one(match, tmp_path):
    with pytest.raises(RuntimeError, match="adapters_environment"):
        Adapters(match, tmp_path / "none", dropout=True)
