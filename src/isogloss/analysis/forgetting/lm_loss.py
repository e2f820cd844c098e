"""How well a model still predicts words, language by language."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from isogloss.backbones.backbone import Backbone
from isogloss.preprocessing.batching import budgets, passes
from isogloss.preprocessing.features import Features
from isogloss.runtime.seeding import derive
from isogloss.tasks.verbalizer import AT_ONCE
from isogloss.training.batch import collate
from isogloss.training.monitor import ParallelStates

HIDDEN = 0.15  # share of tokens that a masked language model has to guess, as in its training


@torch.no_grad()
def word_losses(backbone: Backbone, memory: ParallelStates) -> dict[str, float]:
    """The mean loss of a token in nats, by language: of the next one, or of hidden ones (the same for every model).

    Args:
        backbone: with its head over the vocabulary.
        memory: the sentences.
    """
    assert backbone.lm_head is not None
    features, size = memory.features, len(memory.features) // len(memory.languages)
    losses = np.zeros((len(features), 2))  # of each row: the sum, and of how many tokens
    for some in passes(features.lengths, budget=budgets(backbone.device)[1] // 4):
        batch = collate([(features, some)], backbone.packing, None, pooling="first").to(backbone.device)
        assert batch.packing is not None
        begins = np.cumsum(features.lengths[some]) - features.lengths[some]
        tokens = batch.tokens
        if backbone.causal:
            guessed = np.setdiff1d(np.arange(len(tokens)), begins)
            read = guessed - 1
        else:
            guessed = np.concatenate(
                [begin + _guessed(features, int(row), backbone) for begin, row in zip(begins, some, strict=True)]
            )
            read = guessed
        at, reads = (torch.from_numpy(part).to(backbone.device) for part in (guessed, read))
        if not backbone.causal:
            tokens = tokens.index_fill(0, at, backbone.tokenizer.mask_token_id)
        hidden = backbone.states(tokens, batch.packing, types=batch.types)
        asked = [torch.split(part, AT_ONCE) for part in (hidden[reads].float(), batch.tokens[at])]
        counts = np.bincount(np.searchsorted(begins, guessed, side="right") - 1, minlength=len(some))
        lost = torch.cat(
            [
                cross_entropy(backbone.lm_head.logits(backbone.lm_head.states(states)), right, reduction="none")
                for states, right in zip(*asked, strict=True)
            ]
        )
        for row, part in zip(some, torch.split(lost, counts.tolist()), strict=True):
            losses[row] = float(part.sum()), len(part)
    return {
        code: float(part[:, 0].sum() / part[:, 1].sum())
        for code, part in zip(memory.languages, np.split(losses, np.arange(size, len(losses), size)), strict=True)
    }


def _guessed(features: Features, row: int, backbone: Backbone) -> np.ndarray:
    """The tokens of a row that are hidden: drawn by its number, none of them special, at least one."""
    start, end = features.starts[row : row + 2]
    tokens = features.tokens[start:end]
    open_ = np.flatnonzero(~np.isin(tokens, backbone.tokenizer.all_special_ids))
    drawn = np.random.Generator(np.random.PCG64(derive("hidden", row, 0))).permutation(open_)
    return np.sort(drawn[: max(1, round(HIDDEN * len(open_)))])
