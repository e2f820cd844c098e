"""A word embedding of which only some rows learn: those of words that training shows.

The others would get no gradient; of a multilingual vocabulary that is nearly all of them. Left out, they cost neither
time nor memory of the optimiser, and keep their pre-trained values where weight decay would have shrunk them.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class SparseEmbedding(nn.Module):
    """Some rows of a word embedding as a table of their own, and the frozen table for all other words.

    Args:
        table: the word embedding, which stays as it is.
        ids: the words whose rows learn, each once.
    """

    ids: Tensor
    row: Tensor

    def __init__(self, table: nn.Embedding, ids: Int[Tensor, "rows"]) -> None:
        super().__init__()
        self.table = table
        self.rows = copy.copy(table)  # of the same class: some models scale what they look up
        self.rows._parameters = {"weight": nn.Parameter(table.weight.detach()[ids])}  # noqa: SLF001 - unshares the copy
        self.rows.num_embeddings, self.rows.padding_idx = len(ids), None
        row = torch.full((len(table.weight),), -1, device=ids.device)
        row[ids] = torch.arange(len(ids), device=ids.device)
        self.register_buffer("ids", ids)
        self.register_buffer("row", row, persistent=False)

    @property
    def weight(self) -> Float[Tensor, "V H"]:
        """The whole table with what its rows have learnt, for what reads it as a table."""
        return self.table.weight.index_copy(0, self.ids, self.rows.weight.to(self.table.weight.dtype))

    def forward(self, tokens: Int[Tensor, "*any"]) -> Float[Tensor, "*any H"]:
        """What the first layer is given for tokens."""
        row = self.row[tokens]
        learning: Tensor = self.rows(row.clamp(min=0))
        return torch.where((row >= 0)[..., None], learning, self.table(tokens))  # to ask whether all are would wait


def let_learn(model: nn.Module, ids: Int[Tensor, "rows"]) -> SparseEmbedding:
    """Replace a model's word embedding by one of which only these rows learn."""
    table: nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]
    rows = SparseEmbedding(table, ids.to(table.weight.device))
    model.set_input_embeddings(rows)  # type: ignore[operator]
    return rows
