"""Score texts with this graph, by onnxruntime and a tokenizer alone: python classify.py "A text." "Another one."."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from transformers import AutoTokenizer

FOLDER = Path(__file__).resolve().parent
ABOUT = json.loads((FOLDER / "labels.json").read_text(encoding="utf-8"))


def load():
    """The tokenizer and the graph."""
    return AutoTokenizer.from_pretrained(FOLDER), onnxruntime.InferenceSession(FOLDER / "model.onnx")


def scores(texts, tokenizer, session):
    """Scores before the softmax: (texts, classes), or (texts, tokens, classes) where tokens are labelled."""
    batch = tokenizer(texts, padding=True, truncation=True, max_length=ABOUT["longest"], return_tensors="np")
    given = {one.name: batch[one.name].astype(np.int64) for one in session.get_inputs()}
    return session.run(None, given)[0]


if __name__ == "__main__":
    found = scores(sys.argv[1:], *load())
    for text, row in zip(sys.argv[1:], found, strict=True):
        labels = [ABOUT["labels"][number] for number in np.atleast_1d(row.argmax(axis=-1))]
        print(json.dumps({"text": text, "labels": labels}))
