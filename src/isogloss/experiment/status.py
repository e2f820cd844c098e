"""How far a run directory is, by a look at it: nothing is trained or written, and others may be at work on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from isogloss.errors import IsoglossError
from isogloss.experiment.cells import Cell, cells, member_checkpoint
from isogloss.experiment.leases import Key, Worker, at_work
from isogloss.experiment.search import record as records
from isogloss.experiment.submitted import ClusterJob
from isogloss.run_directory.record import safe_name
from isogloss.runtime.visible import one_line
from isogloss.spec import ResolvedSpec
from isogloss.store import DamagedError, Store, StoredCell
from isogloss.training.checkpoint_head import progress

State = Literal["finished", "damaged", "training", "queued", "over", "failed", "missing"]
SEARCHING = " (search)"  # what a process calls a search that it is at, behind the method's name


@dataclass(frozen=True)
class CellStatus:
    """How far a cell is.

    Args:
        label: of its method.
        seed: of the cell.
        state: `over` is what a job of a cluster has done and nobody has gathered.
        said: what is to be known of it: who is at it, as what job, why it failed, where its log is.
        updates: how many of how many its checkpoint holds; of how many is 0 where it does not say.
        members: of a mean of several trainings, how many of how many are done.
        lacking: languages of the spec that it was not scored in.
    """

    label: str
    seed: int
    state: State
    said: str = ""
    updates: tuple[int, int] | None = None
    members: tuple[int, int] | None = None
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Args:
        path: the run directory.
        cells: of its spec, in order, and those that are stored besides.
        searches: a line for each.
        problems: what could not be read, and jobs of a cluster that are of none of these, a line each.
    """

    path: Path
    cells: Sequence[CellStatus]
    searches: Sequence[str]
    problems: Sequence[str] = ()


def run_status(out: Path, look: Callable[[Path], Sequence[ClusterJob]]) -> RunStatus:
    """Look at a run directory.

    Args:
        out: where it is.
        look: gives the jobs of it that are on a cluster.

    Raises:
        IsoglossError: it is none.
    """
    store = Store(out)
    searching = _searches(out)
    if not any((out / name).exists() for name in ("spec.yaml", "environment.json", "weights", *_BEGUN)):
        raise IsoglossError(f"{out} is no run directory; expected one, such as `isogloss run` makes")
    problems: list[str] = []
    spec: ResolvedSpec | None = None
    wanted: list[Cell] = []
    try:
        spec = store.spec()
        wanted = [] if spec is None else cells(spec)
    except IsoglossError as error:
        problems.append(f"{error}; what is missing is not known")
    seen = _Seen(store, at_work(out), look(out), () if spec is None else (*spec.targets, *spec.unlabelled))
    every = [seen.cell(cell) for cell in wanted]
    others, damaged = _others(store, wanted)
    every += [seen.stored(*key) for key in others]
    lines = [line for name in searching for line in _search(out, name, seen)]
    named = {key for cell in wanted for key in (cell.key, *(one.key for one in cell.trainings))} | set(others)
    unnamed = [
        f"job {job.job}, {job.state}: {job.title}, which is none of these" for job in seen.jobs
        if not any(key in named or _of_search(key, name) for key in job.cells for name in (*searching, ""))
    ]  # fmt: skip
    return RunStatus(out, every, lines, [*problems, *damaged, *unnamed])


_BEGUN = (".leases", ".submitted", records.FOLDER)


@dataclass
class _Seen:
    """What is looked at once for all cells."""

    store: Store
    workers: Sequence[Worker]
    jobs: Sequence[ClusterJob]
    targets: tuple[str, ...]
    held: dict[Key, Worker] = field(default_factory=dict)
    on_cluster: dict[Key, ClusterJob] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.held = {key: worker for worker in self.workers for key in worker.cells}
        self.on_cluster = {key: job for job in self.jobs for key in job.cells}

    def cell(self, cell: Cell) -> CellStatus:
        """How far a cell of the spec is."""
        if (self.store.folder(*cell.key) / "run.json").exists():
            return self.stored(*cell.key)
        members = None
        if cell.average > 1:
            ended = [self._updates(one) for one in cell.trainings]
            members = sum(one is not None and 0 < one[1] <= one[0] for one in ended), cell.average
        state, said = self._at_work([cell, *(cell.trainings if cell.average > 1 else [])])
        return CellStatus(*cell.key, state, said, None if members else self._updates(cell), members)

    def stored(self, label: str, seed: int) -> CellStatus:
        """A cell that is in its place, as far as can be told without reading all of it."""
        folder = self.store.folder(label, seed)
        try:
            stored = self.store.has(label, seed)
            if stored is None:
                return CellStatus(label, seed, "damaged", f"{folder} holds another cell")
            names = ["weights.safetensors", *(f"{name}.parquet" for name in stored.record.tables_sha256)]
            for name in names:
                if not (folder / name).is_file():
                    raise DamagedError(folder / name, "it is gone")
        except IsoglossError as error:
            return CellStatus(label, seed, "damaged", str(error))
        lacking = tuple(code for code in self.targets if code not in stored.record.test_data)
        said = self._at_work_on((label, seed)) if lacking else ""
        return CellStatus(label, seed, "finished", said, lacking=lacking)

    def _at_work(self, parts: Sequence[Cell]) -> tuple[State, str]:
        """Of a cell and the trainings that it is the mean of: the one that is the furthest, and how many others are."""
        found = [(state, said) for part in parts if (state := self._state(part.key)) != "missing"
                 for said in [self._at_work_on(part.key)]]  # fmt: skip
        order: list[State] = ["training", "queued", "over", "failed"]
        found.sort(key=lambda one: order.index(one[0]))
        if not found:
            return "missing", ""
        more = len({said for _, said in found}) - 1
        return found[0][0], found[0][1] + (f" and {more} more" if more else "")

    def _state(self, key: Key) -> State:
        job = self.on_cluster.get(key)
        if job is None:
            return "training" if key in self.held else "missing"
        if job.state == "running":
            return "training"
        return next((state for state in ("over", "failed") if job.state.startswith(state)), "queued")

    def _at_work_on(self, key: Key) -> str:
        if (job := self.on_cluster.get(key)) is None:
            return str(self.held[key]) if key in self.held else ""
        log = f"; its log is {job.log}" if job.state.startswith(("failed", "over,")) and job.log is not None else ""
        told = "over, to be gathered by the same command again" if job.state == "over" else job.state
        far = "" if job.share is None else f", {job.share:.0%} of its work done"
        return one_line(f"job {job.job}, {told}{far}{log}")

    def _updates(self, cell: Cell) -> tuple[int, int] | None:
        """How far a training is, where it was begun: in the run directory, or wherever a job keeps it."""
        whole = self.store.checkpoint(*cell.whole)
        places = [whole if cell.member is None else member_checkpoint(whole, cell)]
        if (job := self.on_cluster.get(cell.key)) is not None and cell.key in job.checkpoints:
            places.append(job.checkpoints[cell.key] / whole.name)
        return max((far for far in map(progress, places) if far is not None), default=None)


def _others(store: Store, known: Sequence[Cell]) -> tuple[list[Key], list[str]]:
    """Cells that are stored, and that the spec does not name any more, or cannot be read to name; what is damaged."""
    found, damaged = [], []
    places = {store.folder(*cell.key) for cell in known}
    for file in sorted((store.path / "weights").glob("*/*/run.json")):
        if file.parent in places or ".damaged" in file.parent.name or file.parent.name.startswith("."):
            continue
        try:
            cell = StoredCell.read(file.parent)
        except IsoglossError as error:
            damaged.append(str(error))
            continue
        if cell.folder == store.folder(*cell.key):
            found.append(cell.key)
    return found, damaged


def _searches(out: Path) -> list[str]:
    """Folders of searches that have begun."""
    folder = out / records.FOLDER
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _of_search(key: Key, name: str) -> bool:
    """Whether a cell is a candidate of the search of that name."""
    return bool(name) and key[0].rpartition("-")[0] == name


def _search(out: Path, name: str, seen: _Seen) -> list[str]:
    """Where a search stands, in a line."""
    at = next((worker for (label, _), worker in seen.held.items() if label.endswith(SEARCHING)
               and safe_name(label.removesuffix(SEARCHING)) == name), None)  # fmt: skip
    whom = f"; {at} is at work on it" if at is not None else ""
    jobs = [job for job in seen.jobs if any(_of_search(key, name) for key in job.cells)]
    whom += "".join(f"; job {job.job}, {job.state}" for job in jobs)
    try:
        record = records.read(out, name)
    except IsoglossError as error:
        return [str(error)]
    if record is None:
        return [one_line(f"search of {name}: it has only begun{whom}")]
    if record.chosen is not None:
        return [one_line(f"search of {name}: {record.sentence()}")]
    rung = max((pause.rung for pause in record.pauses), default=0)
    done = len(record.of_rung(rung))
    if done >= record.rungs[rung][0] and rung + 1 < len(record.rungs):
        rung, done = rung + 1, 0
    count, share = record.rungs[rung]
    price = f"at the price of {record.cost:.1f} of at most {record.asked.budget:g} runs"
    told = f"round {rung + 1} of {len(record.rungs)}, to {share:.0%} of a training: {done} of {count} candidates"
    return [one_line(f"search of {name}: {told}, {price}{whom}")]
