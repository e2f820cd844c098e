"""What processes that work together tell each other beside their numbers: that there is a job, why one failed, the end.

It goes by keys and values that all see, not by calls that all have to make: so it is heard though a process is gone, or
is at something else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from isogloss.errors import IsoglossError, UntoldError
from isogloss.runtime.lost_process import LostError
from isogloss.runtime.process_group import Processes

JOB, DONE, STOPPED, FAILED = b"job", b"done", b"stopped", b"failed"  # what the first process says
GRACE = 5.0  # seconds that a process which failed waits for the others to fail likewise, or one that leaves to be heard
PATIENCE = 0.5  # seconds for what a process that is gone may have said, or for others to hear that one is gone
LAST_WORD = 3.0  # seconds that the first process has to say that it has found so too
LOOK_EVERY = 0.05  # seconds, at whether there is a word
AGAIN = "what was finished is stored, run again to go on"


@dataclass
class Messages:
    """This process among the others, while a run lasts.

    Args:
        processes: what computes with them.
        store: keys and values that all see; they tell what must be heard though a process is gone.
    """

    processes: Processes
    store: Any
    number: int = 0  # jobs that were handed out
    _incomplete: bool = False  # whether a process is gone

    def failed(self, error: Exception) -> bool:
        """Say that this process could not carry out the job, and hear whether none could.

        Which is so of a mistake, or a method's fault, that all run into; then they go on with the next job together.
        """
        why = " ".join(str(error).split()) or type(error).__name__
        with suppress(RuntimeError):  # what keeps the words may be gone with the first process
            self.store.set(self._failure(self.processes.rank), why.encode())
        until = time.monotonic() + GRACE
        others = [self._failure(rank) for rank in range(self.processes.count)]
        return all(self._within(until - time.monotonic(), one) is not None for one in others)

    def alone(self, error: Exception) -> IsoglossError:
        """Why the run cannot go on, where this process failed and another did not."""
        rank, why = self.processes.rank, " ".join(str(error).split()) or type(error).__name__
        return IsoglossError(f"process {rank} of {self.processes.count} has failed, not all of them: {why}; {AGAIN}")

    def lost(self, error: Exception) -> IsoglossError:
        """Why the run cannot go on, in a line."""
        self._incomplete = True
        own, until = self.processes.rank, time.monotonic() + PATIENCE
        # The first process speaks; where it is gone itself, the next one does.
        kind = UntoldError if own == 1 else IsoglossError
        for rank in range(self.processes.count):
            left = until - time.monotonic()
            if rank != own and (why := self._within(left, self._failure(rank))) is not None:
                return kind(f"process {rank} of {self.processes.count} has failed: {why.decode()}; {AGAIN}")
        return kind(f"one of the {self.processes.count} processes is gone ({error}); {AGAIN}")

    def _failure(self, rank: int) -> str:
        return f"failure/{self.number}/{rank}"

    def _within(self, seconds: float, key: str) -> bytes | None:
        """What stands there, if it is so within that time."""
        until = time.monotonic() + seconds
        with suppress(RuntimeError):
            while not self.store.check([key]):
                if time.monotonic() > until:
                    return None
                time.sleep(LOOK_EVERY)
            value: bytes = self.store.get(key)
            return value
        return None

    def say(self, word: bytes) -> None:
        """What follows the last job, to those that wait for it."""
        self.store.set(self._next, word)

    def end(self, kind: type[BaseException] | None, *_: object) -> None:
        """Say how the run is over, as it leaves a `with` block; those that follow do no more."""
        stopped = kind is not None and issubclass(kind, KeyboardInterrupt)
        with suppress(RuntimeError):
            self.say(DONE if kind is None else STOPPED if stopped else FAILED)
        if kind is None or stopped:
            self.leave()

    def heard(self, stop_requested: Callable[[], bool]) -> bytes:
        """What the first process says next.

        Args:
            stop_requested: whether this process was asked to stop; the first one is not waited for long then.

        Raises:
            LostError: it is gone.
            KeyboardInterrupt: it was asked to stop, and the first process says nothing.
        """
        until = None
        try:
            while not self.store.check([self._next]):
                time.sleep(LOOK_EVERY)
                if until is None and stop_requested():
                    until = time.monotonic() + GRACE
                if until is not None and time.monotonic() > until:
                    raise KeyboardInterrupt
            word: bytes = self.store.get(self._next)
        except RuntimeError as error:
            raise LostError(str(error)) from error
        return word

    def last_word(self) -> bytes | None:
        """What the first process said before it was gone, if it did."""
        return self._within(LAST_WORD, self._next)

    def leave(self) -> None:
        """Let the first process wait, but not for long, until all have heard that the run is over.

        What they hear it by may end with that process. To say so once more says nothing new.
        """
        with suppress(RuntimeError):
            self.store.set(f"left/{self.processes.rank}", b"1")
        if self.processes.leads:
            until = time.monotonic() + (PATIENCE if self._incomplete else GRACE)
            for rank in range(self.processes.count):
                self._within(until - time.monotonic(), f"left/{rank}")

    @property
    def _next(self) -> str:
        return f"next/{self.number + 1}"
