"""What a training takes of memory is known before it begins."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from isogloss.backbones.meta_copy import meta_copy
from isogloss.methods.registry import find
from isogloss.preprocessing.features import Features
from isogloss.training.engine import Engine
from isogloss.training.memory_estimate import MemoryEstimate
from isogloss.training.memory_tracker import MemoryTracker
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import backbone, train_state

MANY = 10**6


def rows(count, length):
    tokens = np.full(count * length, 5)
    return Features(tokens, None, np.arange(count + 1) * length, np.zeros(count, dtype=np.int64))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("model") / "model")


def estimated(model, name, runs=1, length=24, budget=MANY, **settings):
    method, features = find(name), rows(16, length)
    made = MemoryEstimate(
        meta_copy(model), model.device, method, [method.settings(batch_size=16, **settings)] * runs, classes=7,
        seen=torch.tensor([5, 6]),
    )  # fmt: skip
    return made.bytes([features] * runs, [features], budget=budget, eval_budget=MANY)


def test_live_bytes_are_counted_until_they_are_freed():
    before = torch.zeros(100)
    with MemoryTracker() as live:
        one = before + 1
        two = one.view(10, 10)
        before.add_(1)
        assert (live.now, live.most) == (400, 400)
        del one, two
        three = torch.zeros(10)
        assert (live.now, live.most) == (40, 400)
    assert three.shape == (10,)


@pytest.mark.parametrize(("name", "runs"), [("deep-prompt", 1), ("deep-prompt", 4), ("soft-prompt", 2)])
def test_a_pass_takes_what_its_estimate_took(model, name, runs):
    method, features = find(name), rows(16, 24)
    settings = method.settings(batch_size=16)
    made = [new_run(method, model, settings, seed=seed, classes=7) for seed in range(runs)]
    engine = Engine(Stack(model, method, made), [train_state(run, features) for run in made], budget=MANY)
    plan = engine.plan()
    with MemoryTracker() as live:
        engine.begin()
        for batch in plan.batches:
            engine.learn(batch, plan.step)
    assert estimated(model, name, runs).training == pytest.approx(live.most, rel=0.02)


@pytest.mark.parametrize("name", ["fine-tuning", "lora", "linear-probe", "prompted-fine-tuning", "slow-fast"])
def test_every_method_can_be_estimated(model, name):
    if name == "lora":
        pytest.importorskip("peft")
    taken = estimated(model, name)
    assert min(taken.weights, taken.training, taken.evaluation, taken.kept) > 0
    assert taken.peak >= taken.weights + taken.training


def test_fine_tuning_takes_the_optimisers_states(model):
    learnt = sum(weight.numel() for name, weight in model.weights().items() if "word_embeddings" not in name)
    taken = estimated(model, "fine-tuning")
    assert taken.weights == pytest.approx(6 * 4 * learnt, rel=0.1)  # values, gradients, two moments, two selections
    some = estimated(model, "fine-tuning", embeddings=True).weights - taken.weights
    assert 0 < some < 4 * model.word_embedding.weight.numel() * 6  # of two words, not of all


def test_nothing_of_the_model_is_touched(model):
    state = {name: weight.clone() for name, weight in model.weights().items()}
    torch.manual_seed(5)
    estimated(model, "fine-tuning")
    assert all(weight.equal(state[name]) and not weight.requires_grad for name, weight in model.weights().items())
    assert isinstance(model.model.get_input_embeddings(), nn.Embedding)


def test_checkpointing_and_smaller_passes_take_less(model, tmp_path):
    from isogloss.backbones.loading import load
    from models import checkpoint

    whole = estimated(model, "deep-prompt").training
    assert estimated(model, "deep-prompt", budget=100).training < 0.5 * whole
    saving = load(str(checkpoint(tmp_path / "model")), dtype="float32", device="cpu", checkpointing=True)
    assert estimated(saving, "deep-prompt").training < 0.7 * whole


REAL = """
import sys
import numpy as np, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from isogloss.backbones.loading import load
from isogloss.runtime.device_memory import peak_memory
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from isogloss.backbones.meta_copy import meta_copy
from isogloss.training.memory_estimate import MemoryEstimate
from isogloss.methods.registry import find
from models import tokenizer, train_state
from isogloss.preprocessing.features import Features
from transformers import BertConfig, BertModel

folder, name, length, batch = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
config = BertConfig(vocab_size=64, hidden_size=384, num_hidden_layers=12, num_attention_heads=12,
                    intermediate_size=1536, pad_token_id=1)
BertModel(config, add_pooling_layer=False).save_pretrained(folder)
tokenizer().save_pretrained(folder)
model = load(folder, dtype="float32", device="cpu")
method = find(name)
settings = method.settings(batch_size=batch, epochs=1)
features = Features(np.full(batch * length, 5), None, np.arange(batch + 1) * length, np.zeros(batch, dtype=np.int64))
estimate = MemoryEstimate(meta_copy(model), model.device, method, [settings], classes=7)
expected = estimate.bytes([features], [features], budget=10**6, eval_budget=4096).peak
own = model if method.frozen else model.copy()
before = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS"))) * 1024
before -= 0 if method.frozen else sum(weight.nbytes for weight in own.weights().values())
run = new_run(method, own, settings, seed=0, classes=7)
train(Stack(own, method, [run]), [train_state(run, features)], budget=10**6, eval_budget=4096, source="eng")
print(expected, peak_memory(model.device) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read as Linux tells it")
@pytest.mark.parametrize(
    ("name", "length", "batch"), [("deep-prompt", 32, 64), ("deep-prompt", 128, 32), ("fine-tuning", 64, 32)]
)
def test_a_process_takes_what_was_expected(tmp_path, name, length, batch):
    words = [sys.executable, "-c", REAL, str(Path(__file__).parents[1]), str(tmp_path), name, str(length), str(batch)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    expected, real = map(int, done.stdout.split()[-2:])
    assert expected == pytest.approx(real, rel=0.35), (expected / 1e6, real / 1e6)
