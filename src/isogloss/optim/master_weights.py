"""Weights that compute in bf16 and learn in float32 (Micikevicius et al. 2018, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from isogloss.runtime.process_group import current


class MasterWeights(nn.Module):
    """Float32 copies of a model's trainable weights, to learn in.

    Where the model computes in float32 a master is the weight itself. Elsewhere it is a copy: each micro-batch's
    gradient is added to it in float32, and the model takes over its value before the next forward pass.

    Args:
        model: the model that computes.
        weights: those of its parameters that train, by name.
    """

    def __init__(self, model: nn.Module, weights: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self._working = dict(weights)
        self._seen = -1
        self.shapes: dict[str, torch.Size] = {}  # of masters that are a part of a whole, by their own names
        self._stale = False  # whether a step may have followed a gradient; fused optimisers do not count as changes
        for name, weight in weights.items():
            weight.requires_grad_(True)
            master = weight
            if weight.dtype != torch.float32:
                master = nn.Parameter(weight.detach().float())
                weight.register_post_accumulate_grad_hook(self._adder(master))  # type: ignore[no-untyped-call]
            self.register_parameter(_key(name), master)
        model.register_forward_pre_hook(self._publish)

    def named(self) -> dict[str, Tensor]:
        """The masters by the names of the model's parameters, whole where processes keep parts of them."""
        return {name: self._whole(_key(name)) for name in self._working}

    def _whole(self, key: str) -> Tensor:
        own = self.get_parameter(key).detach()
        return current().whole(own, self.shapes[key]) if key in self.shapes else own

    def spread(self, model: nn.Module) -> None:
        """Learn in this process's parts of the weights, once the model's are spread over several processes.

        Args:
            model: the same as before.
        """
        there = dict(model.named_parameters())
        for name in self._working:
            weight: Any = there[name]
            if not hasattr(weight, "to_local"):
                continue
            self.shapes[_key(name)] = weight.shape
            master = nn.Parameter(weight.detach().to_local().float().clone())
            weight.register_post_accumulate_grad_hook(self._adder(master))
            self.register_parameter(_key(name), master)
            self._working[name] = weight
        words = model.get_input_embeddings()  # type: ignore[operator]
        words.register_forward_pre_hook(self._publish, prepend=True)  # it is called before the model is

    def parameters_by_name(self) -> dict[str, nn.Parameter]:
        """The masters themselves, by the names of the model's parameters."""
        return {name: self.get_parameter(_key(name)) for name in self._working}

    def is_part(self, name: str) -> bool:
        """Whether this process has but a part of a weight, by its name in the model."""
        return _key(name) in self.shapes

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take these values over."""
        with torch.no_grad():
            for name in self._working:
                key = _key(name)
                own = current().own(tensors[name]) if key in self.shapes else tensors[name]
                self.get_parameter(key).copy_(own)

    def publish(self) -> None:
        """Bring the working weights up to date."""
        pairs = [(weight, self.get_parameter(_key(name))) for name, weight in self._working.items()]
        copied = [(_here(weight.detach()), master.detach()) for weight, master in pairs if master is not weight]
        if copied:
            torch._foreach_copy_([weight for weight, _ in copied], [master for _, master in copied])
        self._seen, self._stale = self._changes(), False

    def _publish(self, *_: Any) -> None:
        """Bring them up to date if a master may have changed since they last were."""
        if self._stale or self._changes() != self._seen:
            self.publish()

    def _changes(self) -> int:
        return sum(master._version for master in self.parameters())  # noqa: SLF001 - autograd's own count of them

    def _adder(self, master: nn.Parameter) -> Any:
        def add(weight: Tensor) -> None:
            assert weight.grad is not None
            gradient = _here(weight.grad).float()
            master.grad = gradient if master.grad is None else master.grad.add_(gradient)
            weight.grad = None
            self._stale = True

        return add


def _here(tensor: Tensor) -> Tensor:
    """This process's part of what is spread over several."""
    local: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return local


def _key(name: str) -> str:
    """A module's own parameter names may hold no dots."""
    return name.replace(".", "/")
