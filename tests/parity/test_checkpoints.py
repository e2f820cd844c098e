"""What others trained scores here as it does there: PEFT's adapters, and transformers' classes with their heads."""

import json
import warnings

import pytest
import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    AutoModelForTokenClassification,
)

from decoders import COMMON, CONFIGS, SIZES, byte_tokenizer
from isogloss.backbones.loading import load
from isogloss.experiment.cells import Cell
from isogloss.experiment.restore import stack_of
from isogloss.methods.registry import find
from isogloss.optim.weight_places import place
from isogloss.preprocessing.tokenize import tokenise, tokenise_passages, tokenise_words
from models import bert_tokenizer, tokenizer

pytestmark = [
    # PEFT uses names that transformers 5 is about to change.
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:peft"),
    pytest.mark.filterwarnings("ignore:.*config file.*:UserWarning"),
]
CLOSE = {"rtol": 1e-4, "atol": 1e-4}
TEXTS = ["the cat sat on the mat", "a dog", "one two three sun moon red blue", "sun"]
LABELS = ["good", "bad", "so so"]
ENCODERS = ["bert", "camembert", "distilbert", "xlm-roberta"]
DECODERS = ["bloom", "gemma3_text", "gpt_neox", "llama", "mistral", "qwen2", "qwen3"]
HEADS = {
    "classification": ("SEQ_CLS", AutoModelForSequenceClassification),
    "tagging": ("TOKEN_CLS", AutoModelForTokenClassification),
    "questions": ("QUESTION_ANS", AutoModelForQuestionAnswering),
}
SLOW = pytest.mark.slow
USUAL = {"bert", "distilbert", "llama", "xlm-roberta"}  # tried each time; all others where all tests are
ADAPTERS = ["ia3", "lora", "p-tuning", "prefix", "prompt"]
# PEFT's prefixes go through a cache that DistilBERT and encoders of T5 have not.
NOT_IN_PEFT = {("prefix", "distilbert"), ("prefix", "mt5")}


def rarely(every, usual):
    """Parameters, of which the unusual ones are tried where all tests are."""
    return [one if one in usual else pytest.param(one, marks=SLOW) for one in every]


def base(folder, family):
    """A checkpoint of a family, with all that its own class has, such as a pooler."""
    torch.manual_seed(7)
    sizes = CONFIGS.get(family)
    if sizes is None:
        sizes = {**COMMON, "max_position_embeddings": 40, "initializer_range": 0.3, "type_vocab_size": 2}
        if family == "distilbert":
            sizes["hidden_dim"] = sizes.pop("intermediate_size")
    config = AutoConfig.for_model(family, **{**SIZES, **sizes})
    model = AutoModel.from_config(config)
    for name, weight in model.named_parameters():
        if weight.ndim == 1 and "norm" in name.lower():
            torch.nn.init.normal_(weight, mean=0.0 if "gemma" in family else 1.0, std=0.2)
    model.save_pretrained(folder)
    of_family = {"bert": bert_tokenizer, "qwen2": byte_tokenizer}
    of_family.get(family, tokenizer)().save_pretrained(folder)
    return folder


def drawn(model):
    """The same model, with everything random that is not from its base."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=generator) + (weight.mean() > 0.9).float())
    return model.eval()


def with_head(folder, kind):
    """The base with a fresh head."""
    torch.manual_seed(11)
    names = dict(enumerate(LABELS))
    options = {} if kind == "questions" else {"id2label": names, "label2id": {name: at for at, name in names.items()}}
    model = HEADS[kind][1].from_pretrained(folder, **options)
    for name, weight in model.named_parameters():
        if name.split(".")[0] in {"classifier", "score", "qa_outputs", "pre_classifier"}:
            torch.nn.init.normal_(weight, std=0.5)
    return model.eval()


def linears(model):
    """The names of all matrices inside the layers, and those of feed-forwards."""
    found = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    inside = [name for name in found if place(name).layer is not None]
    return inside, [name for name in inside if place(name).kind == "feed-forward"]


def adapter_config(adapter, kind, model, *, task=None):
    task = task or HEADS[kind][0]
    inside, feed_forward = linears(model)
    saved = ["classifier", "score", "qa_outputs", "pre_classifier"] if task != "FEATURE_EXTRACTION" else None
    if adapter == "lora":
        return LoraConfig(
            task_type=task, r=3, lora_alpha=5, target_modules=inside, modules_to_save=saved,
            alpha_pattern={inside[0]: 11}, rank_pattern={inside[1]: 2},
        )  # fmt: skip
    if adapter == "ia3":
        return IA3Config(task_type=task, target_modules=inside, feedforward_modules=feed_forward, modules_to_save=saved)
    # PEFT looks for these models' sizes by other names.
    other = model.config.model_type in {"distilbert", "xglm"}
    sizes = {"num_attention_heads": 4, "num_layers": 3, "token_dim": 24} if other else {}
    prompted = {"prompt": PromptTuningConfig, "p-tuning": PromptEncoderConfig, "prefix": PrefixTuningConfig}
    return prompted[adapter](task_type=task, num_virtual_tokens=4, **sizes)


def trained(folder, base_folder, kind, adapter):
    """An adapter of PEFT's, saved as its users save it; and what PEFT makes of it when it is loaded."""
    model = with_head(base_folder, kind)
    peft = drawn(get_peft_model(model, adapter_config(adapter, kind, model)))
    peft.save_pretrained(folder)
    if kind != "questions":
        (folder / "labels.json").write_text(json.dumps({"labels": LABELS}))
    return PeftModel.from_pretrained(with_head(base_folder, kind), folder).eval()


def read(folder, base_folder, kind, labels=None, **settings):
    """The method's stack of a checkpoint, in float32."""
    backbone = load(str(base_folder), dtype="float32", device="cpu")
    method, labels = find("checkpoint"), labels or (["start", "end"] if kind == "questions" else LABELS)
    given = method.settings(path=str(folder), **settings)
    one = method.read(backbone, given, labels=labels, kind=kind, base=str(base_folder), subword=None)
    cell = Cell("checkpoint", (), "checkpoint", one.settings, 0)
    own = backbone.copy() if one.backbone is None else one.backbone
    assert one.backbone is None or one.settings.found.form == "model"
    stack = stack_of(cell, own, one.tensors, classes=len(labels))
    # What is stored comes back.
    stored = {name: tensor.clone() for name, tensor in one.tensors.items()}
    again = stack_of(cell, backbone.copy(), stored, classes=len(labels))
    return stack, again


def features(kind, made):
    if kind == "classification":
        return tokenise((TEXTS,), [0] * len(TEXTS), made)
    if kind == "tagging":
        words = [text.split() for text in TEXTS]
        return tokenise_words(words, [0] * sum(map(len, words)), made, last=False)
    questions = ["one two" for _ in TEXTS]
    return tokenise_passages(questions, TEXTS, [None] * len(TEXTS), made, longest=None)


def expected(kind, model, rows, *, prompt=0):
    """What the other library gives for each row alone, at the units of the row."""
    out = []
    for row in range(len(rows)):
        span = slice(*rows.starts[row : row + 2])
        ids = torch.from_numpy(rows.tokens[span].astype("int64"))[None]
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if rows.types is not None:
            given["token_type_ids"] = torch.from_numpy(rows.types[span].astype("int64"))[None]
        with torch.no_grad():
            answer = model(**given)
        if kind == "classification":
            out.append(answer.logits)
            continue
        scores = answer.logits if kind == "tagging" else torch.stack([answer.start_logits, answer.end_logits], dim=-1)
        units = slice(*rows.unit_starts[row : row + 2])
        out.append(scores[0, prompt:][rows.words.spots[units]])
    return torch.cat(out)


def ours(stack, rows):
    return stack.logits(rows, stack.runs, budget=64)[0]


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    made = {}

    def get(family):
        if family not in made:
            made[family] = base(tmp_path_factory.mktemp(family), family)
        return made[family]

    return get


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("family", rarely([*ENCODERS, *DECODERS], USUAL))
def test_adapters_with_a_head_for_texts(family, adapter, bases, tmp_path):
    if (adapter, family) in NOT_IN_PEFT:
        pytest.skip("PEFT does not compute it")
    reference = trained(tmp_path, bases(family), "classification", adapter)
    stack, again = read(tmp_path, bases(family), "classification")
    rows = features("classification", stack.backbone.tokenizer)
    scores = ours(stack, rows)
    torch.testing.assert_close(scores, expected("classification", reference, rows), **CLOSE)
    torch.testing.assert_close(ours(again, rows), scores, rtol=0, atol=0)
    assert float(scores.std()) > 0.01


@pytest.mark.parametrize("kind", ["tagging", "questions"])
@pytest.mark.parametrize("adapter", ["lora", "prefix", "prompt"])
@pytest.mark.parametrize("family", rarely(["bert", "bloom", "llama", "xlm-roberta"], {"bert", "llama"}))
def test_adapters_with_a_head_for_words_and_spans(family, adapter, kind, bases, tmp_path):
    reference = trained(tmp_path, bases(family), kind, adapter)
    stack, _ = read(tmp_path, bases(family), kind)
    rows = features(kind, stack.backbone.tokenizer)
    prompt = 4 if adapter == "prompt" else 0
    torch.testing.assert_close(ours(stack, rows), expected(kind, reference, rows, prompt=prompt), **CLOSE)


@pytest.mark.parametrize("pooling", rarely(["first", "mean", "last"], {"mean"}))
@pytest.mark.parametrize("adapter", ["ia3", "lora", "prefix", "prompt"])
@pytest.mark.parametrize("family", rarely(["bert", "xlm-roberta", "xglm", "mt5"], {"bert", "xglm", "mt5"}))
def test_adapters_with_a_head_beside_them(family, adapter, pooling, bases, tmp_path):
    if (adapter, family) in NOT_IN_PEFT:
        pytest.skip("PEFT does not compute it")
    auto = AutoModelForTextEncoding if family == "mt5" else AutoModel
    model = auto.from_pretrained(bases(family))
    peft = drawn(get_peft_model(model, adapter_config(adapter, "classification", model, task="FEATURE_EXTRACTION")))
    peft.save_pretrained(tmp_path)
    weight, bias = torch.randn(24, 3), torch.randn(3)
    save_file({"weight": weight, "bias": bias}, tmp_path / "head.safetensors")
    about = {"labels": LABELS, "pooling": pooling, "kind": "classification"}
    (tmp_path / "labels.json").write_text(json.dumps(about))
    reference = PeftModel.from_pretrained(auto.from_pretrained(bases(family)), tmp_path).eval()
    stack, _ = read(tmp_path, bases(family), "classification")
    rows = features("classification", stack.backbone.tokenizer)
    found = []
    for row in range(len(rows)):
        ids = torch.from_numpy(rows.tokens[slice(*rows.starts[row : row + 2])].astype("int64"))[None]
        with torch.no_grad():
            states = reference(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        states = states[-ids.shape[1] :]
        found.append({"first": states[0], "last": states[-1], "mean": states.mean(0)}[pooling] @ weight + bias)
    torch.testing.assert_close(ours(stack, rows), torch.stack(found), **CLOSE)


FINE_TUNED = [
    (family, kind) if family in USUAL or kind == "classification" else pytest.param(family, kind, marks=SLOW)
    for family in [*ENCODERS, *DECODERS, "gemma"]
    for kind in HEADS
    if (family, kind) not in {("gemma", "questions"), ("gemma3_text", "questions"), ("gemma3_text", "tagging")}
]


@pytest.mark.parametrize(("family", "kind"), [*FINE_TUNED, ("mt5", "tagging")])
def test_fine_tuned_models(family, kind, bases, tmp_path):
    reference = with_head(bases(family), kind)
    with torch.no_grad():
        for weight in reference.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    reference.save_pretrained(tmp_path)
    (bert_tokenizer() if family == "bert" else tokenizer()).save_pretrained(tmp_path)
    stack, again = read(tmp_path, bases("bert"), kind)  # on a backbone that has nothing to do with it
    assert stack.backbone.identity.name == str(tmp_path)
    rows = features(kind, stack.backbone.tokenizer)
    scores = ours(stack, rows)
    torch.testing.assert_close(scores, expected(kind, reference, rows), **CLOSE)
    torch.testing.assert_close(ours(again, rows), scores, rtol=0, atol=0)


def test_pairs_of_texts_have_their_segments(bases, tmp_path):
    reference = with_head(bases("bert"), "classification")
    reference.save_pretrained(tmp_path)
    bert_tokenizer().save_pretrained(tmp_path)
    stack, _ = read(tmp_path, bases("xlm-roberta"), "classification")
    rows = tokenise((TEXTS, TEXTS[::-1]), [0] * len(TEXTS), stack.backbone.tokenizer)
    assert rows.types.any()
    torch.testing.assert_close(ours(stack, rows), expected("classification", reference, rows), **CLOSE)


@pytest.mark.parametrize("change", ["embeddings", "bias", "rank-stabilised", "pooler"])
def test_other_ways_of_lora(change, bases, tmp_path):
    model = with_head(bases("bert"), "classification")
    inside, _ = linears(model)
    options = {
        "embeddings": {"target_modules": [*inside, "word_embeddings"]},
        "bias": {"target_modules": inside, "bias": "all"},
        "rank-stabilised": {"target_modules": inside, "use_rslora": True},
        "pooler": {"target_modules": [*inside, "pooler.dense"]},
    }[change]
    config = LoraConfig(task_type="SEQ_CLS", r=3, lora_alpha=5, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn(get_peft_model(model, config)).save_pretrained(tmp_path)
    (tmp_path / "labels.json").write_text(json.dumps({"labels": LABELS}))
    reference = PeftModel.from_pretrained(with_head(bases("bert"), "classification"), tmp_path).eval()
    stack, _ = read(tmp_path, bases("bert"), "classification")
    rows = features("classification", stack.backbone.tokenizer)
    torch.testing.assert_close(ours(stack, rows), expected("classification", reference, rows), **CLOSE)


def test_classes_are_put_into_the_order_of_the_labels(bases, tmp_path):
    reference = with_head(bases("xlm-roberta"), "classification")
    reference.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    stack, _ = read(tmp_path, bases("bert"), "classification", labels=["So-So", "good"])
    rows = features("classification", stack.backbone.tokenizer)
    torch.testing.assert_close(ours(stack, rows), expected("classification", reference, rows)[:, [2, 0]], **CLOSE)
