"""Examples per second of isogloss and of PEFT with transformers' Trainer: the same encoder, examples and batch size.

    python benchmarks/against_peft.py --data PATH_TO_SIB200

The contestants, all on the embedded encoder, frozen, with a prompt of 16 and updates of 32 examples by AdamW:

- `isogloss`: training and evaluation as `isogloss run` does them.
- `usual`: PEFT and Trainer in float32, every text padded to 112 tokens.
- `dynamic`: the same, padded to the longest text of each batch.
- `expert`: texts sorted by length before they are batched, and bf16 weights or bf16 autocast with the fused or the
  eager attention: whichever of the four trains fastest in a trial on this machine.
- `expert, no dropout`: that, with the dropout inside the backbone turned off, as isogloss trains.

They take turns in rounds, so that a drift of the machine hits all alike, and ratios are taken within a round. A round
of training is one epoch over the same examples, tokenised beforehand for all. The machine's matmul rate, measured in
every round, says how much of the machine each contestant uses for real tokens.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers
from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model
from rich.console import Console
from rich.table import Table
from torch import nn
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding, Trainer, TrainingArguments

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.loading import load
from isogloss.backbones.packaged import e5 as embedded
from isogloss.data.dataset import open_data
from isogloss.experiment.evaluate import predict
from isogloss.languages.language import Language
from isogloss.methods.registry import find
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.truncate import fit
from isogloss.runtime.environment import environment
from isogloss.tasks.registry import TASKS
from isogloss.training.loop import Inputs, update
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState

BATCH, PROMPT, FIXED, CLASSES = 32, 16, 112, 7
CONFIGS = {"deep-prompt": PrefixTuningConfig, "soft-prompt": PromptTuningConfig}
out = Console(width=140, highlight=False)


class Contestant:
    """Something that trains and evaluates."""

    updates: Callable[[int], tuple[float, list[float]]]  # seconds and losses of so many updates
    predict: Callable[[], None]  # the whole test split

    def __init__(self, dtype: torch.dtype, train: Features, test: Features) -> None:
        self.dtype, self.sizes = dtype, (len(train), len(test))

    def train(self) -> tuple[float, list[float]]:
        """One epoch: examples a second, and losses."""
        taken, losses = self.updates(-(-self.sizes[0] // BATCH))
        return self.sizes[0] / taken, losses

    def evaluate(self) -> tuple[float, list[float]]:
        return self.sizes[1] / seconds(self.predict), []


class Isogloss(Contestant):
    def __init__(self, method: str, backbone: Backbone, train: Features, test: Features, runs: int, batch: int) -> None:
        super().__init__(backbone.dtype, train, test)
        self.test, (self.budget, self.eval_budget) = test, budgets(backbone.device)
        found = find(method)
        given = {"length": PROMPT, "batch_size": batch, "epochs": 1000, "warmup": 0.0, "decay": "constant"}
        settings = found.settings.model_validate(given)
        made = [new_run(found, backbone, settings, seed=seed, classes=CLASSES) for seed in range(runs)]
        self.stack = Stack(backbone, found, made)
        cut = fit(train, self.stack.room(made[0]), backbone.tokenizer)
        self.train_states = [TrainState(run, cut, cut, "accuracy", lambda _: 0.0) for run in made]
        self.inputs = Inputs(self.stack, self.train_states, self.eval_budget)

    def updates(self, count: int) -> tuple[float, list[float]]:
        def work() -> None:
            for _ in range(count):
                update(self.stack, self.train_states, self.inputs, self.budget)

        before = len(self.train_states[0].history)
        return seconds(work), [row["loss"] for row in self.train_states[0].history[before:]]

    def predict(self) -> None:
        list(predict(self.stack, self.stack.runs, self.test))


class Stopwatch(transformers.TrainerCallback):
    """From before the first step to after the last: Trainer's own set-up is not counted."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.seconds = -time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.seconds += time.perf_counter()


class Peft(Contestant):
    """PEFT and Trainer: prefix tuning for deep prompts, prompt tuning for soft ones.

    `fixed` pads every text to `FIXED` tokens, `like` batches texts of like length together, `bf16` is `weights`,
    `autocast` or float32, and `attention` is `sdpa`, which transformers takes by itself, or `eager`.
    """

    def __init__(
        self, method: str, backbone: Backbone, train: Features, test: Features, *, fixed: bool = False,
        like: bool = False, bf16: str = "", attention: str = "sdpa", dropout: bool = True,
    ) -> None:  # fmt: skip
        drop = {} if dropout else {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        model = AutoModelForSequenceClassification.from_pretrained(
            embedded.folder(), num_labels=CLASSES, attn_implementation=attention, **drop,
            dtype=torch.bfloat16 if bf16 == "weights" else torch.float32,
        )  # fmt: skip
        super().__init__(torch.bfloat16 if bf16 else torch.float32, train, test)
        self.model = get_peft_model(model, CONFIGS[method](task_type="SEQ_CLS", num_virtual_tokens=PROMPT))
        model.bert.pooler.requires_grad_(True)  # the checkpoint has none, and a random one that is frozen is no head
        self.rows, self.test = rows(train, sort=like), rows(test, sort=like)
        if like:
            whole = range(0, len(self.rows) // BATCH * BATCH, BATCH)  # what is left over stays last
            order = random.Random(0).sample(whole, len(whole))  # noqa: S311
            self.rows = [row for i in order for row in self.rows[i : i + BATCH]] + self.rows[len(whole) * BATCH :]
        padding = {"padding": "max_length", "max_length": FIXED} if fixed else {"padding": True}
        self.collator = DataCollatorWithPadding(backbone.tokenizer, **padding)
        self.arguments = {
            "output_dir": "unused", "per_device_train_batch_size": BATCH, "per_device_eval_batch_size": BATCH,
            "learning_rate": 1e-3, "lr_scheduler_type": "constant", "optim": "adamw_torch_fused",
            "train_sampling_strategy": "sequential" if like else "random", "bf16": bf16 == "autocast",
            "use_cpu": not torch.cuda.is_available(), "dataloader_pin_memory": False, "logging_steps": 1,
            "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "remove_unused_columns": False,
        }  # fmt: skip

    def _trainer(self, **more: Any) -> Trainer:
        how = TrainingArguments(**self.arguments, **more)
        trainer = Trainer(self.model, how, data_collator=self.collator, train_dataset=self.rows)
        trainer.remove_callback(transformers.PrinterCallback)
        return trainer

    def updates(self, count: int) -> tuple[float, list[float]]:
        trainer, stopwatch = self._trainer(max_steps=count), Stopwatch()
        trainer.add_callback(stopwatch)
        trainer.train()
        return stopwatch.seconds, [row["loss"] for row in trainer.state.log_history if "loss" in row]

    def predict(self) -> None:
        self._trainer().predict(self.test)


def rows(part: Features, *, sort: bool) -> list[dict[str, Any]]:
    texts = zip(part.starts, part.starts[1:], part.labels, strict=False)
    made = [{"input_ids": part.tokens[begin:end].tolist(), "labels": int(label)} for begin, end, label in texts]
    return sorted(made, key=lambda row: -len(row["input_ids"])) if sort else made


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def flops(part: Features, model: Any, method: str, *, training: bool) -> float:
    """What a split's real tokens need, padding not counted: with a frozen backbone each weight once forward and once
    for the gradient of the activations; in attention both factors have a gradient.
    """
    weights = sum(weight.numel() for weight in model.encoder.parameters() if weight.ndim == 2)
    keys = part.lengths + PROMPT
    own = keys if method == "soft-prompt" else part.lengths
    linear, attention = (
        2.0 * weights * own,
        4.0 * model.config.num_hidden_layers * model.config.hidden_size * own * keys,
    )
    return float((linear * (2 if training else 1) + attention * (3 if training else 1)).sum())


def matmul_rate(dtype: torch.dtype, device: torch.device) -> dict[str, float]:
    """FLOP/s of matrix products: this model's linear layers, forward and backward, and one big square."""
    layers, found = [(384, 384)] * 4 + [(384, 1536), (1536, 384)], {}
    for name, count, sides in (("1024 rows", 1024, layers), ("2048 rows", 2048, layers), ("big", 2048, [(2048, 2048)])):
        shapes = [((count, k), (n, k), (count, n)) for k, n in sides]
        made = [[torch.randn(shape, dtype=dtype, device=device) for shape in three] for three in shapes]

        def work(made: list[list[torch.Tensor]] = made) -> None:
            for x, weight, gradient in made:
                nn.functional.linear(x, weight)
                gradient @ weight

        work()
        found[name] = sum(4.0 * count * k * n for k, n in sides) / median(seconds(work) for _ in range(3))
    return found


def expert(method: str, *data: Any) -> dict[str, Any]:
    """The fastest way of computing in bf16: two updates of each on the same batches, after one to warm up."""
    times: dict[tuple[str, str], float] = {}
    for way in product(("weights", "autocast"), ("sdpa", "eager")):
        contestant = Peft(method, *data, like=True, bf16=way[0], attention=way[1])
        contestant.updates(1)
        times[way] = contestant.updates(2)[0]
    bf16, attention = min(times, key=lambda way: times[way])
    out.print(f"{method}: the expert's two updates took", {" + ".join(way): round(s, 2) for way, s in times.items()})
    return {"like": True, "bf16": bf16, "attention": attention}


def middle(values: list[float], form: str = ".1f") -> str:
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def compare(method: str, backbone: Backbone, train: Features, test: Features, rounds: int) -> dict[str, Any]:
    """Rounds of all contestants: tables and their numbers."""
    way = expert(method, *(data := (backbone, train, test)))
    contestants: dict[str, Contestant] = {
        "isogloss": Isogloss(method, *data, runs=1, batch=BATCH),
        "usual": Peft(method, *data, fixed=True),
        "dynamic": Peft(method, *data),
        "expert": Peft(method, *data, **way),
        "expert, no dropout": Peft(method, *data, **way, dropout=False),
    }
    for contestant in contestants.values():
        contestant.updates(1)
    found: dict[tuple[str, str], list[Any]] = {pair: [] for pair in product(("train", "evaluate"), contestants)}
    peaks: dict[torch.dtype, list[float]] = {contestant.dtype: [] for contestant in contestants.values()}
    for _ in range(rounds):
        for (what, name), own in found.items():
            own.append(getattr(contestants[name], what)())
        for dtype, rates in peaks.items():
            rates.append(max(matmul_rate(dtype, backbone.device).values()))
    results: dict[str, Any] = {"expert": way}
    table = Table("", "contestant", "examples/s", "isogloss is faster by", "GFLOP/s", "of the matmul rate", "loss")
    for (what, name), own in found.items():
        rates, losses = [rate for rate, _ in own], [loss for _, more in own for loss in more]
        ratios = [first[0] / rate for first, rate in zip(found[what, "isogloss"], rates, strict=True)]
        part = train if what == "train" else test
        work = flops(part, backbone.model, method, training=what == "train") / len(part)
        share = median(rate * work / peak for rate, peak in zip(rates, peaks[contestants[name].dtype], strict=True))
        table.add_row(
            what, name, middle(rates), middle(ratios, ".2f"), f"{median(rates) * work / 1e9:.0f}", f"{share:.0%}",
            f"{losses[0]:.2f} to {losses[-1]:.2f}" if losses else "",
        )  # fmt: skip
        numbers = {"examples_per_second": rates, "ratio": ratios, "flops_an_example": work, "share": share}
        results[f"{what}: {name}"] = numbers | {"losses": losses}
    out.print(f"{method}, {rounds} rounds: median (lowest to highest)", table)
    return results


def stacking(method: str, backbone: Backbone, train: Features, test: Features, rounds: int) -> list[dict[str, Any]]:
    """What an update of one run takes, alone and in a stack of three seeds."""
    table = Table("batch size", "K = 1", "K = 3", "K = 3 over K = 1")
    results = []
    for batch in (8, 32):
        stacks = {k: Isogloss(method, backbone, train, test, runs=k, batch=batch) for k in (1, 3)}
        count = 64 // batch
        times: dict[int, list[float]] = {k: [] for k in stacks}
        for _ in range(rounds + 1):  # the first warms up
            for k, stack in stacks.items():
                times[k].append(stack.updates(count)[0] * 1e3 / count / k)
        one, three = times[1][1:], times[3][1:]
        table.add_row(str(batch), middle(one), middle(three), f"{median(three) / median(one):.2f}")
        results.append({"batch": batch, "K=1": one, "K=3": three})
    out.print(f"{method}: milliseconds an update of one run", table)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of SIB-200: eng_Latn/train.tsv and so on")
    parser.add_argument("--examples", type=int, default=256, help="training and test examples of a round, at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file")
    given = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore")
    backbone = load(embedded.NAME)
    opened = open_data("sib200", path=given.data, limits={"train": given.examples, "test": given.examples})
    parts = [opened.examples(Language.parse("eng-Latn"), split) for split in ("train", "test")]
    train, test = (
        TASKS["classification"].features(part.table, opened.card.labels, backbone.tokenizer, last=False, longest=None)
        for part in parts
    )
    texts = " and ".join(f"{len(part)} texts of {part.lengths.mean():.1f} tokens" for part in (train, test))
    out.print(f"{texts}; {backbone.device}, {torch.get_num_threads()} threads; isogloss computes in {backbone.dtype}")
    rates = {dtype: matmul_rate(dtype, backbone.device) for dtype in (torch.float32, torch.bfloat16)}
    for dtype, rate in rates.items():
        out.print(f"{dtype} matmul, GFLOP/s:", {name: round(speed / 1e9) for name, speed in rate.items()})
    results: dict[str, Any] = {"environment": environment(), "matmul": {str(k): rate for k, rate in rates.items()}}
    for method in given.methods:
        results[method] = compare(method, backbone, train, test, given.rounds)
        results[method]["stacking"] = stacking(method, backbone, train, test, given.rounds)
        if given.out:
            given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
