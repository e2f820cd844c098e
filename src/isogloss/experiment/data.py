"""All that the cells of an experiment are made of, read and checked once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from isogloss.data.cards import Split
from isogloss.data.dataset import DataSet, Examples, open_data
from isogloss.data.few_shot import draw
from isogloss.data.missing_labels import label_kinds
from isogloss.data.parallel_text import Parallel, read_parallel
from isogloss.data.subsample import divide, sample
from isogloss.errors import IsoglossError, MissingError, named
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
    tests: list[Examples]  # those with labels; the source's first, if it has one
    unlabelled: list[Examples]  # test splits without labels, which are predicted and not scored

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
    def scores_source(self) -> bool:
        """Whether the source has a test split: it may be a language of the training set alone."""
        return bool(self.tests) and self.tests[0].language == self.source

    @property
    def targets(self) -> list[Examples]:
        """The test split of each target."""
        return self.tests[1:] if self.scores_source else self.tests

    @property
    def predicted(self) -> list[Examples]:
        """Every test split: the source's first, if it has one, then the others by their codes, whether scored or not.

        So what is predicted of a language does not depend on whether its labels are known.
        """
        others = sorted([*self.targets, *self.unlabelled], key=lambda test: test.language)
        return [*(self.tests[:1] if self.scores_source else []), *others]

    @property
    def test_data(self) -> dict[str, str]:
        """The fingerprint of each language's test split."""
        return {str(test.language): test.fingerprint for test in self.predicted}


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
        train_card=None if given.train is None else given.train.card,
    )


@dataclass(frozen=True)
class SpecLanguages:
    """The languages of an experiment.

    Args:
        source: the one to train in.
        targets: to be scored besides it, in the order of their codes; the files of some may turn out to have no labels.
        unlabelled: to be predicted, and not scored, as the spec says.
    """

    source: Language
    targets: list[Language]
    unlabelled: list[Language]


def languages(spec: Spec, data: DataSet) -> SpecLanguages:
    """The languages that a spec names, or leaves to the data set.

    Raises:
        IsoglossError: the data set has none such, or one is meant twice.
    """
    source, known = _source(spec, data), data.languages()
    unlabelled = _meant("unlabelled", spec.unlabelled, spec.task, data, source)
    if spec.targets == "all":
        return SpecLanguages(source, sorted(set(known) - {source} - unlabelled.keys()), sorted(unlabelled))
    targets = _meant("targets", spec.targets, spec.task, data, source)
    for language in targets.keys() & unlabelled.keys():
        codes = targets[language], unlabelled[language]
        if not all(map(is_group, codes)) and not is_group(codes[0]):
            by = "" if not is_group(codes[1]) else f", as a language of {codes[1]}"
            raise IsoglossError(f"unlabelled: {language} is also in targets{by}; leave it out of one of them")
    return SpecLanguages(source, sorted(targets.keys() - unlabelled.keys()), sorted(unlabelled))


def _meant(key: str, codes: Sequence[str], task: str, data: DataSet, source: Language) -> dict[Language, str]:
    """The languages besides the source that a key of the spec means, each with the code or group that means it."""
    found: dict[Language, str] = {}
    by_code: dict[Language, str] = {}
    for code in codes:
        with named(key):
            meant = members(code, data.languages()) if is_group(code) else [data.card.language(code)]
        if not set(meant) - {source}:
            if not is_group(code):
                is_source = "which is scored as it is" if key == "targets" else "which needs its labels"
                raise IsoglossError(f"{key}: {code} is the source, {is_source}; leave it out")
            raise IsoglossError(f"{key}: {task} has no language of {code} besides the source")
        if not is_group(code) and (other := by_code.setdefault(meant[0], code)) != code:
            raise IsoglossError(f"{key}: {other} and {code} are both {meant[0]} in {task}; leave one out")
        found |= {one: found[one] if one in found and is_group(code) else code for one in meant if one != source}
    return found


def _source(spec: Spec, data: DataSet) -> Language:
    """The language to train in: one of the data set, or of the training set alone."""
    card, trainer = data.card, data.trainer
    if trainer is None:
        try:
            return card.language(spec.source or card.source)
        except IsoglossError as error:
            raise IsoglossError(f"source: {error}; a source of another data set takes `data.train`") from error
    code = spec.source or card.source
    if spec.source is None and not trainer.card.has_language(code):
        code = trainer.card.source
    theirs = trainer.card.language(code)
    return card.language(code) if card.has_language(code) else theirs


def read_data(spec: Spec, *, first_rows: bool = False) -> ExperimentData:
    """Read all the data of a spec.

    Args:
        spec: of the experiment.
        first_rows: whether limits take the first rows, as in runs of before they were drawn.

    Raises:
        IsoglossError: something is missing or wrong.
    """
    dataset = open_spec(spec)
    meant = languages(spec, dataset)
    source, targets = meant.source, meant.targets
    dataset = dataset.read_for(source, first_rows=first_rows)
    known = dataset.languages()
    for language in (*targets, *meant.unlabelled):
        if language not in known:
            raise IsoglossError(f"{spec.task} has no data of {language} ({language.name}) in {spec.data.path}")
    train, dev = dataset.examples(source, "train"), dataset.examples(source, "dev")
    of_targets = [dataset.examples(language, "test", "any") for language in targets]
    unlabelled = [test for test in of_targets if not test.labelled]
    unlabelled += [dataset.examples(language, "test", "ignored") for language in meant.unlabelled]
    tests = [dataset.examples(source, "test")] if source in known else []
    tests += [test for test in of_targets if test.labelled]
    targets = [test.language for test in of_targets if test.labelled]
    if not tests:
        without = f"; {len(unlabelled)} without labels are there, of which nothing can be scored" if unlabelled else ""
        raise IsoglossError(
            f"{spec.task} has no test split: neither in {source}, the source, nor in another language{without}"
        )
    _refuse_overlap(train, dev, *(test for test in tests if test.language == source))
    watched: list[Examples] = []
    if spec.dynamics is not None:
        source_seen = sample(dev, spec.dynamics.examples * max(1, len(targets)))
        seen, tests = watched_apart(dataset, tests, len(targets), spec.dynamics.examples)
        watched = [source_seen, *seen]
    if spec.data.shots is not None:
        if dataset.card.kind != "classification":
            raise IsoglossError(f"data.shots is for classification; {spec.task} is another kind of task")
        for part in (train, dev):
            draw(part.labels.to_list(), dataset.card.labels, shots=spec.data.shots, seed=0, what=part.split)
    if spec.data.unseen == "refuse":
        _refuse_unseen(train, tests, dataset.card.kind)
    return ExperimentData(
        dataset,
        source,
        train=train,
        dev=dev,
        subword=spec.data.subword,
        longest=spec.data.longest,
        shots=spec.data.shots,
        watched=watched,
        parallel=_parallel(spec, source, targets),
        unlabelled=sorted(unlabelled, key=lambda test: test.language),
        every=None if spec.dynamics is None else spec.dynamics.every,
        cost=None if spec.dynamics is None else spec.dynamics.cost,
        tests=tests,
    )


def _parallel(spec: Spec, source: Language, targets: list[Language]) -> Parallel | None:
    if spec.dynamics is None or (given := spec.dynamics.parallel) is None:
        return None
    with named("dynamics.parallel"):
        return read_parallel(open_data(given.task, path=given.path), source, targets, given.sentences)


def watched_apart(
    dataset: DataSet, tests: list[Examples], targets: int, wanted: int
) -> tuple[list[Examples], list[Examples]]:
    """Samples of the targets, to look at in training, and the test splits without them.

    Args:
        dataset: that they are of.
        tests: test splits, those of the targets last.
        targets: how many these are.
        wanted: examples of each.
    """
    tested, tests, watched = replace(dataset, trainer=None), [*tests], []
    first = len(tests) - targets
    for number, test in enumerate(tests[first:], start=first):
        seen, tests[number] = _watch(tested, test, wanted)
        watched.append(seen)
    return watched, _without_the_same(tests, watched) if dataset.card.parallel else tests


def _watch(data: DataSet, test: Examples, wanted: int) -> tuple[Examples, Examples]:
    """A sample of a target's development split, or where none has labels of its test split, which then loses it."""
    with suppress(MissingError):
        dev = data.examples(test.language, "dev", "any")
        if dev.labelled:
            return sample(dev, wanted), test
    return divide(test, wanted)


def _without_the_same(tests: list[Examples], watched: list[Examples]) -> list[Examples]:
    """Parallel test splits without the items of which any language has lost its own to looking on."""
    lost = {
        name
        for seen, test in zip(watched, tests[len(tests) - len(watched) :], strict=True)
        if seen.split == test.split
        for name in seen.table["id"]
    }
    return [
        test.taken([row for row, name in enumerate(test.table["id"]) if name not in lost]) if lost else test
        for test in tests
    ]


def _refuse_overlap(*splits: Examples) -> None:
    """What is learnt from must not be selected on, and neither must be scored; a few common sentences may recur."""
    for one, other in itertools.combinations(splits, 2):
        texts = other.contents.unique()
        shared = int(texts.is_in(one.contents.implode()).sum())
        if shared > OVERLAP * len(texts):
            raise IsoglossError(
                f"{shared:,} of {len(texts):,} texts of {other.split} ({other.origin}) are in {one.split} too; "
                "give data.splits that do not overlap"
            )


def _refuse_unseen(train: Examples, tests: list[Examples], kind: str) -> None:
    seen = set(label_kinds(train.labels, kind))
    for test in tests:
        if unseen := sorted(set(label_kinds(test.labels, kind)) - seen):
            raise IsoglossError(
                f"{test.origin} ({test.language}) has labels that training never shows: {', '.join(unseen)}; train on "
                "more, read them as others (data.labels), or keep them as errors (data.unseen: keep)"
            )
