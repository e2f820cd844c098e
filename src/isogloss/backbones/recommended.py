"""Multilingual backbones to begin with, of families that isogloss reads: a short list, not all that there is.

Parameters, languages and licences are those of the models' own cards. Parameters are of the whole model as it is
distributed, most of them in the table of words where a vocabulary is large.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RecommendedBackbone:
    """A backbone to begin with.

    Args:
        name: as a spec has it.
        parameters: in millions.
        languages: of its training data.
        licence: that it is under.
        use: what for, in a few words.
    """

    name: str
    parameters: int
    languages: str
    licence: str
    use: str


GEMMA, RAIL = "Gemma terms", "BLOOM RAIL"
RECOMMENDED = (
    RecommendedBackbone("embedded/multilingual-e5-small", 118, "100", "MIT", "to try things offline; extra demo"),
    RecommendedBackbone("intfloat/multilingual-e5-small", 118, "100", "MIT", "sentences, quick and small"),
    RecommendedBackbone("intfloat/multilingual-e5-base", 278, "100", "MIT", "sentences"),
    RecommendedBackbone("intfloat/multilingual-e5-large", 560, "100", "MIT", "sentences, on a GPU"),
    RecommendedBackbone("sentence-transformers/LaBSE", 471, "109", "Apache-2.0", "sentences that are translations"),
    RecommendedBackbone("FacebookAI/xlm-roberta-base", 278, "100", "MIT", "words: names, parts of speech"),
    RecommendedBackbone("FacebookAI/xlm-roberta-large", 560, "100", "MIT", "words and pairs, on a GPU"),
    RecommendedBackbone("google-bert/bert-base-multilingual-cased", 179, "104", "Apache-2.0", "words; older papers"),
    RecommendedBackbone("embedded/gemma-3-270m", 268, "140+", GEMMA, "words as classes, offline; extra gemma"),
    RecommendedBackbone("google/gemma-3-1b-pt", 1000, "140+", GEMMA, "words as classes, on a GPU"),
    RecommendedBackbone("Qwen/Qwen3-0.6B-Base", 596, "119", "Apache-2.0", "words as classes"),
    RecommendedBackbone("facebook/xglm-564M", 564, "30", "MIT", "words as classes"),
    RecommendedBackbone("bigscience/bloom-560m", 559, "45", RAIL, "words as classes; papers"),
)
