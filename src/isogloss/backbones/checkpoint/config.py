"""What kind of model a folder holds, and of what size: judged before anything of that size is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import CONFIG_MAPPING

from isogloss.backbones.backbone import Shape
from isogloss.backbones.checkpoint.folder import CONFIG, ModelFolder
from isogloss.backbones.families.bert import FIRST_POSITION_AFTER_PAD
from isogloss.backbones.families.family import Family
from isogloss.backbones.families.registry import families
from isogloss.errors import IsoglossError

HEADED = ("ForMaskedLM", "ForCausalLM", "LMHeadModel")  # architectures with a head over the vocabulary
# Of classifiers, of how transformers is to load and compute, and of where it is to look for more: none of it is used.
UNUSED = {
    "attn_implementation", "chunk_size_feed_forward", "distributed_config", "dtype", "experts_implementation",
    "fusion_config", "id2label", "label2id", "num_labels", "problem_type", "torch_dtype", "transformers_weights",
}  # fmt: skip
# Of how it was saved and is used elsewhere: two that differ in these alone are the same model.
BOOKKEEPING = {
    "architectures", "bos_token_id", "cls_token_id", "eos_token_id", "gradient_checkpointing", "initializer_factor",
    "initializer_range", "output_past", "sep_token_id", "tokenizer_class", "transformers_version", "use_cache",
}  # fmt: skip
COUNTS_OF_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers")
MOST_POSITIONS = 1 << 31
LARGEST_TABLE = 1 << 30  # numbers in a table of sinusoids, which no file holds and which is made at loading


@dataclass(frozen=True)
class ModelConfig:
    """A model's configuration, of a family that isogloss knows.

    Args:
        family: what it is.
        values: transformers' configuration.
        headed: whether the checkpoint was saved with a head over the vocabulary.
        written: what the file says of the model, for the record.
    """

    family: Family
    values: Any
    headed: bool
    written: dict[str, Any]

    @property
    def shape(self) -> Shape:
        """Its sizes."""
        return self.family.shape(self.values)


def read_config(folder: ModelFolder, tensors: int) -> ModelConfig:
    """The configuration in a model folder.

    Args:
        folder: the checkpoint.
        tensors: how many its weights hold, which no count of layers can exceed.

    Raises:
        IsoglossError: it is of no family that isogloss knows, wants code of its own, or cannot be.
    """
    raw = folder.json(CONFIG)
    kind = raw.get("model_type")
    if raw.get("auto_map"):
        folder.refuse(f"{CONFIG} brings code of its own (auto_map), which isogloss never runs; expected a known family")
    family = families().get(kind) if isinstance(kind, str) else None
    if family is None:
        raise IsoglossError(f"backbone {folder.name} is of the family {kind!r:.80}; known: {', '.join(families())}")
    _refuse_foreign(folder, raw, family, tensors)
    named = raw.get("architectures")
    headed = any(str(name).endswith(HEADED) for name in named) if isinstance(named, list) else False
    raw = {key: value for key, value in raw.items() if key not in UNUSED and not key.startswith("_")}
    written = {key: value for key, value in raw.items() if key not in BOOKKEEPING}
    try:
        config = ModelConfig(family, CONFIG_MAPPING[kind].from_dict(raw), headed, written)
        shape = config.shape
    # Each version of transformers checks other values, and raises other errors.
    except Exception as error:
        raise folder.refusal(f"{CONFIG} cannot be understood ({reason(error)}); expected a {kind} model's") from error
    for size, value in vars(shape).items():
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MOST_POSITIONS:
            folder.refuse(f"{CONFIG} gives the model a {size.replace('_', ' ')} of {value!r:.40}; expected a size")
    if kind == "xglm" and shape.positions * shape.width > LARGEST_TABLE:
        folder.refuse(f"{CONFIG} says max_position_embeddings: {shape.positions}; expected a few thousand")
    config.values._name_or_path = folder.name.partition("@")[0]  # noqa: SLF001 - by which transformers knows some
    return config


def _refuse_foreign(folder: ModelFolder, raw: dict[str, Any], family: Family, tensors: int) -> None:
    """Refuse what is a model of the family by its name alone."""
    if raw.get("quantization_config"):
        folder.refuse("its weights are quantised; expected float32, bfloat16 or float16, or a GGUF file")
    if raw["model_type"] in FIRST_POSITION_AFTER_PAD and raw.get("pad_token_id", 0) is None:
        folder.refuse(f"{CONFIG} names no pad_token_id, behind which this family's positions begin")
    if raw.get("is_decoder") and not family.causal:
        folder.refuse(f"{CONFIG} says is_decoder: true; of this family isogloss reads encoders alone")
    for key in COUNTS_OF_LAYERS:
        if isinstance(layers := raw.get(key), int) and not 0 < layers <= tensors:
            folder.refuse(f"{CONFIG} says {key}: {layers:.6g}, of which its {tensors:,} weights cannot be")


def reason(error: BaseException, most: int = 300) -> str:
    """Why, in a line: what follows are hints that do not know of isogloss."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if text.endswith(":") and len(lines) > 1:  # the reason stands below
        text = f"{text} {lines[1]}"
    if isinstance(error, KeyError):
        text = f"unknown {text}"
    return text if len(text) <= most else text[:most] + "…"
