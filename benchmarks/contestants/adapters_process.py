"""The library adapters, in a process of its environment, told what to do line by line (`contestants/adapters.py`).

    PYTHON_WITH_ADAPTERS -m benchmarks.contestants.adapters_process SETTINGS.json

Nothing here needs isogloss. Answers are lines of JSON on the stream that was standard output.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import adapters
import torch
import transformers
from torch import nn

from benchmarks.contestants.loop import Loop, Way, fastest, ways
from benchmarks.shapes import Shape
from benchmarks.texts import CLASSES, read


def model(shape: Shape, way: Way, *, prompt: int, dropout: bool) -> nn.Module:
    """A random model with a prefix (without an MLP over it) and a head of its own, both of which learn."""
    config = shape.config(dropout=dropout)
    config._attn_implementation = way.attention
    made = adapters.AutoAdapterModel.from_config(config)
    made.add_adapter("prefix", config=adapters.PrefixTuningConfig(flat=True, prefix_length=prompt))
    made.add_classification_head("prefix", num_labels=CLASSES)
    made.train_adapter("prefix")
    return made.to(way.weights)  # type: ignore[no-any-return]


def loop(given: dict[str, Any]) -> Loop:
    """The expert's loop, as chosen by a trial."""
    shape = Shape(given["family"], given["sizes"], tuple(given["dropout_names"]))
    train, test = (read(Path(given[split])) for split in ("train", "test"))

    def build(way: Way) -> Loop:
        made = model(shape, way, prompt=given["prompt"], dropout=given["dropout"])
        return Loop(made, way, train, test, batch=given["batch"], device=torch.device("cpu"))

    return fastest(build, ways("deep-prompt"))


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")  # what libraries print must not come between
    os.dup2(2, 1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(given["threads"])
    learning = loop(given)
    versions = {"adapters": adapters.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
    answer(way={**learning.way, "versions": versions}, bf16=learning.dtype == torch.bfloat16)
    for line in sys.stdin:
        what, _, count = line.strip().partition(" ")
        answer(seconds=learning.train(int(count)) if what == "train" else learning.evaluate())


if __name__ == "__main__":
    main()
