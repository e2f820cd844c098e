"""Few shapes for many batches: rows, tokens and units are filled up, so that what was captured once fits again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.packing import SPARE_ROW
from isogloss.backbones.prompts import PromptForm
from isogloss.training.batch import Part, Shape
from isogloss.training.train_state import TrainState

LEAST = 128  # tokens that batches differ by
FINENESS = 16  # tokens are filled up by at most about one in so many, where batches are not too unlike for it
STEPS = 6  # of tokens, which nearly all batches lie within: so that not many shapes are to be captured
NEARLY_ALL = 8.0  # standard deviations of a batch's tokens, from the least to the most of them
UNITS = 64  # words and tokens that are scored are filled up to a multiple of it
ROUNDED = 32  # where rows are padded, the longest of a batch is rounded up to a multiple of it


class FixedShapes:
    """The shapes of the updates of some runs.

    Args:
        train_states: where the runs are; what they learn from says how long rows are.
        form: of their prompts.
        backbone: what they learn on.
        processes: that share each update.
    """

    def __init__(
        self, train_states: Sequence[TrainState], form: PromptForm | None, backbone: Backbone, processes: int = 1
    ) -> None:
        sizes = [
            -(-min(state.run.settings.batch_size, len(state.train.of_example)) // processes) for state in train_states
        ]
        mean, variance = (
            sum(size * float(of(state.train.lengths)) for size, state in zip(sizes, train_states, strict=True))
            for of in (np.mean, np.var)
        )
        spread = NEARLY_ALL * variance**0.5 / STEPS
        self.step = max(LEAST, 2 ** int(np.log2(max(1.0, mean / FINENESS))), -(-int(spread) // LEAST) * LEAST)
        self.rows = max(sizes)
        longest = max(int(state.train.lengths.max()) for state in train_states)
        self.inside = form.lengths if form is not None and form.kind == "input" else (0,) * len(train_states)
        # Rows end to end cost what they hold, however long the longest might be; padded ones do not.
        # Rows of spare tokens are among them, and must not decide how long the longest is.
        most = max(longest + max(self.inside), SPARE_ROW)
        self.rounded = -(-most // ROUNDED) * ROUNDED if backbone.end_to_end(form) else ROUNDED

    def cut(self, parts: Sequence[Part], budget: int) -> Iterator[tuple[list[Part], Shape]]:
        """The passes of an update, as many as the budget asks for, each with its shape."""
        tokens = sum(
            int(features.lengths[rows].sum()) + prompt * len(rows)
            for (features, rows), prompt in zip(parts, self.inside, strict=True)
        )
        count = max(1, -(-tokens // budget))
        if count == 1:
            yield list(parts), self._shape(parts, self.rows)
            return
        size = -(-max(len(rows) for _, rows in parts) // count)
        # Long rows and short ones in every pass, so that all are of about one size.
        sorted_parts = [
            (features, rows[np.argsort(-features.lengths[rows], kind="stable")]) for features, rows in parts
        ]
        for number in range(count):
            some = [(features, rows[number::count]) for features, rows in sorted_parts]
            if any(len(rows) for _, rows in some):
                yield some, self._shape(some, size)

    def _shape(self, parts: Sequence[Part], rows: int) -> Shape:
        most = max(len(own) for _, own in parts)
        rows = rows if most <= rows else -(-most // 8) * 8  # passages have several rows an example
        tokens = sum(int(features.lengths[own].sum()) for features, own in parts)
        units = max(int(np.diff(features.unit_starts)[own].sum()) for features, own in parts)
        by_row = parts[0][0].words is None
        return Shape(
            rows=rows,
            units=rows if by_row else -(-units // UNITS) * UNITS,
            tokens=(tokens // self.step + 1) * self.step,  # one spare token at least: what is not there points at it
            spare_rows=self.step // SPARE_ROW,
            rounded=self.rounded,
        )
