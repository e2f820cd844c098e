"""One test walks over all cards."""

import re

import pytest

from isogloss.data import cards, find
from isogloss.data.cards import SPLITS, read_card
from isogloss.data.readers import READERS
from isogloss.data.tables import TABLES
from isogloss.errors import IsoglossError
from isogloss.languages import Language
from isogloss.tasks import TASKS


@pytest.mark.parametrize("name", sorted(cards()))
def test_a_card_is_sound(name):
    card = find(name)
    assert card.name == name
    assert card.title
    assert card.citation
    assert card.licence != "not stated"
    assert card.language(card.source)
    assert set(card.metrics) <= set(TASKS[card.kind].metrics)
    assert card.kind in TABLES
    assert len(set(card.labels)) == len(card.labels) > 1
    assert set(card.aliases.values()) <= {*card.labels, *(label.partition("-")[2] for label in card.labels)}
    assert card.local or card.hub or card.generator
    assert len(set(card.languages.values())) == len(card.languages)
    if card.hub is not None:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", card.hub.id)  # the hub no longer takes bare ids
        assert card.hub.revision is None or re.fullmatch(r"[0-9a-f]{40}", card.hub.revision)
        assert card.train is not None or set(card.hub.splits) == set(SPLITS)
    if card.local is not None:
        assert card.local.format in READERS
    if card.train is not None:
        trainer = find(card.train)
        assert trainer.language(card.source)
        assert set(trainer.labels) <= set(card.labels)
    tags = {label for label in card.labels if label[1:2] == "-"}
    assert {label[2:] for label in tags if label[0] == "B"} == {label[2:] for label in tags if label[0] == "I"}
    for code in card.languages:
        assert str(Language.parse(code)) == code


def test_a_wrong_card_names_its_first_mistake():
    with pytest.raises(IsoglossError, match=r"here: kind: Input should be 'classification'"):
        read_card({**find("xnli").model_dump(), "kind": "regression"}, where="here")
