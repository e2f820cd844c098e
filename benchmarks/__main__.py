"""Measure isogloss against scripts with PEFT and transformers, and write one table.

    python -m benchmarks                        every part, in about an hour on a CPU, half of one on a GPU
    python -m benchmarks --list                 the parts, each of which takes at most eight minutes
    python -m benchmarks --part small-lora      one of them

Every cell is written as it ends (`cells.jsonl`); begun again, the suite goes on with what is not yet measured with
these sources, libraries and machine. After each cell the table (`table.json`, `table.md`, its ratios alone in
`ratios.md`) and the curves are made anew.
"""

from __future__ import annotations

import isogloss  # noqa: F401 - before torch: it says how torch's threads wait for one another

# isort: split
import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.adapters_environment import python
from benchmarks.contest import Ground
from benchmarks.parts import parts, quick
from benchmarks.suite import Suite
from benchmarks.texts import Source

OUT = Path("runs") / "benchmarks"


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", nargs="+", metavar="NAME", help="measure these alone")
    parser.add_argument("--list", action="store_true", help="name the parts, with about how long they take")
    parser.add_argument("--table", action="store_true", help="only make table and curves anew")
    parser.add_argument("--data", type=Path, help="SIB-200's folder (eng_Latn/train.tsv …): measure on real texts")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="left out: a GPU where there is one")
    parser.add_argument("--out", type=Path, help=f"left out: {OUT}, or {OUT}-quick")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which a part begins nothing more")
    parser.add_argument("--again", action="store_true", help="measure what is already measured too")
    parser.add_argument("--quick", action="store_true", help="tiny models and one round: whether everything goes")
    parser.add_argument("--adapters", type=Path, default=python(), help="Python of an environment with adapters")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """The command. Returns its exit code: 1 where isogloss failed, 2 where it was asked for what is not there."""
    asked = arguments(sys.argv[1:] if given is None else given)
    console = Console(highlight=False, soft_wrap=True)
    device = torch.device(asked.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if asked.list:
        console.print(listed())
        return 0
    if device.type == "cuda" and not torch.cuda.is_available():
        console.print("--device cuda: torch finds no GPU here; leave it out, or say cpu")
        return 2
    known = parts(device.type)
    if unknown := sorted(set(asked.part or []) - set(known)):
        console.print(f"--part {unknown[0]}: there is none of that name on a {device.type}; known: {', '.join(known)}")
        return 2
    if asked.data is not None and not (asked.data / "eng_Latn" / "train.tsv").exists():
        console.print(f"--data {asked.data}: no eng_Latn/train.tsv in it; expected the folder of SIB-200")
        return 2
    chosen = [known[name] for name in asked.part] if asked.part else [part for part in known.values() if not part.asked]
    _silence()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as workspace:
        ground = Ground(device, Source(asked.data), Path(workspace), asked.quick, asked.adapters)
        out = asked.out or (OUT.with_name(f"{OUT.name}-quick") if asked.quick else OUT)
        suite = Suite(ground, out, console, minutes=asked.minutes)
        if not asked.table:
            suite.measure([quick(part) if asked.quick else part for part in chosen], again=asked.again)
        suite.write()
    return int(suite.failed)


def listed() -> str:
    """The parts of both kinds of device, a line each."""
    kinds = {device: parts(device) for device in ("cpu", "cuda")}
    lines = [f"{'part':26} {'CPU':>4} {'GPU':>4}  about how many minutes"]
    for name in dict.fromkeys(name for known in kinds.values() for name in known):
        part = next(known[name] for known in kinds.values() if name in known)
        minutes = [f"{known[name].minutes:g}" if name in known else "-" for known in kinds.values()]
        asked = " (only where it is asked for)" if part.asked else ""
        lines.append(f"{name:26} {minutes[0]:>4} {minutes[1]:>4}  {part.about}{asked}")
    return "\n".join(lines)


def _silence() -> None:
    """Of other libraries: their advice is not for who measures them."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore")


if __name__ == "__main__":
    sys.exit(main())
