"""A verbalizer for other libraries: a template as token ids around texts, and the head as a few small matrices.

Of the backbone's head over its vocabulary nothing is needed but what stands in front of the words, and the rows of the
words that are classes. A short script reads the state in front of them from any model without a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from isogloss.backbones.lm_head import LMHead
from isogloss.errors import IsoglossError
from isogloss.interop.trained import Trained
from isogloss.preprocessing.fill_template import answer_token, around
from isogloss.tasks.verbalizer import VerbalizerHead


@dataclass(frozen=True)
class LabelWords:
    """What a script needs of a verbalizer.

    Args:
        tensors: `weight` (wordings, H, C) and `bias` (wordings, C); where a dense layer and a norm stand in front of
            them, `dense.weight`, `dense.bias`, `norm.weight` and `norm.bias`.
        about: the template in token ids, the words, and how the tensors go together.
    """

    tensors: dict[str, Tensor]
    about: dict[str, Any]


def refusal(trained: Trained) -> str | None:
    """Why the head of a verbalizer cannot be written so; None where it can."""
    head = trained.model.stack.runs[0].head
    if not isinstance(head, VerbalizerHead):
        return None
    transform = head.lm_head[0].transform
    if transform is not None and _parts(transform) is None:
        return "the backbone's own head over its words is more than a dense layer, an activation and a norm"
    return None


@torch.no_grad()
def label_words(trained: Trained) -> LabelWords:
    """The verbalizer of a trained model, for which there is no `refusal`."""
    head = trained.model.stack.runs[0].head
    assert isinstance(head, VerbalizerHead)
    lm_head, verbalizer, tokenizer = head.lm_head[0], head.verbalizer, trained.tokenizer
    before, about_head = _before(lm_head)
    rows, bias = _rows(lm_head, head.ids)
    template = verbalizer.template
    causal = trained.model.stack.backbone.causal
    front, back = around(tokenizer, causal=causal)
    ids: list[list[int]] = verbalizer.ids.tolist()
    about = {
        **about_head,
        "parts": template.parts,
        "marks": template.marks,
        "texts": template.texts,
        "front": front,
        "back": back,
        "answer": answer_token(tokenizer, causal=causal),
        "ahead": trained.model.stack.ahead,
        "languages": list(verbalizer.wordings),
        "words": [[tokenizer.decode([number]).strip() for number in wording] for wording in ids],
        "ids": ids,
    }
    return LabelWords({**before, "weight": rows.transpose(1, 2), "bias": bias}, about)


def _rows(lm_head: LMHead, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors (wordings, C, H) and the biases (wordings, C) of words."""
    words = lm_head.model[0].get_input_embeddings().weight if lm_head.weight is None else lm_head.weight
    bias = torch.zeros(ids.shape) if lm_head.bias is None else lm_head.bias[ids]
    return words[ids].float().cpu(), bias.float().cpu()


def _before(lm_head: LMHead) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What is computed of a state before it is compared with words."""
    said = {"activation": None, "epsilon": None, "cap": lm_head.cap}
    if lm_head.transform is None:
        return {}, said
    parts = _parts(lm_head.transform)
    if parts is None:
        raise IsoglossError("the backbone's own head over its words is of no kind that a script computes")
    dense, activation, norm = parts
    tensors = {
        f"{name}.{kind}": tensor.detach().float().cpu()
        for name, module in (("dense", dense), ("norm", norm))
        for kind, tensor in module.named_parameters()
    }
    return tensors, {**said, "activation": activation, "epsilon": norm.eps}


def _parts(transform: nn.Module) -> tuple[nn.Linear, str, nn.LayerNorm] | None:
    """A dense layer, the name of an activation, and a norm; None where it is anything else."""
    modules = [module for module in transform.modules() if not list(module.children())]
    dense = [module for module in modules if isinstance(module, nn.Linear)]
    norm = [module for module in modules if isinstance(module, nn.LayerNorm)]
    others = [module for module in modules if not isinstance(module, nn.Linear | nn.LayerNorm)]
    between = others[0] if others else getattr(transform, "transform_act_fn", None)  # BERT's may be a plain function
    if len(dense) != 1 or len(norm) != 1 or len(others) > 1 or between is None:
        return None
    if dense[0].bias is None or norm[0].bias is None:
        return None
    tried = torch.linspace(-6, 6, 97)
    expected = between(tried)
    same = (name for name in ACT2FN if name in {"gelu", "relu", "silu", "tanh"} or name.startswith("gelu_"))
    found = next((name for name in same if torch.equal(ACT2FN[name](tried), expected)), None)
    return None if found is None else (dense[0], found, norm[0])
