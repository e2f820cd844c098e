"""Verbalizers: one word of the model's own vocabulary for each class (Schick and Schütze 2021, section 2.1)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.lm_head import LMHead
from isogloss.errors import IsoglossError
from isogloss.preprocessing.fill_template import check
from isogloss.preprocessing.templates import Template

ALTERNATIVES = 5  # words that an error proposes
AT_ONCE = 64  # answers whose logits over the whole vocabulary are held at one time
NEAR = 0.5  # how alike they are at least, by difflib's ratio


@dataclass(frozen=True)
class Verbalizer:
    """Label words of a task, looked up in a tokenizer.

    Args:
        template: what the texts are filled into.
        ids: of the word of each class, for each wording.
        wordings: which wording a language has; others have the first.
        loss: over the whole vocabulary, or over the label words alone.
    """

    template: Template
    ids: Int[Tensor, "wordings C"]
    wordings: Mapping[str, int]
    loss: Literal["vocabulary", "words"]

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        labels: Sequence[str],
        given: Mapping[str, Any],
        *,
        source: str,
        inputs: Sequence[str],
    ) -> Verbalizer:
        """A verbalizer, checked against the model.

        Args:
            backbone: loaded with its head over the vocabulary.
            labels: in the order of the classes.
            given: `template`, `words` and `loss` as the spec has them; words of each label, or of each label in
                several languages, the source among them; none: the labels themselves.
            source: the language of the wording that all languages have that are not named.
            inputs: what an example of the data set consists of.

        Raises:
            IsoglossError: a label has no word, a word is not one token, or two labels have the same.
        """
        parsed = Template.parse(given["template"])
        check(parsed, backbone.tokenizer, causal=backbone.causal, texts=len(inputs))
        words = given["words"] or {label: label for label in labels}
        several = all(isinstance(value, Mapping) for value in words.values())
        by_language: dict[str, Any] = dict(words) if several else {source: words}
        if source not in by_language:
            raise IsoglossError(
                f"verbalizer.words has no words in {source}, the source; it has {', '.join(by_language)}"
            )
        order = [source, *(language for language in by_language if language != source)]
        ids = [
            _ids(by_language[language], labels, backbone.tokenizer, spaced=parsed.spaced, where=f"{language}: ")
            for language in order
        ]
        return cls(
            parsed, torch.tensor(ids), {language: number for number, language in enumerate(order)}, given["loss"]
        )

    def wording(self, language: str | None) -> int:
        """Which wording a language has."""
        return self.wordings.get(language or "", 0)


def _ids(words: Mapping[str, str], labels: Sequence[str], tokenizer: Any, *, spaced: bool, where: str) -> list[int]:
    if missing := [label for label in labels if label not in words]:
        raise IsoglossError(f"verbalizer.words {where}no word for the label {missing[0]!r}")
    ids = [_id(words[label], tokenizer, spaced=spaced, where=where) for label in labels]
    for index, number in enumerate(ids):
        if number in ids[:index]:
            raise IsoglossError(
                f"verbalizer.words {where}{labels[ids.index(number)]!r} and {labels[index]!r} have the same word"
            )
    return ids


def _id(word: str, tokenizer: Any, *, spaced: bool, where: str) -> int:
    """The token that a word is, behind white space or not."""
    ids = tokenizer(f" {word}" if spaced else word, add_special_tokens=False)["input_ids"]
    if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
        number: int = ids[0]
        return number
    pieces = " ".join(tokenizer.convert_ids_to_tokens(ids))
    what = "unknown to this model" if tokenizer.unk_token_id in ids else f"not one token of this model's but {pieces}"
    others = ", ".join(alternatives(word, tokenizer, spaced=spaced)) or "none alike"
    raise IsoglossError(f"verbalizer.words {where}{word!r} is {what}; words that are one: {others}")


def alternatives(word: str, tokenizer: Any, *, spaced: bool) -> list[str]:
    """Words alike that are one token where the answer stands."""
    known = {tokenizer.convert_tokens_to_string([piece]).strip() for piece in tokenizer.get_vocab()}
    near = difflib.get_close_matches(
        word, [piece for piece in known if piece.isalpha()], n=4 * ALTERNATIVES, cutoff=NEAR
    )
    fitting = []
    for other in near:
        ids = tokenizer(f" {other}" if spaced else other, add_special_tokens=False)["input_ids"]
        if len(ids) == 1:
            fitting.append(other)
    return fitting[:ALTERNATIVES]


class VerbalizerHead(nn.Module):
    """Scores of classes by the model's own head over its vocabulary.

    It has no weights of its own: what it computes with is frozen, or trains as the backbone's word embedding.

    Args:
        lm_head: the backbone's, over its vocabulary.
        verbalizer: the words.
    """

    ids: Tensor
    asked: Tensor  # all words of all wordings, each once
    column: Tensor  # where each wording's stand among them

    def __init__(self, lm_head: LMHead, verbalizer: Verbalizer) -> None:
        super().__init__()
        self.lm_head = [lm_head]  # in a list: frozen, or trained as part of the backbone; never stored here
        self.verbalizer = verbalizer
        self.classes = verbalizer.ids.shape[1]
        self.whole = verbalizer.loss == "vocabulary"
        asked, column = torch.unique(verbalizer.ids, return_inverse=True)
        for name, index in (("ids", verbalizer.ids), ("asked", asked), ("column", column)):
            self.register_buffer(name, index, persistent=False)

    def forward(
        self, states: Float[Tensor, "units H"], wording: Int[Tensor, "units"], *, rest: bool
    ) -> Float[Tensor, "units classes"]:
        """Logits of each unit's label words, computed at the answers alone.

        Args:
            states: where the answers are predicted.
            wording: of each unit.
            rest: whether another class stands behind them, never right, for all other words of the vocabulary
                together; with it, cross-entropy over classes is cross-entropy over the vocabulary.
        """
        head = self.lm_head[0]
        compared = head.states(states)
        if rest and self.whole:
            parts = zip(torch.split(compared, AT_ONCE), torch.split(self.ids[wording], AT_ONCE), strict=True)
            if len(compared) <= AT_ONCE:
                return self._with_rest(*next(parts))
            # Part by part, each computed again in the backward pass: the whole would take (units, V) several times.
            again = partial(checkpoint, self._with_rest, use_reentrant=False, preserve_rng_state=False)  # draws nothing
            return torch.cat([again(*part) for part in parts])
        return head.logits(compared, self.asked).gather(1, self.column[wording])

    def _with_rest(self, states: Tensor, words: Tensor) -> Tensor:
        """Scores (units, C + 1) of each unit's label words (units, C), and of all others together."""
        everything = self.lm_head[0].logits(states)
        others = everything.scatter(1, words, -torch.inf).logsumexp(dim=1, keepdim=True)
        return torch.cat([everything.gather(1, words), others], dim=1)
