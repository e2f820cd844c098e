"""Sentence-transformers: a chain of transformer, pooling and a dense layer, whose embedding of a text is its scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from isogloss.interop import bundle
from isogloss.interop.formats.transformers import weighted
from isogloss.interop.trained import Trained

MODES = {"first": "cls", "mean": "mean", "last": "lasttoken"}


class SentenceTransformers:
    """See `Format`."""

    name = "sentence-transformers"
    extra = "sentence-transformers"
    libraries: tuple[str, ...] = ("sentence_transformers",)
    title = "a chain of sentence-transformers'"
    library = "sentence-transformers"

    def refusal(self, trained: Trained) -> str | None:
        """The chain gives a text a vector, and has no place for a prompt."""
        if trained.kind != "classification":
            return "it labels more than whole texts"
        if trained.verbalized:
            return "its classes are words that fill a gap in a template, and a chain pools plain texts"
        if trained.form is not None:
            return "a chain has no place for a prompt"
        return None

    def write(self, trained: Trained, out: Path) -> None:
        """The chain by the library's own `save`."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

        weight, bias = trained.head
        with TemporaryDirectory() as folder:
            weighted(trained).save_pretrained(folder)
            bundle.write_tokenizer(trained, Path(folder))
            transformer: Any = Transformer(folder, max_seq_length=trained.longest)
        dense = Dense(len(weight), len(bias), bias=True, activation_function=nn.Identity())
        with torch.no_grad():
            dense.linear.weight.copy_(weight.T)
            dense.linear.bias.copy_(bias)
        pooling = Pooling(len(weight), pooling_mode=MODES[trained.pooling])
        chain = SentenceTransformer(modules=[transformer, pooling, dense], device="cpu")
        chain.save(str(out), create_model_card=False)
        bundle.write_labels(trained, out, backbone=".")

    def scores(self, out: Path, inputs: Sequence[Sequence[str]]) -> list[Tensor]:
        """The embedding of each text."""
        from sentence_transformers import SentenceTransformer

        chain = SentenceTransformer(str(out), device="cpu")
        texts = [parts[0] if len(parts) == 1 else tuple(parts) for parts in inputs]
        found: Tensor = chain.encode(texts, convert_to_tensor=True, show_progress_bar=False)
        return list(found.float()[:, None].unbind())

    def usage(self, trained: Trained) -> str:
        """By the library."""
        return """import json, pathlib
from sentence_transformers import SentenceTransformer
scores = SentenceTransformer(FOLDER).encode(["One text."])
labels = json.loads((pathlib.Path(FOLDER) / "labels.json").read_text())["labels"]
print([labels[row.argmax()] for row in scores])"""


FORMAT = SentenceTransformers()
