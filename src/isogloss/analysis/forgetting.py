"""What a model forgets of its languages while it learns a task, and how the gap goes with it.

Before and after training, on sentences that say the same in each language: retrieval across languages, linear CKA with
the pre-trained states at every depth, and the loss of models that predict words. During training, after each epoch,
the means of the first two over all layers, beside the gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from scipy import stats
from torch.nn.functional import cross_entropy

from isogloss.analysis.dynamics import gap_curve
from isogloss.analysis.intervals import CONFIDENCE
from isogloss.archive import Archive
from isogloss.backbones import Backbone
from isogloss.batching import Row, budgets, collate, passes
from isogloss.cutting import fit
from isogloss.features import Features
from isogloss.observing import MEASURES, Memory
from isogloss.parallel import Parallel
from isogloss.plan import Cell
from isogloss.seeding import derive
from isogloss.sheets import memory_of
from isogloss.store import Finished
from isogloss.verbalizer import AT_ONCE

HIDDEN = 0.15  # share of tokens that a masked language model has to guess, as in its training
RESAMPLES = 2000
SCHEMA: dict[str, Any] = {
    "method": pl.String, "seed": pl.Int64, "depth": pl.Int64, "language": pl.String, "measure": pl.String,
    "before": pl.Float64, "after": pl.Float64, "sentences": pl.Int64,
}  # fmt: skip


class Witness:
    """What the pre-trained model makes of parallel sentences, to hold every cell against.

    Args:
        archive: a run directory.
        parallel: sentences in the source and targets.
    """

    def __init__(self, archive: Archive, parallel: Parallel) -> None:
        self.archive = archive
        self.sentences = len(parallel)
        self.memory = memory_of(parallel, archive.backbone)
        self.losses = word_losses(archive.backbone, self.memory) if archive.backbone.vocabulary is not None else None

    def compare(self, cell: Cell, found: Finished) -> pl.DataFrame:
        """What a cell remembers.

        Args:
            cell: one of the directory's.
            found: where it is stored.

        Returns:
            Rows of `SCHEMA`; depth 0 is what enters the first layer, and the loss has none.
        """
        backbone, memory = self.archive.backbone, self.memory
        stack = self.archive.stack(cell, found)
        cut = fit(memory.features, stack.room(stack.runs[0]), backbone.tokenizer)
        after = stack.trace(cut, stack.runs[0], budget=budgets(backbone.device)[1])
        common = {"method": cell.label, "seed": cell.seed, "sentences": self.sentences}
        rows = [
            {**common, "depth": depth, "language": language, "measure": measure, "before": then, "after": now}
            for (depth, language, measure, then), (_, _, _, now) in zip(
                memory.measures(memory.before), memory.measures(after), strict=True
            )
        ]
        if self.losses is not None and not cell.method.frozen:
            now = word_losses(stack.backbone, memory)
            rows += [
                {**common, "depth": None, "language": code, "measure": "loss", "before": then, "after": now[code]}
                for code, then in self.losses.items()
            ]
        return pl.DataFrame(rows, schema=SCHEMA)


@torch.no_grad()
def word_losses(backbone: Backbone, memory: Memory) -> dict[str, float]:
    """The mean loss of a token in nats, by language: of the next one, or of hidden ones (the same for every model).

    Args:
        backbone: with its head over the vocabulary.
        memory: the sentences.
    """
    assert backbone.vocabulary is not None
    features, size = memory.features, len(memory.features) // len(memory.languages)
    losses = np.zeros((len(features), 2))  # of each row: the sum, and of how many tokens
    for some in passes(features.lengths.tolist(), budget=budgets(backbone.device)[1] // 4):
        batch = collate([Row(features, row, 0) for row in some], pad=0, device=backbone.device)
        if backbone.causal:
            guessed = batch.mask.clone()
            guessed[:, 0] = False
            hidden = backbone.hidden(batch.tokens, batch.mask, types=batch.types, ahead=True)
        else:
            guessed = torch.stack([_guessed(features, row, batch.mask.shape[1], backbone) for row in some])
            guessed = guessed.to(batch.mask.device)
            tokens = batch.tokens.masked_fill(guessed, backbone.tokenizer.mask_token_id)
            hidden = backbone.hidden(tokens, batch.mask, types=batch.types)
        asked = [torch.split(part, AT_ONCE) for part in (hidden[guessed].float(), batch.tokens[guessed])]
        own = torch.cat(
            [
                cross_entropy(backbone.vocabulary.logits(backbone.vocabulary.states(states)), right, reduction="none")
                for states, right in zip(*asked, strict=True)
            ]
        )
        for place, part in zip(some, torch.split(own, guessed.sum(dim=1).tolist()), strict=True):
            losses[place] = float(part.sum()), len(part)
    return {
        code: float(part[:, 0].sum() / part[:, 1].sum())
        for code, part in zip(memory.languages, np.split(losses, np.arange(size, len(losses), size)), strict=True)
    }


def _guessed(features: Features, row: int, width: int, backbone: Backbone) -> torch.Tensor:
    """Which tokens of a row are hidden: drawn by its number, none of them special, at least one."""
    start, end = features.starts[row : row + 2]
    tokens = features.tokens[start:end]
    open_ = np.flatnonzero(~np.isin(tokens, backbone.tokenizer.all_special_ids))
    drawn = np.random.Generator(np.random.PCG64(derive("hidden", row, 0))).permutation(open_)
    out = torch.zeros(width, dtype=torch.bool)
    out[torch.from_numpy(drawn[: max(1, round(HIDDEN * len(open_)))].copy())] = True
    return out


def checkpoints(history: pl.DataFrame, source: str) -> pl.DataFrame:
    """The gap beside what is remembered, at the end of every epoch and before the first.

    Returns:
        `method seed step measure kept fallen gap target`: the mean over target languages of what is kept, how far it
        has fallen since the start, and the gap there; no gap before the first update.
    """
    remembered = (
        history.filter(pl.col("metric").is_in(MEASURES), pl.col("language") != source)
        .group_by("method", "seed", "step", pl.col("metric").alias("measure"), maintain_order=True)
        .agg(pl.col("value").mean().alias("kept"))
    )
    start = remembered.filter(step=0).select("method", "seed", "measure", pl.col("kept").alias("first"))
    curve = gap_curve(history, source).select("method", "seed", "step", "gap", "target")
    return (
        remembered.join(start, on=["method", "seed", "measure"])
        .with_columns((pl.col("first") - pl.col("kept")).alias("fallen"))
        .drop("first")
        .join(curve, on=["method", "seed", "step"], how="left")
        .sort("method", "seed", "measure", "step")
    )


def against_gap(table: pl.DataFrame) -> pl.DataFrame:
    """How the gap goes with what is forgotten, over checkpoints, methods and seeds.

    Intervals are by a bootstrap over runs, since the checkpoints of one run are alike.

    Args:
        table: of `checkpoints`.

    Returns:
        `measure method correlation low high checkpoints runs`: Spearman's, of all methods together (`method` null) and
        of each.
    """
    rows = []
    known = table.drop_nulls("gap")
    methods: list[str | None] = [None, *known["method"].unique(maintain_order=True)]
    for (measure,), own in known.group_by(["measure"], maintain_order=True):
        for method in methods:
            part = own if method is None else own.filter(pl.col("method") == method)
            runs = [
                [run.select("fallen", "gap").to_numpy() for _, run in of_method.group_by("seed", maintain_order=True)]
                for _, of_method in part.group_by("method", maintain_order=True)
            ]
            rows.append({"measure": measure, "method": method, **_correlation(runs)})
    schema = {
        "measure": pl.String, "method": pl.String, "correlation": pl.Float64, "low": pl.Float64, "high": pl.Float64,
        "checkpoints": pl.Int64, "runs": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _correlation(runs: list[list[np.ndarray]]) -> dict[str, float | int | None]:
    """Spearman's correlation over the checkpoints of each method's runs; runs are drawn anew within methods."""

    def of(chosen: list[np.ndarray]) -> float:
        points = np.concatenate([runs[method][i] for method, some in enumerate(chosen) for i in some])
        if (np.ptp(points, axis=0) == 0).any():
            return float("nan")
        return float(stats.spearmanr(points[:, 0], points[:, 1]).statistic)

    low = high = None
    if min(map(len, runs)) > 1:
        generator = np.random.default_rng(derive("forgetting", len(runs), 0))
        drawn = [of([generator.integers(0, len(some), len(some)) for some in runs]) for _ in range(RESAMPLES)]
        known = [value for value in drawn if not np.isnan(value)]
        if known:
            low, high = (float(np.quantile(known, share)) for share in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return {
        "correlation": of([np.arange(len(some)) for some in runs]), "low": low, "high": high,
        "checkpoints": sum(len(run) for some in runs for run in some), "runs": sum(map(len, runs)),
    }  # fmt: skip
