"""Layers compiled one by one, for where they learn; all that does not learn goes plainly, as its shapes are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from isogloss.backbones.attention import keep_outside
from isogloss.runtime.console import err

BACKEND = "inductor"


class CompiledLayers:
    """The layers of one model, compiled when they are first called with a gradient to come.

    Where there is no compiler, or it fails, it is said once and the layers go on plainly. A copy of the model has none
    of this: it is compiled anew.

    Args:
        layers: of the model.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.failed = False
        self.called = 0
        keep_outside(torch.compiler.disable)
        for layer in layers:
            switched: Any = layer
            switched._compiled_call_impl = self._call_of(layer)  # noqa: SLF001 - where `nn.Module.compile` puts it

    def _call_of(self, layer: nn.Module) -> Any:
        plain: Any = layer._call_impl  # noqa: SLF001 - what `nn.Module.compile` compiles
        compiled: Any = torch.compile(plain, dynamic=False, backend=BACKEND, options=_options())

        def call(*arguments: Any, **options: Any) -> Any:
            if self.failed or not torch.is_grad_enabled():
                return plain(*arguments, **options)
            try:
                made = compiled(*arguments, **options)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a compiler and its own tools can fail in any way
                self.failed = True
                why = " ".join(str(error).split()) or type(error).__name__
                err.print(f"compile: layers go on plainly, as they cannot be compiled here: {why:.200}", markup=False)
                return plain(*arguments, **options)
            self.called += 1
            return made

        return call


def _options() -> dict[str, Any] | None:
    """What is drawn is what plain layers draw; and kernels that are chosen by their time may be others another time."""
    if BACKEND != "inductor":
        return None
    tuned = {"max_autotune": False, "coordinate_descent_tuning": False}
    return {"fallback_random": True, **(tuned if torch.are_deterministic_algorithms_enabled() else {})}
