"""What the tokenizer makes of each language's test texts, and how the gap goes with it.

Fertility and the share of split ("continued") words are those of Rust et al. (2021, arXiv 2012.15613), over the words
of the data or between spaces; the ratio of lengths on the same sentences is what Petrov et al. (2023, arXiv
2305.15425) call the premium of a language. Special tokens are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import regex
from jaxtyping import Int
from rich.text import Text

from isogloss.analysis.analysis import (
    Analysis,
    AnalysisOptions,
    AnalysisResult,
    Results,
    Section,
    parallel_sentences,
    target_scores,
    titled,
)
from isogloss.analysis.format import estimate, p_value
from isogloss.charts.chart import Chart
from isogloss.charts.covariates import against
from isogloss.data.dataset import Examples
from isogloss.experiment.opened_run import OpenedRun
from isogloss.languages.groups import LOW_RESOURCE, members
from isogloss.languages.language import Language
from isogloss.preprocessing.tokenize import tokenise_words
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.correlation import correlations, group_differences

TEXTS = ("text", "second", "question", "passage")  # columns that the model reads, of every kind of task but tagging
LETTERS = regex.compile(r"\p{L}")
# Unicode's line breaking (UAX #14, revision 53, table 1) says which letters belong to scripts that put no space between
# words: those that need a dictionary (SA), ideographs and kana (ID, CJ) and aksaras (AK, AS). It has no class for
# Tibetan, which parts syllables, not words.
SPACELESS = regex.compile(r"(?V1)[\p{L}&&[\p{lb=SA}\p{lb=ID}\p{lb=CJ}\p{lb=AK}\p{lb=AS}\p{Script=Tibetan}]]")
MEASURES = {
    "fertility": "tokens a word", "characters": "characters a token", "unknown": "unknown tokens",
    "split": "split words", "vocabulary": "vocabulary used", "length": "tokens a text", "ratio": "length to source",
}  # fmt: skip
SCHEMA: Any = {
    "language": pl.String, "texts": pl.Int64, "words": pl.Int64, "tokens": pl.Int64,
    **dict.fromkeys(MEASURES, pl.Float64), "parallel": pl.Boolean,
}  # fmt: skip


@dataclass(frozen=True)
class EncodedTexts:
    """Texts of one language as the model reads them, without special tokens.

    Args:
        tokens: ids of each text.
        letters: characters of all of them that are not white space.
        words: tokens of each word of all texts; none where neither the data nor spaces tell words apart.
    """

    tokens: list[list[int]]
    letters: int
    words: Int[np.ndarray, "words"] | None

    @cached_property
    def lengths(self) -> Int[np.ndarray, "texts"]:
        """Tokens of each text."""
        return np.asarray([len(ids) for ids in self.tokens])


def spaceless(texts: Sequence[str]) -> bool:
    """Whether most letters are of scripts that put no space between words."""
    letters = sum(len(LETTERS.findall(text)) for text in texts)
    return 2 * sum(len(SPACELESS.findall(text)) for text in texts) > letters


def encode(table: pl.DataFrame, tokenizer: Any) -> EncodedTexts:
    """Examples of one language, encoded.

    Args:
        table: in the columns of its kind of task; of pairs and questions both texts are read.
        tokenizer: a fast tokenizer.
    """
    if "words" in table.columns:
        sentences = table["words"].to_list()
        ids, spans = _words(sentences, tokenizer)
        ends = np.cumsum([0, *map(len, sentences)])
        tokens = [[token for word in ids[begin:end] for token in word] for begin, end in pairwise(ends)]
        return EncodedTexts(tokens, _characters([word for sentence in sentences for word in sentence]), spans)
    columns = [table[name].to_list() for name in TEXTS if name in table.columns]
    texts = [text for column in columns for text in column]
    ids_of = tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    tokens = [[token for part in ids_of[row :: len(table)] for token in part] for row in range(len(table))]
    words = None if spaceless(texts) else _words([text.split() for text in texts], tokenizer)[1]
    return EncodedTexts(tokens, _characters(texts), words)


def _words(sentences: Sequence[Sequence[str]], tokenizer: Any) -> tuple[list[list[int]], Int[np.ndarray, "words"]]:
    """The tokens of each word in its sentence, and how many they are."""
    features = tokenise_words(sentences, [0] * sum(map(len, sentences)), tokenizer, last=False)
    assert features.words is not None
    spans = features.words.spans + np.repeat(features.starts[:-1], features.words.counts)[:, None]
    return [features.tokens[begin:end].tolist() for begin, end in spans], spans[:, 1] - spans[:, 0]


def _characters(texts: Sequence[str]) -> int:
    return sum(len("".join(text.split())) for text in texts)


def measured(encoded: EncodedTexts, tokenizer: Any) -> dict[str, float | int | None]:
    """All measures of one language but the ratio (columns of `SCHEMA`).

    Words are null where nothing tells them apart; the share of unknown tokens is 0 where a tokenizer has none such.
    """
    ids = np.concatenate([np.asarray(text, dtype=np.int64) for text in encoded.tokens])
    words, unknown = encoded.words, tokenizer.unk_token_id
    return {
        "texts": len(encoded.tokens), "words": None if words is None else len(words), "tokens": len(ids),
        "fertility": None if words is None else len(ids) / len(words),
        "characters": encoded.letters / len(ids) if len(ids) else None,
        "unknown": float((ids == (-1 if unknown is None else unknown)).mean()) if len(ids) else None,
        "split": None if words is None else float((words > 1).mean()),
        "vocabulary": len(np.unique(ids)) / len(tokenizer), "length": len(ids) / len(encoded.tokens),
    }  # fmt: skip


def ratios(tests: Sequence[Examples], encoded: Sequence[EncodedTexts], *, parallel: bool) -> dict[str, float]:
    """How many tokens each language takes for one of the source, the first.

    Args:
        tests: the examples of each language.
        encoded: their tokens.
        parallel: whether an id means the same text in every language: then it is over the texts that both have, else
            of the mean lengths of texts.
    """
    ratio_of, of_source = {}, dict(zip(tests[0].table["id"], encoded[0].lengths.tolist(), strict=True))
    for test, texts in zip(tests, encoded, strict=True):
        lengths = dict(zip(test.table["id"], texts.lengths.tolist(), strict=True))
        common = lengths.keys() & of_source.keys()
        if not parallel:
            ratio_of[str(test.language)] = float(texts.lengths.mean() / encoded[0].lengths.mean())
        elif common:
            ratio_of[str(test.language)] = sum(map(lengths.__getitem__, common)) / sum(
                map(of_source.__getitem__, common)
            )
    return ratio_of


def tokenization(opened_run: OpenedRun, options: AnalysisOptions) -> pl.DataFrame:
    """What the tokenizer makes of every language's test texts.

    The ratio to the source is over the same sentences (`parallel`): the test texts if they say the same in each
    language, else the sentences that were given; of languages that these lack, over different texts.

    Returns:
        Rows of `SCHEMA`; the source's first, if it has a test split.
    """
    data, tokenizer = opened_run.data, opened_run.backbone.tokenizer
    tests = data.predicted
    encoded = [encode(test.table, tokenizer) for test in tests]
    same = data.dataset.card.parallel
    ratio = ratios(tests, encoded, parallel=same) if data.scores_source else {}
    honest = set(ratio) if same else set[str]()
    if not same and (options.parallel or (opened_run.spec.dynamics and opened_run.spec.dynamics.parallel)):
        given = parallel_sentences(opened_run, options)
        tokens = [
            sum(map(len, tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]))
            for texts in given.texts
        ]
        ratio_of = {
            str(language): tokens_of / tokens[0] for language, tokens_of in zip(given.languages, tokens, strict=True)
        }
        ratio, honest = ratio | ratio_of, set(ratio_of)
    rows = []
    for test, tokens_of in zip(tests, encoded, strict=True):
        code = str(test.language)
        rows.append(
            {"language": code, **measured(tokens_of, tokenizer), "ratio": ratio.get(code), "parallel": code in honest}
        )
    return pl.DataFrame(rows, schema=SCHEMA)


def comparable(table: pl.DataFrame) -> pl.DataFrame:
    """The same, with ratios of one kind alone: if any target's is over the same sentences, without all others."""
    if not table["parallel"][1:].any():
        return table
    return table.with_columns(pl.when("parallel").then("ratio").alias("ratio"))


def _charts(results: Results) -> dict[str, Chart]:
    table = results.table("tokenization")
    if table is None:
        return {}
    scored = results.scored(comparable(table))
    languages = map(Language.parse, scored["language"].unique(maintain_order=True))
    low = [str(language) for language in members(LOW_RESOURCE, languages)]
    chart = against(scored, results.methods, MEASURES, label="measure", hollow=low, called=LOW_RESOURCE)
    return {} if chart is None else {"tokenization": chart}


def _tokenization(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    table, scores = tokenization(opened_run, options), target_scores(opened_run, options)
    low = [str(language) for language in members(LOW_RESOURCE, [test.language for test in opened_run.data.targets])]
    held = comparable(table)
    related = correlations(held, scores, list(MEASURES))
    groups = group_differences(held, scores, list(MEASURES), low).select(pl.lit(LOW_RESOURCE).alias("group"), pl.all())
    return AnalysisResult(
        {"tokenization": table, "tokenization-correlation": related, "tokenization-groups": groups},
        [*(shown for shown in (_related(related), _compared(groups)) if shown.row_count), *map(Text, _notes(table))],
    )


def _related(related: pl.DataFrame) -> ShellTable:
    shown = ShellTable(
        "method", "measure", "Spearman's with the gap", "p (Holm)", "languages",
        title="the gap of a language and what the tokenizer makes of it",
    )  # fmt: skip
    for row in related.filter(pl.col("of") == "gap", pl.col("spearman").is_not_null()).iter_rows(named=True):
        interval = estimate(row["spearman"], row["low"], row["high"], places=2, sign=True)
        shown.add_row(Text(row["method"]), MEASURES[row["measure"]], interval, p_value(row["p_holm"]), str(row["n"]))
    return shown


def _compared(groups: pl.DataFrame) -> ShellTable:
    shown = ShellTable(
        "method", "of", LOW_RESOURCE, "others", "difference", "p",
        title="target languages with little text in CC-100 (below 1 GiB) and the others",
    )  # fmt: skip
    for row in groups.iter_rows(named=True):
        of = MEASURES.get(row["of"], row["of"])
        shown.add_row(
            Text(row["method"] or ""), of, f"{row['inside']:.3f}", f"{row['outside']:.3f}",
            estimate(row["difference"], row["low"], row["high"], sign=True), p_value(row["p"]),
        )  # fmt: skip
    return shown


def _notes(table: pl.DataFrame) -> list[str]:
    notes = []
    without = table.filter(pl.col("words").is_null())["language"]
    if len(without):
        notes.append(f"no measures of words, which spaces do not tell apart: {', '.join(without)}")
    other = table[1:].filter(~pl.col("parallel"), pl.col("ratio").is_not_null())["language"]
    if len(other):
        notes.append(f"length to source over other texts, not the same: {', '.join(other)}")
    return notes


ANALYSIS = Analysis(
    "tokenization",
    _tokenization,
    computes=True,
    section=Section(
        "Tokenization",
        "Measures of words are left out where neither the data nor spaces tell words apart.",
        _charts,
        titled(
            {
                "tokenization-correlation": "Correlation with score and gap", "tokenization": "By language",
                "tokenization-groups": "Low-resource languages against the rest",
            }
        ),
    ),
)  # fmt: skip
