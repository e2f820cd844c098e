"""Which weights carry what tuning changed, and which of them open the gap.

After Guo et al. (2023, arXiv 2305.11449), whose abstract asks the question; the probes are ours. Of a tuned model, one
group of weights at a time is *rewound* to its pre-trained values; or it alone is *transplanted* into the pre-trained
model, which has the tuned head. Beside it stand the distance that a group has moved, and its Fisher information.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from isogloss import heads
from isogloss.analysis.intervals import summarised
from isogloss.archive import Archive
from isogloss.backbones import Backbone
from isogloss.backbones.anatomy import HEAD, INSIDE, place
from isogloss.backbones.masters import Masters
from isogloss.backbones.rows import LearningRows
from isogloss.batching import Row
from isogloss.cutting import fit
from isogloss.evaluate import TestSet
from isogloss.methods.fine_tuning import FineTuningSettings
from isogloss.plan import Cell
from isogloss.runs import Run, new_head, wordings
from isogloss.seeding import derive
from isogloss.store import Finished

ALL, NONE = "all", "none"
FISHER_EXAMPLES = 64
Group = tuple[int | None, str]  # a layer, if any, and a kind of weights, `head`, `all` or `none`
SCHEMA: Any = {
    "method": pl.String, "seed": pl.Int64, "way": pl.String, "layer": pl.Int64, "weights": pl.String,
    "language": pl.String, "metric": pl.String, "value": pl.Float64, "n": pl.Int64,
}  # fmt: skip
MOVED: Any = {
    "method": pl.String, "seed": pl.Int64, "layer": pl.Int64, "weights": pl.String, "parameters": pl.Int64,
    "distance": pl.Float64, "relative": pl.Float64, "fisher": pl.Float64,
}  # fmt: skip


class Patient:
    """A tuned model whose weights can be set back, group by group.

    Args:
        archive: where it is stored.
        cell: which it is.
        found: where its weights are.
    """

    def __init__(self, archive: Archive, cell: Cell, found: Finished) -> None:
        self.stack = archive.stack(cell, found)
        self.run = self.stack.runs[0]
        self.masters = masters_of(self.run)
        self.tuned = {f"part.{name}": value.clone() for name, value in self.masters.named().items()}
        self.start = {
            f"part.{name}": _pretrained(archive.backbone, self.stack.backbone, name) for name in self.masters.named()
        }
        fresh = new_head(
            archive.backbone, cell.settings, classes=len(archive.material.labels),
            verbalizer=archive.verbalizer(cell, found),
            generator=torch.Generator().manual_seed(derive("init", cell.seed)),
        )  # fmt: skip
        self.tuned |= {f"head.{name}": value.clone() for name, value in self.run.head.state_dict().items()}
        self.start |= {f"head.{name}": value for name, value in fresh.state_dict().items()}
        self.groups: dict[Group, list[str]] = {}
        for name in self.tuned:
            where = HEAD if name.startswith("head.") else place(name.removeprefix("part."))
            self.groups.setdefault((where.layer, str(where.kind)), []).append(name)
        self.head = self.groups.get((HEAD.layer, HEAD.kind), [])  # a verbalizer has nothing of its own

    def set(self, tuned: Iterable[str]) -> None:
        """Give these weights their tuned values, and all others those that training began with."""
        names = set(tuned)
        mixed = {name: self.tuned[name] if name in names else value for name, value in self.start.items()}
        self.masters.load({name.removeprefix("part."): value for name, value in mixed.items()})
        self.run.head.load_state_dict(
            {name.removeprefix("head."): value for name, value in mixed.items() if name.startswith("head.")}
        )

    def states(self) -> Iterator[tuple[str, Group, list[str]]]:
        """Every way to put the model together: its name, the group that it is about, and the weights that are tuned."""
        names, head = list(self.tuned), self.head
        yield "tuned", (None, NONE), names
        yield "rewind", (None, ALL), []
        for group, own in self.groups.items():
            yield "rewind", group, [name for name in names if name not in own]
        yield "transplant", (None, NONE), head
        for group, own in self.groups.items():
            if own is not head:
                yield "transplant", group, [*own, *head]


def masters_of(run: Run) -> Masters:
    """The weights of the backbone that a run tunes."""
    return next(module for module in run.part.modules() if isinstance(module, Masters))


def tunes_backbone(cell: Cell) -> bool:
    """Whether what a cell's method trains besides the head is the backbone's own weights, and those alone."""
    return issubclass(cell.method.settings, FineTuningSettings)


def importance(archive: Archive, cell: Cell, found: Finished, *, examples: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores of a model with groups of its weights set back, and how far each has moved.

    Args:
        archive: a run directory.
        cell: one of its cells, of a method that tunes the backbone.
        found: where it is stored.
        examples: of each target's test split, evenly spread, and as many of the source's as of all targets'.

    Returns:
        Rows of `SCHEMA`, and rows of `MOVED`.
    """
    patient = Patient(archive, cell, found)
    test = archive.sample(cell, found, archive.material.tests, examples)
    tables = []
    for way, (layer, weights), tuned in patient.states():
        patient.set(tuned)
        about = {"method": cell.label, "seed": cell.seed, "way": way, "layer": layer, "weights": weights}
        scores = archive.scores(patient.stack, cell, test)
        tables.append(scores.with_columns(pl.lit(value).alias(name) for name, value in about.items()))
    patient.set(patient.tuned)
    information = fisher(patient, archive.sample(cell, found, [archive.material.dev], FISHER_EXAMPLES))
    rows = []
    for (layer, weights), names in patient.groups.items():
        difference = torch.cat([(patient.tuned[name] - patient.start[name]).flatten().double() for name in names])
        before = torch.cat([patient.start[name].flatten().double() for name in names])
        rows.append(
            {
                "method": cell.label, "seed": cell.seed, "layer": layer, "weights": weights,
                "parameters": len(before), "distance": float(difference.norm()),
                "relative": float(difference.norm() / before.norm()), "fisher": information[layer, weights],
            }
        )  # fmt: skip
    made = pl.concat([table.select(list(SCHEMA)).cast(SCHEMA) for table in tables])
    return made, pl.DataFrame(rows, schema=MOVED)


def fisher(patient: Patient, test: TestSet) -> dict[Group, float]:
    """The Fisher information of each group: the trace of its diagonal, the mean over examples.

    Answers are drawn from the model's own distribution, which makes it the true Fisher and not the empirical one
    (Kunstner et al. 2019, arXiv 1905.12558, section 2).
    """
    stack, run = patient.stack, patient.run
    features = fit(test.features, stack.room(run), stack.backbone.tokenizer)
    weights = {f"part.{name}": weight for name, weight in patient.masters.parameters_by_name().items()}
    weights |= {f"head.{name}": weight for name, weight in run.head.named_parameters()}
    total = dict.fromkeys(patient.groups, 0.0)
    generator = torch.Generator().manual_seed(derive("fisher", run.seed))
    for rows in features.of_example:
        for weight in weights.values():
            weight.grad = None
        for row in rows:  # windows of a passage one by one, since each has a span of its own in training
            states = stack.inputs([Row(features, int(row), 0)], stack.insert([run]))
            units = features.units([int(row)])
            of_run = torch.zeros(len(units), dtype=torch.long, device=states.device)
            scores = heads.logits([run.head], states, of_run, wordings(features, units, states.device))
            asked = scores.T if features.passages else scores  # a unit for each class, or a class for each unit
            chances = asked.log_softmax(dim=1)
            drawn = torch.multinomial(chances.detach().exp().cpu(), 1, generator=generator).to(chances.device)
            chances.gather(1, drawn).sum().backward()  # type: ignore[no-untyped-call]
        for group, names in patient.groups.items():
            gradients = [weights[name].grad for name in names]
            total[group] += sum(float(grad.double().square().sum()) for grad in gradients if grad is not None)
    return {group: value / len(features.of_example) for group, value in total.items()}


def effects(scores: pl.DataFrame, source: str) -> pl.DataFrame:
    """What each group does to source, mean target and gap, with intervals over seeds.

    Of a rewound group it is what the tuned model loses without it; of a transplanted one what the pre-trained model,
    with the tuned head, gains by it.

    Args:
        scores: rows of `SCHEMA`.
        source: the source language.

    Returns:
        `method way layer weights of effect low high seeds`, `of` being source, target or gap.
    """
    keys = ["method", "seed", "way", "layer", "weights"]
    parts = scores.group_by(keys, maintain_order=True).agg(
        pl.col("value").filter(pl.col("language") == source).mean().alias("source"),
        pl.col("value").filter(pl.col("language") != source).mean().alias("target"),
    )
    parts = parts.with_columns((pl.col("source") - pl.col("target")).alias("gap"))
    long = parts.unpivot(["source", "target", "gap"], index=keys, variable_name="of")
    beside = {"rewind": ("tuned", NONE, -1), "transplant": ("transplant", NONE, 1)}
    tables = []
    for way, (other, weights, sign) in beside.items():
        reference = long.filter(way=other, weights=weights).select(
            "method", "seed", "of", pl.col("value").alias("than")
        )
        own = long.filter(pl.col("way") == way, pl.col("weights") != NONE).join(reference, on=["method", "seed", "of"])
        tables.append(own.with_columns((sign * (pl.col("value") - pl.col("than"))).alias("effect")))
    return summarised(pl.concat(tables), ["method", "way", "layer", "weights", "of"], "effect")


def grid(effect: pl.DataFrame) -> Float[np.ndarray, "kinds layers"]:
    """Effects by kind of weights (`KINDS` without the embeddings) and layer; NaN where a group did not learn.

    Args:
        effect: rows of `effects` of one method, way and measure.
    """
    inside = effect.filter(pl.col("layer").is_not_null())
    cells = np.full((len(INSIDE), 1 + int(inside["layer"].max() or 0) if len(inside) else 1), np.nan)  # type: ignore[arg-type]
    for layer, kind, value in inside.select("layer", "weights", "effect").iter_rows():
        cells[INSIDE.index(kind), layer] = value
    return cells


def _pretrained(backbone: Backbone, tuned: Backbone, name: str) -> Tensor:
    """The value that a weight of a tuned model had before, by its name there."""
    words = tuned.model.get_input_embeddings()  # type: ignore[operator]
    if isinstance(words, LearningRows) and tuned.model.get_parameter(name) is words.rows.weight:
        return words.table.weight.detach()[words.ids].float()
    return backbone.model.get_parameter(name).detach().float()
