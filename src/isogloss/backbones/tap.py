"""Hidden states on their way: those behind one layer, taken while a pass goes on, with their gradient."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor


class ReachedError(Exception):
    """What is wanted is computed: the rest of the pass is not."""


class Tap:
    """A forward hook of one layer, there for good; it takes nothing unless it is open.

    It stays, as a compiled layer would be compiled anew for each hook that comes and goes; and it closes when a pass is
    over, as a layer that keeps little memory is computed once more on the way back.
    """

    def __init__(self) -> None:
        self.open = False
        self.last = False  # whether the pass ends here
        self._taken: Tensor | None = None

    def __call__(self, _layer: Any, _given: Any, made: Any) -> None:
        """Take what the layer has made."""
        if self.open:
            self._taken = made[0] if isinstance(made, tuple) else made
            if self.last:
                raise ReachedError

    def states(self) -> Float[Tensor, "joined H"]:
        """Those of the last pass, all rows end to end; once."""
        assert self._taken is not None
        taken, self._taken = self._taken[0], None
        return taken
