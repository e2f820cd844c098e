"""Fields of a spec that hold languages: codes in their canonical form, targets, words by language."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from isogloss.errors import IsoglossError
from isogloss.languages.groups import check as check_group
from isogloss.languages.groups import is_group
from isogloss.languages.language import Language, distinct
from isogloss.runtime.checked import as_value_error


@as_value_error
def _canonical(code: str) -> str:
    return str(Language.parse(code))


@as_value_error
def _target(text: str) -> str:
    return check_group(text) if is_group(text) else str(Language.parse(text))


def _listed(value: object, key: str = "targets") -> object:
    """One language may stand without brackets; two that are one language are not both meant."""
    if not isinstance(value, list):
        return [value] if isinstance(value, str) and value != "all" else value
    by_form: dict[str, str] = {}
    for code in value:
        if (
            isinstance(code, str)
            and not is_group(code)
            and (other := by_form.setdefault(_canonical(code), code)) != code
        ):
            raise IsoglossError(f"{key}: {other!r} and {code!r} are both {_canonical(code)}; leave one out")
    return value


def words_by_language(value: object) -> object:
    """Words by label, or by language and label; languages in their canonical form."""
    if not isinstance(value, dict) or all(isinstance(word, str) for word in value.values()):
        return value
    if not all(isinstance(words, dict) for words in value.values()):
        odd = next(label for label, word in value.items() if not isinstance(word, str))
        raise ValueError(f"the word of {odd!r} is {value[odd]!r}, expected a text, or words by language and label")
    by_text = {str(code): words for code, words in value.items()}
    try:
        return {form: by_text[code] for form, code in distinct(by_text).items()}
    except IsoglossError as error:
        raise ValueError(str(error)) from error


Targets = Annotated[Literal["all"] | list[Annotated[str, AfterValidator(_target)]], BeforeValidator(_listed)]
Unlabelled = Annotated[
    list[Annotated[str, AfterValidator(_target)]], BeforeValidator(partial(_listed, key="unlabelled"))
]
Code = Annotated[str, AfterValidator(_canonical)]
