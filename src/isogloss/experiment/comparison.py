"""What a comparison of backbones holds: its run directories together, and one of them for a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from isogloss.errors import IsoglossError
from isogloss.run_directory.comparison import Comparison, comparison_of
from isogloss.runtime import yaml
from isogloss.runtime.console import err
from isogloss.spec import Spec, check
from isogloss.store import Store, StoredCell


@dataclass(frozen=True)
class ComparisonStore:
    """The run directories of a comparison, as far as something in them is finished.

    Args:
        comparison: which backbones, and where.
    """

    comparison: Comparison

    @property
    def path(self) -> Path:
        """The comparison's folder."""
        return self.comparison.path

    @property
    def stores(self) -> dict[str, Store]:
        """The run directories in which something is finished, by backbone, in the order of the spec."""
        begun = {name: Store(run) for name, run in self.comparison.runs.items() if run.is_dir()}
        return {name: stored for name, stored in begun.items() if stored.finished()}

    @property
    def unfinished(self) -> list[str]:
        """The backbones of which nothing is finished."""
        return [name for name in self.comparison.backbones if name not in self.stores]

    def finished(self) -> list[StoredCell]:
        """Every finished cell."""
        return [cell for stored in self.stores.values() for cell in stored.finished()]

    def spec(self) -> Spec:
        """The spec as it was written.

        Raises:
            IsoglossError: it is gone, or is none.
        """
        file = self.path / "spec.yaml"
        if not file.is_file():
            raise IsoglossError(f"{file} is missing; run the same spec again with --out to write it anew")
        return check(Spec, yaml.load(file), where=str(file))

    def table(self, name: str) -> pl.DataFrame:
        """One of the tables of all of them, with the backbone in front: as the spec names it.

        Raises:
            IsoglossError: nothing is finished, or a cell is damaged.
        """
        parts = []
        for backbone, stored in self.started().items():
            table = stored.table(name)
            if "backbone" in table.columns:  # one that a method has brought along keeps its name
                own = pl.col("backbone").is_in([backbone, backbone.partition("@")[0]])
                parts.append(
                    table.with_columns(pl.when(own).then(pl.lit(backbone)).otherwise("backbone").alias("backbone"))
                )
            else:
                parts.append(table.select(pl.lit(backbone).alias("backbone"), pl.all()))
        return pl.concat(parts)

    def started(self) -> dict[str, Store]:
        """What `stores` gives, of which there is at least one.

        Raises:
            IsoglossError: nothing is finished.
        """
        if not (stores := self.stores):
            raise IsoglossError(f"{self.path} holds no finished run; `isogloss run` makes one")
        return stores


def opened_comparison(path: Path) -> ComparisonStore | None:
    """The comparison in a folder; None where it is none."""
    comparison = comparison_of(path)
    return None if comparison is None else ComparisonStore(comparison)


def finished_runs(path: Path) -> dict[str, Path]:
    """The run directories of a comparison, by backbone, and a line on what is left out; of another folder itself.

    Raises:
        IsoglossError: nothing of a comparison is finished.
    """
    if (opened := opened_comparison(path)) is None:
        return {"": path}
    runs = {name: stored.path for name, stored in opened.started().items()}
    if lacking := opened.unfinished:
        err.print(f"nothing is finished of {', '.join(lacking)}: left out", markup=False, soft_wrap=True)
    return runs
