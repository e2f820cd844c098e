"""Label texts with this model by the words that are its classes: python classify.py "A text." "Another one."."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn.functional import layer_norm, linear
from transformers import AutoModel, AutoTokenizer
from transformers.activations import ACT2FN

FOLDER = Path(__file__).resolve().parent
ABOUT = json.loads((FOLDER / "labels.json").read_text(encoding="utf-8"))
WORDS = ABOUT["verbalizer"]
HEAD = load_file(FOLDER / "head.safetensors")


def load():
    """The tokenizer and the model."""
    backbone = FOLDER / ABOUT["backbone"] if (FOLDER / ABOUT["backbone"]).is_dir() else ABOUT["backbone"]
    model = AutoModel.from_pretrained(backbone, revision=ABOUT["revision"], dtype=torch.float32)
    if (FOLDER / "adapter_config.json").exists():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, FOLDER)
    return AutoTokenizer.from_pretrained(FOLDER), model.eval()


def filled(example, tokenizer):
    """The ids of the template with an example's texts in it, cut to fit, and where its answer stands."""
    texts = dict(zip(WORDS["texts"], example, strict=True))
    ids, answer, spans = list(WORDS["front"]), 0, dict.fromkeys(texts)
    for part, mark in zip(WORDS["parts"], [*WORDS["marks"], None], strict=True):
        text, inside = "", {}
        for literal, field in part:
            inside |= {} if field is None else {field: (len(text), len(text) + len(texts[field]))}
            text += literal if field is None else texts[field]
        if part:
            made = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            for field, (first, last) in inside.items():
                places = [n for n, (begin, end) in enumerate(made["offset_mapping"]) if begin < last and end > first]
                spans[field] = [len(ids) + places[0], len(ids) + places[-1] + 1] if places else [len(ids)] * 2
            ids += made["input_ids"]
        if mark == "answer":
            ids += [] if ids else [WORDS["answer"]]  # something to read from, where there is nothing else
            answer = len(ids)
            ids.append(WORDS["answer"])
    ids += WORDS["back"]
    while len(ids) > ABOUT["longest"]:  # the longer text loses its end
        first, end = max(spans.values(), key=lambda span: span[1] - span[0])
        if first == end:
            raise SystemExit(f"the template alone takes more than {ABOUT['longest']} tokens")
        del ids[end - 1]
        answer -= answer >= end
        spans = {field: [place - (place >= end) for place in span] for field, span in spans.items()}
    return ids, answer


@torch.no_grad()
def scores(texts, tokenizer, model, language=None):
    """Scores (texts, classes) before the softmax; of pairs, texts are two lists. `language` chooses the words."""
    columns = texts if isinstance(texts, tuple) else (texts,)
    rows = [filled(example, tokenizer) for example in zip(*columns, strict=True)]
    longest = max(len(ids) for ids, _ in rows)
    batch = torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids, _ in rows])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows])
    states = model(input_ids=batch, attention_mask=mask).last_hidden_state[:, -longest:]  # without a prompt's in front
    state = states[torch.arange(len(rows)), [answer - WORDS["ahead"] for _, answer in rows]]
    if WORDS["activation"] is not None:
        state = ACT2FN[WORDS["activation"]](linear(state, HEAD["dense.weight"], HEAD["dense.bias"]))
        state = layer_norm(state, state.shape[-1:], HEAD["norm.weight"], HEAD["norm.bias"], WORDS["epsilon"])
    wording = WORDS["languages"].index(language) if language in WORDS["languages"] else 0
    found = state @ HEAD["weight"][wording] + HEAD["bias"][wording]
    return found if WORDS["cap"] is None else WORDS["cap"] * (found / WORDS["cap"]).tanh()


if __name__ == "__main__":
    found = (scores(sys.argv[1:], *load()) / ABOUT["temperature"]).softmax(dim=1)
    for text, row in zip(sys.argv[1:], found, strict=True):
        print(json.dumps({"text": text, "label": ABOUT["labels"][row.argmax()], "score": round(row.max().item(), 4)}))
