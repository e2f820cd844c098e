"""Every export checks itself: the other library labels texts from what was written, and gets the same scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from isogloss.errors import IsoglossError
from isogloss.experiment.evaluate import predict
from isogloss.interop.formats.format import Format
from isogloss.interop.trained import Trained

TOLERANCE = 1e-3  # of scores before the softmax, relative to the largest; float32 in another order of sums
# Our own sentences, of several scripts, lengths and directions: nobody's data.
TEXTS = (
    "Turn on the light in the kitchen.",
    "Das Wetter wird morgen besser, sagen die Leute am Hafen.",
    "今天下午我们要去图书馆还书。",
    "सुबह की ट्रेन आज देर से आई।",
    "هل يمكنك أن تفتح النافذة من فضلك؟",
    "Mtoto anacheza mpira karibu na mto mkubwa.",
    "Поезд отправляется в семь часов утра.",
    "Ok",
)


@dataclass(frozen=True)
class Check:
    """What came of it.

    Args:
        texts: how many were labelled.
        same: how many got the same labels.
        difference: the greatest between scores before the softmax.
        largest: the largest of these scores.
    """

    texts: int
    same: int
    difference: float
    largest: float

    def __str__(self) -> str:
        """In a line."""
        by = f"differ by at most {self.difference:.1g}" if self.difference else "are the same bits"
        return f"{self.same} of {self.texts} texts get the same labels; scores of up to {self.largest:.3g} {by}"


def inputs_for(trained: Trained) -> list[list[str]]:
    """`TEXTS` as examples of a task: texts, pairs, words, or questions with their passages."""
    if trained.kind == "tagging":
        return [text.split() for text in TEXTS]
    if trained.pairs:
        return [[one, two] for one, two in zip(TEXTS, [*TEXTS[1:], TEXTS[0]], strict=True)]
    return [[text] for text in TEXTS]


def own_scores(trained: Trained, inputs: Sequence[Sequence[str]]) -> list[Tensor]:
    """What isogloss makes of inputs. See `Format.scores`."""
    parts = [[" ".join(words)] for words in inputs] if trained.kind == "tagging" else inputs
    features = trained.model.features(parts, None)
    stack = trained.model.stack
    (predicted,) = predict(stack, stack.runs, features)
    bounds = predicted.features.unit_starts[predicted.features.of_example.starts].tolist()
    first = int(trained.questions)
    return [predicted.scores[begin + first : end] for begin, end in pairwise(bounds)]


def check(form: Format, trained: Trained, out: Path) -> Check:
    """Label `TEXTS` both ways.

    Raises:
        IsoglossError: they are not the same.
    """
    inputs = inputs_for(trained)
    ours = own_scores(trained, inputs)
    try:
        theirs = form.scores(out, inputs)
    except Exception as error:  # another library's, of what it does not know of this backbone
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise IsoglossError(f"{form.name} cannot compute with this backbone ({why}); nothing is exported") from error
    shapes = [(tuple(one.shape), tuple(two.shape)) for one, two in zip(ours, theirs, strict=True)]
    if any(one != two for one, two in shapes):
        raise IsoglossError(
            f"{form.name} gives scores of other shapes than isogloss ({shapes[0]}); nothing is exported"
        )
    difference = max(float((one - two).abs().max()) for one, two in zip(ours, theirs, strict=True))
    largest = max(float(one.abs().max()) for one in ours)
    same = sum(bool((one.argmax(-1) == two.argmax(-1)).all()) for one, two in zip(ours, theirs, strict=True))
    found = Check(len(inputs), same, difference, largest)
    if not (difference <= TOLERANCE * max(1.0, largest) and torch.isfinite(torch.tensor(difference))):
        raise IsoglossError(
            f"{form.name} computes something else with this backbone than isogloss: {found}; nothing is exported"
        )
    return found
