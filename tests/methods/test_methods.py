"""One test walks over all methods; what is special to one follows."""

import re
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models
from torch import nn
from transformers import PreTrainedTokenizerFast

from isogloss import methods as methods_package
from isogloss.backbones import loading
from isogloss.backbones.prompts import AttentionPrefix, InputPrompt, PromptForm
from isogloss.errors import IsoglossError
from isogloss.methods import registry
from isogloss.methods.method import Importer
from isogloss.methods.registry import find, methods
from isogloss.methods.soft_prompt import _words
from isogloss.training.run import Run, new_run
from isogloss.training.stack import Stack
from models import checkpoint


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return loading.load(str(checkpoint(tmp_path_factory.mktemp("model"))), dtype="float32", device="cpu")


def states(stack, text=("the cat sat on the mat", "a dog")):
    encoded = stack.backbone.tokenizer(list(text), padding=True, return_tensors="pt")
    stack.runs[0].part.eval()
    with torch.no_grad():
        return stack.backbone.hidden(
            encoded["input_ids"], encoded["attention_mask"].bool(), prompt=stack.prompt(stack.runs)
        )


def test_every_method_of_the_folder_is_found():
    files = Path(registry.__file__).parent.glob("*.py")
    named = {file.stem.replace("_", "-") for file in files if re.search(r"^METHOD\b", file.read_text(), re.MULTILINE)}
    assert len(named) >= 7
    assert methods().keys() == named


TRAINED = sorted(name for name, method in methods().items() if not isinstance(method, Importer))


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_builds_trains_and_comes_back(name, backbone):
    method = find(name)
    settings = method.settings()
    own = backbone if method.frozen else backbone.copy()
    run = new_run(method, own, settings, seed=0, classes=3)
    stack = Stack(own, method, [run])
    before = states(stack)
    with torch.no_grad():
        for parameter in run.part.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    after = states(stack)
    assert after.shape == before.shape  # the prompt's own positions never leave the backbone
    assert (len(list(run.part.parameters())) == 0) == torch.equal(before, after)
    other = backbone if method.frozen else backbone.copy()
    back = method.restore(other, settings, {k: v.clone() for k, v in method.stored(run.part).items()})
    torch.testing.assert_close(states(Stack(other, method, [Run(settings, 1, back, run.head)])), after)


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_leaves_the_shared_backbone_alone(name, backbone):
    method = find(name)
    before = {key: tensor.clone() for key, tensor in backbone.model.state_dict().items()}
    own = backbone if method.frozen else backbone.copy()
    run = new_run(method, own, method.settings(), seed=0, classes=3)
    with torch.no_grad():
        for parameter in run.part.parameters():
            parameter.add_(1)
    states(Stack(own, method, [run]))
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.model.state_dict().items())
    assert not any(weight.requires_grad for weight in backbone.model.parameters())


def test_the_same_seed_starts_the_same_and_another_does_not(backbone):
    method = find("deep-prompt")
    one, same, other = (new_run(method, backbone, method.settings(), seed=s, classes=3) for s in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.part.vectors, other.part.vectors)
    assert not torch.equal(one.head.weight, other.head.weight)


def part(backbone, name, **settings):
    method = find(name)
    return method.build(backbone, method.settings(**settings), torch.Generator().manual_seed(0))


def test_a_soft_prompt_begins_as_it_was_told(backbone):
    table = backbone.model.get_input_embeddings().weight
    drawn = part(backbone, "soft-prompt", length=5)()
    rows = [int((table == vector).all(1).nonzero()) for vector in drawn]
    assert not set(rows) & set(backbone.tokenizer.all_special_ids)
    words = part(backbone, "soft-prompt", length=5, init="words", words="cat dog")()
    ids = backbone.tokenizer("cat dog cat dog cat", add_special_tokens=False)["input_ids"]
    assert torch.equal(words, table[ids])
    uniform = part(backbone, "soft-prompt", length=500, init="uniform")()
    assert uniform.abs().max().item() <= 0.5
    assert uniform.std().item() == pytest.approx(12**-0.5, rel=0.05)


def test_a_soft_prompt_begins_as_words_wherever_the_others_stand():
    """BERT's vocabulary begins with unused places, XLM-R's ends with `<mask>`."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(
            models.WordLevel({"[PAD]": 0, "[unused0]": 1, "cat": 2, "[": 3, "<s>": 4, "dog": 5, "<mask>": 6}, "[PAD]")
        ),
        pad_token="[PAD]",
        mask_token="<mask>",
    )
    assert _words(tokenizer).tolist() == [2, 3, 5]


def test_the_mlp_is_folded_away(backbone):
    method = find("soft-prompt")
    built = part(backbone, "soft-prompt", length=4, mlp=True)
    assert len(list(built.parameters())) > 1
    stored = method.stored(built)
    assert {name: tuple(tensor.shape) for name, tensor in stored.items()} == {"vectors": (4, 24)}


def test_stacks_of_ragged_prompts_say_how_long_each_is(backbone):
    def prompt(name, settings):
        method = find(name)
        runs = [new_run(method, backbone, one, seed=0, classes=2) for one in settings]
        stack = Stack(backbone, method, runs)
        return stack.prompt(runs), stack.form(runs), [run.part() for run in runs]

    def settings(name, lengths, **more):
        return [find(name).settings(length=n, **more) for n in lengths]

    made, form, vectors = prompt("soft-prompt", settings("soft-prompt", (2, 5), place="after-first"))
    assert isinstance(made, InputPrompt)
    assert made.form == form == PromptForm("input", (2, 5), place="after-first")
    assert made.vectors.shape == (2, 5, 24)
    assert made.vectors[0, :2].equal(vectors[0])
    assert not made.vectors[0, 2:].any()
    made, form, vectors = prompt("deep-prompt", settings("deep-prompt", (3, 1), first_layer=1, shift_positions=False))
    assert isinstance(made, AttentionPrefix)
    assert made.form == form == PromptForm("prefix", (3, 1), first_layer=1, shift=False)
    assert made.vectors.shape == (2, 2, 2, 3, 4, 6)
    assert made.vectors[1, :, :, :1].equal(vectors[1])


@pytest.mark.parametrize("name", TRAINED)
def test_a_form_says_what_a_part_gives(name, backbone):
    """The engine calls the parts of a stack as one, over parameters with a run axis."""
    method = find(name)
    settings = method.settings()
    own = backbone if method.frozen else backbone.copy()
    form, made = method.form([settings] * 2), method.build(own, settings, torch.Generator().manual_seed(0))
    assert (form is not None) == (method.positions(settings) > 0)
    if form is not None:
        assert form.lengths == (settings.length,) * 2
        assert made().shape[form.axis] == settings.length
        stacked = {key: torch.stack([tensor, 2 * tensor]) for key, tensor in made.named_parameters()}
        if method.frozen:
            both = torch.vmap(lambda values: torch.func.functional_call(made, values, ()))(stacked)
            torch.testing.assert_close(both[0], made())


@pytest.mark.parametrize("mlp", [False, True])
def test_an_mlp_may_be_called_with_a_run_axis(backbone, mlp):
    parts = [
        find("soft-prompt").build(backbone, find("soft-prompt").settings(length=3, mlp=mlp), generator)
        for generator in (torch.Generator().manual_seed(seed) for seed in (0, 1))
    ]
    stacked = {
        key: torch.stack([dict(one.named_parameters())[key] for one in parts]) for key, _ in parts[0].named_parameters()
    }
    both = torch.vmap(lambda values: torch.func.functional_call(parts[0], values, ()))(stacked)
    torch.testing.assert_close(both, torch.stack([one() for one in parts]))


def test_a_layer_that_is_not_there_is_refused(backbone):
    with pytest.raises(IsoglossError, match="first_layer is 3, but .* has layers 0 to 2"):
        find("deep-prompt").check(backbone, find("deep-prompt").settings(first_layer=3))


def test_frozen_embeddings_do_not_train(backbone):
    method = find("fine-tuning")
    with_words = method.build(backbone.copy(), method.settings(embeddings=True), torch.Generator())
    without = method.build(backbone.copy(), method.settings(), torch.Generator())
    count = [sum(p.numel() for p in part.parameters()) for part in (with_words, without)]
    assert count[0] - count[1] == backbone.model.get_input_embeddings().weight.numel()


@pytest.fixture
def strange(backbone):
    """A backbone with a matrix in a layer whose name says nothing."""
    made = backbone.copy()
    made.model.encoder.layer[1].attention.self.c_foo = nn.Linear(24, 24).requires_grad_(False)
    return made


STRANGE = r"the weight encoder.layer.1.attention.self.c_foo(.weight)? of .* is of no known kind.*weight_places.py"
BY_PLACE = [
    ("fine-tuning", {"rates": {"layers.0-1": 0}}),
    ("fine-tuning", {"rates": {"embeddings": 0}}),
    ("fine-tuning", {"layer_decay": 0.9}),
    ("fine-tuning", {"unfreeze": 0.5}),
    ("slow-fast", {}),
    ("lora", {}),
    ("lora", {"targets": "all"}),
]


@pytest.mark.parametrize(("name", "settings"), BY_PLACE)
def test_what_goes_by_place_refuses_a_weight_of_no_known_kind_before_anything_trains(name, settings, strange, backbone):
    method = find(name)
    method.check(backbone, method.settings(**settings))
    with pytest.raises(IsoglossError, match=STRANGE):
        method.check(strange, method.settings(**settings))
    with pytest.raises(IsoglossError, match=STRANGE):
        method.build(strange, method.settings(**settings), torch.Generator())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("fine-tuning", {}),
        ("fine-tuning", {"rates": {"backbone": 0.5, "head": 2}, "l2_sp": 0.1}),
        ("slow-fast", {"slow_place": False, "fast_place": False}),
        ("prompted-fine-tuning", {}),
    ],
)
def test_what_treats_the_backbone_alike_trains_weights_of_no_known_kind_too(name, settings, strange):
    method = find(name)
    chosen = method.settings(**settings)
    method.check(strange, chosen)
    run = new_run(method, strange, chosen, seed=0, classes=3)
    assert any("c_foo.weight" in key for key in method.stored(run.part))
    learning = {id(weight) for group in run.rates() for weight in group.parameters}
    assert learning == {id(weight) for weight in run.parameters()}


def test_lora_needs_a_matrix_to_update(backbone):
    made = backbone.copy()
    made.model.encoder.layer = nn.ModuleList()
    with pytest.raises(IsoglossError, match="lora finds no matrix to update"):
        find("lora").check(made, find("lora").settings())


def test_only_methods_reach_into_the_model_of_a_backbone():
    """The wall of `backbones/backbone.py`: others see hidden states, and weights by their names."""
    package = Path(methods_package.__path__[0]).parent
    reaching = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if re.search(r"\b(backbone|tuned|own)\.model\b", path.read_text(encoding="utf-8"))
    }
    assert reaching <= {"backbones", "methods"}
