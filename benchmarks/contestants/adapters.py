"""Prefix tuning by the library adapters, which needs a transformers of its own, so that it runs in a process beside.

`python -m benchmarks.adapters_environment` makes the environment. While it waits for its turn it computes nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.contestants.contestant import PROMPT, Match
from benchmarks.texts import save

ROOT = Path(__file__).parents[2]


class Adapters:
    """See `Contestant`.

    Args:
        match: what is learnt on: a deep prompt, on a CPU.
        python: of the environment.
        dropout: whether the frozen model drops out, as by default.
    """

    runs = 1

    def __init__(self, match: Match, python: Path | None, *, dropout: bool) -> None:
        if python is None or not python.exists():
            raise RuntimeError("no environment with adapters; python -m benchmarks.adapters_environment makes it")
        if match.method != "deep-prompt" or match.device.type != "cpu":
            raise RuntimeError("adapters takes part with deep prompts on a CPU alone")
        self.folder = tempfile.TemporaryDirectory(prefix="adapters-")
        here = Path(self.folder.name)
        settings = {
            "family": match.shape.family, "sizes": dict(match.shape.sizes), "dropout_names": match.shape.dropout,
            "dropout": dropout, "batch": match.batch, "prompt": PROMPT, "threads": torch.get_num_threads(),
            "train": str(here / "train.npz"), "test": str(here / "test.npz"),
        }  # fmt: skip
        save(match.train, here / "train.npz")
        save(match.test, here / "test.npz")
        (here / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        self.log = (here / "log").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(  # noqa: S603
            [python, "-m", "benchmarks.contestants.adapters_process", here / "settings.json"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        said = self._answer()
        self.way: Mapping[str, Any] = said["way"]
        self.dtype = torch.bfloat16 if said["bf16"] else torch.float32

    def _answer(self, command: str = "") -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if command:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"the process of adapters ended: {self.log.read().strip()[-300:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def train(self, updates: int) -> float:
        """See `Contestant`."""
        return float(self._answer(f"train {updates}")["seconds"])

    def evaluate(self) -> float:
        """See `Contestant`."""
        return float(self._answer("evaluate")["seconds"])

    def close(self) -> None:
        """End the process."""
        self.process.communicate()
        self.log.close()
        self.folder.cleanup()
