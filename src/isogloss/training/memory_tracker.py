"""How many bytes of tensors are alive while something is computed, and were at most."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryTracker(TorchDispatchMode):
    """Counts each storage that an operator makes, until it is freed; what was there before is not counted."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Sequence[Any] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        """Do what was asked for, and look at what came out."""
        for tensor in tree_leaves([arguments, options]):
            if isinstance(tensor, Tensor):
                self._note(tensor, counted=False)
        made = function(*arguments, **(options or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._note(tensor, counted=True)
        return made

    def _note(self, tensor: Tensor, *, counted: bool) -> None:
        storage = tensor.untyped_storage()
        name = storage._cdata  # noqa: SLF001 - addresses are 0 where there is no memory
        if name in self._known:
            return
        size = storage.nbytes() if counted else 0

        def freed(_: Any) -> None:
            del self._known[name]
            self.now -= size

        self._known[name] = weakref.ref(storage, freed)
        self.now += size
        self.most = max(self.most, self.now)
