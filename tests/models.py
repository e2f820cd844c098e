"""Small random encoders and small data sets, made on the spot."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

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
