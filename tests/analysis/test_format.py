"""How numbers are written."""

import math

import pytest

from isogloss.analysis.format import estimate, p_value


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ((0.5284, 0.511, 0.545), {}, "0.528 [0.511, 0.545]"),
        ((0.5, None, None), {}, "0.500"),
        ((0.5, math.nan, math.nan), {}, "0.500"),
        ((None, None, None), {}, ""),
        ((math.nan, 0.0, 1.0), {}, ""),
        ((0.031, -0.02, 0.08), {"places": 2, "sign": True}, "+0.03 [-0.02, +0.08]"),
    ],
)
def test_an_estimate_says_what_is_known(given, kind, expected):
    assert estimate(*given, **kind) == expected


def test_a_p_value_is_never_zero():
    assert [p_value(p) for p in (None, 0.0, 0.0004, 0.0123, 1.0)] == ["", "< 0.001", "< 0.001", "0.012", "1.000"]
