"""What the spec says of Ray, and what a job so takes of a cluster, by Ray's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from isogloss.executors.gpu_shares import LEAST
from isogloss.experiment.checkpoint_storage import storage_path
from isogloss.runtime.checked import Checked

FINEST = 0.0001  # part of anything that Ray counts
RESERVED = {"CPU": "cpus", "GPU": "gpus", "memory": None, "object_store_memory": None, "bundle": None}
Amount = Annotated[float, Field(ge=FINEST)]


class RaySettings(Checked):
    """What a job takes of the cluster."""

    address: Literal["auto", "local"] | None = Field(
        None,
        description="auto: the cluster that RAY_ADDRESS names, or that this machine belongs to; local: one that is "
        "started on this machine and ends with this process; left out: auto if RAY_ADDRESS is set, else local",
    )
    cpus: Amount = Field(1, description="cores of a job, which are its threads too")
    gpus: Annotated[float, Field(ge=0)] = Field(
        0, description="GPUs of a job at most: it gets the part of one that its memory takes, and shares it with others"
    )
    pack: bool = Field(True, description="false: each job gets all of `gpus`, however little it takes")
    retries: NonNegativeInt = Field(3, description="times that a job begins again after its worker or node was lost")
    storage: str | None = Field(
        None,
        min_length=1,
        description="where checkpoints of trainings that go on are kept, any path that fsspec knows (s3://bucket, "
        "a shared disk); left out: the run directory",
    )
    workers: PositiveInt | None = Field(
        None, description="jobs that are handed to the cluster at once; left out: as many as it has room for, and two"
    )
    resources: dict[Annotated[str, Field(pattern=r"^[\w:.-]+$", max_length=100)], Amount] = Field(
        {}, description="of Ray's own names, that a job takes: {accelerator_type:A100: 0.001}"
    )

    @field_validator("gpus")
    @classmethod
    def _some_or_whole(cls, value: float) -> float:
        if 0 < value < FINEST or (value > 1 and value != int(value)):
            raise ValueError("expected a part of one, or a whole number")
        return value

    @field_validator("storage")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        return None if value is None else storage_path(value)

    @field_validator("resources")
    @classmethod
    def _of_own_names(cls, value: Mapping[str, float]) -> Mapping[str, float]:
        if reserved := [name for name in value if name in RESERVED]:
            other = RESERVED[reserved[0]]
            there = f"{other!r} in its place" if other else "names of the cluster's own"
            raise ValueError(f"{reserved[0]} is Ray's own; expected {there}")
        return value

    @property
    def wanted(self) -> dict[str, float]:
        """What a job takes at most."""
        gpus = {"GPU": self.gpus} if self.gpus else {}
        return {"CPU": self.cpus, **gpus, **self.resources}

    @property
    def least(self) -> dict[str, float]:
        """What the smallest job takes."""
        if "GPU" not in self.wanted or not self.pack:
            return self.wanted
        return {**self.wanted, "GPU": min(LEAST, self.gpus)}

    def options(self, gpus: float | None = None) -> dict[str, Any]:
        """What Ray is told that a task takes.

        Args:
            gpus: of these; None: as many as a job takes at most.
        """
        return {
            "num_cpus": self.cpus, "num_gpus": self.gpus if gpus is None else gpus, "resources": dict(self.resources),
            "scheduling_strategy": "SPREAD",
        }  # fmt: skip
