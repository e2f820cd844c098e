"""`isogloss serve`: what is wrong is said before a model is loaded, and a signal ends it well."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from isogloss.errors import IsoglossError
from isogloss.interop.serve import access, server
from isogloss.interop.serve.limits import Limits

TOKEN = "0123456789abcdef-token"  # noqa: S105 - of these tests


@pytest.fixture(autouse=True)
def _no_token(monkeypatch):
    monkeypatch.delenv(access.VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folders": ["nowhere"]}, "nowhere does not exist"),
        ({"host": "0.0.0.0"}, "is reached from other machines, and no token is set; give --token-file"),  # noqa: S104
        ({"host": "service.example"}, "is reached from other machines"),
        ({"host": "127.0.0.1", "port": 70_000}, "there is no such port; expected 0 to 65,535"),
        ({"limits": ["texts"]}, "--limit 'texts' is not of the form NAME=NUMBER"),
        ({"limits": ["text=3"]}, "unknown key 'text'; did you mean 'texts'"),
        ({"limits": ["texts=many"]}, "--limit: texts: expected a whole number"),
        ({"limits": ["seconds=0"]}, "--limit: seconds: expected a number greater than 0"),
        ({"limits": ["queue=5"]}, "queue has room for 5 texts; expected at least 256"),
        ({"token_file": Path("nowhere")}, "nowhere"),
    ],
)
def test_what_is_wrong_is_said_before_a_model_is_loaded(monkeypatch, tmp_path, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    with pytest.raises(IsoglossError, match=said):
        server.serve(**{"folders": ["run"], "port": 0, **options})


def test_a_port_that_is_taken_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(IsoglossError, match="choose another --port"):
        server.serve([str(tmp_path)], port=other.getsockname()[1])


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "find_spec", lambda name: None if name == "uvicorn" else name)
    with pytest.raises(IsoglossError, match=r"serve needs uvicorn, .*pip install '\.\[serve\]'"):
        server.serve([str(tmp_path)])


def test_a_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    found = access.access("0.0.0.0", file)  # noqa: S104
    assert found.token == TOKEN
    assert TOKEN not in repr(found)
    monkeypatch.setenv(access.VARIABLE, TOKEN[::-1])
    assert access.access("0.0.0.0", None).token == TOKEN[::-1]  # noqa: S104
    assert access.access("::1", file).token == TOKEN
    monkeypatch.setenv(access.VARIABLE, "")
    with pytest.raises(IsoglossError, match="ISOGLOSS_TOKEN holds no token: 0 characters came"):
        access.access("127.0.0.1", None)
    for text in ("short", "with a space inside it", "\u00fcmlaut-0123456789", "a" * 2000):
        file.write_text(text)
        with pytest.raises(IsoglossError, match="holds no token") as caught:
            access.access("127.0.0.1", file)
        assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("LOCALHOST", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.example", False), ("", False)],  # noqa: S104
)  # fmt: skip
def test_only_this_machine_reaches_a_loopback(host, own):
    assert access.loopback(host) is own


def test_limits_that_are_not_given_are_the_usual():
    assert Limits.of(["texts=3", "wait=0.5"]) == Limits(texts=3, wait=0.5)


def post(port, body):
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/predict", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_signal_ends_it_once_all_that_is_under_way_is_answered(folders, tmp_path):
    shutil.copytree(folders["tags"], tmp_path / "tags")
    for path in (tmp_path / "tags").rglob("*.*"):  # as it would be mounted: only to be read
        path.chmod(stat.S_IRUSR)
    command = [sys.executable, "-m", "isogloss", "serve", "words=tags", "--port", "0", "--limit", "wait=900"]
    environment = {**os.environ, "PYTHONPATH": str(Path(server.__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("serving words on http://127.0.0.1:"), process.communicate()[1]
            port = int(line.rpartition(":")[2])
            assert post(port, {"texts": ["the cat sat"]})[1]["answers"][0]["words"] == ["the", "cat", "sat"]
            found = []
            asking = threading.Thread(target=lambda: found.append(post(port, {"texts": ["the cat"]})))
            asking.start()
            time.sleep(0.3)  # it waits for others
            process.send_signal(signal.SIGTERM)
            asking.join(30)
            assert found[0][0] == 200
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert err.strip() == "what was under way is answered; stopped"
    assert out == ""
