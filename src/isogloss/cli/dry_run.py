"""What a run would do: everything is resolved, nothing is fetched and nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from pathlib import Path

from isogloss.backbones.loading import inspect, where
from isogloss.data.dataset import DataSet, open_data
from isogloss.errors import IsoglossError, named
from isogloss.experiment.cells import Cell, cells
from isogloss.experiment.data import languages, open_spec
from isogloss.experiment.job import Executor
from isogloss.experiment.memory_outline import outlined
from isogloss.experiment.price import price
from isogloss.experiment.provenance import refuse_changed_limits, refuse_changed_settings
from isogloss.experiment.remarks import no_labels
from isogloss.experiment.search.plan import PlannedSearch, planned, with_settings
from isogloss.experiment.workspace import Workspace
from isogloss.languages.language import Language
from isogloss.runtime.console import out
from isogloss.spec import Spec
from isogloss.store import Store, StoredCell
from isogloss.trackers.registry import refuse_lacking


def describe(spec: Spec, folder: Path, executor: Executor | None = None) -> None:
    """Print what would be fetched, trained and scored.

    Args:
        spec: the experiment.
        folder: its run directory.
        executor: with which it is reckoned what it costs, if texts and backbone are at hand; None: it is not.

    Raises:
        IsoglossError: the spec could not be carried out.
    """
    say = partial(out.print, markup=False, soft_wrap=True)
    plans = planned(spec, folder)
    spec = with_settings(spec, {plan.space.name: plan.settings for plan in plans})
    wanted = cells(spec)
    refuse_lacking(spec.track)
    data = open_spec(spec)
    meant = languages(spec, data)
    without = sorted([*meant.unlabelled, *_without_labels(data, meant.targets)])
    source, targets = meant.source, [language for language in meant.targets if language not in without]
    finished = Store(folder).finished()
    refuse_changed_settings(folder, finished, wanted)
    refuse_changed_limits(folder, finished, data.limit_facts)
    stored = {cell.key for cell in finished}
    missing = [cell for cell in wanted if cell.key not in stored]
    words = any(cell.settings.head == "verbalizer" for cell in wanted)
    positions = inspect(spec.backbone, device=spec.device, words=words, pickle=spec.weights == "pickle")
    for cell in wanted:
        if positions is not None and (taken := cell.method.positions(cell.settings)) >= positions:
            raise IsoglossError(
                f"{cell.label}: its prompt takes {taken:,} of the {positions:,} positions of {spec.backbone}, and "
                "leaves none to a text; expected a shorter prompt"
            )
    _describe_data(spec, data, source, targets)
    if without:
        say(f"  {'':<12}{no_labels(without)}")
    _describe_methods(wanted, missing, plans)
    for number, line in enumerate(outlined(spec, missing, max(2, len(data.card.labels)))):
        say(f"  {'' if number else 'memory':<12}{line}")
    if spec.track:
        say(f"  track       {', '.join(spec.track)}")
    if executor is not None:
        _describe_price(spec, data, executor, finished, plans)
    say(f"  store       {folder}")


def _describe_data(spec: Spec, data: DataSet, source: Language, targets: Sequence[Language]) -> None:
    say = partial(out.print, markup=False, soft_wrap=True)
    say(f"{spec.name}: {data.card.title}")
    say(f"  backbone    {spec.backbone} ({where(spec.backbone)})")
    say(f"  data        {data.where()}")
    trained = "" if data.trainer is None else f" of {data.trainer.card.title}, {data.trainer.where()}"
    say(f"  train       {source.name} ({source}){trained}")
    say(f"  score       {len(targets)} other language{'' if len(targets) == 1 else 's'}")
    if source not in data.languages():
        say(f"              not {source.name}, which {data.card.name} has no test split in: there will be no gap")
    if (limits := data.limit_facts) is not None:
        counts = ", ".join(f"{split} {count:,}" for split, count in limits.items() if split != "drawn")
        say(f"  limits      {counts}; where a split has more, drawn {limits['drawn']}")
    if spec.verbalizer is not None:
        say(f"  template    {spec.verbalizer.template}")
    if (looks := spec.dynamics) is not None:
        say(f"  look on     at {looks.examples} examples of each target at most, in training")
        if (given := looks.parallel) is not None:
            with named("dynamics.parallel"):
                parallel = open_data(given.task, path=given.path)
            say(f"              at {given.sentences} parallel sentences of {parallel.card.title}, {parallel.where()}")


def _describe_price(
    spec: Spec, data: DataSet, executor: Executor, finished: Sequence[StoredCell], plans: Sequence[PlannedSearch]
) -> None:
    say = partial(out.print, markup=False, soft_wrap=True)
    if any("from the hub" in place or place.startswith("nowhere") for place in (where(spec.backbone), data.where())):
        say(f"  {'jobs':<12}what they would cost is known once texts and backbone are on this machine")
        return
    workspace = Workspace.open(spec)
    room = executor.room(workspace) if hasattr(executor, "room") else None
    cost = price(workspace, finished, plans, room=room, parallel=getattr(executor, "parallel", False))
    for what, how_much in cost.lines():
        say(f"  {what:<12}{how_much}")


def _describe_methods(wanted: Sequence[Cell], missing: Sequence[Cell], plans: Sequence[PlannedSearch]) -> None:
    say = partial(out.print, markup=False, soft_wrap=True)
    for plan in plans:
        say(f"  search      {plan}")
    for name, group in groupby(wanted, key=lambda cell: cell.name):
        cells_of_name = list(group)
        labels = list(dict.fromkeys(cell.label for cell in cells_of_name))
        left = sum(cell.label in labels for cell in missing)
        seeds = len({cell.seed for cell in cells_of_name})
        variants = f"{len(labels)} variants, " if len(labels) > 1 else ""
        trainings = sum(cell.average for cell in missing if cell.label in labels)
        averaged = f", each the mean of several: {trainings} trainings" if trainings > left else ""
        say(f"  {name}: {variants}{seeds} seeds, {left} runs still to train{averaged}")
        if variants:
            say("    " + ", ".join(label.removeprefix(name) for label in labels))
        every = [cell.settings.model_dump() for cell in cells_of_name]
        same = {key: value for key, value in every[0].items() if all(one[key] == value for one in every)}
        say("    " + ", ".join(f"{key}={value}" for key, value in same.items() if value is not None and value != ""))


def _without_labels(data: DataSet, targets: Sequence[Language]) -> list[Language]:
    """Targets whose files have no labels, as far as files are at hand; what is wrong with others `run` says."""
    found = []
    for language in targets if data.path is not None else ():
        with suppress(IsoglossError):
            if not data.examples(language, "test", "any").labelled:
                found.append(language)
    return found
