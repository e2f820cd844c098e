"""Label texts with this model, by transformers (and PEFT) alone: python classify.py "A text." "Another one."."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForTextEncoding, AutoTokenizer

FOLDER = Path(__file__).resolve().parent
ABOUT = json.loads((FOLDER / "labels.json").read_text(encoding="utf-8"))
HEAD = load_file(FOLDER / "head.safetensors")


def load():
    """The tokenizer and the model."""
    backbone = FOLDER / ABOUT["backbone"] if (FOLDER / ABOUT["backbone"]).is_dir() else ABOUT["backbone"]
    kind = AutoModelForTextEncoding if ABOUT["encoder_half"] else AutoModel
    model = kind.from_pretrained(backbone, revision=ABOUT["revision"], dtype=torch.float32)
    if (FOLDER / "adapter_config.json").exists():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, FOLDER)
    return AutoTokenizer.from_pretrained(FOLDER), model.eval()


@torch.no_grad()
def scores(texts, tokenizer, model):
    """Scores (texts, classes) before the softmax; of pairs, texts are two lists."""
    columns = texts if isinstance(texts, tuple) else (texts,)
    batch = tokenizer(*columns, padding=True, truncation=True, max_length=ABOUT["longest"], return_tensors="pt")
    if "token_type_ids" in batch and not batch["token_type_ids"].any():
        del batch["token_type_ids"]  # PEFT's prompts take none, and zeros are what a model takes where there are none
    mask = batch["attention_mask"]
    states = model(**batch).last_hidden_state[:, -mask.shape[1] :]  # without those of a prompt in front
    if ABOUT["pooling"] == "mean":
        pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    else:
        last = mask.sum(1) - 1 if ABOUT["pooling"] == "last" else torch.zeros_like(mask.sum(1))
        pooled = states[torch.arange(len(states)), last]
    return pooled @ HEAD["weight"] + HEAD["bias"]


if __name__ == "__main__":
    shares = (scores(sys.argv[1:], *load()) / ABOUT["temperature"]).softmax(dim=1)  # calibrated on the source
    for text, row in zip(sys.argv[1:], shares, strict=True):
        print(json.dumps({"text": text, "label": ABOUT["labels"][row.argmax()], "score": round(row.max().item(), 4)}))
