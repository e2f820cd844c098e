"""Where languages lie as seen from the source, by linguists, by pre-training data, by tokenizer and model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl
from jaxtyping import Float
from torch import Tensor

from isogloss.analysis.tokenization import encode
from isogloss.backbones.backbone import Backbone
from isogloss.data.parallel_text import Parallel
from isogloss.errors import IsoglossError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.languages import cc100
from isogloss.languages.language import Language
from isogloss.languages.uriel import KINDS, load
from isogloss.stats.similarity import cosines, retrieval
from isogloss.training.monitor import parallel_states

# Columns, in this order; all grow with the distance from the source.
DISTANCES = {
    **{kind: f"{kind} (URIEL+)" for kind in KINDS}, "script": "another script",
    "pretraining": "less text in CC-100 (log10)", "fertility": "tokens a word, to the source's",
    "premium": "tokens a sentence, to the source's", "model": "1 - cosine in the model",
    "retrieval": "1 - retrieval in the model",
}  # fmt: skip
SCHEMA: Any = {"language": pl.String, **dict.fromkeys(DISTANCES, pl.Float64)}
LEAST = 0.05  # GiB of text in CC-100 of a language without any there: what it would round to nothing
CHUNK = 16  # languages whose states are kept at all depths at once


def coordinates(
    opened_run: OpenedRun, languages: Sequence[Language], parallel: Parallel | None
) -> tuple[pl.DataFrame, list[str]]:
    """Every distance from the source to other languages.

    `script` is 0 for the source's own and 1 for another; `pretraining` is log10 of how many times more text of the
    source CC-100 holds (Conneau et al. 2020), for backbones with XLM-R's vocabulary; `fertility` is tokens a word in
    the run's test texts and `premium` tokens of the parallel sentences (Petrov et al. 2023, arXiv 2305.15425), both
    over the source's; for `model` and `retrieval` see `of_model`; the others are URIEL+'s. Null is what is not known.

    Args:
        opened_run: a run directory.
        languages: besides the source.
        parallel: sentences of the source, the first, and of some of them.

    Returns:
        Rows of `SCHEMA`, and in words what is missing and how to get it.
    """
    source, notes = opened_run.data.source, []
    columns: dict[str, dict[str, float]] = {
        "script": {str(language): float(language.script != source.script) for language in languages},
        "pretraining": _pretraining(opened_run.backbone, source, languages),
        "fertility": _fertility(opened_run),
    }
    try:
        uriel = load()
    except IsoglossError as error:
        notes.append(f"no distances by linguists: {error}")
    else:
        for language in languages:
            for kind, value in uriel.distances(source, language).items():
                if value is not None:
                    columns.setdefault(kind, {})[str(language)] = value
    if parallel is None:
        notes.append("no distances in the model: there are no parallel sentences; give --parallel")
    else:
        columns["premium"] = _premium(parallel, opened_run.backbone.tokenizer)
        columns["model"], columns["retrieval"] = of_model(parallel, opened_run.backbone)
    rows = [
        {"language": code, **{name: columns.get(name, {}).get(code) for name in DISTANCES}}
        for code in map(str, languages)
    ]
    return pl.DataFrame(rows, schema=SCHEMA), notes


def _pretraining(backbone: Backbone, source: Language, languages: Sequence[Language]) -> dict[str, float]:
    sizes = {str(language): cc100.gibibytes(language) for language in [source, *languages]}
    of_source = sizes[str(source)]
    if of_source is None or len(backbone.tokenizer) != cc100.VOCABULARY:
        return {}
    return {
        code: math.log10(max(of_source, LEAST) / max(size, LEAST)) for code, size in sizes.items() if size is not None
    }


def _fertility(opened_run: OpenedRun) -> dict[str, float]:
    tokens_a_word = {}
    for test in opened_run.data.predicted:
        encoded = encode(test.table, opened_run.backbone.tokenizer)
        if encoded.words is not None and len(encoded.words):
            tokens_a_word[str(test.language)] = float(encoded.lengths.sum() / len(encoded.words))
    of_source = tokens_a_word.get(str(opened_run.data.source))
    return {code: value / of_source for code, value in tokens_a_word.items()} if of_source else {}


def _premium(parallel: Parallel, tokenizer: Any) -> dict[str, float]:
    tokens = [
        sum(map(len, tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]))
        for texts in parallel.texts
    ]
    return {str(code): texts / tokens[0] for code, texts in zip(parallel.languages, tokens, strict=True)}


def of_model(parallel: Parallel, backbone: Backbone) -> tuple[dict[str, float], dict[str, float]]:
    """How far the pre-trained model has the same sentences apart, in the middle of its layers.

    Every sentence is the mean of its states at depth L // 2 of L layers, where languages are the most alike (Muller et
    al. 2021, arXiv 2101.11109, section 5); a rule set before any score was looked at.

    Returns:
        Of each language 1 less the mean cosine of its sentences and the source's, each language's own mean taken off
        (Libovický et al. 2020, arXiv 2004.05160), and 1 less `retrieval`.
    """
    middle = backbone.shape.layers // 2
    source: Float[Tensor, "N H"] | None = None
    apart, missed = {}, {}
    for begin in range(0, len(parallel.languages), CHUNK):
        part = slice(begin, begin + CHUNK)
        memory = parallel_states(Parallel(parallel.languages[part], parallel.texts[part]), backbone)
        every = memory.before[middle].float().reshape(len(memory.languages), len(parallel), -1)
        for code, states in zip(memory.languages, every, strict=True):
            source = states if source is None else source
            apart[code] = 1 - cosines(source - source.mean(dim=0), states - states.mean(dim=0))[0]
            missed[code] = 1 - retrieval(source, states)
    return apart, missed
