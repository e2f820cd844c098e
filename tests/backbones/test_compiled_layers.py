"""Compiled layers give what plain ones give; where they cannot be compiled, plain ones go on."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from isogloss.backbones import compiled_layers
from isogloss.backbones.loading import load
from models import checkpoint

SAME = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, torch
from isogloss.backbones import compiled_layers
from isogloss.backbones.loading import load
from isogloss.methods.registry import find
from isogloss.preprocessing.features import Features
from isogloss.training.engine import Engine
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import checkpoint, train_state

made, begin = [], compiled_layers.CompiledLayers.__init__
compiled_layers.CompiledLayers.__init__ = lambda self, layers: (made.append(self), begin(self, layers))[1]
compiled_layers.BACKEND, family = sys.argv[3], sys.argv[4]
folder = str(checkpoint(sys.argv[2], family, positions=200))

def gradients(name, compiled):
    model = load(folder, dtype="float32", device="cpu", compiled=compiled)
    method = find(name)
    own = model if method.frozen else model.copy()
    settings = method.settings(batch_size=4)
    runs = [new_run(method, own, settings, seed=seed, classes=7) for seed in range(2 if method.frozen else 1)]
    lengths = np.asarray([5, 9, 7, 6])
    features = Features(np.arange(lengths.sum()) % 20 + 4, None, np.append(0, lengths.cumsum()), np.arange(4))
    engine = Engine(Stack(own, method, runs), [train_state(run, features) for run in runs], budget=1000, fixed=True)
    for run in runs:
        run.part.train()
    plan = engine.plan()
    engine.draw(plan)
    for batch in plan.batches:
        engine.learn(batch, plan.step)
    return engine.flat.gradients

for name in ("deep-prompt", "soft-prompt", "fine-tuning"):
    plain = gradients(name, False)
    assert not made
    same = gradients(name, True)
    torch.testing.assert_close(same, plain, atol=1e-5, rtol=1e-5)
    assert plain.norm() > 1e-3
    assert [one.called for one in made] == ([3] if find(name).frozen else [0, 3]), (name, [m.called for m in made])
    assert not any(one.failed for one in made)
    made.clear()
"""


@pytest.mark.parametrize(
    ("backend", "family"), [("aot_eager", "xlm-roberta"), pytest.param("inductor", "bert", marks=pytest.mark.slow)]
)
def test_compiled_is_plain(tmp_path, backend, family):
    """In a process of its own, where functions are not wrapped in checks of shapes, which compilers stumble over."""
    words = [sys.executable, "-c", SAME, str(Path(__file__).parents[1]), str(tmp_path), backend, family]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_cannot_be_compiled_goes_on_plainly(tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("there is no\ncompiler")

    monkeypatch.setattr(compiled_layers, "BACKEND", broken)
    tokens = torch.tensor([[5, 6, 7]])
    there = torch.ones_like(tokens, dtype=torch.bool)
    folder = str(checkpoint(tmp_path / "model"))
    with torch.no_grad():
        plain = load(folder, dtype="float32", device="cpu").hidden(tokens, there)
        model = load(folder, dtype="float32", device="cpu", compiled=True)
        assert model.hidden(tokens, there).equal(plain)
    assert "compile" not in capsys.readouterr().err  # where nothing learns, nothing is compiled
    for _ in range(2):
        torch.testing.assert_close(model.hidden(tokens, there).detach(), plain)
    torch.compiler.reset()
    assert capsys.readouterr().err.count("compile: layers go on plainly") == 1
