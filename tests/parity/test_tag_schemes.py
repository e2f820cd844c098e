"""Spans of every scheme that is read, against seqeval's strict reading; others are refused where they are scored."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.data.cards import read_card
from isogloss.data.tag_schemes import mark_spans, strange_tag
from isogloss.errors import IsoglossError
from isogloss.tasks.metrics import span_f1, spans

SCHEMES = {"IOB2": "BI", "IOBES": "BIES", "BILOU": "BILU"}


@st.composite
def sentences(draw, scheme):
    """Gold and predicted tags of some sentences, each written out of spans, as the scheme has them."""
    prefixes = SCHEMES[scheme]
    begin, inside, end, single = prefixes if len(prefixes) == 4 else "BIIB"

    def tags(length):
        made = []
        while len(made) < length:
            size = min(draw(st.integers(1, 3)), length - len(made))
            kind = draw(st.sampled_from(["PER", "LOC", None]))
            marks = [begin, *[inside] * (size - 2), end] if size > 1 else [single]
            made += ["O" if kind is None else f"{mark}-{kind}" for mark in marks]
        return made

    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    return [tags(length) for length in lengths], [tags(length) for length in lengths]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_spans_are_those_of_seqeval_in_strict_mode(scheme):
    from seqeval import scheme as schemes
    from seqeval.metrics import f1_score

    @settings(max_examples=150, deadline=None)
    @given(sentences(scheme))
    def check(pair):
        gold, predicted = pair
        theirs = f1_score(gold, predicted, mode="strict", scheme=getattr(schemes, scheme))
        assert span_f1(gold, predicted) == pytest.approx(theirs)

    check()


def test_bilou_by_hand():
    gold = [["U-PER", "U-PER", "O"], ["B-LOC", "L-LOC", "U-LOC"]]
    assert list(spans(gold[0])) == [(0, 0, "PER"), (1, 1, "PER")]
    assert list(spans(gold[1])) == [(0, 1, "LOC"), (2, 2, "LOC")]
    assert span_f1(gold, [["U-PER", "O", "O"], gold[1]]) == pytest.approx(6 / 7)


def test_nothing_but_o_is_outside():
    assert span_f1([["ORG", "PER", "O"]], [["O", "PER", "O"]]) < 1
    assert list(spans(["OTH", "O"])) == [(0, 0, "OTH")]


def tagging(labels, **more):
    raw = {"name": "own", "kind": "tagging", "source": "en", "languages": "en", "labels": labels,
           "columns": {"text": "w", "label": "t"}, **more}  # fmt: skip
    return read_card(raw, where="card.yaml")


@pytest.mark.parametrize(
    "labels",
    [["O", "PER-B", "PER-I"], ["O", "ORG", "PER"], ["O", "B-PER", "ORG"], ["O", "M-PER", "B-PER"], ["O", "B_PER"],
     ["O", "b-PER"],
     ["NN", "VB"], ["B", "I", "O"], ["O", "B-"], ["o", "B-PER"]],
)  # fmt: skip
def test_other_schemes_are_refused_by_name_with_the_metric_that_fits(labels):
    for more in ({}, {"metrics": ["span-f1"]}, {"metrics": ["accuracy", "span-f1"]}):
        with pytest.raises(
            IsoglossError, match=r"card.yaml: .*span-f1 is for tags of spans.*accuracy, macro-f1"
        ) as caught:
            tagging(labels, **more)
        assert repr(strange_tag(labels)) in str(caught.value)
    assert tagging(labels, metrics=["accuracy", "macro-f1"]).labels == labels


@pytest.mark.parametrize(
    "labels",
    [
        ["O", "B-PER", "I-PER"],
        ["O", "I-PER"],
        ["O", "B-X", "I-X", "E-X", "S-X"],
        ["O", "B-X", "I-X", "L-X", "U-X"],
        ["B-NP", "B-VP"],
    ],
)
def test_schemes_that_are_read(labels):
    assert tagging(labels).metrics[0] == "span-f1"
    assert mark_spans(labels)


def test_parts_of_speech_keep_the_score_that_is_published_of_them():
    assert "span-f1" in tagging(["NOUN", "VERB", "X"], metrics=["accuracy", "span-f1"]).metrics
