"""All that the cells of an experiment are made of, read and checked once."""

from __future__ import annotations

from dataclasses import dataclass

from isogloss.data import DataSet, Examples, open_data
from isogloss.data.cards import Split
from isogloss.errors import IsoglossError
from isogloss.languages import Language
from isogloss.spec import Spec


@dataclass(frozen=True, eq=False)
class Material:
    """The data of an experiment."""

    data: DataSet
    source: Language
    train: Examples
    dev: Examples
    tests: list[Examples]  # the source's first

    @property
    def labels(self) -> list[str]:
        """In the order of the head's classes."""
        return self.data.card.labels

    @property
    def test_data(self) -> dict[str, str]:
        """The fingerprint of each language's test split."""
        return {str(test.language): test.fingerprint for test in self.tests}


def open_spec(spec: Spec) -> DataSet:
    """The data set of a spec; nothing is read yet."""
    given = spec.data
    limits: dict[Split, int | None] = {"train": given.train_limit, "dev": given.dev_limit, "test": given.test_limit}
    return open_data(
        spec.task,
        path=given.path,
        limits={split: limit for split, limit in limits.items() if limit is not None},
        splits=given.splits,
        labels=given.labels,
        card=given.card,
    )


def gather(spec: Spec) -> Material:
    """Read all the data of a spec.

    Raises:
        IsoglossError: something is missing or wrong.
    """
    data = open_spec(spec)
    source = Language.parse(spec.source or data.card.source)
    there = data.languages()
    wanted = there if spec.targets == "all" else [Language.parse(code) for code in spec.targets]
    for language in [source, *wanted]:
        if language not in there:
            data.card.code(language)  # names the nearest if the data set never had it
            raise IsoglossError(f"{spec.task} has no data of {language} ({language.name}) in {spec.data.path}")
    languages = [source, *sorted(set(wanted) - {source})]
    return Material(
        data,
        source,
        train=data.examples(source, "train"),
        dev=data.examples(source, "dev"),
        tests=[data.examples(language, "test") for language in languages],
    )
