"""Dropout inside a model: none while it is frozen, as much as the settings say where it learns."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

# Attributes that hold a share which a model's own code gives to the function, not to a module.
FUNCTIONAL = ("dropout", "hidden_dropout", "attention_dropout", "activation_dropout")
# What an attention module calls that of its weights, be it a share or a module; all else in it is of states.
OF_WEIGHTS = ("dropout", "attention_dropout")


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
            if _is_share(getattr(module, name, None)):
                setattr(module, name, share)


def set_attention_dropout(attention: Iterable[nn.Module], share: float) -> None:
    """Set the dropout of attention weights alone.

    Args:
        attention: the attention modules of a model.
        share: of the weights that are set to zero in training.
    """
    for module in attention:
        for name in OF_WEIGHTS:
            held = getattr(module, name, None)
            if isinstance(held, nn.Dropout):
                held.p = share
            elif _is_share(held):
                setattr(module, name, share)


def attention_dropout(module: nn.Module) -> float:
    """The dropout of an attention module's weights, as it is now: none but in training."""
    if not module.training:
        return 0.0
    held = [getattr(module, name, None) for name in OF_WEIGHTS]
    shares = [one.p if isinstance(one, nn.Dropout) else one for one in held]
    return max((float(share) for share in shares if _is_share(share)), default=0.0)  # type: ignore[arg-type]


def drops(model: nn.Module) -> bool:
    """Whether anything inside a model, or a part of one, drops out as it is now."""
    for module in model.modules():
        held = [module.p] if isinstance(module, nn.Dropout) else [getattr(module, name, None) for name in FUNCTIONAL]
        if module.training and any(_is_share(one) and one for one in held):
            return True
    return False


def _is_share(held: object) -> bool:
    """Configurations write 0 as a whole number, too."""
    return isinstance(held, int | float) and not isinstance(held, bool)
