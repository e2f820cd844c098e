"""Looking on while a run learns: scores of the source and the targets on fixed samples of development data.

They are written to the history and to nothing else: what is selected, kept or stopped depends on the source alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from isogloss.backbones.backbone import Backbone
from isogloss.data.parallel_text import Parallel
from isogloss.methods.registry import find
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.tokenize import tokenise
from isogloss.preprocessing.truncate import fit
from isogloss.stats.similarity import linear_cka, retrieval
from isogloss.training.run import new_run
from isogloss.training.stack import Stack

OBSERVATIONS = 25  # of a training, at least, where the user does not say how often
MEASURES = ("retrieval", "cka")  # what is looked at in parallel sentences
EVERY = 100  # updates between two observations, at most, where the user does not say how often


@dataclass(frozen=True, eq=False)
class MonitorSample:
    """Examples to look at.

    Args:
        features: of all languages end to end, cut to fit.
        score: each language's score, from the scores (units, C) of `features`.
        every: updates between two observations; the end of each epoch is one too.
        counts: examples of each language.
    """

    features: Features
    score: Callable[[Tensor], dict[str, float]]
    every: int
    counts: dict[str, int]


@dataclass(frozen=True, eq=False)
class ParallelStates:
    """Parallel sentences, to see what of its knowledge of languages a run keeps.

    Args:
        languages: the source's first.
        features: their sentences end to end, of each the same number in the same order.
        before: the mean state of each sentence at every depth of the pre-trained backbone.
    """

    languages: list[str]
    features: Features
    before: Float[Tensor, "depths rows H"]

    def measures(self, states: Float[Tensor, "depths rows H"]) -> Iterator[tuple[int, str, str, float]]:
        """Depth, language, measure and value: retrieval across from the source, and linear CKA with what was before."""
        size = len(self.features) // len(self.languages)
        for depth, (now, then) in enumerate(zip(states, self.before, strict=True)):
            source, *_ = sentences = now.split(size)
            for language, now_states, then_states in zip(self.languages, sentences, then.split(size), strict=True):
                yield depth, language, "cka", linear_cka(now_states, then_states)
                if now_states is not source:
                    yield depth, language, "retrieval", retrieval(source, now_states)

    def means(self, states: Float[Tensor, "depths rows H"]) -> Iterator[tuple[str, str, float]]:
        """Language, measure and mean over the depths that layers make."""
        values_of: dict[tuple[str, str], list[float]] = {}
        for depth, language, measure, value in self.measures(states):
            if depth:
                values_of.setdefault((language, measure), []).append(value)
        for (language, measure), values in values_of.items():
            yield language, measure, sum(values) / len(values)


def interval(total: int, every: int | None) -> int:
    """Updates between two observations of a training of `total` updates."""
    return every or min(EVERY, max(1, total // OBSERVATIONS))


def parallel_states(parallel: Parallel, backbone: Backbone) -> ParallelStates:
    """Parallel sentences and their states in a backbone that is as it was pre-trained."""
    texts = [text for sentences in parallel.texts for text in sentences]
    features = tokenise((texts,), [0] * len(texts), backbone.tokenizer)
    features = fit(features, backbone.room(0), backbone.tokenizer)
    method = find("linear-probe")
    run = new_run(method, backbone, method.settings.model_validate({}), seed=0, classes=1)
    before = Stack(backbone, method, [run]).trace(features, run, budget=budgets(backbone.device)[1])
    return ParallelStates([str(language) for language in parallel.languages], features, before)
