"""Texts to measure on: as long as real ones, of random words; or SIB-200's own.

Nothing here needs isogloss, unless real texts are asked for.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.shapes import FIRST, VOCABULARY

CLASSES = 7
MEAN = 32  # tokens of SIB-200's English texts, by the embedded encoder's tokenizer
LONGEST = 112  # tokens that the usual script pads every text to
SPREAD = 0.38  # of the logarithm of lengths
FERTILITY = 2.0  # how many times longer the longest language's texts are


@dataclass(frozen=True)
class Texts:
    """Tokenised texts and their classes.

    Args:
        rows: ids of each, special tokens included.
        labels: class of each.
    """

    rows: Sequence[np.ndarray]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each."""
        return np.array([len(row) for row in self.rows])


@dataclass(frozen=True)
class Source:
    """Where texts come from.

    Args:
        data: the folder of SIB-200 (`eng_Latn/train.tsv` and so on); None: lengths like its own, drawn by seed.
    """

    data: Path | None = None

    @property
    def name(self) -> str:
        """For tables."""
        return "lengths like SIB-200's English, random words" if self.data is None else "SIB-200"

    def texts(self, split: str, count: int, *, mean: int = MEAN, language: int = 0) -> Texts:
        """Some texts.

        Args:
            split: `train` or `test`.
            count: how many; a real split begins again where it ends.
            mean: tokens of a text. Real ones are as long as they are, unless another mean is asked for.
            language: its number; 0 is English.
        """
        if self.data is not None and mean == MEAN:
            return _real(self.data, split, count, language)
        seed = [{"train": 0, "test": 1}[split], mean, language]
        generator = np.random.default_rng(seed)
        factor = mean / MEAN * (1 if language == 0 else FERTILITY ** float(generator.random()))
        lengths = np.exp(generator.normal(3.4 + math.log(factor), SPREAD, size=count))
        lengths = np.clip(lengths.astype(int), max(4, int(8 * factor)), int(110 * factor))
        return _of(lengths, generator)


def _of(lengths: np.ndarray, generator: np.random.Generator) -> Texts:
    rows = [
        np.concatenate([[0], generator.integers(FIRST, VOCABULARY, size=max(1, length - 2)), [2]]) for length in lengths
    ]
    return Texts(rows, generator.integers(CLASSES, size=len(rows)))


@lru_cache
def _real(folder: Path, split: str, count: int, language: int) -> Texts:
    """Real texts, whose ids are brought into the reduced vocabulary."""
    from transformers import AutoTokenizer

    from isogloss.backbones.packaged import e5

    others = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != "eng_Latn")
    name = ["eng_Latn", *others][language % (1 + len(others))]
    with (folder / name / f"{split}.tsv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    labels = sorted({line["category"] for line in lines})
    lines = [lines[i % len(lines)] for i in range(count)]
    encoded = AutoTokenizer.from_pretrained(e5.folder())([line["text"] for line in lines])["input_ids"]
    rows = [np.array([FIRST + number % (VOCABULARY - FIRST) for number in row]) for row in encoded]
    return Texts(rows, np.array([labels.index(line["category"]) for line in lines]))


def padded(texts: Texts, some: Sequence[int], length: int | None = None) -> dict[str, Tensor]:
    """A padded batch as transformers takes it.

    Args:
        texts: all of them.
        some: which.
        length: tokens to pad to; None: the longest of these.
    """
    longest = length or max(len(texts.rows[i]) for i in some)
    tokens = torch.ones(len(some), longest, dtype=torch.long)  # 1 is the padding
    mask = torch.zeros(len(some), longest, dtype=torch.long)
    for number, i in enumerate(some):
        row = texts.rows[i][:longest]
        tokens[number, : len(row)] = torch.from_numpy(row)
        mask[number, : len(row)] = 1
    labels = torch.from_numpy(texts.labels[list(some)]).long()
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


def like_lengths(texts: Texts, batch: int, *, shuffled: bool) -> list[dict[str, Any]]:
    """Batches of texts of like length; to learn from they come in any order."""
    by_length = np.argsort(-texts.lengths, kind="stable").tolist()
    cut = [by_length[i : i + batch] for i in range(0, len(by_length), batch)]
    if shuffled:
        np.random.default_rng(0).shuffle(cut)
    return [padded(texts, some) for some in cut]


def save(texts: Texts, path: Path) -> None:
    """For another process."""
    starts = np.concatenate([[0], np.cumsum(texts.lengths)])
    np.savez(path, tokens=np.concatenate(list(texts.rows)), starts=starts, labels=texts.labels)


def read(path: Path) -> Texts:
    """What `save` wrote."""
    with np.load(path, allow_pickle=False) as held:
        return Texts(np.split(held["tokens"], held["starts"][1:-1]), held["labels"])


def chunks(count: int, size: int) -> Iterator[range]:
    """Numbers below `count`, so many at a time."""
    return (range(begin, min(begin + size, count)) for begin in range(0, count, size))
