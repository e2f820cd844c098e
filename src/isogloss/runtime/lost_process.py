"""Another process that is gone, as torch.distributed tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist


class LostError(Exception):
    """Another process of the group is gone, or cannot be reached."""


@contextmanager
def lost() -> Iterator[None]:
    """What torch says of a process that is gone, as one kind of error."""
    try:
        yield
    except RuntimeError as error:  # all of torch.distributed's own are
        raise _as_lost(error) from error


def lost_by(error: Exception) -> LostError | None:
    """What an error says of another process that is gone; None where it is one of this process's own.

    What speaks to the others by itself, as weights do that are spread over them, raises torch's errors.
    """
    if isinstance(error, LostError):
        return error
    speaking = isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "/gloo/" in str(error))
    return _as_lost(error) if speaking else None


def _as_lost(error: Exception) -> LostError:
    why = " ".join(str(error).split()).partition(". ")[0]
    return LostError(why.rpartition("] ")[2][:200] or type(error).__name__)
