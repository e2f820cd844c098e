"""What a report is about: run directories of one task, and all that is known of them, from the store alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from isogloss.analysis.analysis import Results
from isogloss.analysis.run import fingerprint, kept, kept_table
from isogloss.analysis.significance import against
from isogloss.errors import IsoglossError, unknown
from isogloss.experiment.opened_run import OpenedRun
from isogloss.languages.language import Language
from isogloss.reports.compare import together, unlike
from isogloss.stats import aggregate
from isogloss.stats.collapse import collapsed
from isogloss.store import RunRecord

OF_METHODS = ("method", "one", "other")  # columns that name methods


@dataclass(frozen=True, eq=False)
class RunGroup:
    """Runs that were scored alike.

    Args:
        task: the data set.
        metric: its first.
        source: the language that was learnt from.
        methods: labels in the order of the specs, with the run's name before them where there are several runs.
        reference: the method that the others are held against.
        opened_runs: the run directories by name.
        scores: test scores in that metric.
        history: training losses and development scores of all of them.
        tables: what analyses that were carried out found, by title; those that name no methods have a column `run`.
        records: what `run.json` says of one cell of each method.
        runs: the name of the run that each method is of.
        stale: titles of tables that are of other scores than the run has now.
        unlike: codes of languages left out because their test examples differ between runs.
        good_enough: the score from which on a language can be shipped; none: nothing is said of that.
        decisions: what can ship then (`ship.decisions`); none: nothing is said of that.
    """

    task: str
    metric: str
    source: Language
    methods: list[str]
    reference: str
    opened_runs: dict[str, OpenedRun]
    scores: pl.DataFrame
    history: pl.DataFrame
    tables: dict[str, pl.DataFrame]
    records: dict[str, RunRecord]
    runs: dict[str, str]
    stale: list[str]
    unlike: list[str]
    good_enough: float | None = None
    decisions: pl.DataFrame | None = None

    @cached_property
    def best(self) -> str:
        """The method with the best score on the source's development data, the mean over its seeds.

        Of equal ones, the first.
        """
        means = {}
        for method, name in self.runs.items():
            scores = self.opened_runs[name].stored.table("scores")
            of_method = scores.filter(split="dev", metric=self.metric, method=self.records[method].method)
            means[method] = float(of_method.select(pl.col("value").mean()).item() or 0.0)
        return max(self.methods, key=lambda method: means[method])

    @property
    def targets(self) -> list[Language]:
        """Every language but the source, by name."""
        codes = set(self.scores["language"]) - {str(self.source)}
        return sorted((Language.parse(code) for code in codes), key=lambda language: (language.name, language))

    @property
    def scores_source(self) -> bool:
        """Whether there are test scores in the source: it may be a language of the training set alone."""
        return str(self.source) in set(self.scores["language"])

    @property
    def unlabelled(self) -> list[Language]:
        """Languages that were predicted and have no labels in any run, by name."""
        records = [stored.record for one in self.opened_runs.values() for _, stored in one.cells]
        codes = {code for record in records for code in record.unlabelled} - set(self.scores["language"])
        return sorted(map(Language.parse, codes), key=lambda language: (language.name, language))

    @cached_property
    def collapsed(self) -> dict[str, tuple[str, int, int]]:
        """Methods that say the same to every text of the source. See `isogloss.stats.collapse`."""
        words = any(record.kind == "tagging" for record in self.records.values())  # all are of one task
        found = {
            name: collapsed(one.stored.parts("predictions"), str(self.source), words=words)
            for name, one in self.opened_runs.items()
        }
        return {
            method: found[name][label]
            for method, name in self.runs.items()
            if (label := self.records[method].method) in found[name]
        }

    @cached_property
    def by_language(self) -> pl.DataFrame:
        """See `aggregate.by_language`."""
        return aggregate.by_language(self.scores, str(self.source))

    @cached_property
    def common(self) -> list[str]:
        """Targets that every run was scored in."""
        return sorted(aggregate.everywhere(self.scores) - {str(self.source)})

    def table(self, title: str) -> pl.DataFrame | None:
        """The table of an analysis, if it was carried out and says anything."""
        return self.results.table(title)

    @cached_property
    def results(self) -> Results:
        """What the charts of analyses are drawn from."""
        return Results(
            self.methods, self.metric, str(self.source), self.reference, self.by_language, self.runs, self.tables
        )


def run_groups(
    folders: Sequence[Path | OpenedRun],
    reference: str | None = None,
    found: Sequence[Mapping[str, pl.DataFrame]] | None = None,
) -> list[RunGroup]:
    """Groups of run directories: those of one task, metric and source together.

    Args:
        folders: run directories.
        reference: the method that the others are held against; none, or in a group that lacks it: the first.
        found: tables of analyses of each that were carried out now, by title; others are read where they were kept.

    Raises:
        IsoglossError: one is no run directory, nothing in it is finished, or no group has the reference.
    """
    opened_runs = [one if isinstance(one, OpenedRun) else OpenedRun.of(one) for one in folders]
    names = _names(opened_runs)
    fresh = dict(zip(names, found, strict=True)) if found else {}
    alike: dict[tuple[str, str, str], dict[str, OpenedRun]] = {}
    for name, opened_run in zip(names, opened_runs, strict=True):
        key = opened_run.stored.table("scores")["task"][0], opened_run.metric, opened_run.spec.source
        alike.setdefault(key, {})[name] = opened_run
    several = len(folders) > 1
    groups = [_run_group(*key, of_group, reference, fresh, several=several) for key, of_group in alike.items()]
    methods = [method for run_group in groups for method in run_group.methods]
    if reference is not None and reference not in methods:
        raise unknown("method to hold the others against", reference, methods)
    return groups


def _names(opened_runs: Sequence[OpenedRun]) -> list[str]:
    """The specs' names, or where those are alike the backbones' or the folders', or the folders' paths."""
    called = [
        [one.spec.name for one in opened_runs],
        [one.spec.backbone.rstrip("/").rpartition("/")[2] for one in opened_runs],
        [one.stored.path.resolve().name for one in opened_runs],
    ]
    whole = [str(one.stored.path) for one in opened_runs]
    return next((names for names in called if len(set(names)) == len(names)), whole)


def _run_group(
    task: str,
    metric: str,
    source: str,
    opened_runs: dict[str, OpenedRun],
    reference: str | None,
    found: Mapping[str, Mapping[str, pl.DataFrame]],
    *,
    several: bool,
) -> RunGroup:
    scores, history, stale = [], [], []
    methods: list[str] = []
    records: dict[str, RunRecord] = {}
    tables: dict[str, list[pl.DataFrame]] = {}
    calls: dict[str, dict[str, str]] = {}
    for name, opened_run in opened_runs.items():
        scored = opened_run.stored.table("scores").filter(split="test", metric=metric)
        labels = [label for label in opened_run.stored.labels() if label in set(scored["method"])]
        called = calls[name] = {label: f"{name}: {label}" if several else label for label in labels}
        methods += called.values()
        records |= {called[cell.label]: stored.record for cell, stored in opened_run.cells}
        scores.append(_renamed(scored, called))
        history.append(_renamed(opened_run.stored.table("history"), called))
        now, fresh = fingerprint(opened_run.stored), found.get(name, {})
        before = {title: scores for title, (_, scores) in kept(opened_run.stored).items() if title not in fresh}
        for title in sorted({*before, *fresh}):
            table = fresh[title] if title in fresh else kept_table(opened_run.stored, title)
            if table is not None:  # else it is a figure
                tables.setdefault(title, []).append(_renamed(table, called, name))
                if title in before and before[title] != now:
                    stale.append(f"{name}: {title}" if several else title)
    gathered = {title: pl.concat(parts, how="diagonal_relaxed") for title, parts in tables.items()}
    every, left_out = pl.concat(scores), sorted(unlike(opened_runs)) if len(opened_runs) > 1 else []
    first = reference if reference in methods else methods[0]
    if len(opened_runs) > 1:  # what was found of each alone is over its own languages
        if source in left_out:
            raise IsoglossError(
                f"{', '.join(opened_runs)} were not scored on the same examples of {source}: there is nothing to "
                "compare; score them with the same data and limits, or report them one by one"
            )
        every = every.filter(~pl.col("language").is_in(left_out))
        alone = [title for title in gathered if title.startswith(("gap", "significance", "scores"))]
        gathered = {title: table for title, table in gathered.items() if title not in alone}
        gathered |= together(opened_runs, calls, every, first)
    if "significance" in gathered:
        gathered["significance-reference"] = against(gathered["significance"], first)
    runs = {method: name for name, called in calls.items() for method in called.values()}
    return RunGroup(
        task, metric, Language.parse(source), methods, first, opened_runs, every, pl.concat(history), gathered, records,
        runs, stale, left_out,
    )  # fmt: skip


def _renamed(table: pl.DataFrame, called: dict[str, str], run: str | None = None) -> pl.DataFrame:
    present = [name for name in OF_METHODS if name in table.columns]
    if not present and run is not None:
        return table.select(pl.lit(run).alias("run"), pl.all())
    return table.with_columns(pl.col(name).replace(called) for name in present)
