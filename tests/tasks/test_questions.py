"""Questions and passages: windows lose nothing, offsets mean the original text, the best legal span is the answer."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from isogloss.api import run
from isogloss.data.cards import find
from isogloss.data.dataset import open_data
from isogloss.errors import IsoglossError
from isogloss.experiment.evaluate import predict as predict_scores
from isogloss.experiment.predict import Model
from isogloss.languages.language import Language
from isogloss.methods.registry import find as find_method
from isogloss.preprocessing.features import Features, WordSpans
from isogloss.preprocessing.tokenize import END, START, tokenise_passages
from isogloss.preprocessing.truncate import fit, windows
from isogloss.spec import Spec
from isogloss.tasks import heads
from isogloss.tasks.questions import LONGEST_ANSWER
from isogloss.tasks.registry import TASKS
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState
from models import WORDS, backbone, bert_tokenizer, checkpoint, gradients, tokenizer
from real_data import SHARED


def answer_of(features, row, passage):
    """The text between the units that are labelled as beginning and end."""
    units = features.units(np.asarray([row]))
    labels, offsets = features.labels[units], features.offsets[units]
    (begin,), (end,) = np.flatnonzero(labels & START), np.flatnonzero(labels & END)
    return passage[offsets[begin, 0] : offsets[end, 1]]


@pytest.mark.parametrize(
    ("passage", "answer"),
    [
        ("The  cat\u00a0sat on the mat.", "cat\u00a0sat"),
        ("Reykjavík liegt in Island", "Reykjavík"),
        ("ﬁve ﬂags and ½ a ™ sign", "½"),  # NFKC makes two or three characters of one
        ("東京都は日本の首都です。", "日本"),
        ("e\u0301te\u0301 2024", "e\u0301te\u0301"),  # NFKC makes one character of two
    ],
)
def test_an_answer_is_found_in_the_original_text(e5_tokenizer, passage, answer):
    begin = passage.index(answer)
    features = tokenise_passages(["what?"], [passage], [(begin, begin + len(answer))], e5_tokenizer)
    found = answer_of(features, 0, passage)
    assert answer in found
    assert len(found) <= len(answer) + 4  # a token may reach beyond
    assert features.words.counts[0] == 1 + sum(part == 1 for part in e5_tokenizer("what?", passage).sequence_ids())


@pytest.mark.skipif(not (SHARED / "xquad").is_dir(), reason="the published data sets are not beside the project")
@pytest.mark.parametrize("code", ["en", "de", "es", "zh", "ar"])
def test_real_answers_survive_tokens_and_windows(e5_tokenizer, code):
    data = open_data("xquad", path=SHARED / "xquad", splits={"test": "test[40:]"})
    table = data.examples(Language.parse(code), "test").table
    task = TASKS["qa"]
    features = task.features(table, ["start", "end"], e5_tokenizer, last=False, longest=128)
    cut = fit(features, 500, e5_tokenizer)
    assert cut.lengths.max() <= 128
    assert len(cut) > len(table)
    exact = 0
    for number, rows in enumerate(cut.of_example):
        passage, answer = table["passage"][number], table["answers"][number][0]
        holding = [row for row in rows if cut.labels[cut.units(np.asarray([row]))[0]] != START | END]
        texts = {answer_of(cut, row, passage) for row in holding}
        assert all(answer.strip() in text for text in texts)
        exact += answer.strip() in texts
        assert holding or len(e5_tokenizer(answer)["input_ids"]) > 20
    # A token that reaches beyond the answer is all that is lost; Chinese pieces do so most.
    assert exact > (0.75 if code == "zh" else 0.9) * len(table)


@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 80), st.integers(0, 79)), min_size=1, max_size=5),
    st.integers(16, 60),
)
@settings(deadline=None)
def test_windows_hold_every_token_and_the_whole_question(sizes, room):
    tokens, spans, labels, counts = [], [], [], []
    for number, (question, passage, at) in enumerate(sizes):
        first = 3 + question
        base = 1000 * (number + 1)
        tokens.append([0, *range(base, base + question), 2, 2, *range(base + 100, base + 100 + passage), 2])
        spans += [[0, 1], *([first + i, first + i + 1] for i in range(passage))]
        own = [0] * (1 + passage)
        own[1 + at if at < passage else 0] = START | END
        labels += own
        counts.append(1 + passage)
    lengths = [len(row) for row in tokens]
    whole = Features(
        tokens=np.concatenate(tokens), types=None, starts=np.concatenate([[0], np.cumsum(lengths)]),
        labels=np.asarray(labels), words=WordSpans(np.asarray(counts), np.asarray(spans)), offsets=np.asarray(spans),
    )  # fmt: skip
    cut = windows(whole, room)
    assert cut.lengths.max() <= room
    assert cut.words.counts.sum() == len(cut.labels) == len(cut.offsets)
    for number, rows in enumerate(cut.of_example):
        question, passage, at = sizes[number]
        seen, right = set(), 0
        front = tokens[number][: 3 + question]
        if len(front) > room // 2 and lengths[number] > room:  # the question alone is too long
            front = [*front[: room // 2 - 2], 2, 2]
        for row in rows:
            ids = cut.tokens[cut.starts[row] : cut.starts[row + 1]].tolist()
            assert ids[: len(front)] == front
            units = cut.units(np.asarray([row]))
            assert cut.words.spots[units[0]] == 0
            held = [ids[spot] for spot in cut.words.spots[units[1:]]]
            assert all(id_ >= 1000 * (number + 1) + 100 for id_ in held)
            assert [offset[0] - 3 - question for offset in cut.offsets[units[1:]]] == [id_ % 1000 - 100 for id_ in held]
            seen |= set(held)
            gold = cut.labels[units]
            assert gold.sum() == START | END
            right += bool(gold[1:].any())
        assert len(seen) == passage
        assert right >= (at < passage)
    long = [question + 3 > room // 2 for question, _, _ in sizes]
    assert cut.cut == sum(one and size > room for one, size in zip(long, lengths, strict=True))


def test_type_ids_go_along_with_every_window():
    whole = tokenise_passages(["the cat"], [" ".join(WORDS)], [(0, 3)], bert_tokenizer(), longest=20)
    cut = fit(whole, 60, bert_tokenizer())
    assert len(cut) > 1
    for row in range(len(cut)):
        types = cut.types[cut.starts[row] : cut.starts[row + 1]].tolist()
        assert types == [0] * 4 + [1] * (len(types) - 4)  # <s> the cat </s>


def test_the_loss_is_a_cross_entropy_over_each_row():
    torch.manual_seed(0)
    sizes = [4, 1, 6]
    scores = torch.randn(11, 2, requires_grad=True)
    starts, ends = [1, 0, 5], [3, 0, 5]
    gold, row = torch.zeros(11, dtype=torch.long), torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    expected, at = [], 0
    for size, start, end in zip(sizes, starts, ends, strict=True):
        gold[at + start] |= START
        gold[at + end] |= END
        part = scores[at : at + size]
        both = [nn.functional.cross_entropy(part[:, c], torch.tensor(place)) for c, place in enumerate((start, end))]
        expected.append(sum(both) / 2)
        at += size
    losses = heads.span_losses(scores[None], gold[None], row[None], 3)[0]
    torch.testing.assert_close(torch.stack([losses[row == i].sum() for i in range(3)]), torch.stack(expected))
    (ours,) = torch.autograd.grad(losses.sum(), scores, retain_graph=True)
    (theirs,) = torch.autograd.grad(sum(expected), scores)
    torch.testing.assert_close(ours, theirs)


def test_the_answer_is_the_best_legal_span_of_all_windows():
    made = tokenizer()
    generator = np.random.default_rng(0)
    passages = [" ".join(generator.choice(WORDS, size)) for size in (50, 3, 90)]
    whole = tokenise_passages(["the cat"] * 3, passages, [None] * 3, made, longest=40)
    cut = fit(whole, 60, made)
    scores = torch.randn(len(cut.labels), 2, generator=torch.Generator().manual_seed(0))
    answers, sure = TASKS["qa"].predicted(cut, scores, ["start", "end"])
    for number, rows in enumerate(cut.of_example):
        spans = {}
        for row in rows:
            units = cut.units(np.asarray([row]))[1:]
            for i, first in enumerate(units):
                for last in units[i : i + LONGEST_ANSWER]:
                    text = passages[number][cut.offsets[first, 0] : cut.offsets[last, 1]]
                    spans.setdefault(float(scores[first, 0] + scores[last, 1]), text)
        assert answers[number] == spans[max(spans)]
        assert sure[number] == pytest.approx(np.exp(max(spans)) / sum(np.exp(value) for value in spans), rel=1e-3)


def test_a_passage_of_which_nothing_is_left_has_an_empty_answer():
    made = tokenizer()
    features = fit(tokenise_passages(["the cat"], ["\u3000"], [None], made), 30, made)
    assert TASKS["qa"].predicted(features, torch.zeros(len(features.labels), 2), ["start", "end"]) == ([""], [0.0])


def test_stacked_runs_learn_from_passages_as_solo_ones_do(tmp_path):
    model = backbone(tmp_path)
    passages = [" ".join(WORDS[(i + j) % 20] for j in range(4 + 5 * i % 23)) for i in range(9)]
    whole = tokenise_passages([WORDS[i] for i in range(9)], passages, [(4, 9)] * 9, model.tokenizer, longest=20)
    method = find_method("deep-prompt")

    def found(lengths):
        runs = [new_run(method, model, method.settings(length=p, batch_size=4), seed=p, classes=2) for p in lengths]
        stack = Stack(model, method, runs)
        train_states = []
        for one in runs:
            cut = fit(whole, stack.room(one), model.tokenizer)
            train_states.append(TrainState(one, cut, cut, "f1", lambda _: 0.0))
        return zip(*gradients(stack, train_states, 60), strict=True)

    together = found([2, 5])
    for (stacked, loss), ((alone, alone_loss),) in zip(together, [found([2]), found([5])], strict=True):
        assert loss == pytest.approx(alone_loss, rel=1e-5)
        for key, tensor in alone.items():
            torch.testing.assert_close(stacked[key], tensor, rtol=1e-4, atol=1e-5, msg=key)


def squad(path, articles, questions=3):
    data = []
    for number in range(articles):
        passage = f"{WORDS[number % 20]} the cat sat on {WORDS[(number + 3) % 20]} log " + "small " * (9 * number)
        answer = {"text": WORDS[(number + 3) % 20], "answer_start": passage.index(" on ") + 4}
        asked = [{"id": f"{number}-{i}", "question": f"{WORDS[i]} on", "answers": [answer]} for i in range(questions)]
        data.append({"title": f"article {number}", "paragraphs": [{"context": passage, "qas": asked}]})
    path.write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")


def test_from_files_to_answers(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for code in ("en", "de"):
        squad(folder / f"xquad.{code}.json", 8)
    spec = Spec(
        name="small", backbone=str(checkpoint(tmp_path / "model")), task="xquad", seeds=[0, 1], dtype="float32",
        device="cpu",
        data={"path": folder, "splits": {"train": "test[:4]", "dev": "test[4:6]", "test": "test[6:]"}, "longest": 32},
        methods={
            "linear-probe": {"epochs": 2}, "soft-prompt": {"epochs": 1, "length": 3}, "fine-tuning": {"epochs": 1},
            "deep-prompt": {"epochs": 1, "length": [2, 4], "batch_size": 4},
        },
    )  # fmt: skip
    stored = run(spec, tmp_path / "run").store
    predictions = stored.table("predictions")
    assert len(predictions) == 5 * 2 * 2 * 2 * 3
    assert set(predictions["example"]) == {f"{article}-{i}" for article in (6, 7) for i in range(3)}
    assert set(predictions["gold"]) == {'["fast"]', '["slow"]'}
    passages = json.loads((folder / "xquad.en.json").read_text())["data"]
    text = " ".join(part["paragraphs"][0]["context"] for part in passages)
    assert all(answer and answer in text for answer in predictions["predicted"])
    scores = stored.table("scores").filter(split="test")
    assert set(scores["metric"]) == {"f1", "exact-match"}
    exact = predictions.group_by("method", "seed", "language").agg(
        v=(pl.concat_str(pl.lit('["'), "predicted", pl.lit('"]')) == pl.col("gold")).mean()
    )
    joined = exact.join(scores.filter(metric="exact-match"), on=["method", "seed", "language"])
    assert joined["v"].to_list() == pytest.approx(joined["value"].to_list())
    (answer,) = Model.load(tmp_path / "run").predict(["where\tthe cat sat on a mat"])
    assert answer["answer"] in "the cat sat on a mat"
    with pytest.raises(IsoglossError, match="text 2 is not a question and a passage with a tab between: 'no passage'"):
        Model.load(tmp_path / "run").predict(["a\tb", "no passage"])


def test_prompts_do_not_shift_the_answer(tmp_path):
    """PEFT trains questions on labels that are off by the prompt's length; here a prompt moves no position."""
    model = backbone(tmp_path)
    whole = tokenise_passages(["the cat"], ["a dog sat on the mat"], [(9, 12)], model.tokenizer)
    cut = fit(whole, 30, model.tokenizer)
    at = [model.tokenizer.convert_ids_to_tokens(int(cut.tokens[spot])) for spot in cut.words.spots[cut.labels > 0]]
    assert at == ["on"]
    for name in ("soft-prompt", "deep-prompt"):
        method = find_method(name)
        one = new_run(method, model, method.settings(length=7), seed=0, classes=2)
        (made,) = predict_scores(Stack(model, method, [one]), [one], cut, budget=100)
        assert made.features.labels.tolist() == cut.labels.tolist()
        assert made.scores.shape == (len(cut.labels), 2)


def raws(tmp_path, change):
    squad(tmp_path / "xquad.en.json", 1, questions=1)
    whole = json.loads((tmp_path / "xquad.en.json").read_text())
    change(whole["data"][0]["paragraphs"][0])
    (tmp_path / "xquad.en.json").write_text(json.dumps(whole))
    return open_data("xquad", path=tmp_path).examples(Language.parse("en"), "test").table


def test_an_answer_that_stands_elsewhere_is_looked_for_nearby(tmp_path):
    def change(paragraph):
        paragraph["context"] = "cat, cat, cat"
        paragraph["qas"][0]["answers"] = [{"text": "cat", "answer_start": 6}]

    assert raws(tmp_path, change)["starts"].to_list() == [[5]]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("answers", [], "has no answer; leave SQuAD 2.0's unanswerable questions out"),
        ("answers", [{"text": "fish", "answer_start": 0}], "the answer 'fish' is not in its passage"),
        ("question", " ", "empty question"),
        ("id", None, None),
    ],
)
def test_a_broken_question_is_named(tmp_path, key, value, message):
    def change(paragraph):
        if value is None:
            del paragraph["qas"][0][key]
        else:
            paragraph["qas"][0][key] = value

    with pytest.raises(IsoglossError, match=message or "has no id; expected it, as in SQuAD's JSON"):
        raws(tmp_path, change)


def test_a_set_that_only_tests_says_what_to_do(tmp_path):
    squad(tmp_path / "xquad.en.json", 1)
    with pytest.raises(IsoglossError, match=r"xquad has no train split; .*data.splits.*data.train"):
        open_data("xquad", path=tmp_path).examples(Language.parse("en"), "train")


def test_another_set_may_train(tmp_path):
    (tmp_path / "squad").mkdir()
    (tmp_path / "xquad").mkdir()
    squad(tmp_path / "squad" / "train-v1.1.json", 20)
    squad(tmp_path / "squad" / "dev-v1.1.json", 2)
    squad(tmp_path / "xquad" / "xquad.en.json", 3)
    data = open_data("xquad", path=tmp_path / "xquad", train=("squad", tmp_path / "squad"))
    english = Language.parse("en")
    assert [len(data.examples(english, split)) for split in ("train", "dev", "test")] == [57, 3, 9]
    with pytest.raises(IsoglossError, match="sib200 cannot train for xquad: it is classification with other labels"):
        open_data("xquad", path=tmp_path / "xquad", train=("sib200", None))
    with pytest.raises(IsoglossError, match="data.splits.train is a part of test, but xquad is trained on squad here"):
        open_data("xquad", splits={"train": "test[:34]"})
    with pytest.raises(IsoglossError, match="xquad has no dev split"):
        open_data("xquad", path=tmp_path / "xquad", splits={"test": "dev"})
    assert open_data("xquad").trainer.card.name == find("xquad").train == "squad"


def test_one_file_may_hold_all_languages(tmp_path):
    squad(tmp_path / "tydiqa-goldp-v1.1-dev.json", 2)
    text = (tmp_path / "tydiqa-goldp-v1.1-dev.json").read_text()
    (tmp_path / "tydiqa-goldp-v1.1-dev.json").write_text(text.replace('"0-', '"english-').replace('"1-', '"swahili-'))
    data = open_data("tydiqa", path=tmp_path)
    assert data.examples(Language.parse("sw"), "test").table["id"].to_list() == ["swahili-0", "swahili-1", "swahili-2"]
