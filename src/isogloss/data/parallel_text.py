"""Sentences that say the same in several languages, for looking at what a model makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.data.dataset import DataSet
from isogloss.errors import IsoglossError, NotApplicableError
from isogloss.languages.language import Language
from isogloss.runtime.console import err

FEWEST = 4  # sentences: debiased CKA takes as many


@dataclass(frozen=True)
class Parallel:
    """The same sentences in each language.

    Args:
        languages: the source's first.
        texts: of each language, in the same order of sentences.
    """

    languages: list[Language]
    texts: list[list[str]]

    def __len__(self) -> int:
        """How many sentences there are in each language."""
        return len(self.texts[0])


def read_parallel(data: DataSet, source: Language, targets: Sequence[Language], sentences: int) -> Parallel:
    """The first sentences of a parallel data set that all of its languages among these have.

    Args:
        data: its card says `parallel: true`; the test split is read.
        source: has to be there.
        targets: those that are not there are left out.
        sentences: most to take.

    Raises:
        IsoglossError: the data set is not parallel, or lacks the source, all targets, or common sentences.
    """
    if not data.card.parallel or data.card.kind != "classification" or data.card.columns.second is not None:
        raise IsoglossError(f"{data.card.name} is not a data set of parallel sentences, such as sib200")
    there = set(data.languages())
    languages = [source, *(target for target in targets if target in there)]
    if source not in there or len(languages) == 1:
        raise NotApplicableError(f"{data.card.name} in {data.path} has no sentences of {source} and one of the targets")
    parts = [data.examples(language, "test", "any") for language in languages]
    tables = [part.table for part in parts]
    texts = [dict(zip(table["id"], table["text"], strict=True)) for table in tables]
    common = [name for name in tables[0]["id"] if all(name in by_id for by_id in texts)][:sentences]
    if len(common) < FEWEST:
        raise NotApplicableError(
            f"{data.card.name} has only {len(common)} sentences in all of {', '.join(map(str, languages))}; "
            f"{FEWEST} are needed"
        )
    labels = dict(zip(tables[0]["id"], tables[0]["label"], strict=True)) if parts[0].labelled else {}
    held = dict.fromkeys(labels[name] for name in common if name in labels)
    if len(held) < len(set(labels.values())):
        err.print(
            f"the first {len(common)} sentences of {data.card.name} are of {len(held)} of its {len(data.card.labels)} "
            f"labels ({', '.join(held)}): with more sentences, others are looked at too",
            soft_wrap=True, markup=False,
        )  # fmt: skip
    return Parallel(languages, [[by_id[name] for name in common] for by_id in texts])
