"""Measure a service of isogloss on loopback: many clients at once, and many prompts in one forward pass.

    python -m benchmarks.serving                the embedded encoder with 20 soft prompts; about five minutes
    python -m benchmarks.serving --quick        a small random encoder: whether everything goes
    python -m benchmarks.serving DIR            a run directory of your own, all of its cells

Two tables. *Clients*: the same requests, of mixed models, numbers of texts and lengths, one after the other and then by
50 clients at once; every answer is compared with what the model gives alone, and those that differ are counted.
*Prompts*: the texts of 20 prompts in one batch, and in 20 batches, prompt by prompt, in this process; the median of
the rounds. The service is a process of its own; clients and service share the machine's cores.
"""

from __future__ import annotations

import isogloss  # before torch: it says how torch's threads wait for one another

# isort: split
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

WORDS = "the cat sat on a mat and moon rose over three red boats near our small town today while rain fell"
LABELS = [f"label {number}" for number in range(7)]
LENGTHS = (4, 8, 16, 32)  # of prompts
NEAR = 1e-3  # of scores, which are rounded


@dataclass(frozen=True)
class Question:
    """A request, and its answers by the model alone."""

    model: str
    texts: list[str]
    answers: list[dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What came of all requests.

    Args:
        seconds: that each took.
        whole: seconds that all together took.
        wrong: answers that are not those of the model alone, or none.
    """

    seconds: list[float]
    whole: float
    wrong: int

    def row(self, texts: int) -> list[str]:
        """For the table."""
        p50, p95 = np.percentile(self.seconds, [50, 95]) * 1000
        per_second = (len(self.seconds) / self.whole, texts / self.whole)
        return [f"{p50:,.0f}", f"{p95:,.0f}", *(f"{one:,.1f}" for one in per_second), str(self.wrong)]


def texts(count: int, generator: np.random.Generator) -> list[str]:
    """Texts as long as headlines and as paragraphs."""
    lengths = np.clip(np.exp(generator.normal(3.0, 0.7, count)).astype(int), 2, 150)
    return [" ".join(generator.choice(WORDS.split(), length)) for length in lengths]


def made(folder: Path, *, quick: bool, prompts: int) -> Path:
    """A run directory of so many soft prompts, hardly trained: what is measured does not depend on it."""
    generator = np.random.default_rng(0)
    rows = [{"text": text, "label": LABELS[i % 7]} for i, text in enumerate(texts(28, generator))]
    spec = {
        "name": "prompts", "task": "custom", "source": "en", "dtype": "float32", "seeds": list(range(prompts // 4)),
        "methods": {"soft-prompt": {"length": list(LENGTHS), "epochs": 1, "place": "after"}},
    }  # fmt: skip
    if quick:
        spec["backbone"] = str(small_encoder(folder / "model"))
    data = {split: {"en": rows} for split in ("train", "dev", "test")}
    for split, more in (("dev", " dev"), ("test", " test")):  # splits share no text
        data[split] = {"en": [{**row, "text": row["text"] + more} for row in rows]}
    return isogloss.run(spec, folder / "run", data=data).path


def small_encoder(folder: Path) -> Path:
    """A random one, as a checkpoint."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    pieces = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *dict.fromkeys(WORDS.split())])}
    tokenizer = Tokenizer(models.WordLevel(pieces, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip
    config = XLMRobertaConfig(
        vocab_size=len(pieces), hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96,
        max_position_embeddings=258, type_vocab_size=1, pad_token_id=1,
    )  # fmt: skip
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def questions(models: Any, count: int) -> list[Question]:
    """So many requests, in a fixed order, with their answers."""
    generator, names = np.random.default_rng(1), sorted(models.by_name)
    out = []
    for _ in range(count):
        name = names[int(generator.integers(len(names)))]
        some = texts(int(generator.integers(1, 5)), generator)
        out.append(Question(name, some, models.find(name).model.predict(some)))
    return out


@contextmanager
def service(folder: Path) -> Iterator[int]:
    """A service of all models in a directory, and its port."""
    command = [sys.executable, "-m", "isogloss", "serve", f"run={folder}", "--all", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.terminate()
            if process.wait(timeout=60) != 0:
                raise RuntimeError(f"the service ended with code {process.returncode}")


def asked(port: int, some: Sequence[Question]) -> tuple[list[float], int]:
    """One client's requests, one after the other: how long each took, and how many answers were wrong."""
    seconds, wrong = [], 0
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    for question in some:
        body = json.dumps({"texts": question.texts, "model": question.model})
        began = time.perf_counter()
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = json.loads(answer.read())
        seconds.append(time.perf_counter() - began)
        found = content["answers"] if answer.status == 200 else []
        wrong += len(question.answers) - sum(map(_same, found, question.answers))
    connection.close()
    return seconds, wrong


def _same(found: Any, alone: Any) -> bool:
    if isinstance(found, dict) and isinstance(alone, dict):
        return found.keys() == alone.keys() and all(_same(found[key], alone[key]) for key in found)
    if isinstance(found, list) and isinstance(alone, list):
        return len(found) == len(alone) and all(map(_same, found, alone))
    if isinstance(found, float) and isinstance(alone, float):
        return abs(found - alone) <= NEAR
    return bool(found == alone)


def measured(port: int, every: Sequence[Question], clients: int) -> Outcome:
    """All requests, by so many clients at once."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        parts = list(pool.map(lambda number: asked(port, every[number::clients]), range(clients)))
    whole = time.perf_counter() - began
    return Outcome([one for seconds, _ in parts for one in seconds], whole, sum(wrong for _, wrong in parts))


def batches(shared: Any, each: int, rounds: int) -> tuple[float, float]:
    """Milliseconds of so many texts of each prompt in one batch, and in a batch a prompt."""
    from isogloss.interop.serve.shared_pass import Texts

    generator = np.random.default_rng(2)
    given = [
        Texts(number, shared.fitted(number, model.features([[text] for text in texts(each, generator)], None)))
        for number, model in enumerate(shared.models)
    ]

    def together() -> None:
        shared.predicted(given)

    def apart() -> None:
        for one in given:
            shared.predicted([one])

    times: dict[Any, list[float]] = {together: [], apart: []}
    for _ in range(rounds + 1):
        for way, so_far in times.items():
            began = time.perf_counter()
            way()
            so_far.append(1000 * (time.perf_counter() - began))
    return median(times[together][1:]), median(times[apart][1:])


def main(given: Sequence[str] | None = None) -> int:
    """The command; 1 where an answer was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="a run directory; left out: one is made")
    parser.add_argument("--quick", action="store_true", help="a small random encoder, and few requests")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, help="left out: 500, or 100 with --quick")
    parser.add_argument("--prompts", type=int, default=20, help="of the directory that is made; a multiple of 4")
    parser.add_argument("--rounds", type=int, default=7)
    said = parser.parse_args(given)
    from isogloss.interop.serve.models import load

    count = said.requests or (100 if said.quick else 500)
    console = Console(width=120, highlight=False)
    with tempfile.TemporaryDirectory(prefix="serving-") as workspace:
        folder = said.folder or made(Path(workspace), quick=said.quick, prompts=said.prompts)
        models = load({"run": folder}, every=True)
        every = questions(models, count)
        shared = max((served.shared for served in models.by_name.values()), key=lambda one: len(one.models))
        times = {each: batches(shared, each, said.rounds) for each in (1, 4)}
        with service(folder) as port:
            measured(port, every[:10], 1)  # what is done once is done
            alone, at_once = measured(port, every, 1), measured(port, every, said.clients)
    answers = sum(len(question.texts) for question in every)
    where = f"{os.cpu_count()} cores, {len(models.by_name)} models over {models.cards()[0].backbone}"
    columns = ("p50, ms", "p95, ms", "requests/s", "texts/s", "wrong answers")
    table = Table("requests", *columns, title=f"{count} requests with {answers:,} texts; {where}")
    table.add_row("one at a time", *alone.row(answers))
    table.add_row(f"{said.clients} clients at once", *at_once.row(answers))
    console.print(table)
    prompts = len(shared.models)
    table = Table(
        "texts of each prompt", "one batch, ms", f"{prompts} batches, ms", "times faster", title=f"{prompts} prompts"
    )
    for each, (together, apart) in times.items():
        table.add_row(str(each), f"{together:,.1f}", f"{apart:,.1f}", f"{apart / together:.2f}")
    console.print(table)
    return int(alone.wrong + at_once.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
