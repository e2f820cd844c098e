"""Dropout inside a model: none while it is frozen, as much as the settings say where it learns."""

from __future__ import annotations

from torch import nn

# Attributes that hold a share which a model's own code gives to the function, not to a module.
FUNCTIONAL = ("dropout", "hidden_dropout", "attention_dropout", "activation_dropout")


def set_dropout(model: nn.Module, share: float) -> None:
    """Set all dropout inside a model, be it a module or an attribute.

    Args:
        model: a transformers model, or a part of one.
        share: of the numbers that are set to zero in training.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        for name in FUNCTIONAL:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)
