"""Slots as tags: endings, neighbours, scripts without spaces, MASSIVE's brackets."""

import json

import pytest

from isogloss.data.bio_tags import annotated, tagged
from isogloss.data.dataset import open_data
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language


def test_words_and_tags():
    words, tags = tagged("turn on the living room lamp, please", [(12, 23, "area"), (24, 28, "name")])
    assert words == ["turn", "on", "the", "living", "room", "lamp", ",", "please"]
    assert tags == ["O", "O", "O", "B-area", "I-area", "B-name", "O", "O"]


def test_an_ending_stays_with_its_word():
    assert tagged("mutfaktaki ışık", [(0, 6, "area")]) == (["mutfaktaki", "ışık"], ["B-area", "O"])


def test_two_slots_side_by_side_stay_two():
    assert tagged("厨房灯", [(0, 2, "area"), (2, 3, "name")]) == (["厨", "房", "灯"], ["B-area", "I-area", "B-name"])


def test_letters_are_words_in_scripts_without_spaces():
    words, _ = tagged("ปิดไฟ 25%をつけてOK l'aigua d’or ab-cd മുറി", [])
    assert words == [
        "ปิ", "ด", "ไ", "ฟ", "25", "%", "を", "つ", "け", "て", "OK", "l'aigua", "d’or", "ab-cd", "മുറി",
    ]  # fmt: skip


def test_massive_brackets():
    plain, spans = annotated("wake me at [time : five am] [date : this week]", "x")
    assert plain == "wake me at five am this week"
    assert [(plain[begin:end], slot) for begin, end, slot in spans] == [("five am", "time"), ("this week", "date")]
    with pytest.raises(IsoglossError, match="row 3: brackets do not match in 'wake .time : five'"):
        annotated("wake [time : five", "row 3")


def test_massive_from_its_own_files(tmp_path):
    rows = [
        {"id": "0", "partition": "train", "intent": "alarm_set", "utt": "at five", "annot_utt": "at [time : five]"},
        {"id": "1", "partition": "test", "intent": "alarm_set", "utt": "五点", "annot_utt": "[time : 五点]"},
    ]
    for code in ("en-US", "zh-CN"):
        (tmp_path / f"{code}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    table = open_data("massive-slots", path=tmp_path).examples(Language.parse("zh"), "test").table
    assert table.rows() == [("1", ["五", "点"], ["B-time", "I-time"])]


def test_words_and_tags_as_lists_in_json_lines(tmp_path):
    card = {
        "name": "own", "kind": "tagging", "source": "en", "labels": ["O", "B-X", "I-X"], "languages": "en",
        "columns": {"text": "tokens", "label": "tags"}, "local": {"path": "{split}.jsonl", "format": "jsonl"},
    }  # fmt: skip
    (tmp_path / "test.jsonl").write_text('{"tokens": ["a", "b"], "tags": ["O", "B-X"]}\n')
    data = open_data("custom", path=tmp_path, card=card)
    assert data.examples(Language.parse("en"), "test").table.rows() == [("0", ["a", "b"], ["O", "B-X"])]
    (tmp_path / "test.jsonl").write_text('{"tokens": "a b", "tags": ["O", "B-X"]}\n')
    with pytest.raises(
        IsoglossError, match="line 1: .tokens. holds a text; expected a list of words and a list of tags"
    ):
        data.examples(Language.parse("en"), "test")


@pytest.mark.slow
def test_the_slots_of_voice_commands_are_whole():
    pytest.importorskip("hassil")
    data = open_data("voice-slots")
    for code in ("en", "th", "zh", "hu", "de"):
        for split in ("train", "test"):
            examples = data.examples(Language.parse(code), split)
            for words, tags in examples.table.select("words", "labels").iter_rows():
                assert len(words) == len(tags)
                assert all(tag[0] != "I" or (at and tags[at - 1][2:] == tag[2:]) for at, tag in enumerate(tags))
            assert (examples.labels != "O").mean() > 0.15
    seen = {tag[2:] for tag in data.examples(Language.parse("en"), "train").labels}
    assert all({tag[2:] for tag in data.examples(code, "test").labels} <= seen for code in data.languages())
