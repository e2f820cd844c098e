"""What an update costs besides its arithmetic: operator calls, and none that a device would have to be waited for."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertConfig, BertModel

from decoders import backbone
from isogloss.backbones.kernels import KERNELS
from isogloss.backbones.loading import load
from isogloss.methods.method import Importer
from isogloss.methods.registry import find, methods
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training.engine import Engine
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import SPECIAL, WORDS, tokenizer, train_state
from stacks import CASES, CAUSAL, made

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "unique2", "_unique2", "is_nonzero", "equal", "item"}


class Calls(TorchDispatchMode):
    """Counts operator calls by name."""

    def __init__(self):
        super().__init__()
        self.counted = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        self.counted[name] += 1
        if name in {"index", "index_put", "index_put_", "_index_put_impl_"}:
            self.counted["boolean index"] += any(one is not None and one.dtype == torch.bool for one in args[1])
        return func(*args, **(kwargs or {}))

    @property
    def waits(self):
        return {
            name: count
            for name, count in self.counted.items()
            if name in WAITING or (name == "boolean index" and count)
        }


def counted(engine, updates=3):
    out = []
    for _ in range(updates):
        with Calls() as calls:
            engine.update()
        out.append(calls)
    return out


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A BERT as deep as the published one, and narrow."""
    folder = tmp_path_factory.mktemp("deep")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=24, num_hidden_layers=12, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=128, pad_token_id=1,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return load(str(folder), dtype="float32", device="cpu")


def engine_of(model, count, name="deep-prompt", *, fixed=False, **settings):
    texts = [" ".join(WORDS[(i + j * j) % len(WORDS)] for j in range(3 + 11 * i % 27)) for i in range(200)]
    features = tokenise((texts,), [i % 3 for i in range(200)], model.tokenizer)
    method = find(name)
    own = model if method.frozen else model.copy()
    chosen = method.settings(batch_size=32, **settings)
    runs = [new_run(method, own, chosen, seed=seed, classes=3) for seed in range(count)]
    return Engine(Stack(own, method, runs), [train_state(run, features) for run in runs], budget=10**6, fixed=fixed)


def test_an_update_of_twelve_layers_is_at_most_two_thousand_calls(deep):
    for fixed in (False, True):
        one, eight = (counted(engine_of(deep, count, length=16, fixed=fixed)) for count in (1, 8))
        most = [max(calls.counted.total() for calls in some) for some in (one, eight)]
        assert most[0] <= 2000
        assert most[1] <= 1.2 * most[0]
        for calls in (*one, *eight):
            assert calls.waits == {}


def test_calls_do_not_depend_on_the_batch(deep):
    """But for the number of groups of rows, and the kernel: a few calls apart."""
    engine = engine_of(deep, 1, length=16)
    by_groups = {}
    for calls in counted(engine, 6):
        groups = len(engine.stack.backbone.attention[0]._isogloss_layer.attention.groups)
        by_groups.setdefault(groups, set()).add(calls.counted.total())
    assert all(max(totals) <= 1.02 * min(totals) for totals in by_groups.values())
    fixed = {calls.counted.total() for calls in counted(engine_of(deep, 1, length=16, fixed=True), 6)}
    assert len(fixed) <= len(KERNELS)
    assert max(fixed) <= 1.02 * min(fixed)


FAMILIES = ["bert", "xlm-roberta", "mt5", "xglm", "bloom", "llama", "gemma3_text", "gpt_neox"]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return backbone(tmp_path_factory.mktemp(request.param), request.param, words=request.param != "mt5")


@pytest.mark.parametrize("fixed", [False, True])
def test_no_update_waits_for_a_device(model, fixed):
    for name, method in methods().items():
        if isinstance(method, Importer):
            continue
        options = {"length": 4} if "prompt" in name else {}
        engine = engine_of(model, 2 if find(name).frozen else 1, name, fixed=fixed, **options)
        for calls in counted(engine, 2):
            assert calls.waits == {}, name


@pytest.mark.parametrize("fixed", [False, True])
def test_no_task_or_head_waits_for_a_device(model, fixed):
    if model.lm_head is None:
        pytest.skip("without a head over words")
    for case in CAUSAL if model.causal else CASES:
        stack, states = made(model, case)
        for calls in counted(Engine(stack, states, budget=100, fixed=fixed), 2):
            assert calls.waits == {}, case
