"""A spec that compares backbones: each is carried out as a run of its own, one after the other."""

from __future__ import annotations

import errno
import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isogloss.backbones.loading import at_hand
from isogloss.errors import IsoglossError, named
from isogloss.experiment.cells import cells
from isogloss.experiment.data import ExperimentData, read_data
from isogloss.experiment.job import Executor
from isogloss.experiment.provenance import refuse_changed_settings
from isogloss.experiment.run import run
from isogloss.experiment.search.plan import planned, with_settings
from isogloss.experiment.workspace import Workspace
from isogloss.run_directory.comparison import Comparison, comparison_of, refuse_others
from isogloss.runtime.console import err
from isogloss.runtime.reasons import reason
from isogloss.spec import Spec
from isogloss.store import Store

OF_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # what fails of one backbone fails of all


@dataclass(frozen=True)
class OneBackbone:
    """The part of a comparison that is one backbone's.

    Args:
        name: of the backbone, as the spec has it.
        spec: as it would be of that backbone alone.
        out: its run directory.
    """

    name: str
    spec: Spec
    out: Path


def parts(spec: Spec, out: Path) -> list[OneBackbone]:
    """What a comparison consists of.

    Args:
        spec: of several backbones.
        out: the comparison's folder.

    Raises:
        IsoglossError: something else is in that folder.
    """
    refuse_others(out, spec.compared)
    there = comparison_of(out)
    known = () if there is None else there.backbones
    Comparison(out, tuple(dict.fromkeys([*known, *spec.compared]))).refuse_clashes()
    runs = Comparison(out, tuple(spec.compared)).runs
    return [OneBackbone(name, spec.model_copy(update={"backbone": name}), run) for name, run in runs.items()]


def run_each(spec: Spec, out: Path, executor: Executor) -> Comparison:
    """Train, evaluate and store what is missing of a comparison of backbones.

    What of a backbone does not go with the spec is said before anything is trained. What fails later of one backbone
    leaves the others to be finished.

    Args:
        spec: of several backbones.
        out: the comparison's folder; in it each backbone has a run directory as a run of it alone would have made it.
        executor: carries out the jobs of all of them.

    Raises:
        IsoglossError: one of the backbones does not go with the spec, or failed; the others are stored.
        Exception: one failed by a fault that is no user's; the same holds.
    """
    each = parts(spec, out)
    refuse_unfit(each)
    comparison = Comparison(out, tuple(spec.compared)).begin(spec.model_dump(mode="json", exclude_unset=True))
    failed: dict[str, Exception] = {}
    for number, one in enumerate(each, start=1):
        err.print(f"backbone {number} of {len(each)}: {one.name}, in {one.out}", markup=False, soft_wrap=True)
        try:
            run(one.spec, one.out, executor)
        except Exception as error:  # a fault of one is none of the others
            if isinstance(error, OSError) and error.errno in OF_ALL:
                raise
            failed[one.name] = error
            if len(failed) < len(each):
                err.print(f"{one.name} failed: {_why(error)}", markup=False, soft_wrap=True)
        gc.collect()  # one backbone's memory is the next one's
    if failed:
        _raise_failed(failed, len(each))
    return comparison


def refuse_unfit(each: Sequence[OneBackbone]) -> None:
    """Refuse what of a spec does not go with one of its backbones, as far as it is seen without their weights.

    Raises:
        IsoglossError: names the backbone and the mistake.
    """
    here = [one.name for one in each if at_hand(one.name) is not None]
    data = read_data(each[0].spec) if here else None  # it is the same for all, and so is a mistake in it
    for one in each:
        with named(f"backbone {one.name}"):
            plans = planned(one.spec, one.out)
            spec = with_settings(one.spec, {plan.space.name: plan.settings for plan in plans})
            refuse_changed_settings(one.out, Store(one.out).finished(), cells(spec))
            if one.name in here:
                _look_at(spec, data)


def _look_at(spec: Spec, data: ExperimentData | None) -> None:
    """Refuse what is seen without weights.

    Raises:
        IsoglossError: as `Workspace.outlined` does.
    """
    try:
        Workspace.outlined(spec, data)
    except IsoglossError:
        raise
    except Exception as error:  # noqa: BLE001 - of a model that stumbles over numbers that mean nothing
        err.print(f"{spec.one_backbone} is looked at later ({type(error).__name__})", markup=False, soft_wrap=True)


def _raise_failed(failed: Mapping[str, Exception], count: int) -> None:
    name, first = next(
        ((name, error) for name, error in failed.items() if reason(error) is None), next(iter(failed.items()))
    )
    others = "the others are stored" if len(failed) < count else "none is finished"
    told = f"{len(failed)} of {count} backbones failed; {others}"
    if reason(first) is None:
        err.print(f"{name} failed; {told}", markup=False, soft_wrap=True)
        raise first
    raise IsoglossError(f"{name}: {_why(first)} ({told})") from first


def _why(error: Exception) -> str:
    return " ".join(str(reason(error) or error or type(error).__name__).split())
