"""Tasks: what a head scores, and how its classes become answers and scores. One file a kind."""

from __future__ import annotations

from isogloss import metrics
from isogloss.tasks.classification import Classification
from isogloss.tasks.questions import QuestionAnswering
from isogloss.tasks.tagging import Tagging
from isogloss.tasks.task import Task

__all__ = ["TASKS", "Task"]

TASKS: dict[str, Task] = {
    "classification": Classification(), "tagging": Tagging(), "qa": QuestionAnswering(metrics.squad_words),
    "qa-mlqa": QuestionAnswering(metrics.mlqa_words),
}  # fmt: skip
