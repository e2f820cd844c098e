"""Transformers: the model with its trained weights, and the head inside where a class of transformers' has the same."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    AutoTokenizer,
    logging,
)

from isogloss.interop import bundle, label_words
from isogloss.interop.formats.peft import merged
from isogloss.interop.trained import Trained

HEADED: dict[str, Any] = {"tagging": AutoModelForTokenClassification, "qa": AutoModelForQuestionAnswering}


class Transformers:
    """See `Format`."""

    name = "transformers"
    extra = ""
    libraries: tuple[str, ...] = ()
    title = "a checkpoint of transformers'"
    library = "transformers"

    def refusal(self, trained: Trained) -> str | None:
        """A checkpoint has no place for a prompt; a head has to be one that transformers has."""
        if trained.form is not None:
            return "a checkpoint has no place for a prompt"
        if trained.verbalized:
            return label_words.refusal(trained)
        if trained.kind == "classification":
            return None  # transformers' classes put a layer between the pooled state and the classifier
        kind = HEADED["qa" if trained.questions else trained.kind]
        config = trained.config
        if type(config) not in kind._model_mapping:  # noqa: SLF001 - what its `from_config` begins with
            return f"transformers has no {kind.__name__.removeprefix('Auto')} for a {config.model_type}"
        if _outside(_empty(kind, _config(trained))) is None:
            return f"transformers' head of a {config.model_type} is more than a linear layer"
        return None

    def write(self, trained: Trained, out: Path) -> None:
        """The checkpoint; of classification the head, which isogloss puts right on the pooled state, beside it."""
        bundle.write_tokenizer(trained, out)
        bundle.write_labels(trained, out, backbone=".")
        plain = weighted(trained)
        if trained.kind == "classification":
            plain.save_pretrained(out)
            bundle.write_head(trained, out)
            bundle.write_script(bundle.script_of(trained), out)
            return
        headed = HEADED["qa" if trained.questions else trained.kind].from_config(_config(trained), dtype=torch.float32)
        base = getattr(headed, headed.base_model_prefix)
        report = base.load_state_dict(plain.state_dict(), strict=False)
        assert not report.missing_keys, report.missing_keys
        linear = _outside(headed)
        assert linear is not None
        weight, bias = trained.head
        with torch.no_grad():
            linear.weight.copy_(weight.T)
            linear.bias.copy_(bias)
        headed.save_pretrained(out)

    def scores(self, out: Path, inputs: Sequence[Sequence[str]]) -> list[Tensor]:
        """By `classify.py`, or by the class that the checkpoint's configuration names."""
        if (out / bundle.SCRIPT).exists():
            return bundle.scored(out, inputs)
        about = bundle.read_labels(out)
        questions = about["kind"].startswith("qa")
        kind = HEADED["qa" if questions else about["kind"]]
        model = kind.from_pretrained(out, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(out)
        return [
            bundle.units(parts, tokenizer, about, lambda batch: _scores(model, batch, questions=questions))
            for parts in inputs
        ]

    def usage(self, trained: Trained) -> str:
        """By a pipeline where there is one."""
        if trained.kind == "classification":
            return bundle.script_usage(trained)
        if trained.questions:
            return """from transformers import AutoModelForQuestionAnswering, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model = AutoModelForQuestionAnswering.from_pretrained(FOLDER).eval()
print(model(**tokenizer("A question?", "A passage with the answer.", return_tensors="pt")))"""
        return f"""from transformers import pipeline
label = pipeline("token-classification", FOLDER, aggregation_strategy="{_aggregation(trained)}")
print(label("Words of a sentence"))"""


def weighted(trained: Trained) -> Any:
    """Transformers' model with all that training has changed inside it."""
    return merged(trained) if trained.method == "lora" else trained.plain()


def _aggregation(trained: Trained) -> str:
    """A pipeline takes a word's tag from its first sub-word, or from each."""
    return "first" if trained.model.record.facts["subword"] == "first" else "none"


def _config(trained: Trained) -> Any:
    config = deepcopy(trained.config)
    labels = ["start", "end"] if trained.questions else trained.labels
    config.id2label, config.label2id = dict(enumerate(labels)), {label: n for n, label in enumerate(labels)}
    config._attn_implementation = "eager"  # noqa: SLF001 - a checkpoint says nothing of it
    return config


def _empty(kind: Any, config: Any) -> Any:
    """A model without weights, to look at."""
    logging.set_verbosity_error()
    with torch.device("meta"):
        return kind.from_config(config)


def _outside(headed: Any) -> nn.Linear | None:
    """The linear layer that is all there is outside the backbone; None where there is more, or it has no biases."""
    base = getattr(headed, headed.base_model_prefix)
    inside = {id(weight) for weight in base.parameters()}
    outside = {name for name, weight in headed.named_parameters() if id(weight) not in inside}
    for name, module in headed.named_modules():
        if isinstance(module, nn.Linear) and outside == {f"{name}.weight", f"{name}.bias"}:
            return module
    return None


def _scores(model: Any, batch: Any, *, questions: bool) -> Tensor:
    """Of every token (1, T, C)."""
    out = model(**batch)
    scores: Tensor = torch.stack([out.start_logits, out.end_logits], dim=-1) if questions else out.logits
    return scores


FORMAT = Transformers()
