"""Words for what was trained elsewhere: they load nothing."""

from __future__ import annotations

from typing import Literal

HeadKind = Literal["classification", "tagging", "questions"]
Activation = Literal["tanh", "relu"]
# Vectors in front of the text, keys and values in front of the text's, changes of weights, or all weights of a model.
Form = Literal["prompt", "prefix", "updates", "model"]
