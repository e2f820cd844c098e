"""Small random encoders and small data sets, made on the spot."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.loading import load
from isogloss.preprocessing.features import Features
from isogloss.training.engine import Engine
from isogloss.training.run import Run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState

WORDS = "the a cat dog sat ran on mat log fast slow red blue big small one two three sun moon".split()
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LABELS = ["entertainment", "geography", "health", "politics", "science/technology", "sports", "travel"]


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def bert_tokenizer() -> PreTrainedTokenizerFast:
    """One that gives type ids, 1 for the second text and the separator behind it."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s>:0 $A:0 </s>:0", pair="<s>:0 $A:0 </s>:0 $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def checkpoint(folder: Path, family: str = "xlm-roberta", positions: int = 40) -> Path:
    """A checkpoint of a tiny random model that `backbones.load` takes."""
    torch.manual_seed(7)
    sizes = {
        "vocab_size": len(SPECIAL) + len(WORDS), "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 48, "initializer_range": 0.3, "pad_token_id": 1,
    }  # fmt: skip
    if family == "bert":
        model = BertModel(BertConfig(**sizes, max_position_embeddings=positions), add_pooling_layer=False)
    else:
        config = XLMRobertaConfig(**sizes, max_position_embeddings=positions + 2, type_vocab_size=1)
        model = XLMRobertaModel(config, add_pooling_layer=False)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def sib200(folder: Path, languages: tuple[str, ...] = ("eng_Latn", "deu_Latn", "zho_Hans"), rows: int = 24) -> Path:
    """A data set in SIB-200's own layout; a label's texts begin with a word of its own."""
    generator = torch.Generator().manual_seed(3)
    for language in languages:
        (folder / language).mkdir(parents=True)
        for split, count in (("train", rows), ("dev", 14), ("test", 21)):
            lines = ["index_id\tcategory\ttext"]
            for i in range(count):
                length = int(torch.randint(2, 9, (), generator=generator))
                words = [WORDS[int(w)] for w in torch.randint(7, len(WORDS), (length,), generator=generator)]
                lines.append(f"{i}\t{LABELS[i % 7]}\t{WORDS[i % 7]} {' '.join(words)}")
            (folder / language / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def backbone(folder: Path, family: str = "xlm-roberta", **sizes: int) -> Backbone:
    """That checkpoint, loaded as users load it, in float32 on the CPU."""
    return load(str(checkpoint(folder, family, **sizes)), dtype="float32", device="cpu")


def train_state(run: Run, train: Features, dev: Features | None = None) -> TrainState:
    """A run's way through training, selected by accuracy."""
    dev = train if dev is None else dev
    return TrainState(
        run, train, dev, "accuracy", lambda scores: float((scores.argmax(1).numpy() == dev.labels).mean())
    )


def gradients(
    stack: Stack, train_states: Sequence[TrainState], budget: int = 4096, *, fixed: bool = False
) -> tuple[list[dict[str, Tensor]], list[float]]:
    """Each run's gradients of its next update by name, and its loss; nothing is learnt."""
    for one in train_states:
        one.run.part.train()
    engine = Engine(stack, train_states, budget=budget, fixed=fixed)
    plan = engine.plan()
    engine.draw(plan)
    engine.begin()
    for batch in plan.batches:
        engine.learn(batch, plan.step)
    flat = engine.flat
    found = [
        {name: flat.part(flat.gradients, number, name).clone() for name in flat.shapes}
        for number in range(len(train_states))
    ]
    return found, engine.loss.tolist()


def reference(
    folder: Path, tokens: Tensor, *, words: Tensor | None = None, prefix: Tensor | None = None, shift: int = 0
) -> Tensor:
    """Hidden states (T, H) of one unpadded row, written out from the weights of BERT and XLM-R.

    Args:
        folder: a checkpoint of `checkpoint`.
        tokens: ids (T).
        words: input embeddings (T, H) in place of the tokens' own.
        prefix: keys and values (L, 2, P, heads, D), in the highest L layers.
        shift: added to every position.
    """
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    embeddings, config = model.embeddings, model.config
    count = len(tokens) if words is None else len(words)
    first = config.pad_token_id + 1 if config.model_type == "xlm-roberta" else 0
    at = torch.arange(count) + first + shift
    states = embeddings.word_embeddings(tokens) if words is None else words
    states = states + embeddings.position_embeddings(at) + embeddings.token_type_embeddings.weight[0]
    states = embeddings.LayerNorm(states)
    for index, layer in enumerate(model.encoder.layer):
        own = layer.attention.self
        query, key, value = (
            project(states).view(count, config.num_attention_heads, -1) for project in (own.query, own.key, own.value)
        )
        above = index - (config.num_hidden_layers - (0 if prefix is None else len(prefix)))
        if prefix is not None and above >= 0:
            key, value = torch.cat([prefix[above, 0], key]), torch.cat([prefix[above, 1], value])
        weights = (torch.einsum("thd,shd->hts", query, key) / query.shape[-1] ** 0.5).softmax(-1)
        mixed = torch.einsum("hts,shd->thd", weights, value).flatten(1)
        out = layer.attention.output
        states = out.LayerNorm(out.dense(mixed) + states)
        out = layer.output
        states = out.LayerNorm(out.dense(layer.intermediate(states)) + states)
    return states
