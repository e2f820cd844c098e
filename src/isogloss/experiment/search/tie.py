"""Which of several scores are as good as the best: within one standard error, by a paired bootstrap over examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from isogloss.runtime.seeding import derive
from isogloss.stats.answers import Answers

DRAWS = 1000


def within_one_error(
    answers: Sequence[Sequence[str]], gold: Sequence[str], *, kind: str, metric: str, language: str
) -> list[bool]:
    """Whether each candidate's score is within one standard error of the best one's.

    The error is that of the difference: both are scored on the same examples, drawn anew together. The rule is that of
    Breiman et al. (1984), where the error is the best's own.

    Args:
        answers: of each candidate, one an example.
        gold: what is right, as tables have it.
        kind: of task, as cards have it.
        metric: what decides.
        language: of the examples.
    """
    runs = [(str(number), 0) for number in range(len(answers))]
    rows = pl.concat([
        pl.DataFrame({
            "method": method, "seed": seed, "language": language, "split": "test",
            "example": [str(number) for number in range(len(gold))], "gold": list(gold), "predicted": list(said),
            "score": 1.0,
        })
        for (method, seed), said in zip(runs, answers, strict=True)
    ])  # fmt: skip
    terms = Answers(rows, runs, language, kind, parallel=False).sums(language, metric)
    count = len(gold)
    drawn = np.random.default_rng(derive("search", count)).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    scores = terms.scores(np.ones((1, count)))[:, 0]
    best = int(scores.argmax())
    behind = terms.scores(drawn.astype(float))
    errors = (behind[best] - behind).std(axis=1, ddof=1)
    return [bool(one) for one in scores[best] - scores <= errors]
