"""Which jobs of a run directory are on the cluster: known here by tickets, to everybody else by the run directory."""

from __future__ import annotations

import getpass
import os
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from isogloss.errors import IsoglossError
from isogloss.executors.slurm_folder import Slot, SlurmFolder, Ticket, TicketCell
from isogloss.executors.slurm_states import ENDING, OVER, elsewhere, place, states
from isogloss.experiment.job import Job
from isogloss.experiment.remote_job import checkpoint_files, left_of, write_files
from isogloss.experiment.submitted import SubmittedJob, forget, note, strange, submitted
from isogloss.runtime.files import atomic_file
from isogloss.store import Store, fingerprint


class Tickets:
    """All that was submitted for a run directory and is not gathered.

    Args:
        folder: where they lie.
        out: the run directory.
    """

    def __init__(self, folder: SlurmFolder, out: Path) -> None:
        self.folder, self.out = folder, out
        self.by_slot: dict[Slot, Ticket] = {}
        self.wanted: dict[Slot, str] = {}  # the fingerprints of what was asked for
        self._places: dict[Slot, Path] = {}  # and where its checkpoints are in the run directory
        known = folder.tickets()
        for ticket in known:
            self.by_slot |= {cell.slot: ticket for cell in ticket.cells}
        names = {ticket.name for ticket in known}
        self._strangers = {key: job for job in submitted(out) if job.name not in names for key in job.cells}
        for ticket in known:
            if self._is_stored(ticket):  # a process was killed when it had stored it
                self.forget(ticket)

    def attached(self, job: Job) -> tuple[list[Ticket], Job | None]:
        """Tickets of what is submitted of a job, and what is to be submitted.

        Raises:
            IsoglossError: a job of the cluster is at one of its cells, and makes something else; or it was submitted
                by somebody else.
        """
        tickets: dict[str, Ticket] = {}
        there = set[tuple[str, int]]()
        for number, cell in enumerate(cells_of(job)):
            self.wanted[cell.slot] = cell.facts
            if job.checkpoints:
                self._places[cell.slot] = job.checkpoints[number]
            if (ticket := self.by_slot.get(cell.slot)) is None:
                continue
            self._refuse_elsewhere(ticket)
            (submitted_as,) = (one.facts for one in ticket.cells if one.slot == cell.slot)
            if ticket.job is None or ticket.failed is not None or submitted_as != cell.facts:
                self._clear(ticket)
                continue
            tickets[ticket.name] = ticket
            there.add((cell.label, cell.seed))
        left = left_of(job, there)
        for one in () if left is None else left.cells:
            if one.key in self._strangers:
                raise strange(self.out, self._strangers[one.key])
        return list(tickets.values()), left

    def made(self, job: Job, cluster: str) -> tuple[Ticket, Job]:
        """A ticket, and the job as it is sent: its checkpoints lie beside the ticket, those that there are too."""
        name = uuid.uuid4().hex
        said = {
            "name": name, "cluster": cluster, "title": job.title, "cost": job.cost, "cells": cells_of(job),
            "place": place(cluster),
        }  # fmt: skip
        ticket = Ticket.model_validate(said)
        (self.folder.path / name).mkdir()
        files = tuple(self.folder.checkpoint(name, number, file.name) for number, file in enumerate(job.checkpoints))
        sent = replace(job, checkpoints=files)
        write_files(sent, {key: file.read_bytes() for key, file in checkpoint_files(job).items()})
        return self.folder.write(ticket), sent

    def began(self, ticket: Ticket, number: str) -> Ticket:
        """A job has its number; it is known from now on."""
        ticket = self.folder.write(ticket.model_copy(update={"job": number, "submitted": time.time()}))
        note(self.out, SubmittedJob(
            name=ticket.name, executor="slurm", job=number, user=_user(), host=socket.gethostname(),
            title=ticket.title[:2000], cells=[(cell.label, cell.seed) for cell in ticket.cells],
        ))  # fmt: skip
        self.by_slot |= {cell.slot: ticket for cell in ticket.cells}
        return ticket

    def failed(self, ticket: Ticket, why: str) -> None:
        """A job failed: its log stays, and how far its trainings are goes into the run directory."""
        for cell in ticket.cells:
            self.keep_checkpoints(ticket, cell)
        self.folder.drop_pickles(ticket)
        self.folder.drop_checkpoints(ticket)
        forget(self.out, ticket.name)
        self.folder.write(ticket.model_copy(update={"failed": why}))

    def forget(self, ticket: Ticket) -> None:
        """A job is gathered, or given up."""
        forget(self.out, ticket.name)
        self.folder.forget(ticket)
        for cell in ticket.cells:
            self.by_slot.pop(cell.slot, None)

    def keep_checkpoints(self, ticket: Ticket, cell: TicketCell) -> None:
        """Put a cell's checkpoints where the run directory has them, if it is known where."""
        if (place := self._places.get(cell.slot)) is None:
            return
        here = self.folder.checkpoint(ticket.name, ticket.cells.index(cell), place.name)
        for file in sorted(here.parent.rglob(here.name)):
            _copy(file, place.parent / file.relative_to(here.parent))

    def _clear(self, ticket: Ticket) -> None:
        """A job that failed, was never submitted, or would make something else than is wanted now."""
        if ticket.job is not None and ticket.failed is None and not self.folder.result(ticket).exists():
            state = states(self.folder, [ticket])[ticket.name]
            if state != OVER:
                raise IsoglossError(
                    f"job {ticket.job} ({ticket.title}) is {state}, and makes something else than is asked for now; "
                    f"end it by `{ENDING[ticket.cluster]} {ticket.job}`, or wait for it, and run again"
                )
        if ticket.failed is None:
            for cell in ticket.cells:
                self.keep_checkpoints(ticket, cell)
        self.forget(ticket)

    def _refuse_elsewhere(self, ticket: Ticket) -> None:
        """A job that nobody can ask about here, and that may go on where it is."""
        if ticket.job is None or ticket.failed is not None or self.folder.result(ticket).exists():
            return
        if where := elsewhere(ticket):
            raise IsoglossError(
                f"job {ticket.job} ({ticket.title}) is not to be seen from here: {where}; run the same command there, "
                f"or end it there and delete {self.folder.file(ticket)}"
            )

    def _is_stored(self, ticket: Ticket) -> bool:
        if ticket.failed is not None or not self.folder.result(ticket).exists():
            return False
        store = Store(self.out)
        stored = [(cell, store.has(cell.label, cell.seed)) for cell in ticket.cells]
        return all(one is not None and set(cell.languages) <= one.record.test_data.keys() for cell, one in stored)


def cells_of(job: Job) -> list[TicketCell]:
    """The cells of a job, with all that decides what comes of each."""
    added = job.languages if job.trained is not None else ()
    cells = []
    for cell, facts in zip(job.cells, job.facts, strict=True):
        looks = None if job.monitor is None else [job.monitor.examples, job.monitor.every.get(cell.key)]
        decides: Mapping[str, object] = {
            "facts": facts, "until": job.until, "languages": list(job.languages), "looks": looks
        }  # fmt: skip
        label, seed = cell.key
        cells.append(TicketCell(label=label, seed=seed, languages=added, facts=fingerprint(decides)))
    return cells


def _copy(file: Path, there: Path) -> None:
    with atomic_file(there) as temporary:
        temporary.write_bytes(file.read_bytes())


def _user() -> str:
    try:
        return getpass.getuser()[:100]
    except (KeyError, OSError):  # a container may know no name
        return str(os.getuid())
