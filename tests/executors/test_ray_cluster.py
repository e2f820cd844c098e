"""What a spec may say of Ray, and which cluster is joined: mistakes are told before anything is waited for."""

import re
import socket

import pytest

from isogloss.errors import IsoglossError
from isogloss.executors.registry import executor

pytest.importorskip("ray")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gpus": 1.5}, "executor: gpus: expected a part of one, or a whole number (came: 1.5)"),
        ({"gpus": 0.00001}, "executor: gpus: expected a part of one, or a whole number (came: 1e-05)"),
        ({"gpus": -1}, "executor: gpus: expected a number greater than or equal to 0"),
        ({"cpus": 0}, "executor: cpus: expected a number greater than or equal to 0.0001"),
        ({"cpus": float("inf")}, "executor: cpus: expected a finite number (came: inf)"),
        ({"workers": 0}, "executor: workers: expected a number greater than 0"),
        ({"retries": -1}, "executor: retries: expected a number greater than or equal to 0 (came: -1)"),
        ({"storage": ""}, "executor: storage: expected at least 1 characters"),
        ({"storage": "reference::/x.json"}, "and none that leads on to another"),
        ({"resources": {"CPU": 1}}, "CPU is Ray's own; expected 'cpus' in its place"),
        ({"resources": {"memory": 1}}, "memory is Ray's own; expected names of the cluster's own"),
        ({"resources": {"a b": 1}}, "expected a text of the pattern"),
        ({"address": "10.0.0.7:6379"}, "executor: address: expected 'auto' or 'local' (came: '10.0.0.7:6379')"),
    ],
)
def test_a_setting_that_no_job_could_have_is_refused(given, said):
    with pytest.raises(IsoglossError, match=re.escape(said)) as told:
        executor({"name": "ray", **given})
    assert "\n" not in str(told.value)


def test_a_head_that_does_not_answer_is_said_at_once(monkeypatch):
    from isogloss.executors.ray_cluster import connect

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = executor({"name": "ray"}).settings
    for address, said in {
        f"127.0.0.1:{port}": f"nothing answers at 127.0.0.1:{port}, which RAY_ADDRESS names",
        "nosuch.invalid:6379": "nothing answers at nosuch.invalid:6379",
        "127.0.0.1:99999999": "nothing answers at 127.0.0.1:99999999",
        "head": "RAY_ADDRESS is 'head'; expected host:port, auto or local",
        "ray://127.0.0.1:10001": "RAY_ADDRESS is 'ray://127.0.0.1:10001', Ray's client",
    }.items():
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setattr("ray.is_initialized", lambda: False)
        with pytest.raises(IsoglossError, match=re.escape(said)):
            connect(settings)
