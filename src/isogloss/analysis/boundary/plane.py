"""The states that enter a head, laid into the plane, with the boundary that was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from isogloss.data.dataset import Examples
from isogloss.data.subsample import spread
from isogloss.experiment.cells import Cell
from isogloss.experiment.opened_run import OpenedRun
from isogloss.tasks import heads
from isogloss.training.run import Run

LANGUAGES, POINTS, CLASSES = 6, 60, 8  # languages of a projection, points of each, and classes, at most
GRID = 100  # points of the plane a side
PERPLEXITY = 30  # t-SNE's usual one (van der Maaten and Hinton 2008, section 2)
SEED = 0  # of t-SNE
FEWEST = 5  # points that t-SNE takes
POINT: Any = {
    "method": pl.String, "seed": pl.Int64, "language": pl.String, "example": pl.String, "gold": pl.String,
    "predicted": pl.String, "pca_x": pl.Float64, "pca_y": pl.Float64, "tsne_x": pl.Float64, "tsne_y": pl.Float64,
}  # fmt: skip
REGION: Any = {"method": pl.String, "x": pl.Float64, "y": pl.Float64, "label": pl.String}
PLANE: Any = {"method": pl.String, "seed": pl.Int64, "variance": pl.Float64, "faithful": pl.Float64}


@dataclass(frozen=True)
class Projection:
    """Which examples are shown: the same for all methods.

    Args:
        parts: of every language, the source's first.
        places: of each language that is shown, by its number: places of the examples that are.
        classes: numbers of the classes that are shown.
    """

    parts: Sequence[Examples]
    places: dict[int, Int[np.ndarray, "_"]]
    classes: list[int]

    @classmethod
    def of(
        cls,
        opened_run: OpenedRun,
        methods: Sequence[str],
        parts: Sequence[Examples],
        gold: Sequence[Int[np.ndarray, "_"]],
    ) -> Projection:
        """The source, the targets with the best and the worst mean score of these methods, and some between them.

        Of more classes than can be told apart by colour, those that these languages have most examples of.
        """
        scores = (
            opened_run.stored.table("scores")
            .filter(pl.col("method").is_in(list(methods)), split="test", metric=opened_run.metric)
            .group_by("language")
            .agg(pl.col("value").mean())
        )
        of = dict(scores.iter_rows())
        ranked = sorted(range(1, len(parts)), key=lambda i: (-of[str(parts[i].language)], i))
        shown = [0, *(ranked[number] for number in spread(len(ranked), LANGUAGES - 1))]
        counts = np.stack([np.bincount(gold[number], minlength=len(opened_run.data.labels)) for number in shown])
        classes = sorted(np.argsort(-counts.min(axis=0), kind="stable")[:CLASSES].tolist())
        places = {}
        for number in shown:
            known = np.flatnonzero(np.isin(gold[number], classes))
            places[number] = known[spread(len(known), POINTS)] if len(known) else known
        return cls(parts, places, classes)

    def of_cell(
        self, cell: Cell, run: Run, states: Sequence[Float[np.ndarray, "_ H"]], labels: Sequence[str]
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """One method's states in the plane.

        The plane is that of the first two principal components of all points shown. Its regions are what the trained
        head answers there, among the classes shown, all other components being at their mean: a point beside the plane
        may well be answered otherwise, and `faithful` says how many are not.

        Args:
            cell: which it is.
            run: whose head it is.
            states: what enters the head, of every language.
            labels: names of the classes.

        Returns:
            Rows of `POINT`, of `REGION`, and one of `PLANE`: the share of the variance in the plane, and the share of
            points whose answer is that of their place in it.
        """
        points = np.concatenate([states[number][places] for number, places in self.places.items()])
        pca = PCA(2, svd_solver="full").fit(points)
        flat = pca.transform(points)
        axes = [np.linspace(*_widened(flat[:, axis]), GRID) for axis in (0, 1)]
        grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
        whole, projected = (_answers(run, of, self.classes) for of in (points, pca.inverse_transform(flat)))
        neighbours = _tsne(points)
        examples = [self.parts[number].taken(places.tolist()) for number, places in self.places.items()]
        table = pl.DataFrame(
            {
                "method": [cell.label] * len(points), "seed": [cell.seed] * len(points),
                "language": [str(part.language) for part in examples for _ in range(len(part))],
                "example": pl.concat([part.table["id"] for part in examples]),
                "gold": pl.concat([part.table["label"] for part in examples]),
                "predicted": [labels[one] for one in _answers(run, points)],
                "pca_x": flat[:, 0], "pca_y": flat[:, 1],
                "tsne_x": None if neighbours is None else neighbours[:, 0],
                "tsne_y": None if neighbours is None else neighbours[:, 1],
            },
            schema=POINT,
        )  # fmt: skip
        region = {
            "method": [cell.label] * len(grid), "x": grid[:, 0], "y": grid[:, 1],
            "label": [labels[one] for one in _answers(run, pca.inverse_transform(grid), self.classes)],
        }  # fmt: skip
        plane = (cell.label, cell.seed, float(pca.explained_variance_ratio_.sum()), float((projected == whole).mean()))
        return table, pl.DataFrame(region, schema=REGION), pl.DataFrame([plane], schema=PLANE, orient="row")


def _widened(values: Float[np.ndarray, "N"]) -> tuple[float, float]:
    edge = 0.05 * float(np.ptp(values)) or 1.0
    return float(values.min()) - edge, float(values.max()) + edge


def _answers(run: Run, states: Float[np.ndarray, "N H"], among: Sequence[int] | None = None) -> Int[np.ndarray, "N"]:
    """The classes that a run's head chooses; only some of them, if these are given."""
    given = torch.from_numpy(states).float().to(next(run.head.parameters()).device)
    with torch.no_grad():
        scores = heads.logits([run.head], given[None])[0]
    classes = np.arange(scores.shape[1]) if among is None else np.asarray(among)
    chosen: np.ndarray = classes[scores[:, classes].argmax(dim=1).cpu().numpy()]
    return chosen


def _tsne(points: Float[np.ndarray, "N H"]) -> Float[np.ndarray, "N 2"] | None:
    if len(points) < FEWEST:
        return None
    embedded = TSNE(perplexity=min(PERPLEXITY, (len(points) - 1) / 3), init="pca", random_state=SEED).fit_transform(
        points
    )
    return np.asarray(embedded, dtype=np.float64)
