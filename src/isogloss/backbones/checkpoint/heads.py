"""Heads of transformers' classes: linear layers over a model's states, by the names that their weights have.

All of them are one or two linear layers. Which, what stands between, and which token's state they read is known by the
family of the model and the kind of task, as transformers' code has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from isogloss.backbones.backbone import Pooling
from isogloss.backbones.checkpoint.folder import ModelFolder
from isogloss.backbones.checkpoint.kinds import Activation, HeadKind
from isogloss.backbones.families.bert import FIRST_POSITION_AFTER_PAD

Linear = tuple[Float[Tensor, "_ _"], Float[Tensor, "_"] | None]  # weight (out, in) and bias (out)
SPAN = ("start", "end")  # what the two scores of a token are, where answers are looked for


@dataclass(frozen=True)
class HeadLayout:
    """The layers of a head, and what they read.

    Args:
        classifier: the name of the last layer.
        dense: the name of the layer in front of it, if there is one.
        activation: between the two.
        pooling: which state of a text is read; None: each token's.
    """

    classifier: str
    dense: str | None = None
    activation: Activation | None = None
    pooling: Pooling | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all layers."""
        return (self.classifier,) if self.dense is None else (self.dense, self.classifier)


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """A head that was trained elsewhere.

    Args:
        classifier: the last layer, a row for each class.
        names: of the classes.
        dense: the layer in front of it, if there is one.
        activation: between the two.
        pooling: which state of a text is read; None: each token's, or as the backbone was trained.
    """

    classifier: Linear
    names: Sequence[str]
    dense: Linear | None = None
    activation: Activation | None = None
    pooling: Pooling | None = None


_CLASSIFIER, _SCORE = HeadLayout("classifier"), HeadLayout("score")
_SPANS = HeadLayout("qa_outputs")
_ENCODER: dict[HeadKind, HeadLayout] = {"tagging": _CLASSIFIER, "questions": _SPANS}
_LAST = HeadLayout("score", pooling="last")
_GENERIC: dict[HeadKind, HeadLayout] = {"classification": _LAST, "tagging": _SCORE, "questions": _SPANS}
_OLD: dict[HeadKind, HeadLayout] = {"classification": _LAST, "tagging": _CLASSIFIER, "questions": _SPANS}
_BERT = HeadLayout("classifier", "pooler.dense", "tanh", "first")
_ROBERTA = HeadLayout("classifier.out_proj", "classifier.dense", "tanh", "first")
_DISTILBERT = HeadLayout("classifier", "pre_classifier", "relu", "first")
# By transformers' model types. T5 and its kin classify texts and find answers by their decoders, XGLM does neither.
LAYOUTS: dict[str, dict[HeadKind, HeadLayout]] = {
    "bert": {"classification": _BERT, **_ENCODER},
    "distilbert": {"classification": _DISTILBERT, **_ENCODER},
    **{name: {"classification": _ROBERTA, **_ENCODER} for name in sorted(FIRST_POSITION_AFTER_PAD)},
    **dict.fromkeys(("gemma", "gemma3_text", "llama", "mistral", "qwen2", "qwen3"), _GENERIC),
    **dict.fromkeys(("bloom", "gpt_neox"), _OLD),
    **{name: {"tagging": _CLASSIFIER} for name in ("mt5", "t5", "umt5")},
}


def layout_of(folder: ModelFolder, model_type: str, kind: HeadKind) -> HeadLayout:
    """How models of a family score a kind of task.

    Raises:
        IsoglossError: they do it in no way that isogloss computes.
    """
    if (layout := LAYOUTS.get(model_type, {}).get(kind)) is None:
        known = ", ".join(name for name, kinds in LAYOUTS.items() if kind in kinds)
        folder.refuse(f"isogloss has no head for {kind} over a {model_type} trained elsewhere; known: {known}")
    return layout


def read_head(
    folder: ModelFolder, layout: HeadLayout, weights: Mapping[str, Tensor], *, width: int, names: Sequence[str] | None
) -> TrainedHead:
    """A head of its weights by name, in float32.

    Args:
        folder: where they are from, for errors.
        layout: of the head.
        weights: of its layers, such as `classifier.weight`.
        width: H, of the states.
        names: of the classes; None: nothing says them, and transformers calls them by number.

    Raises:
        IsoglossError: one is missing, of another shape, or no number.
    """
    dense = None if layout.dense is None else _linear(folder, layout.dense, weights, width, rows=width)
    classifier = _linear(folder, layout.classifier, weights, width)
    count = len(classifier[0])
    if names is None:
        names = [f"LABEL_{number}" for number in range(count)]
    if layout is _SPANS:
        if count != len(SPAN):
            folder.refuse(f"{layout.classifier} has {count} scores of a token; expected two, for start and end")
        names = SPAN
    if count == 1 and layout.pooling is not None:
        folder.refuse(f"{layout.classifier} gives a text one number, as for a regression; expected a score a class")
    if len(names) != count:
        folder.refuse(f"it names {len(names)} classes, but {layout.classifier}.weight has rows for {count}")
    return TrainedHead(classifier, names, dense, layout.activation, layout.pooling)


def _linear(
    folder: ModelFolder, name: str, weights: Mapping[str, Tensor], width: int, *, rows: int | None = None
) -> Linear:
    weight, bias = weights.get(f"{name}.weight"), weights.get(f"{name}.bias")
    if weight is None:
        folder.refuse(
            f"it has no {name}.weight, which its scores go through, and nor has its backbone: it was drawn where the "
            f"head was trained, and not saved; save it too (with PEFT, modules_to_save: [{name.partition('.')[0]}, …])"
        )
    expected = f"{'classes' if rows is None else rows} by {width}"
    if weight.ndim != 2 or weight.shape[1] != width or (rows or len(weight)) != len(weight) or not len(weight):  # noqa: PLR2004
        folder.refuse(f"{name}.weight is {' by '.join(map(str, weight.shape)) or 'one number'}; expected {expected}")
    if bias is not None and bias.shape != weight.shape[:1]:
        folder.refuse(f"{name}.bias is {' by '.join(map(str, bias.shape))}; expected {len(weight)}")
    for what, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and not bool(tensor.isfinite().all()):
            folder.refuse(f"{name}.{what} holds values that are no numbers (NaN or infinite)")
    return weight.float(), None if bias is None else bias.float()
