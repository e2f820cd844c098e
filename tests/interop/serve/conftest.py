"""A run directory of small random models, and a service of them."""

from importlib.util import find_spec

import pytest

import isogloss
from models import WORDS, checkpoint, sib200

NEEDED = ("fastapi", "uvicorn", "prometheus_client", "httpx2")
collect_ignore_glob = [] if all(map(find_spec, NEEDED)) else ["test_*.py"]  # the extra `serve` is not installed


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Two run directories over one checkpoint, with labels of their own."""
    folder = tmp_path_factory.mktemp("served")
    common = {
        "backbone": str(checkpoint(folder / "model")), "source": "en", "device": "cpu", "dtype": "float32",
    }  # fmt: skip
    soft = {"length": [2, 5], "epochs": 1, "lr": 0.5}
    topics = {
        **common, "name": "topics", "task": "sib200", "data": {"path": str(sib200(folder / "data"))}, "targets": ["de"],
        "methods": {
            "linear-probe": {"epochs": 2}, "soft-prompt": soft, "fine-tuning": {"epochs": 1, "seeds": [0]},
        },
        "seeds": [0, 1],
    }  # fmt: skip
    isogloss.run(topics, folder / "topics")
    rows = [
        {
            "words": [WORDS[(i + j * (1 + i // 20)) % 20] for j in range(3 + i % 5)],
            "labels": ["A", "B", "C"][i % 3 :][:1] * (3 + i % 5),
        }
        for i in range(24)
    ]
    tags = {**common, "name": "tags", "task": "custom", "methods": {"soft-prompt": {"length": 3, "epochs": 1}}}
    data = {"train": {"en": rows[:12]}, "dev": {"en": rows[12:18]}, "test": {"en": rows[18:], "de": rows[18:]}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOGLOSS_CACHE", str(folder / "cache"))  # frames are kept there
        isogloss.run(tags, folder / "tags", data=data)
    return {"topics": folder / "topics", "tags": folder / "tags"}


@pytest.fixture(scope="session")
def models(folders):
    """All cells of both."""
    from isogloss.interop.serve.models import load

    return load(folders, every=True)


@pytest.fixture
def served(models):
    """Makes a service of the models, and a client of it."""
    from starlette.testclient import TestClient

    from isogloss.interop.serve.access import Access
    from isogloss.interop.serve.app import application
    from isogloss.interop.serve.limits import Limits
    from isogloss.interop.serve.service import Service

    clients = []

    def made(*, token=None, host="127.0.0.1", log=False, **limits):
        service = Service(models, Limits(**{"wait": 1.0, **limits}), Access(host, token), log=log)
        client = TestClient(application(service), base_url="http://127.0.0.1")
        clients.append(client)
        client.__enter__()
        return service, client

    yield made
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def alike():
    """Whether two answers say the same, in scores to what they are rounded to."""

    def same(found, alone):
        if isinstance(found, dict) and isinstance(alone, dict):
            return found.keys() == alone.keys() and all(same(found[key], alone[key]) for key in found)
        if isinstance(found, list) and isinstance(alone, list):
            return len(found) == len(alone) and all(map(same, found, alone))
        if isinstance(found, float) and isinstance(alone, float):
            return abs(found - alone) < 2e-4
        return found == alone

    return same
