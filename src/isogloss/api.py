"""What can be done from Python; the command line is built on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from isogloss.errors import IsoglossError
from isogloss.executors.registry import executor as executor_of
from isogloss.executors.registry import leading
from isogloss.experiment.choice import chosen_run
from isogloss.experiment.comparison import ComparisonStore, finished_runs, opened_comparison
from isogloss.experiment.each_backbone import run_each
from isogloss.experiment.frames import Frames, stored_frames
from isogloss.experiment.opened_run import OpenedRun
from isogloss.experiment.predict import Model
from isogloss.experiment.run import run as carry_out
from isogloss.interop.hub import local_run_directory
from isogloss.reports.comparison_table import ComparisonTable
from isogloss.reports.score_table import ScoreTable
from isogloss.run_directory.comparison import Comparison, comparison_of
from isogloss.run_directory.damage import refuse_strange
from isogloss.runtime.arguments import as_fraction, as_number, as_path, as_reference, as_truth, check_cell
from isogloss.runtime.console import err
from isogloss.spec import Spec, check, read_spec
from isogloss.store import Store

if TYPE_CHECKING:  # analyses come with what draws charts, which a model is loaded without
    from isogloss.analysis.analysis import AnalysisResult
    from isogloss.analysis.run import AnalysisOutcome
    from isogloss.interop.export import Export
    from isogloss.reports.comparison_status import ComparisonStatusReport
    from isogloss.reports.status import StatusReport

AnyPath = str | PathLike[str]


@dataclass(frozen=True)
class Results:
    """What a run directory holds, or a comparison of backbones.

    Args:
        store: the directory.
    """

    store: Store | ComparisonStore

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.store.path

    @property
    def spec(self) -> Spec:
        """The experiment, resolved; of a comparison as it was written."""
        return self.store.spec() if isinstance(self.store, ComparisonStore) else OpenedRun.of(self.path).spec

    @property
    def scores(self) -> pl.DataFrame:
        """`backbone task method seed source language split metric value n`; scores are fractions from 0 to 1."""
        return self.store.table("scores")

    @property
    def predictions(self) -> pl.DataFrame:
        """`method seed language split example gold predicted score`; of a comparison with `backbone` in front."""
        return self.store.table("predictions")

    @property
    def history(self) -> pl.DataFrame:
        """`method seed step epoch tokens loss learning_rate metric value language`; of a comparison `backbone` too."""
        return self.store.table("history")

    def table(self) -> ScoreTable | ComparisonTable:
        """Test scores of every language and method, and the gap below; shows in a notebook, and `print` prints it."""
        return ComparisonTable(self.store) if isinstance(self.store, ComparisonStore) else ScoreTable(self.store)

    def report(
        self,
        out: AnyPath | None = None,
        *,
        reference: str | None = None,
        good_enough: float | None = None,
        texts: bool = True,
    ) -> Path:
        """Write one HTML page that tells what came out. See `isogloss.report`."""
        return report(self.path, out=out, reference=reference, good_enough=good_enough, texts=texts)

    def analyze(self, *names: str, **options: Any) -> dict[str, AnalysisResult]:
        """Find out where the gap comes from. See `isogloss.analyze`."""
        return analyze(self.path, *names, **options)

    def load(self, method: str | None = None, seed: int | None = None, *, backbone: AnyPath | None = None) -> Model:
        """A trained model, in memory. See `isogloss.load`."""
        return load(self.path, method=method, seed=seed, backbone=backbone)

    def __repr__(self) -> str:
        """In a line."""
        return f"Results({str(self.path)!r})"

    def __fspath__(self) -> str:
        """The run directory, so that results stand wherever a directory may."""
        return str(self.path)

    def _repr_mimebundle_(self, include: Sequence[str], exclude: Sequence[str], **options: Any) -> dict[str, str]:
        """What a notebook shows of it: the table."""
        return self.table()._repr_mimebundle_(include, exclude, **options)


def run(
    spec: Spec | Mapping[str, Any] | AnyPath,
    out: AnyPath | None = None,
    *,
    data: Frames | None = None,
    executor: str | None = None,
    detach: bool = False,
) -> Results:
    """Train, evaluate and store what is missing of an experiment.

    Args:
        spec: a spec, its keys and values, a YAML file, or the name of a preset.
        out: the run directory, of several backbones the folder of their run directories; None: `runs/NAME`.
        data: examples by split and language, as in `{"train": {"en": frame}, "test": {"en": frame, "sw": frame}}`:
            frames of polars or pandas, sets of `datasets` or lists of dictionaries, with the columns `text` (and
            `second` of pairs) and `label`; of tagging `words` and `labels`; of questions `question`, `passage` and
            `answers`. The spec's task is then `custom`, and needs no card.
        executor: what carries out the jobs, by name; None: as the spec says.
        detach: hand back what has ended, submit what is missing, and wait for nothing, where the executor can; run
            again to gather.

    Raises:
        IsoglossError: the spec or the data are wrong, or the directory holds results of another spec.
    """
    checked = _spec(spec)
    folder = Path("runs") / checked.name if out is None else as_path(out, "out")
    if not isinstance(executor, str | None):
        raise IsoglossError(f"executor is {executor!r}; expected the name of one, such as 'serial'")
    if not isinstance(detach, bool):
        raise IsoglossError(f"detach is {detach!r}; expected True or False")
    chosen = executor_of(checked.executor, executor, detach=detach)
    if data is not None:
        checked = stored_frames(checked, data)
    with leading(chosen, checked.device) as leads:
        if checked.compared:
            asked = Comparison(folder, tuple(checked.compared))
            return Results(ComparisonStore(run_each(checked, folder, chosen) if leads else asked))
        return Results(carry_out(checked, folder, chosen) if leads else Store(folder))


def status(folder: AnyPath) -> StatusReport | ComparisonStatusReport:
    """How far a run directory is: what is finished, at work, on a cluster, missing. Nothing is written.

    Args:
        folder: a run directory, of a run that is over, at work, or has only begun; or a comparison of backbones.

    Returns:
        What `print` shows as a table, the lines below it and a last one that sums up; `status` has it as data.

    Raises:
        IsoglossError: it is none.
    """
    from isogloss.executors.slurm_states import cluster_jobs
    from isogloss.reports.comparison_status import status_report

    return status_report(as_path(folder), cluster_jobs)


def open_run(folder: AnyPath) -> Results:
    """The results in a run directory, or in a comparison of backbones; nothing is trained.

    Raises:
        IsoglossError: it is none, or nothing in it is finished.
    """
    if (comparison := opened_comparison(as_path(folder))) is not None:
        comparison.started()
        return Results(comparison)
    OpenedRun.of(as_path(folder))
    return Results(Store(as_path(folder)))


def load(
    folder: AnyPath, method: str | None = None, seed: int | None = None, *, backbone: AnyPath | None = None
) -> Model:
    """A trained model of a run directory, which stays in memory.

    Args:
        folder: a run directory, a comparison of backbones, an export, or the name of an export on the hub: `org/name`
            or `org/name@revision`. A folder of that name wins.
        method: the label of one of its methods; None: the one with the best score on source development data.
        seed: one of its seeds; None: the best of the method's.
        backbone: where its backbone lies, a folder or a hub id; None: where the run directory says. Of a comparison
            which of its backbones; None: that of the best.

    Raises:
        IsoglossError: nothing such is stored, or the backbone is not the one it was trained on.
    """
    check_cell(method, seed)
    where, named = as_path(folder), None if backbone is None else str(as_path(backbone, "backbone"))
    number = None if seed is None else int(seed)
    meant = chosen_run(local_run_directory(where, fspath(folder)), method, number, named)
    return Model.load(meant.path, method=method, seed=number, backbone=meant.backbone)


def export(
    folder: AnyPath,
    out: AnyPath,
    *,
    to: str,
    method: str | None = None,
    seed: int | None = None,
    backbone: str | None = None,
    push: str | None = None,
    show: Callable[[str], None] | None = None,
) -> Export | list[Path]:
    """Write a trained model as another library loads it, which labels a few texts with it before anything is there.

    Or the scores of all finished cells, as another project's tools read them.

    Args:
        folder: a run directory, or a comparison of backbones.
        out: a new or empty folder.
        to: `peft`, `transformers`, `sentence-transformers` or `onnx`; of scores `mteb`, `lm-eval` or
            `every-eval-ever`.
        method: the label of one of its methods; None: the one with the best score on source development data.
        seed: one of its seeds; None: the best of the method's.
        backbone: of a comparison, which of its backbones; None: that of the best.
        push: `org/name` on the hub, where the folder is published too, for its owners alone where it is new.
        show: is told what is going on.

    Returns:
        What was written, and how it compares; of scores the files.

    Raises:
        IsoglossError: nothing such is stored, the model has no exact form in that format, `out` holds something, a
            library is not installed, or it computes something else.
    """
    from isogloss.interop.export import export as write_export
    from isogloss.interop.export import write_results
    from isogloss.interop.hub import check_repository
    from isogloss.interop.hub import push as push_folder
    from isogloss.interop.results.registry import results_formats

    check_cell(method, seed)
    if backbone is not None and comparison_of(as_path(folder)) is None:
        raise IsoglossError(f"{fspath(folder)} is no comparison of backbones; leave backbone out")
    if not isinstance(to, str):
        raise IsoglossError(f"to is {to!r}; expected the name of a format, such as 'peft'")
    say = show or (lambda _: None)
    if to in results_formats():
        if (method, seed, push) != (None, None, None):
            raise IsoglossError(f"{to} takes the scores of all cells; leave method, seed and push out")
        if backbone is not None:
            folder = chosen_run(as_path(folder), None, None, backbone).path
        return write_results(as_path(folder), as_path(out, "out"), results_formats()[to])
    if push is not None:
        check_repository(push)  # before an hour of writing
    number = None if seed is None else int(seed)
    meant = chosen_run(as_path(folder), method, number, backbone).path
    made = write_export(meant, as_path(out, "out"), to=to, method=method, seed=number, say=say)
    if push is not None:
        say(f"published as {push_folder(made.path, push)}")
    return made


def analyze(
    folder: AnyPath,
    *names: str,
    methods: Sequence[str] = (),
    examples: int = 32,
    parallel: AnyPath | None = None,
    sentences: int = 100,
    reference: str | None = None,
    texts: bool = True,
    show: Callable[[AnalysisOutcome], None] | None = None,
) -> dict[str, AnalysisResult]:
    """Find out where the gap comes from: tables and charts, kept in the run directory too.

    Args:
        folder: a run directory, or a comparison of backbones, of which each is analysed.
        names: of analyses, such as `gap` or `distance`; none: all that the directory has the data for.
        methods: labels of the methods that are analysed; none: all.
        examples: of each target, where models are run many times.
        parallel: a folder of parallel sentences in SIB-200's layout; None: what the spec names, or the run's own data.
        sentences: of them, of each language.
        reference: the method that others are held against; None: the first.
        texts: whether tables may hold texts of the data; if not, those that an analysis has left are removed.
        show: is given each analysis's outcome as soon as it is there, and why one was left out.

    Returns:
        What each analysis found, by its name; of a comparison by the name of the backbone's folder, a slash, and its
        name.

    Raises:
        IsoglossError: when all others are done, where one failed, or none of those that were asked for applies to the
            directory.
    """
    from isogloss.analysis.analysis import AnalysisOptions
    from isogloss.analysis.run import analyze as carry_out_analyses

    of_methods = [methods] if isinstance(methods, str) else methods
    for what, several in {"names": names, "methods": of_methods}.items():
        if not isinstance(several, Sequence) or not all(isinstance(one, str) for one in several):
            raise IsoglossError(f"{what} is {several!r}; expected names as a list of texts")
    options = AnalysisOptions(
        list(of_methods), examples=as_number(examples, "examples"), sentences=as_number(sentences, "sentences"),
        parallel=None if parallel is None else as_path(parallel, "parallel"), reference=as_reference(reference),
        texts=as_truth(texts, "texts"),
    )  # fmt: skip
    results = {}
    for backbone, run_directory in finished_runs(as_path(folder)).items():
        if backbone:
            refuse_strange(as_path(folder))
            err.print(f"{backbone}, in {run_directory}", markup=False, soft_wrap=True)
        for outcome in carry_out_analyses(run_directory, names, options):
            if show is not None:
                show(outcome)
            if outcome.result is not None:
                results[f"{run_directory.name}/{outcome.name}" if backbone else outcome.name] = outcome.result
    return results


def report(
    folders: AnyPath | Sequence[AnyPath],
    out: AnyPath | None = None,
    *,
    reference: str | None = None,
    good_enough: float | None = None,
    texts: bool = True,
    show: Callable[[str], None] | None = None,
) -> Path:
    """Write one HTML page that tells what came out of one run or several, and its tables and figures beside it.

    Args:
        folders: a run directory, a comparison of backbones, or several to be compared.
        out: the page; None: `report.html` in the directory, or `comparison.html` in the first of several.
        reference: the method that others are held against, as the page calls it; None: the first.
        good_enough: the score from which on a language can be shipped, a fraction such as 0.8; None: nothing is said of
            that.
        texts: whether page and tables may hold texts of the data; if not, those of before are removed.
        show: is given the answer in one sentence, for each task.

    Returns:
        The page.

    Raises:
        IsoglossError: one is no run directory, nothing in it is finished, `out` cannot be a file, or `good_enough` is
            no such fraction.
    """
    from isogloss.reports.report import report as write_report

    several = folders if isinstance(folders, Sequence) and not isinstance(folders, str | bytes) else [folders]
    if not several:
        raise IsoglossError("there is no run directory to report on; expected at least one")
    target = None if out is None else as_path(out, "out")
    paths = [as_path(folder) for folder in several]
    return write_report(
        paths, target, reference=as_reference(reference), good_enough=as_fraction(good_enough, "good_enough"),
        texts=as_truth(texts, "texts"), show=show,
    )  # fmt: skip


def _spec(spec: Spec | Mapping[str, Any] | AnyPath) -> Spec:
    if isinstance(spec, Spec):
        return spec
    if isinstance(spec, Mapping):
        return check(Spec, dict(spec), where="spec")
    if isinstance(spec, str | PathLike):
        return read_spec(str(as_path(spec, "spec")))
    raise IsoglossError(f"spec is {type(spec).__name__}; expected a Spec, a mapping, a file, or the name of a preset")
