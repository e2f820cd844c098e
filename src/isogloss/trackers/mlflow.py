"""MLflow: a run a cell, in the experiment of the spec's name, on the server or in the folder that MLflow is set to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from isogloss.runtime.checked import Checked
from isogloss.trackers.tracker import Measured, Status, TrackedCell

AT_ONCE = 900  # values of a request, of which MLflow takes 1,000
PARAMETERS = 100  # of a request, as many as MLflow takes
LONGEST = 500  # characters of a parameter's value
STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
# A server that does not answer is left after half a minute, and not after MLflow's quarter of an hour.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class MlflowSettings(Checked):
    """Where runs go."""

    uri: str | None = Field(
        None,
        description="of a server, or of a database (sqlite:///mlflow.db); left out: what MLFLOW_TRACKING_URI says",
    )
    experiment: str | None = Field(None, description="that the runs stand in; left out: the spec's name")

    @field_validator("uri")
    @classmethod
    def _no_password(cls, uri: str | None) -> str | None:
        if uri is not None and urlsplit(uri).password is not None:
            raise ValueError("expected no password, which the run directory would keep: set MLFLOW_TRACKING_PASSWORD")
        return uri


class MlflowRun:
    """See `TrackedRun`.

    Args:
        client: of MLflow.
        run_id: of the run.
        resumed: whether it was there already.
    """

    def __init__(self, client: Any, run_id: str, *, resumed: bool) -> None:
        self.client, self.id, self.resumed = client, run_id, resumed

    def log(self, rows: Sequence[Measured]) -> None:
        """Values with the update's number as their step."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        every = [Metric(name, float(value), now, step) for step, values in rows for name, value in values.items()]
        for part in _parts(every, AT_ONCE):
            self.client.log_batch(self.id, metrics=part)

    def parameters(self, values: Mapping[str, Any]) -> None:
        """All that was set."""
        from mlflow.entities import Param

        every = [Param(name, _text(value)[:LONGEST]) for name, value in values.items() if value is not None]
        for part in _parts(every, PARAMETERS):
            self.client.log_batch(self.id, params=part)

    def finish(self, status: Status) -> None:
        """As MLflow calls it."""
        self.client.set_terminated(self.id, status=STATES[status])


class Mlflow:
    """See `Tracker`."""

    name = "mlflow"
    module = "mlflow"
    extra = "mlflow"
    settings: type[Checked] = MlflowSettings

    def begin(self, cell: TrackedCell, settings: Any, known: str | None) -> MlflowRun:
        """The run that is known, or a new one."""
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        client = MlflowClient(tracking_uri=settings.uri)
        if known is not None:
            try:
                client.update_run(known, status="RUNNING")
            except MlflowException:  # it is gone
                pass
            else:
                return MlflowRun(client, known, resumed=True)
        experiment = _experiment(client, settings.experiment or cell.experiment)
        made = client.create_run(experiment, tags=dict(cell.tags), run_name=cell.title)
        run = MlflowRun(client, made.info.run_id, resumed=False)
        run.parameters(cell.parameters)
        return run


def _experiment(client: Any, name: str) -> str:
    """The id of an experiment, which is made where there is none; another process may be as quick."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parts(values: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for begin in range(0, len(values), size):
        yield list(values[begin : begin + size])


TRACKER = Mlflow()
