"""Label words with this model, by transformers (and PEFT) alone: python classify.py "Words between spaces"."""

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
def scores(sentences, tokenizer, model):
    """Scores (words, classes) before the softmax of the words of each sentence; no sentence may be too long."""
    nothing = tokenizer.unk_token or tokenizer.pad_token  # stands for a word that the tokenizer leaves nothing of
    kept = [[word if tokenizer.tokenize(word) else nothing for word in words] for words in sentences]
    spaced = [[f" {word}" if n and ABOUT["spaced"] else word for n, word in enumerate(words)] for words in kept]
    batch = tokenizer(spaced, is_split_into_words=True, padding=True, return_tensors="pt")
    if "token_type_ids" in batch and not batch["token_type_ids"].any():
        del batch["token_type_ids"]  # PEFT's prompts take none, and zeros are what a model takes where there are none
    states = model(**batch).last_hidden_state[:, -batch["attention_mask"].shape[1] :]
    found = []
    for row, words in enumerate(sentences):
        places = [[] for _ in words]
        for place, word in enumerate(batch.word_ids(row)):
            if word is not None:
                places[word].append(place)
        chosen = [at[-1 if ABOUT["subword"] == "last" else 0] for at in places]
        found.append(states[row, chosen] @ HEAD["weight"] + HEAD["bias"])
    return found


if __name__ == "__main__":
    for text in sys.argv[1:]:
        (rows,) = scores([text.split()], *load())
        print(json.dumps({"words": text.split(), "labels": [ABOUT["labels"][n] for n in rows.argmax(dim=1)]}))
