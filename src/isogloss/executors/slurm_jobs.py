"""The driver's side of jobs on a cluster: which are attached to, which are submitted, what has become of them."""

from __future__ import annotations

import pickle
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.errors import IsoglossError
from isogloss.executors.remote_display import RemoteDisplay
from isogloss.executors.slurm_folder import SlurmFolder, Ticket
from isogloss.executors.slurm_states import ENDING, FINAL, OVER, SlurmSilenceError, ended_as, states
from isogloss.executors.slurm_task import GIVEN_UP, IDLE, SlurmTask
from isogloss.executors.slurm_tickets import Tickets
from isogloss.experiment.job import Detached, FailedJob, Job, Outcome, PausedCell
from isogloss.experiment.remote_job import Event, Failure, Progress, RemoteError, Said, key_of, left_of
from isogloss.run_directory.cell import FinishedCell
from isogloss.runtime.visible import one_line

if TYPE_CHECKING:
    from isogloss.executors.slurm import Slurm

LOOK_EVERY = {"slurm": 10.0, "local": 0.5}  # seconds between two looks at how jobs are
STOP_EVERY = 0.25  # and at whether to stop
RESULT_COMES = {"slurm": 20.0, "local": 1.0}  # until a shared disk shows what a job that is over has left
NO_REQUEUE = "'scontrol'"  # in what a job says that stopped, and that the cluster lets not back in


@dataclass
class _Active:
    """A job that is waited for.

    Args:
        ticket: its own.
        job: of which it is all or a part; as the run directory has it.
        over: when it was first found to be over, though nothing of it is there.
        done: what of its cost was shown.
    """

    ticket: Ticket
    job: Job
    over: float | None = None
    done: float = 0.0


@dataclass
class SlurmJobs:
    """The jobs of one round.

    Args:
        executor: that submits them.
        folder: where they lie.
        out: the run directory.
        jobs: what is to be carried out.
        display: of their progress.
    """

    executor: Slurm
    folder: SlurmFolder
    out: Path
    jobs: Iterator[Job]
    display: RemoteDisplay
    active: dict[str, _Active] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tickets = Tickets(self.folder, self.out)
        self._silent = False

    def carry_out(self, stopping: Callable[[], bool]) -> Iterator[Outcome]:
        """Everything in the queue, until it is over; or as far as it is, where nobody waits.

        Raises:
            Detached: jobs are left, and go on.
            IsoglossError: likewise, and others failed.
            KeyboardInterrupt: it was asked to stop; jobs go on.
        """
        while True:
            self._fill()
            yield from self._look()
            self._fill()  # where what has ended makes room
            if not self.active:
                return
            if self.executor.detach:
                self._leave()
            self._pause(stopping)

    def _fill(self) -> None:
        """Take what is in the queue, as far as there is room; submit what nobody has submitted."""
        new: list[tuple[Ticket, Job, SlurmTask]] = []
        try:
            while self.executor.most is None or len(self.active) + len(new) < self.executor.most:
                if (job := next(self.jobs, None)) is None:
                    break
                tickets, left = self.tickets.attached(job)
                for ticket in tickets:
                    self.active.setdefault(ticket.name, _Active(ticket, job))
                if left is not None:
                    new.append(self._made(left))
        except BaseException:
            for ticket, *_ in new:
                self.tickets.forget(ticket)
            raise
        waiting = {ticket.name: ticket for ticket, *_ in new}
        try:
            self._submit(new, waiting)
        except BaseException:
            for ticket in waiting.values():
                self.tickets.forget(ticket)
            raise

    def _made(self, job: Job) -> tuple[Ticket, Job, SlurmTask]:
        settings = self.executor.settings
        ticket, sent = self.tickets.made(job, settings.cluster)
        patience = self.executor.signal / 2
        return ticket, job, SlurmTask(ticket.name, sent, self.folder, cpus=settings.cpus, patience=patience)

    def _submit(self, new: Sequence[tuple[Ticket, Job, SlurmTask]], waiting: dict[str, Ticket]) -> None:
        """Submit jobs; `waiting` loses each that has its number, so that it has the others where one is not taken."""
        if not new:
            return
        numbers = self.executor.submit(self.folder, new[0][1].spec.name, [task for *_, task in new])
        for (ticket, job, _), number in zip(new, numbers, strict=True):
            self.active[ticket.name] = _Active(self.tickets.began(ticket, number), job)
            del waiting[ticket.name]

    def _look(self) -> Iterator[Outcome]:
        """What has ended since, and how far the others are."""
        every, known = list(self.active.values()), self._states()
        for one in every:
            over = known.get(one.ticket.name) == OVER
            one.over = (one.over or time.monotonic()) if over else None
        for one in every:
            if one.over is not None and self.executor.detach:
                self._await_result(one)
            if self.folder.result(one.ticket).exists():
                yield from self._gathered(one)
            elif one.over is not None and self._waited(one) <= 0:
                yield from self._lost(one)
            else:
                self._show(one, known.get(one.ticket.name, ""))

    def _states(self) -> dict[str, str]:
        self.folder.refresh()
        try:
            known = states(self.folder, [one.ticket for one in self.active.values()])
        except SlurmSilenceError as error:
            if not self._silent:
                self.display.say(f"{error}; jobs go on, and are looked at again")
            self._silent = True
            return {}
        self._silent = False
        return known

    def _waited(self, one: _Active) -> float:
        """Seconds that are left until nothing is expected of a job that is over."""
        assert one.over is not None
        return RESULT_COMES[one.ticket.cluster] - (time.monotonic() - one.over)

    def _await_result(self, one: _Active) -> None:
        while not self.folder.result(one.ticket).exists() and (left := self._waited(one)) > 0:
            time.sleep(min(left, STOP_EVERY))

    def _show(self, one: _Active, state: str) -> None:
        if state in {"", OVER}:  # nobody knows, or it is about to hand something back
            return
        phase, cost = self.folder.progress(one.ticket) if state == "running" else (f"{one.ticket.title}: {state}", 0.0)
        new = max(0.0, cost - one.done)
        one.done += new
        self.display.progress(one.job, Progress(phase, 0, new))

    def _gathered(self, one: _Active) -> Iterator[Outcome]:
        """What a job hands back."""
        ticket = one.ticket
        try:
            outcome, value = _read(self.folder.result(ticket))
        except Exception as error:  # noqa: BLE001 - whatever a pickle of another version or half of one may raise
            outcome, value = "error", f"{type(error).__name__}: {error}"
        last = "" if outcome == "success" else str(value).strip().rpartition("\n")[2]
        if NO_REQUEUE in last:
            yield from self._lost(one, turned_away=True)
            return
        del self.active[ticket.name]
        self.display.progress(one.job, Progress(ticket.title, 0, max(0.0, one.job.cost - one.done)))
        self.display.end(one.job)
        if outcome != "success":
            stuck = f"it was stopped {IDLE} times in a row and got no further; give it more `minutes`"
            yield self._failure(one, stuck if GIVEN_UP in last else last)
            return
        yield from self._cells(ticket, value)
        if failures := [event for event in value if isinstance(event, Failure)]:
            yield self._failure(one, failures[0].why, mendable=failures[0].mendable, done=_done(value))
            return
        self.tickets.forget(ticket)

    def _cells(self, ticket: Ticket, events: Sequence[Event]) -> Iterator[Outcome]:
        for event in events:
            yield from self._outcome(ticket, event)

    def _outcome(self, ticket: Ticket, event: Event) -> Iterator[Outcome]:
        """A cell, if it is what is asked for; one that is finished also where nothing of it is asked for any more."""
        if isinstance(event, Said):
            self.display.say(event.line)
        if not isinstance(event, FinishedCell | PausedCell):
            return
        cell = next(cell for cell in ticket.cells if (cell.label, cell.seed) == key_of(event))
        wanted = self.tickets.wanted.get(cell.slot)
        if isinstance(event, PausedCell) and wanted == cell.facts:
            self.tickets.keep_checkpoints(ticket, cell)
            yield event
        elif isinstance(event, FinishedCell) and wanted in {None, cell.facts}:
            yield event

    def _failure(
        self, one: _Active, why: str, *, mendable: bool = True, done: set[tuple[str, int]] | None = None
    ) -> FailedJob:
        self.tickets.failed(one.ticket, why)
        log = self.folder.log(one.ticket)
        said = f"{one.ticket.title}: {why}" + (f"; its log is {log}" if log.exists() else "")
        self.failures.append(said)
        own = {(cell.label, cell.seed) for cell in one.ticket.cells}
        others = {cell.key for cell in one.job.cells} - own
        left = left_of(one.job, others | (done or set())) or one.job
        return FailedJob(left, IsoglossError(said) if mendable else RemoteError(said))

    def _lost(self, one: _Active, *, turned_away: bool = False) -> Iterator[Outcome]:
        """A job that is over and has handed nothing back: it begins again, where its checkpoint left it.

        Args:
            one: the job.
            turned_away: whether it has stopped as it should, and the cluster did not let it back in: it counts itself
                how often it stops without having got further.
        """
        ticket = one.ticket
        del self.active[ticket.name]
        self.display.end(one.job)
        how = ended_as(ticket)
        told = f"its job {ticket.job} ended{f' as {how}' if how else ''} and has handed nothing back"
        try:
            task = _read(self.folder.submission(ticket)).function
        except Exception:  # noqa: BLE001 - whatever a pickle of another version or half of one may raise
            task = None
        if how in FINAL or task is None or (ticket.tries > self.executor.settings.retries and not turned_away):
            why = told if ticket.tries == 1 else f"{told}, and so did {ticket.tries - 1} before it"
            events = [] if task is None else task.events  # cells that were done when it last went back into the queue
            yield from self._cells(ticket, events)
            why += ", and what was submitted is gone" if task is None else ""
            yield self._failure(one, why, done=_done(events))
            return
        self.display.say(f"{ticket.title}: {told}; it begins again where its checkpoint left it")
        tries = ticket.tries if turned_away else ticket.tries + 1
        again = self.folder.write(ticket.model_copy(update={"job": None, "tries": tries}))
        try:
            self._submit([(again, one.job, task)], {again.name: again})
        except BaseException:  # it is still lost, and nobody else has how far it is: the next process submits it
            self.folder.write(ticket)
            raise
        self.folder.drop_pickles(ticket)

    def _leave(self) -> None:
        """Say what goes on.

        Raises:
            Detached: always, unless a job failed.
            IsoglossError: one did, which nobody was told yet.
        """
        jobs = [one.ticket.job for one in self.active.values() if one.ticket.job]
        arrays = sorted({job.partition("_")[0] for job in jobs}, key=int)
        rest = self.executor.most is not None and next(self.jobs, None) is not None
        few = 8
        named = ", ".join(arrays[:few]) + (f" and {len(arrays) - few} more" if len(arrays) > few else "")
        # Trainings that pause are a part of something: of a search, or of a mean.
        follows = rest or any(one.job.until is not None for one in self.active.values())
        further = " and submits what follows" if follows else ""
        out = one_line(shlex.quote(str(self.out)))
        what = (
            f"{len(jobs)} job{'s are' if len(jobs) > 1 else ' is'} on the cluster ({named}); `isogloss status {out}` "
            f"says how far, and the same command again gathers what has ended{further}"
        )
        if self.failures:
            first, *others = self.failures
            for line in others:
                self.display.say(line)
            raise IsoglossError(f"{first} ({len(self.failures)} failed; {what})")
        raise Detached(what)

    def _pause(self, stopping: Callable[[], bool]) -> None:
        cluster = self.executor.settings.cluster
        end = time.monotonic() + LOOK_EVERY[cluster]
        while time.monotonic() < end:
            if stopping():
                arrays = sorted({str(one.ticket.job).partition("_")[0] for one in self.active.values()})
                ending = f"{ENDING[cluster]} {' '.join(arrays)}"
                self.display.say(f"jobs go on without this process; `{ending}` ends them")
                raise KeyboardInterrupt
            time.sleep(STOP_EVERY)


def _done(events: Sequence[Event]) -> set[tuple[str, int]]:
    return {key_of(event) for event in events if isinstance(event, FinishedCell | PausedCell)}


def _read(file: Path) -> Any:
    """A pickle of the user's own folder, which `SlurmFolder.open` has looked at."""
    with file.open("rb") as stream:
        return pickle.load(stream)  # noqa: S301
