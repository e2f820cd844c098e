"""transformers' Trainer: the usual script, and the same with padding to the longest text of a batch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from benchmarks.contestants.contestant import Match
from benchmarks.measure import seconds, synchronise
from benchmarks.texts import Texts, padded


class Stopwatch(transformers.TrainerCallback):
    """From before the first step to after the last: Trainer's own set-up is not counted."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        synchronise(self.device)
        self.seconds -= time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        synchronise(self.device)
        self.seconds += time.perf_counter()


class ByTrainer:
    """A model that Trainer trains. See `Contestant`.

    Args:
        model: transformers' or PEFT's.
        match: what is learnt on.
        fixed: tokens that every text is padded to; None: the longest of the batch.
        bf16: whether it trains and evaluates in bf16 by autocast.
    """

    runs = 1

    def __init__(self, model: nn.Module, match: Match, *, fixed: int | None = None, bf16: bool = False) -> None:
        self.model, self.match, self.fixed = model, match, fixed
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        self.way: Mapping[str, Any] = {}
        self.arguments = {
            "output_dir": str(match.checkpoint / "trainer"),
            "per_device_train_batch_size": match.batch, "per_device_eval_batch_size": 32,
            "learning_rate": 1e-3, "lr_scheduler_type": "constant", "optim": "adamw_torch_fused", "bf16": bf16,
            "bf16_full_eval": False, "use_cpu": match.device.type == "cpu",
            "dataloader_pin_memory": match.device.type == "cuda", "save_strategy": "no", "report_to": "none",
            "disable_tqdm": True, "remove_unused_columns": False,
        }  # fmt: skip

    def _trainer(self, texts: Texts, **more: Any) -> Trainer:
        def collate(some: Sequence[int]) -> dict[str, Tensor]:
            return padded(texts, some, self.fixed)

        how = TrainingArguments(**self.arguments, **more)
        trainer = Trainer(self.model, how, data_collator=collate, train_dataset=range(len(texts)))
        trainer.remove_callback(transformers.PrinterCallback)
        return trainer

    def train(self, updates: int) -> float:
        """See `Contestant`."""
        trainer, stopwatch = self._trainer(self.match.train, max_steps=updates), Stopwatch(self.match.device)
        trainer.add_callback(stopwatch)
        trainer.train()
        return stopwatch.seconds

    def evaluate(self) -> float:
        """See `Contestant`."""
        trainer = self._trainer(self.match.test)
        return seconds(lambda: trainer.predict(range(len(self.match.test))), self.match.device)

    def close(self) -> None:
        """Nothing is held outside Python."""
