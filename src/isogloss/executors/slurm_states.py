"""How jobs are that were submitted: asked of Slurm by its own commands, or of this machine's processes.

`squeue` alone decides whether a job is over: it needs no accounting, which small clusters do not have. How it ended is
asked of `sacct`, and where there is none of `scontrol`, which forgets a job after some minutes.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from isogloss.errors import IsoglossError
from isogloss.executors.slurm_folder import SlurmFolder, Ticket
from isogloss.experiment.submitted import ClusterJob, submitted

SECONDS = 60  # that Slurm is given for an answer
RUNNING = {"RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED", "SUSPENDED"}
# What would end so again, however often it is tried.
FINAL = {"CANCELLED", "OUT_OF_MEMORY", "DEADLINE", "REVOKED"}
OVER = "over"
LOST = (
    f"{OVER}, with no result to be seen: the same command again gathers it, or submits it where its checkpoint left it"
)
ENDING = {"slurm": "scancel", "local": "kill"}  # what ends a job


class SlurmSilenceError(IsoglossError):
    """Slurm does not answer. Jobs are none the worse for it."""


def states(folder: SlurmFolder, tickets: Sequence[Ticket]) -> dict[str, str]:
    """By name of the ticket: `running`, `queued` with Slurm's reason behind it, or `over`.

    Of a job that was submitted elsewhere, where that is: nobody here knows how it is.

    Raises:
        SlurmSilenceError: Slurm does not answer.
    """
    here = [ticket for ticket in tickets if elsewhere(ticket) is None]
    listed = _listed() if any(ticket.cluster == "slurm" for ticket in here) else {}
    found = {ticket.name: f"unknown: {elsewhere(ticket)}" for ticket in tickets}
    for ticket in here:
        if ticket.job is None:
            found[ticket.name] = OVER
        elif ticket.cluster == "slurm":
            found[ticket.name] = listed.get(ticket.job, OVER)
        else:
            found[ticket.name] = "running" if _alive(folder, ticket.job) else OVER
    return found


def ended_as(ticket: Ticket) -> str:
    """How a job ended, in Slurm's words; empty where nobody knows."""
    if ticket.cluster != "slurm" or ticket.job is None:
        return ""
    with suppress(SlurmSilenceError):
        said = _asked("sacct", "-X", "-n", "-P", "-o", "State", "-j", ticket.job)
        if words := said.split():
            return words[0]
    with suppress(SlurmSilenceError):
        if found := re.search(r"\bJobState=(\w+)", _asked("scontrol", "show", "job", "-o", ticket.job)):
            return found[1]
    return ""


def place(cluster: str) -> str:
    """Where the number of a job means something: the name of this machine, or of its cluster if Slurm says it."""
    return socket.gethostname() if cluster == "local" else configured().get("ClusterName", "")


def elsewhere(ticket: Ticket) -> str | None:
    """Where a job is, if it is not where this process is: a disk may be of several clusters, or login nodes."""
    here = place(ticket.cluster) if ticket.place else ""
    if not here or here == ticket.place:
        return None
    kind = "a process of" if ticket.cluster == "local" else "on the cluster"
    return f"it is {kind} {ticket.place}, and this is {here}"


@cache
def configured() -> Mapping[str, str]:
    """How Slurm is set up, by its own words; empty where it did not say when it was asked, once a process."""
    try:
        said = _asked("scontrol", "show", "config")
    except SlurmSilenceError:
        return {}
    return dict(re.findall(r"^(\w+) *= *(\S+)", said, re.MULTILINE))


def cluster_jobs(out: Path) -> list[ClusterJob]:
    """The jobs of a run directory that are on a cluster, or failed there; nothing is written.

    Of those that somebody else has submitted there is what the run directory says, which asks nobody anything.

    Args:
        out: the run directory.
    """
    folder = SlurmFolder(out)
    tickets = [ticket for ticket in folder.tickets() if ticket.job is not None]
    asked = [ticket for ticket in tickets if ticket.failed is None]
    try:
        known = states(folder, asked)
    except SlurmSilenceError as error:
        known = {ticket.name: f"unknown: {error}" for ticket in asked}
    jobs = []
    for ticket in tickets:
        over = ticket.failed is None and folder.result(ticket).exists()
        state = f"failed: {ticket.failed}" if ticket.failed is not None else OVER if over else known[ticket.name]
        state = LOST if state == OVER and not over else state
        cells = [(cell.label, cell.seed) for cell in ticket.cells]
        kept = {key: folder.path / ticket.name / str(number) for number, key in enumerate(cells)}
        share = min(1.0, folder.progress(ticket)[1] / ticket.cost) if state == "running" and ticket.cost else None
        log = folder.log(ticket) if folder.log(ticket).exists() else None
        jobs.append(ClusterJob(str(ticket.job), ticket.title, cells, state, log, kept, share))
    names = {ticket.name for ticket in tickets}
    strangers = [job for job in submitted(out) if job.name not in names]
    return jobs + [
        ClusterJob(job.job, job.title, job.cells, f"submitted by {job.user} on {job.host}") for job in strangers
    ]


def _listed() -> dict[str, str]:
    """Jobs of this user that are not over, by number."""
    said = _asked("squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i|%T|%r")
    jobs = {}
    for line in said.splitlines():
        job, state, reason = [*line.strip().split("|", 2), "", ""][:3]
        told = "" if reason in {"", "None"} else f" ({reason})"
        jobs[job] = "running" if state in RUNNING else f"queued{told}"
    return jobs


def _asked(*command: str) -> str:
    # `SQUEUE_STATES` and the like would hide jobs, which would be taken for over.
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    try:
        done = subprocess.run(command, capture_output=True, env=plain, timeout=SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace")
        why = (said or str(error)).strip().partition("\n")[0]
        raise SlurmSilenceError(f"{command[0]} does not answer ({why})") from error
    return done.stdout.decode(errors="replace")


def _alive(folder: SlurmFolder, job: str) -> bool:
    """Whether submitit's process of a local job is there; another one may have got its number since."""
    process = Path("/proc", job)
    if process.parent.is_dir() and Path("/proc/self").exists():
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return b"submitit.local._local" in words and os.fsencode(folder.path) in words
    try:
        os.kill(int(job), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
