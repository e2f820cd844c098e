"""Splits of which a score says little: some labels have no example, or the texts are another language's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from isogloss.data.cards import Card
from isogloss.data.dataset import Examples
from isogloss.data.kinds.registry import data_kinds
from isogloss.languages.language import Language

NAMED = 3  # languages or labels that a line has room for

Lacking = Mapping[str, Mapping[str, Sequence[str]]]  # labels by split and language


def label_kinds(labels: Iterable[str], kind: str) -> list[str]:
    """Labels, each once; of the tags `B-PER` and `I-PER` what counts is the type: one of the two may well be rare."""
    tags = data_kinds()[kind].family == "tagging"
    return list(dict.fromkeys(label[2:] if tags and label[1:2] == "-" else label for label in labels))


def missing_labels(examples: Examples, card: Card) -> list[str]:
    """The card's labels that no example has; of questions, which have none of their own, none."""
    held = set(label_kinds(examples.labels.unique(), card.kind))
    return [label for label in label_kinds(card.labels, card.kind) if label not in held] if held else []


def repeated(parts: Sequence[Examples]) -> Iterator[tuple[Language, Language]]:
    """Languages whose examples read as those of a language before them, and that language."""
    before: dict[str, Language] = {}
    for part in parts:
        if (other := before.setdefault(part.inputs_fingerprint, part.language)) != part.language:
            yield part.language, other


def label_lines(lacking: Lacking, kinds: Sequence[str]) -> Iterator[str]:
    """A line for each split that lacks labels of the data set, or has but one, of which scores say nothing."""
    for split, by_language in lacking.items():
        said = []
        alone = {language: missing for language, missing in by_language.items() if len(missing) + 1 == len(kinds)}
        if alone:
            held = sorted({next(kind for kind in kinds if kind not in missing) for missing in alone.values()})
            does = "what is learnt from it" if split == "train" else "a score on it"
            said.append(f"{split} has one label alone ({some(held)}) in {_names(alone)}: {does} says nothing")
        partly = {language: missing for language, missing in by_language.items() if language not in alone}
        if len({tuple(missing) for missing in partly.values()}) == 1:
            missing = next(iter(partly.values()))
            said.append(f"{split} lacks {len(missing)} of {len(kinds)} labels in {_names(partly)}: {some(missing)}")
        elif partly:
            worst = sorted(partly.items(), key=lambda pair: -len(pair[1]))[:NAMED]
            named = ", ".join(f"{Language.parse(code).name} {len(missing)}" for code, missing in worst)
            said.append(f"{split} lacks labels in {len(partly)} languages; of {len(kinds)}, the most in {named}")
        yield "; ".join(said)


def _names(languages: Iterable[str]) -> str:
    return some([Language.parse(code).name for code in languages])


def some(words: Sequence[str]) -> str:
    """As many words as a line has room for, and how many more there are."""
    more = len(words) - NAMED
    return ", ".join(words) if more <= 0 else f"{', '.join(words[:NAMED])} and {more} more"
