"""Verbalizers equal transformers' own language models, read at the answer's place."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from decoders import CONFIGS, ENCODERS, MASKED, backbone
from isogloss.backbones import lm_head
from isogloss.methods.registry import find
from isogloss.preprocessing.fill_template import tokenise_filled
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import LABELS, WORDS, gradients, train_state

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
DECODERS = sorted(CONFIGS.keys() - ENCODERS)
TEXTS = ["the cat sat on the mat", "a dog", "one two three sun moon red blue"]
GOLD = [2, 0, 5]
OTHERS = dict(zip(LABELS, WORDS[7:14], strict=True))
SETTINGS = {"head": "verbalizer", "dropout": 0.0, "batch_size": 3, "epochs": 1, "warmup": 0.0, "clip": 1e9}


def verbalizer(model, template, loss="vocabulary"):
    own = dict(zip(LABELS, WORDS, strict=False))
    words = {"eng-Latn": own, "deu-Latn": OTHERS}
    given = {"template": template, "words": words, "loss": loss}
    return Verbalizer.of(model, LABELS, given, source="eng-Latn", inputs=("text",))


def filled(model, made, language="eng-Latn", texts=TEXTS):
    options = {"causal": model.causal, "wording": made.wording(language)}
    return tokenise_filled(made.template, (texts,), GOLD, model.tokenizer, **options)


def soft_prompt(model, made, seed=0, **settings):
    method = find("soft-prompt")
    settings = method.settings(**SETTINGS | {"length": 4, "place": "template"} | settings)
    run = new_run(method, model, settings, seed=seed, classes=len(LABELS), verbalizer=made)
    return Stack(model, method, [run]), run


@pytest.mark.parametrize("loss", ["vocabulary", "words"])
@pytest.mark.parametrize("family", DECODERS)
def test_a_prompt_behind_the_text_on_a_decoder(family, loss, tmp_path):
    """Philippy et al. 2024: text, prompt, and the answer read where the prompt ends."""
    model = backbone(tmp_path, family, words=True)
    made = verbalizer(model, "{text}{prompt} {answer}", loss)
    stack, run = soft_prompt(model, made)
    features = filled(model, made)
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    vectors = run.part().detach().clone().requires_grad_()
    logits = []
    for text in TEXTS:
        ids = torch.tensor(model.tokenizer(text)["input_ids"])
        if ids[-1] == model.tokenizer.eos_token_id:
            ids = ids[:-1]
        joined = torch.cat([reference.get_input_embeddings()(ids), vectors])
        logits.append(reference(inputs_embeds=joined[None]).logits[0, -1])
    logits = torch.stack(logits)
    ids = made.ids[0]
    with torch.no_grad():
        (scores,) = stack.logits(features, [run], budget=1000)
    torch.testing.assert_close(scores, logits[:, ids], **CLOSE)
    if loss == "vocabulary":
        expected = torch.nn.functional.cross_entropy(logits, ids[GOLD])
    else:
        expected = torch.nn.functional.cross_entropy(logits[:, ids], torch.tensor(GOLD))
    expected.backward()
    ((seen,), (seen_loss,)) = gradients(stack, [train_state(run, features)], 20)
    assert seen_loss == pytest.approx(expected.item(), rel=1e-5)
    atol = 1e-5 * float(vectors.grad.abs().max())
    torch.testing.assert_close(seen["part.start"], vectors.grad, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("family", sorted(MASKED))
def test_the_mask_of_a_masked_language_model(family, tmp_path):
    model = backbone(tmp_path, family, words=True)
    made = verbalizer(model, "{text} sun {answer} moon")
    method = find("deep-prompt")
    settings = method.settings(**SETTINGS | {"length": 3, "init_scale": 1e-9, "shift_positions": False})
    run = new_run(method, model, settings, seed=0, classes=len(LABELS), verbalizer=made)
    reference = AutoModelForMaskedLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    features = filled(model, made, "deu-Latn")
    mask = model.tokenizer.mask_token_id
    with torch.no_grad():
        run.part.vectors.zero_()
        # A prefix of zeros is not nothing: its keys take a share of the attention. So the bare backbone is compared.
        rows = [features.tokens[a:b] for a, b in zip(features.starts, features.starts[1:], strict=False)]
        for row, text in zip(rows, TEXTS, strict=True):
            ids = torch.from_numpy(row)
            assert ids.tolist() == model.tokenizer(f"{text} sun {model.tokenizer.mask_token} moon")["input_ids"]
            hidden = model.hidden(ids[None], torch.ones(1, len(ids), dtype=torch.bool))[0][ids == mask]
            expected = reference(ids[None]).logits[0][ids == mask]
            states = model.lm_head.states(hidden)
            torch.testing.assert_close(model.lm_head.logits(states), expected, **CLOSE)
            own = run.head(hidden, torch.tensor([1]), rest=False)
            torch.testing.assert_close(own, expected[:, made.ids[1]], **CLOSE)
            rest = run.head(hidden, torch.tensor([1]), rest=True).log_softmax(-1)[:, :-1]
            torch.testing.assert_close(rest, expected.log_softmax(-1)[:, made.ids[1]], **CLOSE)


def test_stacked_runs_learn_as_alone_and_logits_are_made_at_answers_alone(tmp_path, monkeypatch):
    model = backbone(tmp_path, "bloom", words=True)
    made = verbalizer(model, "{text} {prompt} {answer}")
    features = filled(model, made)
    sizes = []
    plain = lm_head.LMHead.logits
    monkeypatch.setattr(lm_head.LMHead, "logits", lambda *args: (sizes.append(args[1].shape), plain(*args))[1])
    method = find("soft-prompt")
    common = {**SETTINGS, "place": "template", "epochs": 3, "lr": 1e-2}
    variants = [{"length": 2}, {"length": 5, "clip": 0.1}, {"length": 3, "lr": 1e-1}]

    def trained(some):
        runs = [
            new_run(method, model, method.settings(**common | own), seed=seed, classes=7, verbalizer=made)
            for seed, own in some
        ]
        train(
            Stack(model, method, runs),
            [train_state(run, features) for run in runs],
            budget=50,
            eval_budget=50,
            source="en",
        )
        return [method.stored(run.part)["vectors"] for run in runs]

    together = trained(list(enumerate(variants)))
    assert max(len(size) for size in sizes) == 2
    assert max(size[0] for size in sizes) <= 3 * len(TEXTS)
    for number, own in enumerate(variants):
        torch.testing.assert_close(trained([(number, own)])[0], together[number], rtol=1e-4, atol=1e-5)


def test_a_tuned_word_embedding_is_the_tied_head(tmp_path):
    model = backbone(tmp_path, "xglm", words=True)
    made = verbalizer(model, "{text}{answer}")
    method, own = find("fine-tuning"), model.copy()
    settings = method.settings(**SETTINGS | {"embeddings": True, "lr": 1e-2})
    run = new_run(method, own, settings, seed=0, classes=7, verbalizer=made)
    before = model.lm_head.logits(torch.ones(1, 24))
    train(Stack(own, method, [run]), [train_state(run, filled(own, made))], budget=50, eval_budget=50, source="en")
    assert torch.equal(model.lm_head.logits(torch.ones(1, 24)), before)
    tuned = method.stored(run.part)["embed_tokens.weight"]
    torch.testing.assert_close(run.head.lm_head[0].logits(torch.ones(1, 24))[0], tuned.sum(1))
    assert not torch.allclose(tuned.sum(1), before[0], atol=1e-3)
