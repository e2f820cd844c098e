"""Changes of a model's weights: what LoRA and IA3 are once they are folded into the matrices that they stand beside.

By name: `lora_b.MODULE` (rows, r) and `lora_a.MODULE` (r, columns), whose product is added to the module's weight;
`scale.MODULE` (rows, 1) or (1, columns), by which it is multiplied, in the first case with its bias;
`weight.PARAMETER`, which takes the place of a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


@torch.no_grad()
def apply_updates(model: nn.Module, updates: Mapping[str, Tensor]) -> None:
    """Change a model's weights. They become parameters of its own, whatever it shared them with.

    Args:
        model: of one's own.
        updates: by name, on any device.

    Raises:
        AttributeError: the model has no such module.
        KeyError: an update lacks a factor.
        RuntimeError: a change is of another shape.
    """
    for name, change in updates.items():
        what, _, target = name.partition(".")
        if what == "weight":
            module, _, parameter = target.rpartition(".")
            _put(model.get_submodule(module), parameter, change)
        elif what in {"lora_b", "scale"}:
            layer = model.get_submodule(target)
            before: Tensor | None = getattr(layer, "bias", None)
            other = updates[f"lora_a.{target}"] if what == "lora_b" else None
            weight, bias = changed(layer.weight, before, change, other)  # type: ignore[arg-type]
            _put(layer, "weight", weight)
            if bias is not None and bias is not before:
                _put(layer, "bias", bias)


def changed(weight: Tensor, bias: Tensor | None, change: Tensor, other: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A weight (rows, columns) and its bias after a change.

    Args:
        weight: as it was.
        bias: likewise, if there is one.
        change: `lora_b`, or a scale.
        other: `lora_a`; None: the change is a scale.

    Raises:
        RuntimeError: the change is of another shape.
    """
    change = change.to(weight.device).float()
    if other is not None:
        update = change @ other.to(weight.device).float()
        if update.shape != weight.shape:
            raise RuntimeError(f"{tuple(update.shape)} and not {tuple(weight.shape)}")
        return weight.float() + update, bias
    rows, columns = weight.shape
    if tuple(change.shape) not in {(rows, 1), (1, columns)}:
        raise RuntimeError(f"{tuple(change.shape)} beside {tuple(weight.shape)}")
    # A scale of what comes out is one of the bias too; of what goes in it is not.
    outer = change.shape[1] == 1 and change.shape[0] == rows
    return weight.float() * change, bias.float() * change[:, 0] if bias is not None and outer else bias


def _put(module: nn.Module, name: str, value: Tensor) -> None:
    before = getattr(module, name)
    if not isinstance(before, nn.Parameter) or value.shape != before.shape:
        raise RuntimeError(f"{name} is no parameter of the shape {tuple(value.shape)}")
    setattr(module, name, nn.Parameter(value.to(before.device, before.dtype), requires_grad=False))
