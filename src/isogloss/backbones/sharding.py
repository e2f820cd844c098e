"""A backbone whose weights are spread over several processes: each keeps a part of every matrix (FSDP2).

A layer's weights are put together for as long as it computes, forward and backward, and let go again. The word
embedding is spread as the layers are; what stands outside both (positions, norms) is small, and stays whole in every
process. Each layer is a unit of its own, and so is the word embedding, which is called before the model is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from isogloss.backbones.backbone import Backbone

OUTSIDE = "relative_attention_bias"  # small tables in a layer that are read where it does not compute
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs")


def shard(backbone: Backbone, device: torch.device, whole: Collection[nn.Parameter]) -> None:
    """Spread a backbone's weights over all processes, in place.

    Args:
        backbone: that nothing else computes with; its weights may lie on the host.
        device: where each process computes.
        whole: weights inside the layers that stay whole in each process.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    model = backbone.model
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    words = _own_table(backbone.word_embedding)
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    precise = MixedPrecisionPolicy(reduce_dtype=torch.float32)  # gradients of half precision are summed in float32
    for unit in (words, *layers):
        inside = {
            weight for name, weight in unit.named_parameters() if OUTSIDE in name or any(weight is one for one in whole)
        }
        sharded: Any = fully_shard(
            unit, mesh=mesh, reshard_after_forward=True, mp_policy=precise, ignored_params=inside
        )
        sharded.set_gradient_divide_factor(1.0)  # a sum over examples, not a mean over processes
        sharded.set_force_sum_reduction_for_comms(True)
    for tensor in (*model.parameters(), *model.buffers()):
        if not is_part(tensor) and tensor.device.type != device.type:
            tensor.data = tensor.data.to(device)


def is_part(tensor: torch.Tensor) -> bool:
    """Whether a tensor is spread over processes."""
    return hasattr(tensor, "to_local")


def _own_table(words: nn.Module) -> nn.Module:
    """The table of all words, which copies of a backbone share until now, and its hooks, which rows that learn do."""
    table: Any = getattr(words, "table", words)
    if not table.weight.requires_grad:
        table.weight = nn.Parameter(table.weight.detach().clone(), requires_grad=False)
    for name in HOOKS:
        setattr(table, name, OrderedDict(getattr(table, name)))
    found: nn.Module = table
    return found
