"""What has to be said of the data, in the run and in its report: labels that a split lacks, texts that are lost.

It is kept with each cell (`RunRecord`), so that a report needs neither the data nor the tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from isogloss.data.dataset import Examples
from isogloss.experiment.data import ExperimentData, label_kinds
from isogloss.experiment.encoded import EncodedData
from isogloss.experiment.evaluate import TestSet
from isogloss.languages.language import Language
from isogloss.preprocessing.unknown import text_tokens

UNKNOWN = 0.1  # share of unknown tokens above which a language's texts hardly reach the model
NAMED = 3  # languages or labels that a line has room for

Lacking = Mapping[str, Mapping[str, Sequence[str]]]  # labels by split and language
Drawn = Mapping[str, Mapping[str, Sequence[int]]]  # how many of how many, by split and language


def of_splits(data: ExperimentData, tests: Iterable[Examples], *, trained: bool = True) -> dict[str, Any]:
    """`drawn` and `lacking` of a record.

    Args:
        data: of the experiment.
        tests: the languages that are scored.
        trained: whether the splits that are trained and selected on belong to it.
    """
    parts = [*([data.train, data.dev] if trained else []), *tests]
    kind = data.dataset.card.kind
    every = label_kinds(data.labels, kind)
    drawn: dict[str, dict[str, list[int]]] = {}
    lacking: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        language = str(part.language)
        if part.whole is not None:
            drawn.setdefault(part.split, {})[language] = [len(part), part.whole]
        held = label_kinds(part.labels.unique(), kind).keys()
        if held and (missing := [label for label in every if label not in held]):
            lacking.setdefault(part.split, {})[language] = missing
    return {"drawn": drawn, "lacking": lacking}


def of_texts(encoded: EncodedData, test: TestSet, *, trained: int | None = None) -> dict[str, Any]:
    """`unknown` and `tokenless` of a record.

    Args:
        encoded: the data as tokenised.
        test: the languages that are scored.
        trained: the seed of what is trained on it, if anything is.
    """
    tokenizer, source = encoded.backbone.tokenizer, str(encoded.data.source)
    tokens, lost = text_tokens(test.features, tokenizer)
    counted: list[tuple[str, np.ndarray, np.ndarray]] = []
    begin = 0
    for part in test.examples:
        rows = slice(begin, begin + len(part))
        counted.append((str(part.language), tokens[rows], lost[rows]))
        begin += len(part)
    if trained is not None:
        learnt = encoded.train_dev(trained)
        counted += [(source, *text_tokens(features, tokenizer)) for features in (learnt.train, learnt.dev)]
    unknown: dict[str, float] = {}
    tokenless: dict[str, int] = {}
    for language, tokens, lost in counted:  # of the source, the split that loses most
        if total := int(tokens.sum()):
            unknown[language] = max(round(int(lost.sum()) / total, 4), unknown.get(language, 0.0))
        if empty := int((tokens == 0).sum()):
            tokenless[language] = empty + tokenless.get(language, 0)
    return {"unknown": {language: share for language, share in unknown.items() if share}, "tokenless": tokenless}


def lines(remarks: Mapping[str, Any], kinds: Sequence[str]) -> list[str]:
    """All that has to be said, a line each.

    Args:
        remarks: what `of_splits` and `of_texts` found.
        kinds: of labels, all there are; of tags, the types.
    """
    return [
        *label_lines(remarks["lacking"], kinds),
        *unknown_lines(remarks["unknown"]),
        *tokenless_lines(remarks["tokenless"]),
    ]


def drawn_lines(drawn: Drawn, how: str) -> Iterator[str]:
    """What limits have left of each split.

    Args:
        drawn: by split and language.
        how: see `isogloss.data.limits.HOW`.
    """
    for split, by_language in drawn.items():
        left, whole = (_range([counts[side] for counts in by_language.values()]) for side in (0, 1))
        if any(few < many for few, many in by_language.values()):
            each = " a language" if split == "test" else ""
            yield f"Of {whole} {split} items{each}, {left} were drawn {how}."


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def label_lines(lacking: Lacking, kinds: Sequence[str]) -> Iterator[str]:
    """Of each split that lacks labels of the data set, which; and where it has but one, that its scores say nothing."""
    for split, by_language in lacking.items():
        alone = {language: missing for language, missing in by_language.items() if len(missing) + 1 == len(kinds)}
        if alone:
            held = sorted({next(kind for kind in kinds if kind not in missing) for missing in alone.values()})
            does = "what is learnt from it" if split == "train" else "a score on it"
            yield f"{split} has one label alone ({_some(held)}) in {_names(alone)}: {does} says nothing"
        some = {language: missing for language, missing in by_language.items() if language not in alone}
        if not some:
            continue
        most = max(len(missing) for missing in some.values())
        if len({tuple(missing) for missing in some.values()}) == 1:
            missing = next(iter(some.values()))
            yield f"{split} lacks {most} of {len(kinds)} labels in {_names(some)}: {_some(missing)}"
        else:
            worst = sorted(some, key=lambda language: -len(some[language]))
            yield f"{split} lacks up to {most} of {len(kinds)} labels in {len(some)} languages, most in {_names(worst)}"


def unknown_lines(unknown: Mapping[str, float]) -> Iterator[str]:
    """Each language whose texts hardly reach the model."""
    for language, share in unknown.items():
        if share > UNKNOWN:
            yield (
                f"{Language.parse(language).name} ({language}): {100 * share:.0f} % of its tokens are unknown to the "
                "backbone's tokenizer, and say nothing to the model"
            )


def tokenless_lines(tokenless: Mapping[str, int]) -> Iterator[str]:
    """Texts of which the tokenizer leaves nothing."""
    if tokenless:
        counts = sorted(tokenless.items(), key=lambda pair: -pair[1])
        named = ", ".join(f"{Language.parse(code).name} {count:,}" for code, count in counts[:NAMED])
        more = f" and {len(counts) - NAMED} more languages" if len(counts) > NAMED else ""
        yield f"texts of which the tokenizer leaves no token: {named}{more}"


def _names(languages: Iterable[str]) -> str:
    return _some([Language.parse(code).name for code in languages])


def _some(words: Sequence[str]) -> str:
    more = len(words) - NAMED
    return ", ".join(words) if more <= 0 else f"{', '.join(words[:NAMED])} and {more} more"
