"""A batch: rows of K runs end to end, laid out by NumPy on the host, and sent to the device whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from isogloss.backbones.backbone import Pooling
from isogloss.backbones.layout import Packing, Rows, moved, to_device
from isogloss.backbones.packing import spare_lengths
from isogloss.backbones.prompts import PromptForm
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.ragged import ranges

Part = tuple[Features, Int[np.ndarray, "_"]]  # rows of one run's features


@dataclass(frozen=True)
class Shape:
    """Sizes that batches are filled up to, so that many have one shape.

    Args:
        rows: of each run.
        units: of each run.
        tokens: of all rows, spare ones included.
        spare_rows: that spare tokens make.
        rounded: the longest row is rounded up to a multiple of it.
    """

    rows: int
    units: int
    tokens: int
    spare_rows: int
    rounded: int


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of K runs end to end, run by run, and what the heads score in them: U units a run, or fewer."""

    tokens: Int[Tensor, "N"]
    types: Int[Tensor, "N"] | None
    packing: Packing | None  # None: what the heads score is kept, and the rows themselves are not wanted
    at: Int[Tensor, "K U"]  # where each unit's state stands; of means, which row
    lengths: Int[Tensor, "rows"] | None  # tokens of each row, spare ones last; where a unit is the mean of a row
    there: Bool[Tensor, "K U"] | None  # which units are real; None: all
    labels: Int[Tensor, "K U"]
    number: Int[Tensor, "K U"]  # of each unit in its run's features
    share: Float[Tensor, "K U"]  # of each unit in its run's loss
    wording: Int[Tensor, "K U"] | None  # of a verbalizer
    row: Int[Tensor, "K U"] | None  # of passages: each unit's row
    rows: int  # of all runs
    token_share: Float[Tensor, "N"] | None = None  # of each token in its run's mean over tokens, where there is one

    def to(self, device: torch.device) -> Batch:
        """On the device, without waiting for it."""
        return moved(self, lambda tensor: to_device(tensor, device))


def collate(
    parts: Sequence[Part],
    packing: Callable[..., Packing] | None,
    form: PromptForm | None,
    *,
    pooling: Pooling,
    ahead: int = 0,
    counted: Sequence[int] | None = None,
    tokens_counted: Sequence[int] | None = None,
    shape: Shape | None = None,
) -> Batch:
    """Rows of several runs as one batch, on the host.

    Args:
        parts: rows of each run; some runs may have none.
        packing: a backbone's; None where rows themselves are not wanted.
        form: of the prompts of these runs.
        pooling: how a row becomes one unit, where rows are units.
        ahead: how far in front of its token the state of a unit stands, as a causal model predicts from the one before.
        counted: what the loss of each run's update is the mean over; left out: its units.
        tokens_counted: tokens of each run's update, where something is the mean over these.
        shape: to be filled up to.
    """
    first, runs = parts[0][0], len(parts)
    lengths = [_filled(features.lengths[rows], shape.rows if shape else 0) for features, rows in parts]
    counts = np.asarray([len(part) for part in lengths])
    whole = np.concatenate(lengths)
    spare = shape.tokens - int(whole.sum()) if shape else 0
    front = None
    if first.filled is not None and first.filled.prompt is not None:
        front = np.concatenate(
            [
                _filled(features.filled.prompt[rows], shape.rows if shape else 0)  # type: ignore[union-attr, index]
                for features, rows in parts
            ]
        )
    rows = Rows(whole, np.repeat(np.arange(runs), counts), front, spare, shape.spare_rows if shape else 0)
    laid = None if packing is None else packing(rows, form, rounded=shape.rounded if shape else 1)
    units = [features.units(own) for features, own in parts]
    sizes = np.asarray([len(part) for part in units])
    width = shape.units if shape else int(sizes.max())
    real = np.arange(width) < sizes[:, None]

    def by_run(values: Sequence[np.ndarray], dtype: type = np.int64) -> Tensor:
        out: np.ndarray = np.zeros((runs, width), dtype=dtype)
        out[real] = np.concatenate(values)
        return torch.from_numpy(out)

    per_row = [np.diff(features.unit_starts)[own] for features, own in parts]
    ends = np.cumsum(counts)
    row = [begin + np.repeat(np.arange(len(own)), own) for begin, own in zip(ends - counts, per_row, strict=True)]
    means = first.words is None and first.filled is None and pooling == "mean"
    if means:
        at = by_run(row)
    else:
        begins = np.cumsum(whole) - whole
        spots = [begins[of] + _spots(features, own, pooling) for of, (features, own) in zip(row, parts, strict=True)]
        stands = np.arange(rows.tokens) if laid is None or laid.text is None else laid.text.numpy()
        at = by_run([stands[part] - ahead for part in spots]).clamp_(min=0)
    shares = [np.full(len(part), 1 / max(1, size)) for part, size in zip(units, counted or sizes, strict=True)]
    wording = [
        features.filled.wording[part] for (features, _), part in zip(parts, units, strict=True) if features.filled
    ]
    types = [_tokens(features.types, features, own) for features, own in parts if features.types is not None]
    tokens = [_tokens(features.tokens, features, own) for features, own in parts]
    return Batch(
        tokens=_joined([*tokens, np.zeros(spare)]),
        types=_joined([*types, np.zeros(spare)]) if types else None,
        packing=laid,
        at=at,
        lengths=_joined([whole, spare_lengths(rows)]) if means else None,
        there=None if real.all() and shape is None else torch.from_numpy(real),
        labels=by_run([features.labels[part] for (features, _), part in zip(parts, units, strict=True)]),
        number=by_run(units),
        share=by_run(shares, np.float32),
        wording=by_run(wording) if wording else None,
        row=by_run(row) if first.passages else None,
        rows=len(whole),
        token_share=None if tokens_counted is None else _token_share(lengths, tokens_counted, spare),
    )


def without_loss(batch: Batch) -> Batch:
    """A batch that is computed, and nothing learnt from it."""
    return replace(
        batch, there=torch.zeros_like(batch.labels, dtype=torch.bool), share=torch.zeros_like(batch.share),
        token_share=None if batch.token_share is None else torch.zeros_like(batch.token_share),
    )  # fmt: skip


def _token_share(lengths: Sequence[np.ndarray], counted: Sequence[int], spare: int) -> Tensor:
    """1 / all tokens of the update for each of a run's tokens here, and 0 for those that only fill the shape."""
    of_runs = [np.full(int(own.sum()), 1 / max(1, count)) for own, count in zip(lengths, counted, strict=True)]
    return torch.from_numpy(np.concatenate([*of_runs, np.zeros(spare)]).astype(np.float32))


def _filled(values: Int[np.ndarray, "rows"], size: int) -> Int[np.ndarray, "size"]:
    return np.concatenate([values, np.zeros(max(0, size - len(values)), dtype=np.int64)])


def _joined(parts: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


def _tokens(values: np.ndarray | None, features: Features, rows: np.ndarray) -> np.ndarray:
    """What belongs to the tokens of these rows, end to end."""
    assert values is not None
    taken: np.ndarray = values[ranges(features.starts[rows], features.starts[rows + 1])]
    return taken


def _spots(features: Features, rows: np.ndarray, pooling: Pooling) -> np.ndarray:
    """The token that each unit of these rows stands at, counted from its row's start."""
    if features.words is not None:
        words: np.ndarray = features.words.spots[features.units(rows)]
        return words
    if features.filled is not None:
        answers: np.ndarray = features.filled.answer[rows]
        return answers
    return features.lengths[rows] - 1 if pooling == "last" else np.zeros(len(rows), dtype=np.int64)
