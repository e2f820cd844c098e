"""Whether this process is one of several that a launcher has started to do one thing together.

`torchrun` (`python -m torch.distributed.run`) says so in the environment, as do launchers made to its pattern. Nothing
is imported here, so that what answers at once may ask.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from isogloss.errors import IsoglossError

NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
PORTS = 65535


@dataclass(frozen=True)
class Launch:
    """This process's place among those that were started together.

    Args:
        rank: its number, from 0.
        count: of all of them.
        local_rank: its number on its machine, from 0.
        local_count: of those on its machine.
    """

    rank: int
    count: int
    local_rank: int
    local_count: int


def launch() -> Launch | None:
    """Where this process stands; None where no launcher says that there are others, or might be.

    Raises:
        IsoglossError: what the environment says is no such place.
    """
    if not all(os.environ.get(name) for name in NAMES):
        return None
    rank, count = _number("RANK", 0), _number("WORLD_SIZE", 1)
    local = _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", count)
    if not (0 <= rank < count and 0 <= local[0] < local[1] <= count):
        raise IsoglossError(
            f"RANK is {rank}, WORLD_SIZE {count}, LOCAL_RANK {local[0]} and LOCAL_WORLD_SIZE {local[1]}; expected "
            "ranks below sizes, as torchrun sets them: start with torchrun, or unset them"
        )
    if not 0 < (port := _number("MASTER_PORT", 0)) <= PORTS:
        raise IsoglossError(f"MASTER_PORT is {port} in the environment; expected 1 to {PORTS}, as torchrun sets it")
    return Launch(rank, count, *local)


def speaks() -> bool:
    """Whether this process is the one of its machine that says why it ends; the others would say the same."""
    own = os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0"))
    return not (all(os.environ.get(name) for name in NAMES) and own != "0")


def host() -> str:
    """This machine's name, for lines that say where something failed."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise IsoglossError(f"{name} is {text!r} in the environment; expected a whole number, as torchrun sets it")
    return int(text)
