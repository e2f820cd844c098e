"""One table of everything: as JSON for programs, as Markdown for a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.cells import EVALUATION, TRAINING
from benchmarks.contestants.entrants import NO_DROPOUT, OURS, RIVALS

SHOWN = (1, 8, 32)  # K, of ratios in Markdown; all are in JSON
NOTHING = "-"
RATES = "examples_per_second"


def rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each contestant of each cell that is no point of a curve, in training and in evaluation.

    Args:
        records: of contests.
    """
    made = []
    for record in records:
        cell = record["cell"]
        if "contestants" not in record or cell.get("curve"):
            continue
        everyone = record["contestants"]
        for what in cell["doing"]:
            for name, did in everyone.items():
                row = {
                    "machine": record["about"]["machine"]["name"], "part": record["part"], "cell": cell["name"],
                    "shape": cell["shape"], "method": cell["method"], "batch": cell["batch"], "doing": what,
                    "contestant": name,
                }  # fmt: skip
                if "failed" in did:
                    made.append({**row, "failed": did["failed"]})
                elif what in did:
                    made.append({**row, **_numbers(did, what, cell["batch"]), "ratios": _ratios(everyone, name, what)})
    return made


def _numbers(did: Mapping[str, Any], what: str, batch: int) -> dict[str, Any]:
    rates = did[what][RATES]
    own: dict[str, Any] = {
        "runs": did["runs"], "dtype": did["dtype"], "way": did["way"], "rounds": len(rates), RATES: summary(rates),
        "share": summary(did[what]["share"]),
    }  # fmt: skip
    if what == TRAINING:
        own["ms_an_update_of_one_run"] = summary([1e3 * batch / rate for rate in rates])
    return own


def _ratios(everyone: Mapping[str, Any], name: str, what: str) -> dict[str, Any]:
    """How many times as fast as this one isogloss is, by K: like with like where isogloss too may drop out."""
    found: dict[str, Any] = {}
    if name.startswith(OURS):
        return found
    theirs = everyone[name][what][RATES]
    for ours, did in everyone.items():
        if not ours.startswith(OURS) or what not in did or "failed" in did:
            continue
        alike = ours.removesuffix(NO_DROPOUT) + (NO_DROPOUT if name.endswith(NO_DROPOUT) else "")
        if ours not in {alike, *([ours] if alike not in everyone else [])}:
            continue
        pairs = zip(did[what][RATES], theirs, strict=False)
        found[str(did["runs"])] = summary([own / other for own, other in pairs])
    return found


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": median(values), "low": min(values), "high": max(values)}


def markdown(records: Sequence[Mapping[str, Any]], *, details: bool = True) -> str:
    """The table of every machine.

    Args:
        records: the newest of each cell.
        details: whether every contestant has its line too, or ratios are all.
    """
    machines = dict.fromkeys((one["about"]["machine"]["name"], one["about"]["texts"]) for one in records)
    parts = []
    for name, texts in machines:
        own = [one for one in records if (one["about"]["machine"]["name"], one["about"]["texts"]) == (name, texts)]
        parts += [_heading(own), _ratio_table(rows(own)), _programs(own), _detail_table(rows(own)) if details else ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(records: Sequence[Mapping[str, Any]]) -> str:
    about = records[-1]["about"]
    machine, versions = about["machine"], about["versions"]
    named = ("isogloss", "torch", "transformers", "peft", "python")
    codes = {one["about"]["code"] for one in records}
    mixed = f" Cells were measured of {len(codes)} states of the code." if len(codes) > 1 else ""
    tiny = " **Tiny models, to try the suite: these numbers say nothing.**" if about["quick"] else ""
    return (
        f"### {machine['name']}\n\n"
        f"{machine['cpu']['threads']} threads on {machine['cpu']['cores']} cores ({machine['cpu']['capability']}), "
        + ", ".join(f"{name} {versions[name]}" for name in named if name in versions)
        + f"; texts: {about['texts']}.{mixed}{tiny}"
    )


def _ratio_table(flat: Sequence[Mapping[str, Any]]) -> str:
    """How many times as fast isogloss is: a line for each K, a column for each rival."""
    ratios: dict[tuple[Any, ...], dict[str, dict[str, float]]] = {}
    for row in flat:
        for runs, ratio in row.get("ratios", {}).items():
            if int(runs) in SHOWN:
                place = (row["shape"], row["method"], row["batch"], row["doing"], int(runs))
                ratios.setdefault(place, {})[row["contestant"]] = ratio
    if not ratios:
        return ""
    there = {rival for found in ratios.values() for rival in found}
    rivals = [name for rival in RIVALS for name in (rival, rival + NO_DROPOUT) if name in there]
    head = ["model", "method", "batch", "", "K", *rivals]
    lines = [_line(head), _line(["---"] * len(head))]
    lines += [_line([*place, *(_times(found.get(rival)) for rival in rivals)]) for place, found in ratios.items()]
    explained = "; ".join(f"*{name}*: {RIVALS[name]}" for name in RIVALS if {name, name + NO_DROPOUT} & there)
    title = "isogloss is so many times as fast (one run of K; median of the rounds, lowest to highest) as:"
    return "\n".join([title, "", *lines, "", f"{explained}."])


def _detail_table(flat: Sequence[Mapping[str, Any]]) -> str:
    """Everything that was measured."""
    if not flat:
        return ""
    head = [
        "model",
        "method",
        "batch",
        "",
        "contestant",
        "examples/s",
        "ms an update of a run",
        "of matmul rate",
        "how",
    ]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in flat:
        place = [row["shape"], row["method"], row["batch"], row["doing"], row["contestant"]]
        if "failed" in row:
            lines.append(_line([*place, NOTHING, NOTHING, NOTHING, row["failed"]]))
            continue
        update = row.get("ms_an_update_of_one_run")
        numbers = [_range(row[RATES]), _range(update) if update else "", f"{row['share']['median']:.0%}"]
        lines.append(_line([*place, *numbers, _how(row)]))
    return "\n".join(["Median of the rounds, lowest to highest:", "", *lines])


def _programs(records: Sequence[Mapping[str, Any]]) -> str:
    """Those that ran once."""
    own = [one for one in records if "contestants" not in one]
    if not own:
        return ""
    lines = [_line(["program", "seconds", "memory, GB", ""]), _line(["---"] * 4)]
    for one in own:
        did = one["program"]
        numbers = [f"{did['seconds']:.1f}", f"{did['memory']:.2f}"] if "seconds" in did else [NOTHING, NOTHING]
        lines.append(_line([one["cell"]["name"], *numbers, did.get("failed", "")]))
    return "\n".join(lines)


def _how(row: Mapping[str, Any]) -> str:
    way = row["way"]
    chosen = " + ".join(way[name] for name in ("precision", "attention") if way.get(name))
    batch = f", {way['evaluated']} a pass" if row["doing"] == EVALUATION and "evaluated" in way else ""
    return (chosen or str(row["dtype"])) + batch


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"


def _times(ratio: Mapping[str, float] | None) -> str:
    return NOTHING if ratio is None else f"**{ratio['median']:.2f}** ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _range(values: Mapping[str, float]) -> str:
    digits = 0 if values["median"] >= 100 else 1 if values["median"] >= 10 else 2
    middle, low, high = (f"{values[name]:,.{digits}f}" for name in ("median", "low", "high"))
    return f"{middle} ({low} to {high})"
