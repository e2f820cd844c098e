"""The tensors of a PEFT directory, sorted by what they are for: a prompt, changes of the backbone, or the head.

Each is held against the module that its name means before it is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.checkpoint.adapter_head import class_names
from isogloss.backbones.checkpoint.folder import ModelFolder
from isogloss.backbones.checkpoint.heads import HeadLayout, TrainedHead, read_head
from isogloss.backbones.checkpoint.updates import changed
from isogloss.backbones.checkpoint.weights import FLOATS, opened
from isogloss.errors import IsoglossError

ADAPTER, TENSORS = "adapter_config.json", "adapter_model.safetensors"
VECTORS = "prompt_embeddings"
_UPDATE = re.compile(r"(?P<module>.+)\.(?P<what>lora_[AB]\.weight|lora_embedding_[AB]|ia3_l)")

# What PEFT wraps a module in. Biases that were trained keep the adapter's name, beside those saved without it.
_WRAPPED = re.compile(r"\.(?:base_layer|modules_to_save(?:\.default)?)(?=\.)")


def read_tensors(folder: ModelFolder, file: str) -> dict[str, Tensor]:
    """All tensors of a file, in float32.

    Raises:
        IsoglossError: it is no such file, or holds what is no number.
    """
    with opened(folder, [folder.part(file)]) as held:
        for name, part in held.items():
            if (dtype := part.get_dtype()) not in FLOATS:
                folder.refuse(f"{name:.120} is stored as {dtype}; expected float32, bfloat16 or float16")
        tensors = {name: part[...].float() for name, part in held.items()}
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            folder.refuse(f"{name:.120} holds values that are no numbers (NaN or infinite); fetch it again")
    return tensors


class AdapterTensors:
    """An adapter's tensors, by what they are for.

    Args:
        folder: that they are from.
        config: the adapter's.
        backbone: that they are for.
        layout: of the head that is among them; None: it lies elsewhere.
    """

    def __init__(
        self, folder: ModelFolder, config: Mapping[str, Any], backbone: Backbone, layout: HeadLayout | None
    ) -> None:
        self.folder, self.config, self.backbone, self.layout = folder, config, backbone, layout
        self.vectors: Tensor | None = None
        self._of_backbone: dict[str, Tensor] = {}  # changes, by the names of `updates`
        self._of_head: dict[str, Tensor] = {}
        self._modules = dict(backbone.model.named_modules())
        prefix = f"{getattr(backbone.model, 'base_model_prefix', '')}."
        self._prefixes = ["", prefix, "transformer.", "encoder.", f"{prefix}encoder.", "transformer.encoder."]

    def add(self, name: str, tensor: Tensor, *, prompt: bool) -> None:
        """Take a tensor in.

        Args:
            name: of it, as PEFT has it.
            tensor: in float32.
            prompt: whether it stands beside a prompt, for which PEFT wraps a model once less.

        Raises:
            IsoglossError: nothing has a place for it, or another shape.
        """
        if prompt and name == VECTORS:
            self.vectors = tensor
            return
        plain = name.removeprefix("base_model.") if prompt else name.removeprefix("base_model.model.")
        plain = _WRAPPED.sub("", plain)
        if ".original_module." in plain:  # what a module that was trained anew has taken the place of
            return
        if (update := _UPDATE.fullmatch(plain)) is not None:
            self._add_update(name, update["module"], update["what"], tensor)
            return
        module, _, parameter = plain.rpartition(".")
        target, changes = self._target(name, module)
        if changes is self._of_backbone:
            held = getattr(self._modules[target], parameter, None)
            if not isinstance(held, nn.Parameter):
                raise self._unknown(name)
            self._check(name, tensor, tuple(held.shape))
            if torch.equal(held.detach().cpu().float(), tensor):  # saved though it never learnt
                return
        if changes is None:
            return
        twice = changes.setdefault(f"weight.{target}.{parameter}", tensor)
        if not torch.equal(twice, tensor):
            self.folder.refuse(f"{TENSORS} has {target:.100}.{parameter} twice, and not the same; save it again")

    def _add_update(self, name: str, module: str, what: str, tensor: Tensor) -> None:
        target, changes = self._target(name, module)
        if changes is None:
            return
        if tensor.ndim != 2 or not tensor.numel():  # noqa: PLR2004 - a matrix
            self._check(name, tensor, ("rows", "columns"))
        if what.startswith("lora_embedding"):  # (r, V) and (H, r): the rows of the table are words
            tensor = tensor.T.contiguous()
        kinds = {"ia3_l": "scale", "lora_A.weight": "lora_a", "lora_embedding_B": "lora_a"}
        key = f"{kinds.get(what, 'lora_b')}.{target}"
        if what not in kinds:
            tensor = tensor * self._scale(module, rank=tensor.shape[1])
        if changes is self._of_backbone:
            self._check_fits(name, key, tensor, self._modules[target])
        changes[key] = tensor

    def _check_fits(self, name: str, key: str, tensor: Tensor, module: nn.Module) -> None:
        if not isinstance(module, nn.Linear | nn.Embedding):
            self.folder.refuse(
                f"{name:.120} changes a {type(module).__name__}; expected a linear layer or an embedding"
            )
        rows, columns = module.weight.shape
        if key.startswith("scale."):
            if tuple(tensor.shape) not in {(rows, 1), (1, columns)}:
                self._check(name, tensor, (rows, 1))
        elif key.startswith("lora_a."):
            self._check(name, tensor, (tensor.shape[0], columns))
        else:
            self._check(name, tensor, (rows, tensor.shape[1]))

    def checked_changes(self) -> Mapping[str, Tensor]:
        """The changes of the backbone.

        Raises:
            IsoglossError: an update has one factor alone.
        """
        self._check_pairs(self._of_backbone)
        return self._of_backbone

    def head(self, base_weight: Callable[[str], Tensor | None]) -> TrainedHead:
        """The head that is among the tensors, its changes folded in.

        Args:
            base_weight: a weight of the base, where the adapter has none.

        Raises:
            IsoglossError: there is none, or something of it is missing or of another shape.
        """
        assert self.layout is not None
        self._check_pairs(self._of_head)
        weights: dict[str, Tensor] = {}
        for layer in self.layout.layers:
            weight = self._of_head.get(f"weight.{layer}.weight")
            bias = self._of_head.get(f"weight.{layer}.bias")
            if weight is None:
                weight = base_weight(f"{layer}.weight")
                bias = base_weight(f"{layer}.bias") if bias is None else bias
            if weight is None:
                continue
            change = self._of_head.get(f"scale.{layer}", self._of_head.get(f"lora_b.{layer}"))
            if change is not None:
                try:
                    weight, bias = changed(weight, bias, change, self._of_head.get(f"lora_a.{layer}"))
                except RuntimeError as error:
                    raise self.folder.refusal(f"its update of {layer} does not fit it ({error})") from error
            weights |= {f"{layer}.weight": weight} | ({} if bias is None else {f"{layer}.bias": bias})
        names = class_names(self.folder)
        return read_head(self.folder, self.layout, weights, width=self.backbone.shape.width, names=names)

    def _check_pairs(self, changes: Mapping[str, Tensor]) -> None:
        for name in changes:
            what, _, target = name.partition(".")
            if what not in {"lora_a", "lora_b"}:
                continue
            first, second = changes.get(f"lora_a.{target}"), changes.get(f"lora_b.{target}")
            if first is None or second is None:
                self.folder.refuse(f"{TENSORS} has one factor of the update of {target:.100} and not the other")
            if second.shape[1] != first.shape[0]:
                self.folder.refuse(f"the two factors of the update of {target:.100} are of different ranks")

    def _target(self, name: str, module: str) -> tuple[str, dict[str, Tensor] | None]:
        """The module that PEFT's name means, and where its changes belong; None: nothing reads it."""
        for prefix in self._prefixes:
            if not module.startswith(prefix):
                continue
            plain = module.removeprefix(prefix)
            if self.layout is not None and plain in self.layout.layers:
                return plain, self._of_head
            if plain and plain in self._modules:
                return plain, self._of_backbone
            if plain.partition(".")[0] == "pooler":  # of a model of which other states are read
                return plain, None
        raise self._unknown(name)

    def _unknown(self, name: str) -> IsoglossError:
        return self.folder.refusal(
            f"{TENSORS} holds {name!r:.140}, for which {self.backbone.identity.name} has no place"
        )

    def _check(self, name: str, tensor: Tensor, shape: tuple[object, ...]) -> None:
        if tuple(tensor.shape) != shape:
            came, expected = (" by ".join(map(str, sizes)) or "one number" for sizes in (tensor.shape, shape))
            self.folder.refuse(f"{name:.120} is {came}; expected {expected}, as {self.backbone.identity.name} has it")

    def _scale(self, module: str, rank: int) -> float:
        """What an update is multiplied by."""
        alpha: Any = self.config.get("lora_alpha", 8)
        patterns = self.config.get("alpha_pattern") or {}
        if not isinstance(patterns, Mapping):
            self.folder.refuse(f"{ADAPTER} says alpha_pattern: {patterns!r:.60}; expected numbers by module")
        for pattern, value in patterns.items():
            if not re.fullmatch(r"\^?[\w.]+", pattern):  # a stranger's regular expression may take for ever
                self.folder.refuse(f"{ADAPTER} says alpha_pattern: {pattern!r:.60}; expected names of modules")
            if module == pattern.removeprefix("^") or (pattern[0] != "^" and module.endswith(f".{pattern}")):
                alpha = value
                break
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
            self.folder.refuse(f"{ADAPTER} says lora_alpha: {alpha!r:.60}; expected a number")
        return float(alpha) / (math.sqrt(rank) if self.config.get("use_rslora") else rank)
