import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.metrics import accuracy, macro_f1, span_f1, spans


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


def test_spans_by_hand():
    tags = "B-PER I-PER I-LOC O I-LOC B-LOC I-LOC O".split()
    assert list(spans(tags)) == [(0, 1, "PER"), (2, 2, "LOC"), (4, 4, "LOC"), (5, 6, "LOC")]
    assert span_f1([["B-PER", "I-PER"]], [["B-PER", "O"]]) == 0
    assert span_f1([["O"]], [["O"]]) == 0
