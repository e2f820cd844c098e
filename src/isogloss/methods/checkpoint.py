"""What someone trained elsewhere, scored as it is: a PEFT adapter on the backbone, or a fine-tuned model of its own.

Nothing is trained. Which class is which label is known by their names (`isogloss.tasks.label_names`), and a class that
is no label is never predicted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeInt, field_validator
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.checkpoint.kinds import Activation, Form, HeadKind
from isogloss.backbones.checkpoint.updates import apply_updates
from isogloss.backbones.prompts import PromptForm
from isogloss.errors import IsoglossError
from isogloss.methods.method import Imported
from isogloss.methods.settings import Settings
from isogloss.runtime.checked import Checked
from isogloss.tasks.label_names import match_labels

if TYPE_CHECKING:
    from isogloss.backbones.checkpoint.heads import TrainedHead

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}
_HEAD, _DENSE, _BACKBONE = "head.", "dense.", "backbone."


class FoundCheckpoint(Checked):
    """What a checkpoint turned out to be."""

    sha256: str = Field(description="over the names and values of all that it brings")
    form: Form = Field(description="what it does to a backbone, or that it is a model of its own")
    backbone: str | None = Field(None, description="the hash of its own backbone's weights, where it is one")
    length: NonNegativeInt = Field(0, le=100_000, description="positions of its prompt")
    pools_prompt: bool = Field(False, description="whether its head reads the state of the prompt's first position")
    segments: bool = Field(True, description="whether its backbone is told which of two texts a token is of")
    activation: Activation | None = Field(None, description="between the two layers of its head")
    subword: Literal["first", "last"] | None = Field(None, description="which sub-word of a word it tags")
    labels: dict[str, str] = Field(description="the labels of the data by what its classes are called")


class CheckpointSettings(Settings):
    """Settings of a checkpoint: where it lies, and what its names mean."""

    FILLED_IN: ClassVar[frozenset[str]] = frozenset({"found", "pooling"})
    NO_MEAN: ClassVar[str] = "it is trained already"

    # Nothing is trained, so none of these is a choice.
    lr: ClassVar[float] = 1.0  # type: ignore[misc]
    head_lr: ClassVar[float] = 1.0  # type: ignore[misc]
    epochs: ClassVar[int] = 0  # type: ignore[misc]
    batch_size: ClassVar[int] = 32  # type: ignore[misc]
    warmup: ClassVar[float] = 0.0  # type: ignore[misc]
    decay: ClassVar[str] = "constant"  # type: ignore[misc]
    weight_decay: ClassVar[float] = 0.0  # type: ignore[misc]
    clip: ClassVar[float] = 1.0  # type: ignore[misc]
    dropout: ClassVar[float] = 0.0  # type: ignore[misc]
    head: ClassVar[str] = "linear"  # type: ignore[misc]
    select: ClassVar[str] = "last"  # type: ignore[misc]

    path: str = Field(
        min_length=1, description="a folder with a PEFT adapter or a fine-tuned model, or a hub id (org/name@revision)"
    )
    labels: dict[str, str] = Field(
        {}, description="labels by the names of its classes, where these are other names: {LABEL_0: politics}"
    )
    same_base: bool = Field(
        False, description="take the adapter's base for the spec's backbone, whatever the adapter calls it"
    )
    found: FoundCheckpoint | None = Field(None, description="what it turned out to be; filled in by the run")

    @field_validator("path")
    @classmethod
    def _whole_path(cls, path: str) -> str:
        """Of a folder that is there, so that it is the same one wherever the spec is run from."""
        if not path.isprintable():
            raise ValueError("expected a folder or a hub id")
        try:
            folder = Path(path).expanduser()
            return str(folder.resolve()) if folder.is_dir() else path
        except (OSError, RuntimeError, ValueError):  # a path that there cannot be
            return path


class CheckpointPart(nn.Module):
    """A prompt, a changed backbone or one of its own, and whatever stands between states and classifier.

    Args:
        found: what the checkpoint is.
        tensors: as they are stored.
        backbone: what computes.
    """

    vectors: Tensor | None
    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, found: FoundCheckpoint, tensors: Mapping[str, Tensor], backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.ahead = found.length if found.pools_prompt else 0
        self.segments = found.segments
        self.activation = found.activation
        self.tensors = [dict(tensors)]  # in a list: as they came, wherever this goes
        self.trained = sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point())
        for name in ("weight", "bias"):
            self.register_buffer(name, _float(tensors.get(f"{_DENSE}{name}")), persistent=False)
        of_prompt = tensors.get(f"{_BACKBONE}vectors") if found.form in {"prompt", "prefix"} else None
        self.register_buffer("vectors", _float(of_prompt), persistent=False)

    def forward(self) -> Tensor:
        """The prompt or the prefix as the backbone sees it."""
        assert self.vectors is not None
        return self.vectors

    def read(self, states: Float[Tensor, "K U H"]) -> Float[Tensor, "K U H"]:
        """What the classifier reads of the states."""
        if self.weight is None:
            return states
        made = nn.functional.linear(states, self.weight, self.bias)
        return made if self.activation is None else ACTIVATIONS[self.activation](made)


def _float(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.float()


class Checkpoint:
    """See `Method`, and `Importer`."""

    name = "checkpoint"
    settings: type[Settings] = CheckpointSettings
    frozen = False
    passes = 0.0
    alike: tuple[str, ...] = ()

    def check(self, backbone: Backbone, settings: CheckpointSettings) -> None:
        """`read` looks at everything."""

    def read(
        self, backbone: Backbone, settings: CheckpointSettings, *, labels: Sequence[str], kind: HeadKind, base: str,
        subword: str | None,
    ) -> Imported:  # fmt: skip
        """See `Importer`."""
        from isogloss.backbones.checkpoint.adapters import read_adapter
        from isogloss.backbones.checkpoint.fine_tuned import read_fine_tuned
        from isogloss.backbones.checkpoint.source import checkpoint_folder, is_adapter
        from isogloss.backbones.loading import unused_weight

        folder = checkpoint_folder(settings.path)
        try:
            if is_adapter(folder):
                trained = read_adapter(
                    folder, backbone, kind=kind, base=base, base_weight=partial(unused_weight, base),
                    same_base=settings.same_base,
                )  # fmt: skip
            else:
                trained = read_fine_tuned(folder, backbone, kind=kind)
        except IsoglossError:
            raise
        except RecursionError as error:
            raise folder.refusal("it is nested too deep") from error
        match = match_labels(trained.head.names, labels, settings.labels)
        own = trained.backbone or backbone
        _check_last_token(settings.path, trained.head, own, reads_vectors=trained.form == "prompt")
        tensors = {f"part.{_BACKBONE}{name}": tensor for name, tensor in trained.tensors.items()}
        tensors |= _head_tensors(trained.head, match.rows)
        found = FoundCheckpoint(
            sha256=_sha256(tensors), form=trained.form, length=trained.length, pools_prompt=trained.pools_prompt,
            backbone=None if trained.backbone is None else trained.backbone.identity.weights,
            segments=trained.segments, activation=trained.head.activation, subword=None if subword else trained.subword,
            labels={trained.head.names[row]: label for row, label in zip(match.rows, labels, strict=True)},
        )  # fmt: skip
        filled = settings.model_copy(update={"found": found, "pooling": trained.head.pooling})
        return Imported(filled, tensors, trained.backbone, [*trained.said, *match.said])

    def build(self, backbone: Backbone, settings: CheckpointSettings, generator: torch.Generator) -> CheckpointPart:
        """Never called: there is nothing to begin with.

        Raises:
            IsoglossError: always.
        """
        raise IsoglossError("a checkpoint is not trained here; it is read")

    def form(self, settings: Sequence[CheckpointSettings]) -> PromptForm | None:
        """What stands in front of the text."""
        found = [one.found for one in settings]
        lengths = tuple(one.length for one in found if one is not None)
        form = None if found[0] is None else found[0].form
        if form == "prompt":
            return PromptForm("input", lengths, place="before")
        return PromptForm("prefix", lengths) if form == "prefix" else None

    def positions(self, settings: CheckpointSettings) -> int:
        """A position for each of a prompt or a prefix, behind which the text's begin."""
        return 0 if settings.found is None else settings.found.length

    def stored(self, part: CheckpointPart) -> dict[str, Tensor]:
        """All that came, so that nothing of where it came from is needed again."""
        return part.tensors[0]

    def restore(
        self, backbone: Backbone, settings: CheckpointSettings, tensors: Mapping[str, Tensor]
    ) -> CheckpointPart:
        """The part, over a backbone that it may change, or that is the checkpoint's own already."""
        if (found := settings.found) is None:
            raise ValueError("its settings do not say what was found")
        held = {name.removeprefix(_BACKBONE): tensors[name] for name in tensors if name.startswith(_BACKBONE)}
        if found.form == "updates":
            apply_updates(backbone.model, held)
        elif found.form == "model" and backbone.identity.weights != found.backbone:
            from isogloss.backbones.checkpoint.fine_tuned import rebuilt

            backbone = rebuilt(held, settings.path, backbone)
            if backbone.identity.weights != found.backbone:
                raise ValueError("its weights are not those that were found")
        elif found.form in {"prompt", "prefix"} and held["vectors"].shape[0 if found.form == "prompt" else 2] != (
            found.length
        ):
            raise ValueError(f"its prompt is of {tuple(held['vectors'].shape)} and not of length {found.length}")
        return CheckpointPart(found, dict(tensors), backbone)


def _head_tensors(head: TrainedHead, rows: Sequence[int]) -> dict[str, Tensor]:
    """A head as isogloss has it: the classifier with a column for each label, and what stands in front of it."""
    weight, bias = head.classifier
    tensors = {
        "head.weight": weight[list(rows)].T.contiguous(),
        "head.bias": torch.zeros(len(rows)) if bias is None else bias[list(rows)].contiguous(),
    }
    if head.dense is not None:
        for name, tensor in zip(("weight", "bias"), head.dense, strict=True):
            if tensor is not None:
                tensors[f"part.{_DENSE}{name}"] = tensor.clone()  # one file holds no tensor twice
    return tensors


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check_last_token(path: str, head: TrainedHead, backbone: Backbone, *, reads_vectors: bool) -> None:
    """Transformers takes the last token that is no padding, whatever it is; where vectors come in, the last one."""
    padding = getattr(backbone.model.config, "pad_token_id", None)
    if head.pooling != "last" or head.dense is not None or reads_vectors or padding is None:
        return
    if (ids := backbone.tokenizer("a")["input_ids"]) and ids[-1] == padding:
        raise IsoglossError(
            f"checkpoint {path}: its tokenizer ends a text with the token that it pads with, so that transformers' "
            "classes read the state in front of it; expected a pad_token_id of its own in config.json"
        )


METHOD = Checkpoint()
