"""ONNX: the whole model in one graph, its prompt folded in, for onnxruntime; rows and tokens of any number."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoTokenizer, DynamicCache

from isogloss.backbones.prompts import PromptForm
from isogloss.interop import bundle
from isogloss.interop.formats.transformers import weighted
from isogloss.interop.trained import Trained

FILE = "model.onnx"


class Scorer(nn.Module):
    """From tokens to scores, by transformers' model alone, on padded rows.

    Args:
        plain: the model.
        form: where its prompt stands, if it has one.
        prompt: the prompt's vectors.
        head: weights (H, C) and biases (C).
        pooling: of texts; None: every token is scored.
    """

    def __init__(
        self, plain: Any, form: PromptForm | None, prompt: Tensor | None, head: tuple[Tensor, Tensor],
        pooling: str | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.prompt: Tensor
        self.weight: Tensor
        self.bias: Tensor
        self.plain, self.form, self.pooling = plain, form, pooling
        self.register_buffer("prompt", prompt)
        self.register_buffer("weight", head[0])
        self.register_buffer("bias", head[1])

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: Int[Tensor, "B T"],
        token_type_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B C"] | Float[Tensor, "B T C"]:
        """Scores of each text, or of each token."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states = self._states(input_ids, attention_mask, types)
        if self.pooling == "mean":
            mask = attention_mask[..., None].to(states.dtype)
            states = (states * mask).sum(dim=1) / mask.sum(dim=1)
        elif self.pooling is not None:
            last = attention_mask.sum(dim=1) - 1 if self.pooling == "last" else torch.zeros_like(attention_mask[:, 0])
            index = last[:, None, None].expand(-1, 1, states.shape[2])
            states = states.gather(1, index)[:, 0]
        return states @ self.weight + self.bias

    def _states(self, ids: Tensor, mask: Tensor, types: dict[str, Tensor]) -> Tensor:
        """The states of the text's tokens (B, T, H)."""
        form, prompt = self.form, self.prompt
        if form is None:
            states: Tensor = self.plain(input_ids=ids, attention_mask=mask, **types).last_hidden_state
            return states
        rows, count = ids.shape[0], form.lengths[0]
        ones = torch.ones(rows, count, dtype=mask.dtype, device=mask.device)
        if form.kind == "prefix":
            layers = prompt[:, :, None].expand(-1, -1, rows, -1, -1, -1).transpose(3, 4)  # (L, 2, B, heads, P, D)
            cache = DynamicCache([(layer[0], layer[1]) for layer in layers])
            kept: Tensor = self.plain(
                input_ids=ids, attention_mask=torch.cat([ones, mask], dim=1), past_key_values=cache, use_cache=True,
                **types,
            ).last_hidden_state  # fmt: skip
            return kept
        first = int(form.place == "after-first")
        plain: Any = self.plain
        words = plain.get_input_embeddings()(ids)
        vectors = prompt.expand(rows, -1, -1)
        given = torch.cat([words[:, :first], vectors, words[:, first:]], dim=1)
        if types:
            none = torch.zeros(rows, count, dtype=ids.dtype, device=ids.device)
            of_text = types["token_type_ids"]
            types = {"token_type_ids": torch.cat([of_text[:, :first], none, of_text[:, first:]], dim=1)}
        seen = torch.cat([mask[:, :first], ones, mask[:, first:]], dim=1)
        states = self.plain(inputs_embeds=given, attention_mask=seen, **types).last_hidden_state
        return torch.cat([states[:, :first], states[:, first + count :]], dim=1)


class Onnx:
    """See `Format`."""

    name = "onnx"
    extra = "onnx"
    libraries: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime")
    title = "an ONNX graph"
    library = "onnx"

    def refusal(self, trained: Trained) -> str | None:
        """Rows are padded behind the text, so nothing may stand there."""
        form = trained.form
        place = form.place if form is not None and form.kind == "input" else None
        prefix = form if form is not None and form.kind == "prefix" else None
        reasons = [
            (
                trained.verbalized,
                "its classes are words that fill a gap in a template, and the graph takes plain texts",
            ),
            (place not in {None, "before", "after-first"}, f"its prompt stands {place}, where rows are padded"),
            (
                prefix is not None and trained.encoder_half,
                "transformers' encoders of this kind take no keys and values from outside",
            ),
            (
                prefix is not None and prefix.first_layer > 0,
                "its prompt begins above the lowest layer, and transformers' masks are the same in all",
            ),
            (
                prefix is not None and not prefix.shift,
                "its texts keep their positions, and transformers' begin behind what stands in front of them",
            ),
        ]
        return next((reason for applies, reason in reasons if applies), None)

    def write(self, trained: Trained, out: Path) -> None:
        """The graph, by torch's exporter."""
        bundle.write_tokenizer(trained, out)
        bundle.write_labels(trained, out, backbone=".")
        bundle.write_script("onnx_scores", out)
        form = trained.form
        scorer = Scorer(
            weighted(trained), form, None if form is None else trained.prompt, trained.head,
            trained.pooling if trained.kind == "classification" else None,
        ).eval()  # fmt: skip
        names = ["input_ids", "attention_mask", *(["token_type_ids"] if trained.typed else [])]
        given = {name: torch.full((2, 7), name != "token_type_ids", dtype=torch.long) for name in names}  # each its own
        rows, tokens = torch.export.Dim("rows"), torch.export.Dim("tokens", max=max(8, trained.longest))
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's own, of libraries that it does not need
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                scorer, (), out / FILE, kwargs=given, dynamo=True, external_data=False, verbose=False,
                input_names=names, output_names=["scores"],
                dynamic_shapes={name: {0: rows, 1: tokens} for name in names},
            )  # fmt: skip

    def scores(self, out: Path, inputs: Sequence[Sequence[str]]) -> list[Tensor]:
        """By onnxruntime."""
        from onnxruntime import InferenceSession

        about = bundle.read_labels(out)
        session = InferenceSession(str(out / FILE), providers=["CPUExecutionProvider"])
        tokenizer = AutoTokenizer.from_pretrained(out)
        names = [one.name for one in session.get_inputs()]
        if about["kind"] == "classification":
            columns = [list(column) for column in zip(*inputs, strict=True)]
            batch = tokenizer(*columns, padding=True, truncation=True, max_length=about["longest"], return_tensors="np")
            (found,) = session.run(None, {name: batch[name].astype(np.int64) for name in names})
            return list(torch.from_numpy(found)[:, None].unbind())
        return [bundle.units(parts, tokenizer, about, lambda batch: _run(session, names, batch)) for parts in inputs]

    def usage(self, trained: Trained) -> str:
        """By onnxruntime."""
        return """import onnxruntime
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
session = onnxruntime.InferenceSession(FOLDER + "/model.onnx")
batch = tokenizer(["One text."], return_tensors="np")
print(session.run(None, {one.name: batch[one.name] for one in session.get_inputs()}))"""


def _run(session: Any, names: Sequence[str], batch: Any) -> Tensor:
    (found,) = session.run(None, {name: batch[name].numpy().astype(np.int64) for name in names})
    return torch.from_numpy(found)


FORMAT = Onnx()
