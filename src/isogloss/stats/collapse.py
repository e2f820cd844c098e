"""Methods that answer the same whatever they read: what such a model scores is a share of a label, not of a skill."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl


def collapsed(
    predictions: Iterable[pl.DataFrame], language: str, *, words: bool = False
) -> dict[str, tuple[str, int, int]]:
    """What a method says of every text of a language, in how many of its seeds, of how many.

    Only methods with such a seed are named, and only where more than one answer would have been right.

    Args:
        predictions: `method`, `seed`, `language`, `split`, `gold` and `predicted`, in parts, each method and seed in
            one of them; of tagging, the tags of a sentence with spaces between them.
        language: its code.
        words: whether each word has an answer, not each text.
    """
    of_seed = pl.concat([_of_seed(part, language, words=words) for part in predictions])
    found = {}
    for (method,), seeds in of_seed.group_by(["method"], maintain_order=True):
        one = seeds.filter(pl.col("answers") == 1, pl.col("golds") > 1)
        if len(one):
            found[str(method)] = one["answer"][0], len(one), len(seeds)
    return found


def _of_seed(predictions: pl.DataFrame, language: str, *, words: bool) -> pl.DataFrame:
    of_language = predictions.filter(pl.col("language") == language, split="test")
    if words:
        of_language = of_language.with_columns(pl.col("gold", "predicted").str.split(" ")).explode("gold", "predicted")
    return of_language.group_by("method", "seed", maintain_order=True).agg(
        golds=pl.col("gold").n_unique(), answers=pl.col("predicted").n_unique(), answer=pl.col("predicted").first()
    )


def sentence(method: str, found: tuple[str, int, int], source: str) -> str:
    """What `collapsed` found of a method, for people.

    Args:
        method: its label.
        found: the answer, the seeds that give it, and all seeds.
        source: the language's name.
    """
    answer, seeds, of = found
    some = f" in {seeds} of {of} seeds" if of > 1 else ""
    return (
        f"{method} says {answer!r} to every test text in {source}{some}: it has learnt nothing there that could be "
        "carried over, and its scores are shares of a label."
    )
