"""What has to be said of the data, in the run and in its report: labels that a split lacks, texts that are lost.

It is kept with each cell (`RunRecord`), so that a report needs neither the data nor the tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from isogloss.data.dataset import Examples
from isogloss.data.missing_labels import label_lines, missing_labels, repeated, some
from isogloss.experiment.data import ExperimentData
from isogloss.experiment.encoded import EncodedData
from isogloss.experiment.evaluate import TestSet
from isogloss.languages.language import Language
from isogloss.preprocessing.unknown import text_tokens

UNKNOWN = 0.1  # share of unknown tokens above which a language's texts hardly reach the model

Drawn = Mapping[str, Mapping[str, Sequence[int]]]  # how many of how many, by split and language


def of_splits(data: ExperimentData, tests: Iterable[Examples], *, trained: bool = True) -> dict[str, Any]:
    """`drawn`, `lacking` and `same` of a record.

    Args:
        data: of the experiment.
        tests: the languages that are scored.
        trained: whether the splits that are trained and selected on belong to it.
    """
    tests = list(tests)
    parts = [*([data.train, data.dev] if trained else []), *tests]
    drawn: dict[str, dict[str, list[int]]] = {}
    lacking: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        language = str(part.language)
        if part.whole is not None:
            drawn.setdefault(part.split, {})[language] = [len(part), part.whole]
        if missing := missing_labels(part, data.dataset.card):
            lacking.setdefault(part.split, {})[language] = missing
    scored = {test.language for test in tests}
    same = {str(one): str(other) for one, other in repeated(data.predicted) if one in scored}
    return {"drawn": drawn, "lacking": lacking, "same": same}


def of_texts(encoded: EncodedData, test: TestSet, *, trained: int | None = None) -> dict[str, Any]:
    """`unknown` and `tokenless` of a record.

    Args:
        encoded: the data as tokenised.
        test: the languages that are scored.
        trained: the seed of what is trained on it, if anything is.
    """
    tokenizer, source = encoded.backbone.tokenizer, str(encoded.data.source)
    tokens, lost = text_tokens(test.features, tokenizer)
    counted = [(language, tokens[rows], lost[rows]) for language, rows in _rows(test)]
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


def cut_texts(test: TestSet, room: int) -> dict[str, int]:
    """How many texts of each language are longer than fits; of words and passages, which are read whole, none.

    Args:
        test: as tokenised.
        room: most tokens of a row.
    """
    if test.features.words is not None:
        return {}
    counts = {language: int((test.features.lengths[rows] > room).sum()) for language, rows in _rows(test)}
    return {language: count for language, count in counts.items() if count}


def _rows(test: TestSet) -> Iterator[tuple[str, slice]]:
    """Where each language's examples lie, each of which is one row before any is cut."""
    begin = 0
    for part in test.examples:
        yield str(part.language), slice(begin, begin + len(part))
        begin += len(part)


def lines(remarks: Mapping[str, Any], kinds: Sequence[str]) -> list[str]:
    """All that has to be said, a line each.

    Args:
        remarks: what `of_splits` and `of_texts` found.
        kinds: of labels, all there are; of tags, the types.
    """
    return [
        *label_lines(remarks["lacking"], kinds),
        *same_lines(remarks["same"]),
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


def same_lines(same: Mapping[str, str]) -> Iterator[str]:
    """Languages that are another one's texts once more, as of a file that was copied or is not translated yet."""
    for code, other in same.items():
        names = [Language.parse(one).name for one in (code, other)]
        yield f"the test texts of {names[0]} ({code}) are those of {names[1]} ({other}): is it that language's file?"


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
        yield f"texts of which the tokenizer leaves no token: {most(tokenless)}"


def no_labels(languages: Sequence[Language]) -> str:
    """Which languages are predicted and not scored."""
    return f"no labels, so predicted and not scored: {some([f'{one.name} ({one})' for one in languages])}"


def cut_line(count: int, longest: int) -> str:
    """That texts are cut, in words."""
    texts, are = ("text is", "is") if count == 1 else ("texts are", "are")
    return f"{count:,} {texts} longer than {longest:,} tokens and {are} cut"


def most(counts: Mapping[str, int]) -> str:
    """Languages with their counts, the largest first."""
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return some([f"{Language.parse(code).name} {count:,}" for code, count in ordered])
