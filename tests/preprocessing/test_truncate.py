"""How long a row may be is said in one place."""

import pytest

from isogloss.preprocessing.tokenize import tokenise
from isogloss.preprocessing.truncate import fit, text_room
from models import tokenizer


@pytest.mark.parametrize(("room", "longest", "expected"), [(40, None, 40), (40, 16, 16), (16, 40, 16), (16, 16, 16)])
def test_a_row_has_the_room_of_the_model_or_less(room, longest, expected):
    assert text_room(room, longest) == expected
    encoder = tokenizer()
    features = tokenise((["the cat sat on the mat " * 20, "a dog"],), [0, 1], encoder, longest=longest)
    fitted = fit(features, room, encoder)
    assert fitted.lengths.tolist() == [expected, 4]
    assert fitted.cut == 1
