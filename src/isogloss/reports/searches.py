"""What searches of settings came to, for the report: in words, as lines to paste, and what each candidate scored."""

from __future__ import annotations

import polars as pl

from isogloss.errors import IsoglossError
from isogloss.experiment.search.record import SearchRecord, read, shown
from isogloss.reports.run_group import RunGroup


def searches(run_group: RunGroup) -> dict[str, SearchRecord]:
    """The finished searches of all run directories, by method; a damaged record is as good as none."""
    found: dict[str, SearchRecord] = {}
    for name, opened_run in run_group.opened_runs.items():
        for method in opened_run.spec.methods:
            try:
                record = read(opened_run.stored.path, method)
            except IsoglossError:
                continue
            if record is not None and record.chosen is not None:
                found[method if len(run_group.opened_runs) == 1 else f"{name}: {method}"] = record
    return found


def words(name: str, record: SearchRecord) -> str:
    """What a search chose, at what price, and the line of a spec that says so without a search."""
    assert record.chosen is not None
    asked, chosen = record.asked, record.candidates[record.chosen]
    settings = {"method": asked.method, **asked.fixed, **chosen}
    line = ", ".join(f"{key}: {shown(value)}" for key, value in settings.items())
    many = f"; {len(record.tied)} were within one standard error of the best" if len(record.tied) > 1 else ""
    return f"{name}: {record.sentence()}{many}. To paste: {name.rpartition(': ')[2]}: {{{line}}}"


def table(record: SearchRecord) -> pl.DataFrame:
    """Every candidate: its settings, how far it trained, and its score on source development data at each pause."""
    forms = record.asked.forms
    names = list(forms) if forms is not None else [str(number + 1) for number in range(len(record.candidates))]
    keys = dict.fromkeys(key for settings in record.candidates for key in settings)
    rows = []
    for number, (name, settings) in enumerate(zip(names, record.candidates, strict=True)):
        seen = {pause.rung: pause.score for pause in record.pauses if pause.candidate == number}
        given = {key: shown(settings[key]) if key in settings else None for key in keys}
        scores = {f"at {share:.1%} of the updates": seen.get(rung) for rung, (_, share) in enumerate(record.rungs)}
        rows.append({"candidate": name, "chosen": "yes" if number == record.chosen else "", **scores, **given})
    return pl.DataFrame(rows, infer_schema_length=None)
