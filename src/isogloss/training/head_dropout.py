"""Dropout of the head's inputs: a share of the numbers, drawn by seed, update and example alone.

What is drawn does not depend on how rows are stacked, cut into passes or spread over devices; nor on the device.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

GOLDEN = -1640531527  # 2**32 over the golden ratio, as a signed number: neighbours fall far apart


def kept(
    number: Int[Tensor, "K U"], seed: Int[Tensor, "K"], width: int, share: Float[Tensor, "K"]
) -> Float[Tensor, "K U H"]:
    """What the head's inputs are multiplied by: 0, or the inverse of the share that is kept.

    Args:
        number: of each unit among those of its run's features.
        seed: of each run in this update.
        width: H.
        share: of the numbers that are set to zero, by run.
    """
    unit = _mixed(seed[:, None] + number.int() * GOLDEN)
    drawn = _mixed(unit[..., None] + torch.arange(1, width + 1, dtype=torch.int32, device=number.device) * GOLDEN)
    chance = (drawn & 0x7FFFFFFF).float() / 2.0**31
    share = share[:, None, None]
    return (chance >= share) / (1 - share)


def _mixed(bits: Int[Tensor, "*any"]) -> Int[Tensor, "*any"]:
    """The finaliser of MurmurHash3 (Appleby, public domain), on 32 bits; shifts repeat the sign, which does as well."""
    bits = (bits ^ (bits >> 16)) * -2048144789
    bits = (bits ^ (bits >> 13)) * -1028477387
    return bits ^ (bits >> 16)
