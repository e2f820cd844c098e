import hashlib
from importlib import metadata

import polars as pl
import pytest

from isogloss.data.cards import find
from isogloss.data.dataset import open_data
from isogloss.data.voice import intents as voice_intents
from isogloss.data.voice.grammar import Grammar, KeyedChoices, Undrawable
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language
from isogloss.runtime import yaml

DRAWN = "43440306e40b353e94c1f129c2aac3a3a516522df5315127a462cb1417442620"


@pytest.fixture(scope="module")
def table():  # takes a while where every shape is checked: what asks for it is slow
    return voice_intents.draw()


@pytest.mark.slow
def test_the_same_sentences_are_drawn_on_every_machine(table):
    digest = hashlib.sha256()
    for row in table.select("language", "split", "id", "label", "text").iter_rows():
        digest.update("\x1f".join(row).encode() + b"\x1e")
    assert digest.hexdigest() == DRAWN


@pytest.mark.slow
def test_no_template_is_in_two_splits(table):
    for scope in (["language"], ["language", "label"]):
        splits = table.group_by(*scope, "template").agg(pl.col("split").n_unique())
        assert splits["split"].max() == 1


@pytest.mark.slow
def test_no_text_is_in_two_splits_or_under_two_labels(table):
    texts = table.with_columns(pl.col("text").str.to_lowercase())
    assert not texts.select("language", "text").is_duplicated().any()


@pytest.mark.slow
def test_every_target_has_enough(table):
    card = find("voice-intents")
    assert sorted(card.languages.values()) == sorted(table["language"].unique())
    assert sorted(card.labels) == sorted(table.filter(language="en")["label"].unique())
    assert set(table["label"]) <= set(card.labels)
    counts = table.filter(split="test").group_by("language").agg(pl.len(), intents=pl.col("label").n_unique())
    assert len(counts) == 34
    assert counts["len"].min() >= 100
    assert counts["intents"].min() >= 20


@pytest.mark.slow
def test_every_text_is_a_plain_sentence(table):
    assert not table["text"].str.contains(r"[{}<>\[\]|;]|  |^\s|\s$").any()
    assert table["text"].str.len_chars().min() >= 1


@pytest.mark.slow
def test_slots_point_at_what_filled_them(table):
    lexicon = yaml.load(voice_intents._lexicon_path())
    rows = table.explode("slots").drop_nulls("slots").unnest("slots")
    assert len(rows) > len(table)
    for row in rows.sample(4000, seed=1).iter_rows(named=True):
        filled = row["text"][row["start"] : row["end"]]
        assert filled == filled.strip() != ""
        if row["slot"] == "area":
            assert filled in voice_intents._values(lexicon[row["language"]]["area"])


def test_the_lexicon_fills_every_slot_in_every_language():
    lexicon = yaml.load(voice_intents._lexicon_path())
    keys = {*voice_intents.ENTRIES.values(), "list"}
    assert {code: set(entry) for code, entry in lexicon.items()} == dict.fromkeys(lexicon, keys)
    assert all(len(voice_intents._values(text)) >= 3 for entry in lexicon.values() for text in entry.values())


def test_the_data_set_opens_by_its_card():
    data = open_data("voice-intents")
    swiss = data.examples(Language.parse("gsw"), "test")
    assert len(swiss) >= 100
    assert {"Chuchi", "Stube"} & set(" ".join(swiss.table["text"]).split())


@pytest.mark.parametrize("package", sorted(voice_intents.VERSIONS))
def test_another_version_is_refused(monkeypatch, package):
    real = metadata.version
    monkeypatch.setattr(voice_intents.metadata, "version", lambda name: "0.1" if name == package else real(name))
    with pytest.raises(IsoglossError, match=f"drawn from {package} .* 0.1 is installed"):
        voice_intents.fingerprint()


GRAMMAR = Grammar(
    lists={
        "room": {"values": [{"in": "living room"}]},
        "level": {"range": {"from": 10, "to": 30, "step": 10}},
        "open": {"wildcard": True},
    },
    rules={"the": "(the|my)", "where": "in [<the>] {room}"},
)


def test_a_sentence_keeps_the_spans_of_its_slots():
    for number in range(40):
        drawn = GRAMMAR.draw("set  [<the>] light(s|) <where> to {level:brightness}[ ]% , now", str(number))
        found = {span.slot: drawn.text[span.start : span.end] for span in drawn.spans}
        assert found.keys() == {"room", "brightness"}
        assert found["room"] == "living room"
        assert found["brightness"] in {"10", "20", "30"}
        assert "  " not in drawn.text
        assert "%, now" in drawn.text


def test_draws_differ_by_key_and_only_by_key():
    texts = [GRAMMAR.draw("(a|b|c) <where> {level} {0..9:x}", str(n)).text for n in range(60)]
    assert len(set(texts)) > 30
    assert texts == [GRAMMAR.draw("(a|b|c) <where> {level} {0..9:x}", str(n)).text for n in range(60)]


def test_permutations_give_every_order():
    texts = {GRAMMAR.draw("(a;b;[c])", str(n)).text for n in range(200)}
    assert {"a b", "b a", "a b c", "c b a", "b c a"} <= texts


@pytest.mark.parametrize("template", ["{nowhere}", "<nothing>", "{open}", "(unclosed"])
def test_what_cannot_be_filled_is_not_drawn(template):
    with pytest.raises(Undrawable):
        GRAMMAR.draw(template, "0")


def test_choices_are_even():
    counts = [0] * 5
    choices = KeyedChoices("key")
    for _ in range(5000):
        counts[choices.below(5)] += 1
    assert all(850 < count < 1150 for count in counts)


def test_a_damaged_copy_in_the_cache_is_drawn_anew(monkeypatch, tmp_path):
    table = pl.DataFrame({"id": ["1"], "language": ["en"], "split": ["test"]})
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    monkeypatch.setattr(voice_intents, "draw", lambda: table)
    monkeypatch.setattr(voice_intents, "_table", voice_intents._table.__wrapped__)  # what others have read stays
    file = tmp_path / "data" / f"voice-intents-{voice_intents.fingerprint()[:12]}.parquet"
    file.parent.mkdir()
    file.write_bytes(b"PAR1")
    for _ in range(2):
        assert voice_intents.examples("en", "test").equals(table)
    assert pl.read_parquet(file).equals(table)
