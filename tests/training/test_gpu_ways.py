"""What a GPU would be asked for, as far as it can be seen without one."""

import math
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils import checkpoint as checkpointing
from torch.utils._python_dispatch import TorchDispatchMode

from decoders import backbone
from isogloss.backbones.dropout import attention_dropout, drops, set_attention_dropout, set_dropout
from isogloss.backbones.families.bloom import Alibi
from isogloss.backbones.packing import SPARE_ROW
from isogloss.preprocessing.tokenize import tokenise
from isogloss.tasks import verbalizer as verbalizer_module
from isogloss.training.engine import Engine
from isogloss.training.fixed_shapes import FixedShapes
from isogloss.training.graphs import MOST, CudaRecorder, Graphs, never_waiting
from models import train_state
from stacks import made, updated


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("bert"), "bert", words=True)


class FromHost(TorchDispatchMode):
    """Counts tensors that are made of Python's numbers: on a GPU each is a copy that the host waits for."""

    def __init__(self):
        super().__init__()
        self.counted = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        self.counted[name] += name in {"lift", "lift_fresh", "repeat_interleave"}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", ["bert", "bloom", "gemma3_text", "mt5"])
def test_nothing_comes_from_the_host_while_something_is_computed(tmp_path, family):
    own = backbone(tmp_path, family, words=family != "mt5")
    for case in ("deep", "soft after first"):
        stack, states = made(own, case)
        engine = Engine(stack, states, budget=4096, fixed=True)
        engine.update()
        plan = engine.plan()
        with FromHost() as seen:
            engine.begin()
            for batch in plan.batches:
                engine.learn(batch, plan.step)
            engine.finish(plan.step)
        assert +seen.counted == Counter(), case


@pytest.mark.parametrize("heads", [1, 2, 6, 8, 12, 16])
def test_slopes_are_the_papers(heads):
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    slopes += [2 ** (-8 * (i + 0.5) / power) for i in range(heads - power)]
    found = Alibi(heads)(torch.tensor([[1]]))
    torch.testing.assert_close(-found.flatten(), torch.tensor(slopes))


def test_positions_are_indices_of_64_bits(model):
    stack, states = made(model, "deep")
    plan = Engine(stack, states, budget=4096, fixed=True).plan()
    assert plan.batches[0].packing.positions.dtype == torch.int64


def test_dropout_that_is_off_rules_no_kernel_out(model):
    own = model.copy()
    set_dropout(own.model, 0.0)
    set_attention_dropout(own.attention, 0.1)
    own.model.eval()
    assert max(map(attention_dropout, own.attention)) == 0
    assert not drops(own.model)
    own.model.train()
    assert min(map(attention_dropout, own.attention)) == 0.1
    assert drops(own.model)
    set_attention_dropout(own.attention, 0.0)
    assert not drops(own.model)


def test_an_engine_lays_rows_as_they_lie_in_training(model):
    stack, states = made(model, "deep")
    for run in stack.runs:
        run.part.eval()
    Engine(stack, states, budget=4096)
    assert all(run.part.training for run in stack.runs)


def test_spare_rows_do_not_decide_how_long_the_longest_is(model, monkeypatch):
    states = made(model, "deep")[1]
    monkeypatch.setattr(type(model), "end_to_end", lambda *_: True)
    assert FixedShapes(states, None, model).rounded >= SPARE_ROW


@pytest.mark.parametrize("lengths", [(9, 15), (5, 500), (300, 384)])
def test_batches_of_unlike_lengths_have_few_shapes(model, lengths):
    counts = np.random.default_rng(1).integers(*lengths, 2000)
    texts = [" ".join(["cat"] * count) for count in counts]
    train = tokenise((texts,), [0] * len(texts), model.tokenizer)
    run = made(model, "deep")[0].runs[0]
    run.settings = run.settings.model_copy(update={"batch_size": 32})
    shapes = FixedShapes([train_state(run, train)], None, model)
    generator = np.random.default_rng(2)
    epochs = [generator.permutation(len(train))[:1984].reshape(-1, 32) for _ in range(10)]
    order = np.concatenate(epochs)
    found = [next(iter(shapes.cut([(train, own)], 10**9)))[1] for own in order]
    assert len({shape.tokens for shape in found}) <= MOST
    tokens = train.lengths[order].sum(axis=1)
    assert all(shape.tokens > own for shape, own in zip(found, tokens, strict=True))
    assert sum(shape.tokens for shape in found) < 1.25 * tokens.sum() + 128 * len(found)


@contextmanager
def no_generator(monkeypatch):
    def asked(*_):
        raise AssertionError("a generator was asked for its state")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "get_rng_state", asked)
        patched.setattr(checkpointing, "get_device_states", asked)
        yield


def test_what_is_computed_again_asks_no_generator_where_nothing_is_drawn(model, monkeypatch):
    monkeypatch.setattr(verbalizer_module, "AT_ONCE", 2)
    stack, states = made(model, "deep, verbalizer")
    engine = Engine(stack, states, budget=4096)
    plan = engine.plan()
    with no_generator(monkeypatch):
        engine.begin()
        engine.learn(plan.batches[0], plan.step)
    assert engine.flat.gradients.norm() > 0


def broken(stack, states):
    engine = Engine(stack, states, budget=4096, fixed=False)
    tried = []

    def fails_the_second_time(work):
        tried.append(work)
        if len(tried) == 2:
            raise RuntimeError("invalidated")
        return work

    engine.graphs = Graphs(engine, record=fails_the_second_time)
    return engine, tried


def test_after_a_capture_that_failed_all_goes_plainly(model, capsys):
    engine, tried = broken(*made(model, "deep", epochs=4))
    losses = updated(engine, 9)
    assert len(tried) == 2
    assert set(engine.graphs.captured.values()) == {None}
    plain = Engine(*made(model, "deep", epochs=4), budget=4096, fixed=False)
    assert updated(plain, 9) == losses
    assert "invalidated" in capsys.readouterr().err


class Stand:
    """What of `torch.cuda` a capture asks for."""

    def __init__(self, monkeypatch, fails):
        self.said = []
        generator = SimpleNamespace(clone_state=lambda: "whole", graphsafe_set_state=self.said.append)

        @contextmanager
        def graph(*_, **__):
            yield
            if fails:
                raise RuntimeError("operation failed due to a previous error during capture")

        cuda = torch.cuda
        monkeypatch.setattr(cuda, "CUDAGraph", lambda: SimpleNamespace(replay=list))
        monkeypatch.setattr(cuda, "graph", graph)
        monkeypatch.setattr(cuda, "default_generators", (generator,))
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", lambda *of: self.said.append(of), raising=False)


def recorder():
    """One on a stream that is not there."""
    made = CudaRecorder.__new__(CudaRecorder)
    made.stream, made.pool, made.broken = SimpleNamespace(device_index=0), (0, 1), []
    return made


def test_a_capture_that_fails_leaves_nothing_behind(monkeypatch):
    stand = Stand(monkeypatch, fails=True)
    record = recorder()
    with pytest.raises(RuntimeError, match="during capture"):
        record(lambda: None)
    assert stand.said == ["whole", (0, (0, 1))]
    assert len(record.broken) == 1


def test_a_capture_that_succeeds_is_left_as_it_is(monkeypatch):
    stand = Stand(monkeypatch, fails=False)
    assert recorder()(lambda: None)() == []
    assert stand.said == []


def test_waiting_is_an_error_only_while_it_is_looked_for(monkeypatch):
    modes = [0]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with pytest.raises(KeyError), never_waiting():
        assert modes == [0, "error"]
        raise KeyError
    assert modes == [0, "error", 0]
