"""Templates: a text with an answer to be filled in by the model itself (Schick and Schütze 2021, arXiv 2001.07676)."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter

from isogloss.errors import IsoglossError

FIELDS = ("text", "second", "prompt", "answer")
EXAMPLE = "'{text} Topic: {answer}'"


@dataclass(frozen=True)
class Template:
    """A parsed template.

    Args:
        parts: what stands in front of the prompt's mark, between it and the answer and behind both, in order; a part is
            a list of words of the template (None) and names of texts.
        marks: what stands behind each part but the last: `prompt` or `answer`.
        spaced: whether white space stands in front of the answer; it then belongs to the word that is the answer.
    """

    parts: tuple[tuple[tuple[str, str | None], ...], ...]
    marks: tuple[str, ...]
    spaced: bool

    @classmethod
    def parse(cls, text: str) -> Template:
        """A template from its text.

        Raises:
            IsoglossError: it is none; says why.
        """
        parts: list[list[tuple[str, str | None]]] = [[]]
        marks: list[str] = []
        spaced = False
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise IsoglossError(f"template {text!r}: {error}; an example: {EXAMPLE}") from error
        if any(form or conversion for _, _, form, conversion in parsed):
            raise IsoglossError(f"template {text!r}: fields have no format; an example: {EXAMPLE}")
        pieces = [(literal, field) for literal, field, _, _ in parsed]
        for literal, field in pieces:
            marked = field in {"prompt", "answer"}
            spaced = literal[-1:].isspace() if field == "answer" else spaced
            parts[-1].append((literal.rstrip() if marked else literal, None))
            if field is None:
                continue
            if marked:
                marks.append(field)
                parts.append([])
            else:
                parts[-1].append(("", field))
        names = [field for _, field in pieces if field is not None]
        if unknown := [name for name in names if name not in FIELDS]:
            raise IsoglossError(f"template {text!r} has {{{unknown[0]}}}; it may have {{{'}, {'.join(FIELDS)}}}")
        if names.count("text") != 1 or names.count("answer") != 1 or len(set(names)) != len(names):
            raise IsoglossError(f"template {text!r} needs {{text}} and {{answer}}, each once; an example: {EXAMPLE}")
        kept = tuple(tuple(piece for piece in part if piece != ("", None)) for part in parts)
        return cls(kept, tuple(marks), spaced)

    @property
    def prompted(self) -> bool:
        """Whether it says where a prompt stands."""
        return "prompt" in self.marks

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts it takes, in the order of the data set's."""
        fields = {field for part in self.parts for _, field in part}
        return tuple(name for name in ("text", "second") if name in fields)

    @property
    def open_ended(self) -> bool:
        """Whether nothing stands behind the answer, as a model needs that reads from left to right."""
        return self.marks[-1] == "answer" and not self.parts[-1]
