"""Model folders with damaged tokenizers, tokenizers of other models, and such as lead elsewhere."""

from functools import partial

import pytest

from model_damages import BYTES, SETTINGS, SPECIAL, TOKENIZER, Damages, keyed, nested

DAMAGES = Damages()
for how, data in BYTES.items():
    DAMAGES.add(f"{TOKENIZER} is {how}", lambda folder, data=data: (folder / TOKENIZER).write_bytes(data))
for how, become in SPECIAL.items():
    DAMAGES.add(f"{TOKENIZER} is {how}!", lambda folder, become=become: become(folder / TOKENIZER))
for how, data in BYTES.items():
    harmless = how in {"keys that are none", "a lone surrogate"}
    DAMAGES.add(
        f"{SETTINGS} is {how}", lambda folder, data=data: (folder / SETTINGS).write_bytes(data), refused=not harmless
    )
for how, become in SPECIAL.items():
    DAMAGES.add(
        f"{SETTINGS} is {how}!", lambda folder, become=become: become(folder / SETTINGS), refused=how != "missing"
    )
PIECES = {
    "no pieces": (["model", "vocab"], {}),
    "pieces that are a list": (["model", "vocab"], ["a"]),
    "no model": (["model"], ...),
    "a model that is a text": (["model"], "x"),
    "a model nobody knows": (["model", "type"], "Sluggish"),
    "a piece with a negative number": (["model", "vocab", "cat"], -1),
    "a piece beyond the embedding": (["model", "vocab", "cat"], 999),
    "a piece with a wild number": (["model", "vocab", "cat"], 2**40),
    "a piece that is a text": (["model", "vocab", "cat"], "x"),
    "an unknown token that is none": (["model", "unk_token"], "<nope>"),
    "no unknown token": (["model", "unk_token"], ...),
    "a pre-tokenizer nobody knows": (["pre_tokenizer"], {"type": "X"}),
    "a pre-tokenizer that is a list": (["pre_tokenizer"], []),
    "a pattern that is none": (
        ["pre_tokenizer"],
        {"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated", "invert": False},
    ),
    "a special token beyond the embedding": (["post_processor", "special_tokens", "<s>", "ids"], [99]),
    "a special token nobody knows": (["post_processor", "special_tokens", "<s>", "tokens"], ["<nope>"]),
    "a post-processor that is a text": (["post_processor"], "x"),
    "added tokens that are a text": (["added_tokens"], "x"),
    "an added token beyond the embedding": (
        ["added_tokens"],
        [
            {
                "id": 25,
                "content": "new",
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": True,
                "special": False,
            }
        ],
    ),
    "an added token with a wild number": (
        ["added_tokens"],
        [
            {
                "id": 2**31,
                "content": "new",
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": True,
                "special": True,
            }
        ],
    ),
    "a normalizer nobody knows": (["normalizer"], {"type": "X"}),
    "a charsmap that is none": (["normalizer"], {"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    "a version of tomorrow": (["version"], "9.0"),
    "truncation of nothing": (
        ["truncation"],
        {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 9},
    ),
    "padding to a billion": (
        ["padding"],
        {
            "strategy": {"Fixed": 10**9},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 1,
            "pad_type_id": 0,
            "pad_token": "<pad>",
        },
    ),
}
TAKEN = {"a special token nobody knows", "padding to a billion", "truncation of nothing"}
for how, (place, value) in PIECES.items():
    DAMAGES.add(how, partial(nested, place=place, value=value), refused=how not in TAKEN)

TOLD = {
    "code for the tokenizer": {"auto_map": {"AutoTokenizer": ["tokenization_x.T", None]}},
    "code as a list": {"auto_map": ["x.T", None]},
    "a class that is a number": {"tokenizer_class": 3},
    "a class nobody knows": {"tokenizer_class": "NopeTokenizer"},
    "the class of another": {"tokenizer_class": "BertTokenizer"},
    "a class that is a module": {"tokenizer_class": "os.system"},
    "a class with bytes": {"tokenizer_class": "ByT5Tokenizer"},
    "tekken": {"tokenizer_class": "MistralCommonBackend"},
    "vocabulary elsewhere": {"vocab_file": "/etc/passwd"},
    "a tokenizer elsewhere": {"tokenizer_file": "/dev/zero"},
    "a template": {"chat_template": "{% for x in range(10**9) %}{{ x }}{% endfor %}"},
    "a length of no number": {"model_max_length": "x"},
    "a wild length": {"model_max_length": 10**40},
    "a negative length": {"model_max_length": -5},
    "names of inputs": {"model_input_names": "x"},
    "names of no inputs": {"model_input_names": []},
    "wild inputs": {"model_input_names": ["pixel_values"]},
    "a pad token of keys": {"pad_token": {"a": 1}},
    "a pad token of another": {"pad_token": "the"},
    "no pad token at all": {"pad_token": None},
    "a pad token nobody has": {"pad_token": "<new-pad>"},
    "an unknown token nobody has": {"unk_token": "<new-unk>"},
    "a start nobody has": {"cls_token": "<new-cls>", "bos_token": "<new-cls>"},
    "more special tokens": {"additional_special_tokens": ["<e1>", "<e2>"]},
    "extra ones": {"extra_special_tokens": {"image_token": "<image>"}},
    "a token for pictures": {"image_token": "<image>"},
    "a wild decoder": {"added_tokens_decoder": {"9999": {"content": "x", "special": True}}},
    "a decoder of texts": {"added_tokens_decoder": "x"},
    "the left side": {"padding_side": "left", "truncation_side": "left"},
    "no side": {"padding_side": "up"},
    "spaces": {"clean_up_tokenization_spaces": "x"},
    "a backend": {"backend": "sentencepiece"},
    "an object": {"tokenizer_object": "x"},
    "slow": {"from_slow": True},
    "config": {"config": {"a": 1}},
    "mistral's": {"fix_mistral_regex": True},
    "init inputs": {"init_inputs": ["a", "b"]},
    "name": {"name_or_path": "../.."},
}
for how, changes in TOLD.items():
    DAMAGES.add(f"told {how}", partial(keyed, changes=changes, file=SETTINGS), refused="code" in how)


@DAMAGES("no file of a tokenizer", names=["no tokenizer"])
def _(folder):
    (folder / TOKENIZER).unlink()
    (folder / SETTINGS).unlink()


@DAMAGES("pieces of sentencepiece that are none")
def _(folder):
    (folder / TOKENIZER).rename(folder / "sentencepiece.bpe.model")


@DAMAGES("a vocabulary by lines that no class reads")
def _(folder):
    (folder / TOKENIZER).unlink()
    (folder / "vocab.txt").write_text("the\na\n")


@DAMAGES("added tokens in a file of their own", refused=False)
def _(folder):
    (folder / "added_tokens.json").write_text('{"<new>": 25, "<newer>": 4000000000}')


@DAMAGES("a special tokens map that is none", names=["special_tokens_map.json"])
def _(folder):
    (folder / "special_tokens_map.json").write_text("[]")


@pytest.mark.parametrize(("name", "command"), DAMAGES.cases())
def test_it_is_taken_or_refused_in_a_line(isogloss, whole_home, name, command):
    DAMAGES.answered_well(isogloss, whole_home, name, command)
