"""Kinds of task, found by listing this folder: a module with `KINDS` in it has one or more."""

from __future__ import annotations

from isogloss.runtime.registry import discover
from isogloss.tasks.task import Task

TASKS: dict[str, Task] = {kind: task for kinds in discover(__package__, "KINDS") for kind, task in kinds.items()}
