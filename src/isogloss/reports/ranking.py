"""Which method is ahead, by the intervals that analyses gave."""

from __future__ import annotations

from isogloss.reports.run_group import RunGroup


def value(run_group: RunGroup, method: str, measure: str) -> tuple[float, float | None, float | None] | None:
    """A method's measure with its interval, from the table `gap-intervals`."""
    table = run_group.table("gap-intervals")
    if table is None:
        return None
    intervals = table.filter(method=method, measure=measure).drop_nulls("value")
    return None if not len(intervals) else intervals.select("value", "low", "high").row(0)


def ranked(run_group: RunGroup) -> list[str]:
    """The methods by mean target score, the best first."""
    means = {method: value(run_group, method, "target") for method in run_group.methods}
    return sorted((name for name, mean in means.items() if mean), key=lambda name: -(means[name] or (0.0,))[0])
