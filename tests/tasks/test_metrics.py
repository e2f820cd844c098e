import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.tasks.metrics import accuracy, macro_f1, span_f1, spans
from isogloss.tasks.registry import TASKS


def test_by_hand():
    gold, predicted = list("aabbc"), list("abbba")
    assert accuracy(gold, predicted) == pytest.approx(3 / 5)
    # class a: 1 hit of 2 and 2; class b: 2 hits of 2 and 3; class c: none of 1 and 0
    assert macro_f1(gold, predicted) == pytest.approx((2 / 4 + 4 / 5 + 0) / 3)


@given(st.lists(st.tuples(*[st.sampled_from("abcde")] * 2), min_size=1, max_size=50))
def test_against_counting(pairs):
    gold, predicted = map(list, zip(*pairs, strict=True))
    assert accuracy(gold, predicted) == pytest.approx(sum(g == p for g, p in pairs) / len(pairs))
    scores = []
    for label in {label for pair in pairs for label in pair}:
        hits = sum(g == p == label for g, p in pairs)
        precision = hits / max(1, sum(p == label for _, p in pairs))
        recall = hits / max(1, sum(g == label for g, _ in pairs))
        scores.append(0.0 if hits == 0 else 2 * precision * recall / (precision + recall))
    assert macro_f1(gold, predicted) == pytest.approx(sum(scores) / len(scores))


IOB = [f"{prefix}-{kind}" for prefix in "BI" for kind in ("PER", "LOC")]
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()


def pairs_of(tags):
    """Several sentences, each tagged twice."""
    sentence = st.lists(st.tuples(*[st.sampled_from(tags)] * 2), min_size=1, max_size=12)
    return st.lists(sentence, min_size=1, max_size=5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tags", [["O", *IOB], ["O", *IOB, "E-PER", "S-LOC"], UPOS], ids=["iob2", "iobes", "bare"])
def test_span_f1_is_seqevals(tags):
    from seqeval.metrics import f1_score
    from seqeval.metrics.sequence_labeling import get_entities

    @settings(max_examples=1500, deadline=None)
    @given(pairs_of(tags))
    def check(sentences):
        gold, predicted = ([[pair[i] for pair in sentence] for sentence in sentences] for i in (0, 1))
        assert span_f1(gold, predicted) == pytest.approx(f1_score(gold, predicted))
        for sentence in gold:
            assert [(kind, begin, end) for begin, end, kind in spans(sentence)] == get_entities(sentence)

    check()


def score(kind, metric, gold, predicted, language="eng-Latn"):
    return TASKS[kind].metrics[metric]([json.dumps(gold)], [predicted], language)


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        (["The Cat!"], "cat", 1, 1),
        (["a big cat"], "the small cat", 0, 2 * 0.5 * 0.5 / 1),
        (["308"], "308 points", 0, 2 / 3),
        (["dog", "the cat"], "cat", 1, 1),  # the best of several answers
        (["«cat»"], "cat", 0, 0),  # only ASCII punctuation is left out
        (["北京市"], "北京", 0, 0),  # no white space: one word
        (["the"], "a", 1, 0),  # nothing is left of either: alike, but without a common word
        (["cat cat dog"], "cat dog dog", 0, 2 / 3),  # bags
        (["theatre"], "atre", 0, 0),
    ],
)
def test_answers_are_compared_as_squad_does(gold, predicted, exact, f1):
    assert score("qa", "exact-match", gold, predicted) == exact
    assert score("qa", "f1", gold, predicted) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("language", "gold", "predicted", "exact", "f1"),
    [
        ("eng-Latn", "“The Cat”", "cat", 1, 1),
        ("deu-Latn", "das große Haus", "dem großen Haus", 0, 0.5),
        ("deu-Latn", "einer Katze", "Katze", 1, 1),
        ("spa-Latn", "¿los gatos?", "gatos", 1, 1),
        ("vie-Latn", "cái nhà", "nhà", 1, 1),
        ("hin-Deva", "बिल्ली।", "बिल्ली", 1, 1),
        ("arb-Arab", "البيت الكبير", "بيت كبير", 1, 1),
        ("arb-Arab", "؟البيت", "بيت", 1, 1),
        ("zho-Hans", "北京市", "北京", 0, 0.8),
        ("zho-Hans", "《红楼梦》", "红楼梦", 1, 1),
        ("zho-Hans", "2008年8月", "2008年", 0, 2 / 3),
        ("tha-Thai", "กรุงเทพ ฯ", "กรุงเทพ", 0, 2 / 3),  # no rules of its own
    ],
)
def test_answers_are_compared_as_mlqa_does(language, gold, predicted, exact, f1):
    assert score("qa-mlqa", "exact-match", [gold], predicted, language) == exact
    assert score("qa-mlqa", "f1", [gold], predicted, language) == pytest.approx(f1)


def test_spans_by_hand():
    tags = "B-PER I-PER I-LOC O I-LOC B-LOC I-LOC O".split()
    assert list(spans(tags)) == [(0, 1, "PER"), (2, 2, "LOC"), (4, 4, "LOC"), (5, 6, "LOC")]
    assert span_f1([["B-PER", "I-PER"]], [["B-PER", "O"]]) == 0
    assert span_f1([["O"]], [["O"]]) == 0
