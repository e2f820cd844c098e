"""Programs that run once, in a process of their own: how long, and with how much memory at the most."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.cells import Program

ROOT = Path(__file__).parents[1]
GIGABYTE = 1e9
LONGEST = 24 * 3600.0  # seconds
# A process that is small itself: Linux counts what a process was before it began its program as its own memory.
LAUNCH = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
SPIN = "while True: sum(range(10_000))"


def run(program: Program, *, until: float, say: Callable[[str], None]) -> dict[str, Any]:
    """What a program takes.

    Args:
        program: which.
        until: when, on `time.monotonic`, it is stopped.
        say: is told what is under way.

    Returns:
        `seconds`, `memory` in GB, and more of the kind; or `failed`.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        return KINDS[program.kind](program, Path(folder), until, say)


def _demo(program: Program, folder: Path, until: float, say: Callable[[str], None]) -> dict[str, Any]:
    """As `make demo` runs it, with a cache that is empty, as after an installation."""
    out = str(folder / "demo")
    commands = [["run", "demo", "--out", out], ["analyze", out, "tokenization", "--quiet"], ["report", out]]
    if program.settings.get("quick"):
        commands = [["run", "demo", "--dry-run"]]
    total, memory = 0.0, 0.0
    with _busy(program.settings.get("busy", 0)):
        for command in commands:
            say(f"isogloss {command[0]}")
            more = {"ISOGLOSS_CACHE": str(folder / "cache")}
            done = _measured([sys.executable, "-m", "isogloss", *command], folder, until, more)
            total, memory = total + done["seconds"], max(memory, done["memory"])
            if "failed" in done:
                return {"failed": f"isogloss {command[0]}: {done['failed']}", "seconds": total, "memory": memory}
    return {"seconds": total, "memory": memory}


def _tokenising(program: Program, folder: Path, until: float, say: Callable[[str], None]) -> dict[str, Any]:
    pairs = 1000 if program.settings.get("quick") else program.settings["pairs"]
    say(f"{pairs:,} pairs")
    done = _measured([sys.executable, "-m", "benchmarks.tokenising", str(pairs)], folder, until, {})
    if "failed" in done:
        return done
    found: dict[str, Any] = json.loads(done["said"].splitlines()[-1])
    return found


def _measured(command: list[str], folder: Path, until: float, more: dict[str, str]) -> dict[str, Any]:
    """Seconds and most memory of one process and those it waited for."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}
    log, errors, memory = folder / "log", folder / "errors", folder / "memory"
    between = [sys.executable, "-S", "-c", LAUNCH, str(memory), *command]
    began = time.monotonic()
    with log.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(between, stdout=out, stderr=err, env=environment, start_new_session=True)  # noqa: S603
        try:
            process.wait(max(0.0, min(until - began, LONGEST)))
        except subprocess.TimeoutExpired:
            taken = time.monotonic() - began
            return {"failed": f"not done after {taken:.0f} s, and stopped", "seconds": taken, "memory": 0.0}
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    most = int(memory.read_text(encoding="utf-8")) * unit / GIGABYTE
    result: dict[str, Any] = {"seconds": time.monotonic() - began, "memory": most}
    if process.returncode:
        last = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return {**result, "failed": " ".join(last)[:300] or f"exit code {process.returncode}"}
    return {**result, "said": log.read_text(encoding="utf-8", errors="replace")}


@contextmanager
def _busy(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Other processes that compute all the time."""
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]  # noqa: S603
    try:
        yield others
    finally:
        for other in others:
            other.kill()
            other.wait()


KINDS = {"demo": _demo, "tokenising": _tokenising}
