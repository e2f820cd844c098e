"""All that the cells of an experiment are made of, read and checked once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from isogloss.data.cards import Split
from isogloss.data.dataset import DataSet, Examples, open_data
from isogloss.data.few_shot import draw
from isogloss.data.parallel_text import Parallel, read_parallel
from isogloss.data.subsample import divide, sample
from isogloss.errors import IsoglossError, MissingError
from isogloss.languages.groups import is_group, members
from isogloss.languages.language import Language
from isogloss.spec import Spec

OVERLAP = 0.1  # share of a split's texts that may also be in another


@dataclass(frozen=True, eq=False)
class ExperimentData:
    """The data of an experiment."""

    dataset: DataSet
    source: Language
    train: Examples
    dev: Examples
    tests: list[Examples]  # the source's first

    subword: Literal["first", "last"] | None  # which sub-word stands for a word; none: as fits the backbone
    longest: int | None  # most tokens of a row
    watched: list[Examples]  # samples to look at in training, the source's first; none: no looking
    parallel: Parallel | None  # sentences to look at in training
    every: int | None  # updates between two looks; none: as fits the training
    cost: float | None  # share of a training's time that looks may take; none: any
    shots: int | None  # so many examples of each class to train and select on; none: all of them

    @property
    def labels(self) -> list[str]:
        """In the order of the head's classes."""
        return self.dataset.card.labels

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
        train=None if given.train is None else (given.train.task, given.train.path),
    )


def languages(spec: Spec, data: DataSet) -> tuple[Language, list[Language]]:
    """The source, and the targets besides it in the order of their codes.

    Raises:
        IsoglossError: the data set has none such.
    """
    card = data.card
    source = card.language(spec.source or card.source)
    known = data.languages()
    if spec.targets == "all":
        return source, sorted(set(known) - {source})
    targets: set[Language] = set()
    for target in spec.targets:
        named = members(target, known) if is_group(target) else [card.language(target)]
        if not set(named) - {source}:
            raise IsoglossError(f"targets: {spec.task} has no language of {target} besides the source")
        targets |= set(named)
    return source, sorted(targets - {source})


def read_data(spec: Spec, *, first_rows: bool = False) -> ExperimentData:
    """Read all the data of a spec.

    Args:
        spec: of the experiment.
        first_rows: whether limits take the first rows, as in runs of before they were drawn.

    Raises:
        IsoglossError: something is missing or wrong.
    """
    dataset = open_spec(spec)
    source, targets = languages(spec, dataset)
    dataset = dataset.read_for(source, first_rows=first_rows)
    known = dataset.languages()
    for language in [source, *targets]:
        if language not in known:
            raise IsoglossError(f"{spec.task} has no data of {language} ({language.name}) in {spec.data.path}")
    train, dev = dataset.examples(source, "train"), dataset.examples(source, "dev")
    tests = [dataset.examples(language, "test") for language in [source, *targets]]
    _refuse_overlap(train, dev, tests[0])
    watched: list[Examples] = []
    if spec.dynamics is not None:
        watched.append(sample(dev, spec.dynamics.examples * max(1, len(targets))))
        tested = replace(dataset, trainer=None)
        for number, test in enumerate(tests[1:], start=1):
            seen, tests[number] = _watch(tested, test, spec.dynamics.examples)
            watched.append(seen)
        if dataset.card.parallel:
            tests = _without_the_same(tests, watched[1:])
    if spec.data.shots is not None:
        if dataset.card.kind != "classification":
            raise IsoglossError(f"data.shots is for classification; {spec.task} is another kind of task")
        for part in (train, dev):
            draw(part.labels.to_list(), dataset.card.labels, shots=spec.data.shots, seed=0, what=part.split)
    if spec.data.unseen == "refuse":
        _refuse_unseen(train, tests, tags=dataset.card.kind == "tagging")
    return ExperimentData(
        dataset,
        source,
        train=train,
        dev=dev,
        subword=spec.data.subword,
        longest=spec.data.longest,
        shots=spec.data.shots,
        watched=watched,
        parallel=_parallel(spec, source, [test.language for test in tests[1:]]),
        every=None if spec.dynamics is None else spec.dynamics.every,
        cost=None if spec.dynamics is None else spec.dynamics.cost,
        tests=tests,
    )


def _parallel(spec: Spec, source: Language, targets: list[Language]) -> Parallel | None:
    if spec.dynamics is None or (given := spec.dynamics.parallel) is None:
        return None
    return read_parallel(open_data(given.task, path=given.path), source, targets, given.sentences)


def _watch(data: DataSet, test: Examples, wanted: int) -> tuple[Examples, Examples]:
    """A sample of a target's development split, or of its test split, which then loses it."""
    try:
        dev = data.examples(test.language, "dev")
    except MissingError:
        return divide(test, wanted)
    return sample(dev, wanted), test


def _without_the_same(tests: list[Examples], watched: list[Examples]) -> list[Examples]:
    """Parallel test splits without the items of which any language has lost its own to looking on."""
    lost = {
        name
        for seen, test in zip(watched, tests[1:], strict=True)
        if seen.split == test.split
        for name in seen.table["id"]
    }
    return [
        test.taken([row for row, name in enumerate(test.table["id"]) if name not in lost]) if lost else test
        for test in tests
    ]


def _refuse_overlap(train: Examples, dev: Examples, test: Examples) -> None:
    """What is learnt from must not be selected on, and neither must be scored; a few common sentences may recur."""
    for one, other in ((train, dev), (train, test), (dev, test)):
        texts = set(other.contents)
        shared = texts & set(one.contents)
        if len(shared) > OVERLAP * len(texts):
            raise IsoglossError(
                f"{len(shared):,} of {len(texts):,} texts of {other.split} ({other.origin}) are in {one.split} too; "
                "give data.splits that do not overlap"
            )


def _refuse_unseen(train: Examples, tests: list[Examples], *, tags: bool) -> None:
    """Of the tags `B-PER` and `I-PER`, what counts is the type: one of the two may well be rare."""

    def kinds(examples: Examples) -> set[str]:
        return {label[2:] if tags and label[1:2] == "-" else label for label in examples.labels}

    seen = kinds(train)
    for test in tests:
        if unseen := sorted(kinds(test) - seen):
            raise IsoglossError(
                f"{test.origin} ({test.language}) has labels that training never shows: {', '.join(unseen)}; train on "
                "more, read them as others (data.labels), or keep them as errors (data.unseen: keep)"
            )
