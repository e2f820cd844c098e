"""Jobs that failed: one error, a line of each other one, and their logs in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from isogloss.errors import IsoglossError
from isogloss.experiment.job import FailedJob
from isogloss.runtime.console import err
from isogloss.runtime.files import atomic_file
from isogloss.store import safe_name

LOGS = "logs"  # of jobs that failed elsewhere, in a run directory
ALIKE = 3  # jobs that failed for the same reason, of each of which there is a line


def raise_failed(out: Path, failed: Sequence[FailedJob], handed_out: int) -> NoReturn:
    """Why jobs failed: of one the error, of which a fault comes first, and a line of each other one."""
    first, *others = sorted(failed, key=lambda job: isinstance(job.error, IsoglossError))
    alike: Counter[str] = Counter()
    for other in others:
        why = (" ".join(str(other.error).split()) or type(other.error).__name__).removeprefix(f"{other.job.title}: ")
        log, alike[why] = _log(out, other), alike[why] + 1
        if alike[why] <= ALIKE:
            err.print(f"{other.job.title} failed: {why}{log}", markup=False, soft_wrap=True)
    for why, count in alike.items():
        if count > ALIKE:
            err.print(f"{count - ALIKE} more jobs failed: {why}", markup=False, soft_wrap=True)
    counted = f"{len(failed)} of {handed_out} jobs failed; the others are stored"
    if not isinstance(first.error, IsoglossError):
        err.print(f"{first.job.title} failed; {counted}{_log(out, first)}", markup=False, soft_wrap=True)
        raise first.error
    others_too = f" ({counted})" if handed_out > 1 else ""
    raise IsoglossError(f"{first.error}{others_too}{_log(out, first)}") from first.error


def _log(out: Path, failed: FailedJob) -> str:
    """Keep what was said where a job failed elsewhere, and say where."""
    if not failed.log:
        return ""
    cell, languages = failed.job.cells[0], failed.job.languages
    parts = [safe_name(cell.whole[0]), str(cell.whole[1])]
    parts += [] if cell.member is None else [f"member-{cell.member[0] + 1}"]
    parts += [safe_name(languages[0])] if failed.job.trained is not None and languages else []
    file = out / LOGS / f"{'-'.join(parts)}.log"
    with suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        with atomic_file(file) as temporary:
            temporary.write_text(failed.log + "\n", encoding="utf-8")
    return f"; its log is {file}"
