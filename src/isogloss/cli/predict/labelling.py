"""`isogloss predict`: a file of texts, or standard input, labelled row by row with a stored model.

All that can be wrong with the arguments, the run directory and the texts is found before torch is loaded: of a file all
rows are looked at, of a pipe those that have come.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.cli.predict.input_files import InputFile, TextLines, open_input
from isogloss.cli.predict.output_files import (
    DelimitedOutput,
    JsonOutput,
    OutputFile,
    check_output,
    output_format,
    refuse_in_tsv,
)
from isogloss.cli.predict.rows import Row
from isogloss.cli.predict.survey import Survey
from isogloss.data.kinds.registry import data_kinds
from isogloss.experiment.choice import Choice, chosen, run_directory
from isogloss.experiment.new_texts import check_threshold, no_classes
from isogloss.languages.language import Language
from isogloss.runtime.console import counting, err
from isogloss.runtime.files import atomic_file, scratch_folder
from isogloss.store import Store

if TYPE_CHECKING:
    from isogloss.experiment.predict import Model
else:
    Model = Any  # torch comes with it

BATCH = 256  # rows that are labelled at one time, and fewer where they are long
CHARACTERS = 1 << 22  # of the texts of such rows
AHEAD = 1000  # rows of a pipe that are looked at before a model is loaded


@dataclass(frozen=True)
class Request:
    """What is asked of `isogloss predict`.

    Args:
        file: of the texts; None: standard input.
        method: by label; None: any.
        seed: None: any.
        language: any code of it, written into the answers.
        columns: of a table, the columns of the texts, where they are not called as usual.
        scores: whether the probability of every class is wanted.
        threshold: the least score of an answer that is not withheld.
        output: a file of answers; None: JSON lines on standard output.
        backbone: a folder or a hub id that the backbone is taken from; None: as the run directory says.
    """

    file: Path | None = None
    method: str | None = None
    seed: int | None = None
    language: str | None = None
    columns: tuple[str | None, str | None] = (None, None)
    scores: bool = False
    threshold: float | None = None
    output: Path | None = None
    backbone: str | None = None


def label(folder: Path, request: Request) -> None:
    """Label texts with a model of a run directory.

    Args:
        folder: the run directory.
        request: which texts, with which model, and where the answers go.

    Raises:
        IsoglossError: something of it cannot be.
    """
    code = None if request.language is None else str(Language.parse(request.language))
    check_threshold(request.threshold)
    stored = run_directory(folder)
    if request.output is not None:
        check_output(request.output, request.file, folder)
    choice = chosen(stored, request.method, request.seed)
    record = choice.cell.record
    if request.scores and (kind := data_kinds().get(record.kind)) is not None and kind.family == "qa":
        raise no_classes(record.inputs)
    texts = open_input(request.file, record.inputs, *request.columns)
    to_tsv = request.output is not None and output_format(request.output) == "TSV"
    survey, rows, total = _looked_at(texts, tsv=to_tsv)
    with ExitStack() as files:  # in which the file of answers takes its place at the end
        temporary = None if request.output is None else files.enter_context(atomic_file(request.output))
        model = _loaded(stored, choice, request.backbone)
        if isinstance(texts, TextLines):
            survey = Survey(list(model.task.given([""] * len(record.inputs))))
        columns = _answer_columns(model, request, code)
        output, close = _opened(files, temporary, request.output, texts, survey, columns)
        _say_renamed(survey, columns, texts)
        advance = files.enter_context(counting("labelling", total)) if _watched(request) else lambda _: None
        for some, answers in _labelled(model, rows, request, code, lines=isinstance(texts, TextLines)):
            output.write(some, answers)
            advance(len(some))
        close()


def _looked_at(texts: InputFile, *, tsv: bool) -> tuple[Survey, Iterator[Row], int | None]:
    """What is in a file, all of its rows, and how many there are; None where only reading them tells.

    Raises:
        IsoglossError: a row cannot be right, or cannot be written as TSV, where it is to be.
    """
    survey, rows = Survey(texts.columns), texts.rows()
    first = []
    for row in rows if texts.again else islice(rows, AHEAD):
        survey.look(row)
        if tsv:
            refuse_in_tsv(row.where, [*row.values.values()] or row.parts)
        if not texts.again:
            first.append(row)
    return (survey, texts.rows(), survey.rows) if texts.again else (survey, chain(first, rows), None)


def _loaded(stored: Store, choice: Choice, backbone: str | None) -> Model:
    """The model; said, because nobody may have named it."""
    err.print(str(choice), markup=False, soft_wrap=True)
    from isogloss.experiment.predict import Model

    model = Model.of(stored, choice.cell, backbone=backbone)
    if model.task.classes and model.record.temperature is None:
        err.print(
            f"{stored.path} keeps no temperature of it, which was trained by an older version: its scores are as the "
            "model gives them (temperature 1)", markup=False, soft_wrap=True,
        )  # fmt: skip
    return model


def _answer_columns(model: Model, request: Request, code: str | None) -> dict[str, Any]:
    """What an answer consists of, and of what types in polars."""
    columns: dict[str, Any] = model.task.answer_columns(model.record.labels, every=request.scores)
    if code is not None:
        from polars import String

        columns["language"] = String()
    return columns


def _opened(
    files: ExitStack,
    temporary: Path | None,
    path: Path | None,
    texts: InputFile,
    survey: Survey,
    answers: dict[str, Any],
) -> tuple[OutputFile, Callable[[], None]]:
    """What takes the answers, and what has to be done when all are there."""
    if temporary is None or path is None:
        ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
        return JsonOutput(sys.stdout, survey.named(answers), ascii_only=ascii_only), lambda: None
    form = output_format(path)
    if form == "Parquet":
        from isogloss.cli.predict.parquet_input import ParquetRows
        from isogloss.cli.predict.parquet_output import ParquetOutput

        groups = texts.groups if isinstance(texts, ParquetRows) else None
        output = ParquetOutput(files.enter_context(scratch_folder(path)), survey, answers, groups)
        return output, lambda: output.close(temporary)
    stream = files.enter_context(temporary.open("w", encoding="utf-8", newline=""))
    if form == "JSON lines":
        return JsonOutput(stream, survey.named(answers)), lambda: None
    return DelimitedOutput(stream, survey, list(answers), quoting=form == "CSV"), lambda: None


def _say_renamed(survey: Survey, answers: dict[str, Any], texts: InputFile) -> None:
    renamed = {name: other for name, other in survey.named(answers).items() if name != other}
    if renamed:
        err.print(
            f"{texts.name} has {', '.join(renamed)} of its own: of the answers it is {', '.join(renamed.values())}",
            markup=False, soft_wrap=True,
        )  # fmt: skip


def _watched(request: Request) -> bool:
    """Whether somebody looks on, and answers do not go to the same terminal."""
    return err.is_terminal and (request.output is not None or not sys.stdout.isatty())


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    characters = 0
    for row in rows:
        some.append(row)
        characters += sum(map(len, row.parts))
        if len(some) == BATCH or characters >= CHARACTERS:
            yield some
            some, characters = [], 0
    if some:
        yield some


def _labelled(
    model: Model, rows: Iterator[Row], request: Request, code: str | None, *, lines: bool
) -> Iterator[tuple[Sequence[Row], list[dict[str, Any]]]]:
    """Rows and their answers, so many at a time; blank ones have answers in which there is nothing.

    Args:
        model: that labels them.
        rows: all of them.
        request: what is asked for.
        code: of the language.
        lines: whether rows are lines of text, which are shown as the kind of task shows them.
    """
    from isogloss.experiment.predict import CutTexts

    cut, blank = CutTexts(model), dict.fromkeys(_answer_columns(model, request, code))
    if code is not None:
        blank["language"] = code
    for read in _batches(rows):
        some = [row._replace(values=model.task.given(row.parts)) for row in read] if lines else read
        parts = [row.parts for row in some if not row.blank]
        answers: Iterator[dict[str, Any]] = iter(())
        if parts:
            predicted = model.scored(parts, code)
            cut.count(predicted.features)
            answers = iter(model.answered(parts, predicted, code, scores=request.scores, threshold=request.threshold))
        yield some, [dict(blank) if row.blank else next(answers) for row in some]
    cut.say()
