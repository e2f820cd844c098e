"""What each method costs, by what its cells recorded: numbers that train, bytes to keep, time, texts a second."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import polars as pl

from isogloss.reports.ranking import ranked, value
from isogloss.reports.run_group import RunGroup
from isogloss.reports.searches import searches
from isogloss.reports.tables import ShownRow, ShownTable, ShownValue
from isogloss.runtime.device_memory import in_words
from isogloss.store import StoredCell

MINUTE = 60
SHORTEST = 0.1  # seconds that are told
MILLION = 10**6
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class MethodCost:
    """What a method costs, a seed: means over its seeds.

    Args:
        method: as the report calls it.
        backbone: by name.
        backbone_parameters: of it; each text goes through all of them.
        trainable: numbers that a training learns.
        kept: bytes of its trained weights, beside the backbone.
        tokens: of text that a training learns from.
        training: seconds of a training, of those that trained together its share; None: it was not recorded.
        speed: texts a second that are scored, tokenising aside; None: it was not recorded.
        device: where that was; None: it was not recorded.
        search: the price of the search that has chosen its settings, in trainings; None: there was none.
    """

    method: str
    backbone: str
    backbone_parameters: int
    trainable: int
    kept: int
    tokens: int
    training: float | None
    speed: float | None
    device: str | None
    search: float | None

    @property
    def size(self) -> tuple[int, int, float]:
        """By which one is cheaper than another: the backbone, what is kept beside it, the time of a training."""
        return self.backbone_parameters, self.kept, self.training or 0.0


def costs(run_group: RunGroup) -> list[MethodCost]:
    """What each method costs, in the order of the report."""
    cells: dict[str, list[StoredCell]] = {}
    for method, run in run_group.runs.items():
        label = run_group.records[method].method
        cells[method] = [cell for cell in run_group.opened_runs[run].stored.finished() if cell.record.method == label]
    tokens = dict(
        run_group.history.group_by("method", "seed").agg(pl.col("tokens").max())
        .group_by("method").agg(pl.col("tokens").mean()).iter_rows()
    )  # fmt: skip
    prices = _prices(run_group)
    return [
        _cost(run_group, method, of_method, tokens.get(method) or 0, prices.get(method))
        for method, of_method in cells.items()
        if of_method
    ]


def _cost(
    run_group: RunGroup, method: str, cells: Sequence[StoredCell], tokens: float, search: float | None
) -> MethodCost:
    record = cells[0].record
    times = [_time(cell) for cell in cells]
    trainings = [time.get("training") for time in times]
    speeds = [_speed(time) for time in times]
    known, measured = [one for one in trainings if one is not None], [one for one in speeds if one is not None]
    devices = list(dict.fromkeys(_device(cell) for cell, speed in zip(cells, speeds, strict=True) if speed is not None))
    return MethodCost(
        method, run_group.opened_runs[run_group.runs[method]].spec.backbone, record.backbone_parameters,
        record.trainable_parameters, round(mean(_bytes(cell) for cell in cells)), round(tokens),
        mean(known) if len(known) == len(trainings) else None,
        mean(measured) if len(measured) == len(speeds) else None,
        " and ".join(devices) or None, search,
    )  # fmt: skip


def _prices(run_group: RunGroup) -> dict[str, float]:
    """The price of each method's search, in trainings."""
    several, found = len(run_group.opened_runs) > 1, searches(run_group)
    called = {
        method: f"{run}: {run_group.records[method].name}" if several else run_group.records[method].name
        for method, run in run_group.runs.items()
    }
    return {method: found[name].cost for method, name in called.items() if name in found}


def _time(cell: StoredCell) -> Mapping[str, Any]:
    """What a cell has recorded of its time: numbers alone, whoever has written it."""
    time = cell.record.environment.get("time")
    known = time.items() if isinstance(time, dict) else ()
    return {name: number for name, number in known if isinstance(number, int | float) and 0 <= number < math.inf}


def _speed(time: Mapping[str, Any]) -> float | None:
    return time["texts"] / time["scoring"] if time.get("texts") and time.get("scoring") else None


def _device(cell: StoredCell) -> str:
    """What computed, in words: a GPU by its name, a CPU with its threads."""
    environment = cell.record.environment
    backbone, cpu = environment.get("backbone"), environment.get("cpu")
    device = str(backbone.get("device", "cpu")) if isinstance(backbone, dict) else "cpu"
    gpus = environment.get("gpu")
    if device.startswith("cuda") and isinstance(gpus, list) and gpus:
        number = int(device.partition(":")[2] or 0) if device.partition(":")[2].isdecimal() else 0
        return str(gpus[min(number, len(gpus) - 1)])
    if device != "cpu" or not isinstance(cpu, dict):
        return device
    threads = cpu.get("threads")
    return f"{cpu.get('model') or 'a CPU'}, {threads} thread{'' if threads == 1 else 's'}"


def _bytes(cell: StoredCell) -> int:
    file = cell.folder / WEIGHTS
    return file.stat().st_size if file.is_file() else 0


def cost_table(found: Sequence[MethodCost]) -> pl.DataFrame:
    """A row a method, as numbers."""
    return pl.DataFrame(
        [
            {
                "method": one.method, "backbone": one.backbone, "backbone_parameters": one.backbone_parameters,
                "trainable_parameters": one.trainable, "bytes_kept": one.kept, "tokens_learnt": one.tokens,
                "seconds_to_train": one.training, "texts_a_second": one.speed, "device": one.device,
                "search_in_trainings": one.search,
            }
            for one in found
        ],
        schema={
            "method": pl.String, "backbone": pl.String, "backbone_parameters": pl.Int64,
            "trainable_parameters": pl.Int64, "bytes_kept": pl.Int64, "tokens_learnt": pl.Int64,
            "seconds_to_train": pl.Float64, "texts_a_second": pl.Float64, "device": pl.String,
            "search_in_trainings": pl.Float64,
        },
    )  # fmt: skip


def shown_costs(found: Sequence[MethodCost]) -> ShownTable:
    """The same as a reader sees it; the device stands above the table, unless there are several."""
    devices = {one.device for one in found} - {None}
    searched = any(one.search is not None for one in found)
    columns = ["method", "backbone", "trains", "kept", "time to train", "texts a second"]
    columns += ["on"] * (len(devices) > 1) + ["search, in trainings"] * searched
    rows = []
    for one in found:
        values = [
            ShownValue(one.method, one.method),
            ShownValue(_millions(one.backbone_parameters), float(one.backbone_parameters)),
            ShownValue(f"{one.trainable:,}", float(one.trainable)),
            ShownValue(in_words(one.kept), float(one.kept)),
            ShownValue("" if one.training is None else duration(one.training), one.training),
            ShownValue("" if one.speed is None else _rate(one.speed), one.speed),
        ]
        if len(devices) > 1:
            values.append(ShownValue(one.device or "", one.device or ""))
        if searched:
            values.append(ShownValue("" if one.search is None else f"{one.search:.1f}", one.search))
        rows.append(ShownRow(values))
    return ShownTable("Cost", columns, rows)


def notes(found: Sequence[MethodCost]) -> list[str]:
    """What is to be known to read the table."""
    told = [
        (
            "Of one seed, as the runs have recorded it: parameters of the backbone, and numbers that train; what is "
            "kept beside the backbone; the time of a training, which runs that learn together share; texts that are "
            "scored a second, in batches, tokenising aside."
        )
    ]
    devices = list(dict.fromkeys(one.device for one in found if one.device is not None))
    if len(devices) == 1:
        told.append(f"Measured on {devices[0]}.")
    elif devices:
        told.append("Measured on unlike devices: times do not compare across them.")
    if lacking := [one.method for one in found if one.training is None and one.speed is None]:
        told.append(f"Of runs made before times were kept there are none: {', '.join(lacking)}.")
    return told


def sentences(run_group: RunGroup) -> Iterator[str]:
    """What the best method costs, and the cheapest that is not shown to be worse: within the interval of the best."""
    by_method = {one.method: one for one in costs(run_group)}
    order = [method for method in ranked(run_group) if method in by_method and method not in run_group.collapsed]
    if not order:
        return
    best = by_method[order[0]]
    yield f"{best.method}, the best, {_told(best)}."
    reached = value(run_group, best.method, "target")
    if reached is None or reached[1] is None or len(order) == 1:
        return
    within = [method for method in order if _mean(run_group, method) >= reached[1]]
    cheapest = min((by_method[method] for method in within), key=lambda one: one.size)
    if cheapest is best:
        yield f"No cheaper method has its mean within the interval of {best.method}."
    else:
        yield (
            f"The cheapest whose mean, {_mean(run_group, cheapest.method):.3f}, lies within the interval of the best "
            f"is {cheapest.method}: it {_told(cheapest)}."
        )


def by_backbone(run_group: RunGroup) -> Iterator[str]:
    """Where several backbones are compared: the best method of each, and which backbone is ahead by method."""
    backbones = {method: run_group.opened_runs[run].spec.backbone for method, run in run_group.runs.items()}
    order = ranked(run_group)
    if len({backbones[method] for method in order}) < 2:  # noqa: PLR2004
        return
    best: dict[str, str] = {}
    for method in order:
        best.setdefault(run_group.runs[method], method)
    listed = ", ".join(
        f"{run_group.records[method].method} on {run} ({_mean(run_group, method):.3f})" for run, method in best.items()
    )
    yield f"The best method of each backbone: {listed}."
    of_label: dict[str, list[str]] = {}
    for method in order:
        of_label.setdefault(run_group.records[method].method, []).append(method)
    ahead: dict[str, list[str]] = {}
    for label, methods in of_label.items():
        if len(methods) > 1:
            lead = 100 * (_mean(run_group, methods[0]) - _mean(run_group, methods[1]))
            ahead.setdefault(run_group.runs[methods[0]], []).append(f"{label} (by {lead:.1f} points)")
    if ahead:
        told = "; ".join(f"{run} with {', '.join(labels)}" for run, labels in ahead.items())
        yield f"By method, the backbone that is ahead: {told}."


def _mean(run_group: RunGroup, method: str) -> float:
    return (value(run_group, method, "target") or (0.0,))[0]


def _told(one: MethodCost) -> str:
    """What a method costs, as the end of a sentence."""
    size = f"a backbone of {_millions(one.backbone_parameters)} parameters"
    parts = [f"trains {one.trainable:,} numbers and keeps {in_words(one.kept)} a seed beside {size}"]
    parts.append(f"a training took {duration(one.training)}" if one.training is not None else "")
    parts.append(f"it scores {_rate(one.speed)} texts a second on {one.device}" if one.speed is not None else "")
    if one.training is None and one.speed is None:
        parts.append("how long it takes was not recorded when it was made")
    if one.search is not None:
        parts.append(f"the search of its settings cost {one.search:.1f} trainings more")
    return "; ".join(filter(None, parts))


def _millions(count: int) -> str:
    return f"{count / MILLION:,.0f} M" if count >= MILLION else f"{count:,}"


def duration(seconds: float) -> str:
    """Seconds for people: `0.8 s`, `45 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < SHORTEST:
        return f"under {SHORTEST} s"
    if seconds < 9.95:  # noqa: PLR2004 - or it would be shown as 10.0
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), MINUTE)
    if not minutes:
        return f"{left} s"
    if minutes < MINUTE:
        return f"{minutes} min {left:02} s"
    hours, minutes = divmod(round(seconds / MINUTE), MINUTE)
    return f"{hours:,} h {minutes:02} min"


def _rate(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 9.5 else f"{speed:.1f}"  # noqa: PLR2004
