"""A PEFT directory: what it does to a backbone, and the head that it brings. PEFT itself is not needed.

Its files are strangers': nothing in them is run, and a setting that changes what is computed and is not known here is
refused by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.checkpoint.adapter_base import check_base
from isogloss.backbones.checkpoint.adapter_head import ExportedHead, exported_head
from isogloss.backbones.checkpoint.adapter_tensors import ADAPTER, TENSORS, VECTORS, AdapterTensors, read_tensors
from isogloss.backbones.checkpoint.folder import ModelFolder
from isogloss.backbones.checkpoint.heads import layout_of
from isogloss.backbones.checkpoint.kinds import Form, HeadKind
from isogloss.backbones.checkpoint.trained import TrainedElsewhere

PICKLE = "adapter_model.bin"
SAVE = "PeftModel.from_pretrained(model, folder).save_pretrained(folder)"
FORMS: dict[str, Form] = {
    "PROMPT_TUNING": "prompt", "P_TUNING": "prompt", "PREFIX_TUNING": "prefix", "LORA": "updates", "IA3": "updates",
}  # fmt: skip
TASKS: dict[str, HeadKind] = {
    "SEQ_CLS": "classification", "TOKEN_CLS": "tagging", "QUESTION_ANS": "questions",
}  # fmt: skip
WITHOUT_HEAD = "FEATURE_EXTRACTION"
# Settings that decide how it was trained, where its tensors lie, or nothing at all once it is trained.
_TRAINING = {
    "auto_mapping", "base_model_name_or_path", "inference_mode", "modules_to_save", "peft_type", "peft_version",
    "revision", "task_type",
}  # fmt: skip
_OF_PROMPTS = {
    "encoder_dropout", "encoder_hidden_size", "encoder_num_layers", "encoder_reparameterization_type", "init_weights",
    "num_attention_heads", "num_layers", "num_transformer_submodules", "num_virtual_tokens", "prefix_projection",
    "prompt_tuning_init", "prompt_tuning_init_text", "token_dim", "tokenizer_kwargs", "tokenizer_name_or_path",
}  # fmt: skip
_OF_UPDATES = {
    "alpha_pattern", "bias", "ensure_weight_tying", "eva_config", "exclude_modules", "fan_in_fan_out",
    "feedforward_modules", "init_ia3_weights", "init_lora_weights", "layers_pattern", "layers_to_transform",
    "lora_alpha", "lora_dropout", "megatron_core", "qalora_group_size", "r", "rank_pattern", "target_modules",
    "use_rslora",
}  # fmt: skip
KNOWN = {"prompt": _TRAINING | _OF_PROMPTS, "prefix": _TRAINING | _OF_PROMPTS, "updates": _TRAINING | _OF_UPDATES}
KEEP_THE_BASE = (True, False, None, "gaussian", "orthogonal", "eva")  # ways to begin that leave the base as it was
ENCODER_DECODERS = {"mt5", "t5", "umt5"}


def read_adapter(
    folder: ModelFolder,
    backbone: Backbone,
    *,
    kind: HeadKind,
    base: str,
    base_weight: Callable[[str], Tensor | None],
    same_base: bool,
) -> TrainedElsewhere:
    """What a PEFT directory brings.

    Args:
        folder: with `adapter_config.json`.
        backbone: that it is for.
        kind: of task that it is to do.
        base: the backbone as the user says it.
        base_weight: a weight of the backbone's checkpoint that the backbone itself has no use for, such as a pooler's.
        same_base: whether the backbone is the right one whatever the adapter calls it.

    Raises:
        IsoglossError: it is of a kind that is not known, of another backbone or task, or damaged.
    """
    config = folder.json(ADAPTER)
    form = _form(folder, config)
    task = _task(folder, config, kind)
    said = [] if same_base else check_base(folder, config, base, backbone.identity)
    layout = None if task is None else layout_of(folder, model_type(backbone), kind)
    parts = AdapterTensors(folder, config, backbone, layout)
    for name, tensor in _tensors(folder).items():
        parts.add(name, tensor, prompt=form != "updates")
    exported = exported_head(folder, kind, backbone.shape.width) if layout is None else None
    head = parts.head(base_weight) if exported is None else exported.head
    tensors: Mapping[str, Tensor] = parts.checked_changes()
    length = 0
    if form == "updates" and not tensors:
        folder.refuse(f"{TENSORS} changes nothing of {backbone.identity.name}; expected lora_A, lora_B or ia3_l")
    if form != "updates":
        if tensors:
            folder.refuse(f"{TENSORS} holds {next(iter(tensors)):.100} beside a prompt, which goes with no weights")
        vectors = _vectors(folder, config, form, parts.vectors, backbone)
        tensors, length = {"vectors": vectors}, vectors.shape[0 if form == "prompt" else 2]
    pools_prompt = form == "prompt" and layout is not None and layout.pooling == "first"
    segments = task != "questions"  # PEFT's class for these hands none on, in training as in use
    return TrainedElsewhere(
        form, tensors, head, length=length, pools_prompt=pools_prompt, segments=segments,
        subword=_subword(kind, exported), said=said,
    )  # fmt: skip


def model_type(backbone: Backbone) -> str:
    """What transformers calls a backbone's family."""
    return str(backbone.model.config.model_type)  # type: ignore[union-attr]


def _subword(kind: HeadKind, exported: ExportedHead | None) -> Literal["first", "last"] | None:
    """Transformers' scripts tag the first sub-word of a word; an export of isogloss's says which."""
    if kind != "tagging":
        return None
    return "first" if exported is None else exported.subword


def _form(folder: ModelFolder, config: Mapping[str, Any]) -> Form:
    kind = config.get("peft_type")
    form = FORMS.get(kind) if isinstance(kind, str) else None
    if form is None:
        folder.refuse(f"{ADAPTER} says peft_type: {kind!r:.60}; known: {', '.join(FORMS)}")
    if strange := [name for name, value in config.items() if value and name not in KNOWN[form]]:
        folder.refuse(
            f"{ADAPTER} sets {strange[0]!r:.60} to {config[strange[0]]!r:.60}, which isogloss does not compute; merge "
            "it with PEFT (merge_and_unload) and give the folder of the merged model"
        )
    begins = config.get("init_lora_weights")
    if form == "updates" and begins not in KEEP_THE_BASE:
        folder.refuse(
            f"{ADAPTER} says init_lora_weights: {begins!r:.60}, which changes the weights below it; save it with "
            "PEFT's path_initial_model_for_weight_conversion, or merge it"
        )
    return form


def _task(folder: ModelFolder, config: Mapping[str, Any], kind: HeadKind) -> HeadKind | None:
    """The kind of task whose head is among the adapter's tensors; None: it lies beside them."""
    named = config.get("task_type")
    if named is None or named == WITHOUT_HEAD:
        return None
    task = TASKS.get(named) if isinstance(named, str) else None
    if task != kind:
        known = ", ".join([*TASKS, WITHOUT_HEAD])
        folder.refuse(f"{ADAPTER} says task_type: {named!r:.60}, but the data are for {kind}; known: {known}")
    return task


def _tensors(folder: ModelFolder) -> dict[str, Tensor]:
    if folder.has(TENSORS):
        return read_tensors(folder, TENSORS)
    if folder.has(PICKLE):
        folder.refuse(
            f"its weights are a pickle ({PICKLE}), which can run code; expected {TENSORS}. If you trust whoever made "
            f"it, convert it with PEFT: {SAVE}"
        )
    raise folder.refusal(f"there is no {TENSORS} in {folder.path}; expected it beside {ADAPTER}")


def _vectors(
    folder: ModelFolder, config: Mapping[str, Any], form: Form, found: Tensor | None, backbone: Backbone
) -> Tensor:
    """A prompt (P, H), or a prefix (L, 2, P, heads, D)."""
    shape = backbone.shape
    if found is None:
        folder.refuse(f"{TENSORS} has no {VECTORS}; expected the prompt as PEFT's save_pretrained folds it")
    length = config.get("num_virtual_tokens")
    width = shape.width if form == "prompt" else shape.layers * 2 * shape.key_heads * shape.head_width
    if tuple(found.shape) != (length, width) or not length:
        folder.refuse(
            f"{VECTORS} is {' by '.join(map(str, found.shape)) or 'one number'}; expected {length!r:.20} by {width} "
            f"(num_virtual_tokens, and what {backbone.identity.name} takes)"
        )
    if form == "prompt":
        return found
    if (kind := model_type(backbone)) in ENCODER_DECODERS:
        folder.refuse(f"PEFT's prefix tuning of a {kind} reaches no encoder, of which isogloss has the one alone")
    layered = found.view(len(found), shape.layers, 2, shape.key_heads, shape.head_width)
    return layered.permute(1, 2, 0, 3, 4).contiguous()
