"""What is asked over HTTP, well and badly, and what comes back."""

import json

import pytest

from isogloss.interop.serve.messages import EXAMPLE

SOFT, PROBE, TAGS = "topics/soft-prompt[length=5]/1", "topics/linear-probe/0", "tags"
JSON = {"Content-Type": "application/json"}


def test_answers_are_those_of_the_model_alone(served, models, alike):
    _, client = served()
    for name in models.by_name:
        texts = ["the cat sat", "dog " * 60, "sun moon red", "on"]
        answer = client.post("/predict", json={"texts": texts, "model": name, "language": "de"})
        assert answer.status_code == 200
        body = answer.json()
        assert body["model"] == name
        assert alike(body["answers"], models.find(name).model.predict(texts, "de"))
        assert body["cut"] == (name != "tags/soft-prompt/0")  # a sentence is split, and none of it lost


def test_what_is_served_is_said(served, models):
    service, client = served()
    assert client.get("/health").json() == {"status": "ok"}
    known = client.get("/models").json()["models"]
    assert [card["name"] for card in known] == sorted(models.by_name)
    client.post("/predict", json={"texts": ["the cat"], "model": SOFT})
    figures = client.get("/metrics").text
    assert 'isogloss_requests_total{path="/predict",status="200"} 1.0' in figures
    assert f'isogloss_texts_total{{model="{SOFT}"}} 1.0' in figures
    assert "isogloss_passes_total 1.0" in figures
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/predict", "/models", "/health", "/metrics"}
    said = described["paths"]["/predict"]["post"]
    fields = said["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(fields) == {"texts", "model", "language", "scores", "threshold"}
    assert {"200", "401", "413", "422", "503", "504"} <= set(said["responses"])
    page = client.get("/docs")
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for name in ("texts", "threshold", "504", "Limits", "characters", "answers"):
        assert name in page.text
    assert service.batcher.alive


def test_a_threshold_and_scores_reach_the_model(served, models, monkeypatch):
    _, client = served()
    asked = []
    served_model = models.find(SOFT)
    shown = type(served_model.model).shown

    def noted(self, *arguments, **options):
        asked.append(options)
        return shown(self, *arguments, **options)

    monkeypatch.setattr(type(served_model.model), "shown", noted)
    body = {"texts": ["the cat"], "model": SOFT, "scores": True, "threshold": 1}
    assert client.post("/predict", json=body).status_code == 200
    assert asked == [{"scores": True, "threshold": 1.0}]


def test_no_texts_have_no_answers(served):
    _, client = served()
    assert client.post("/predict", json={"texts": [], "model": SOFT}).json() == {
        "model": SOFT, "answers": [], "cut": 0,
    }  # fmt: skip


BODIES = {  # body, status, what the error says
    "no JSON": (b"texts=the cat", 400, "the body is not JSON"),
    "nothing": (b"", 400, "the body is not JSON"),
    "half of it": (b'{"texts": ["the', 400, "the body is not JSON"),
    "no UTF-8": (b'{"texts": ["\xff\xfe"]}', 400, "the body is not JSON"),
    "UTF-16": ('{"texts": ["a"]}'.encode("utf-16"), 400, "the body is not JSON"),
    "deep": (b'{"texts": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "the body is not JSON"),
    "deep keys": (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400, "the body is not JSON"),
    "half of a pair": (b'{"texts": ["\\ud800"]}', 400, "the body is not JSON"),
    "no number": (b'{"texts": ["a"], "threshold": NaN}', 400, "the body is not JSON"),
    "a list": (b"[]", 422, "expected keys and values"),
    "null": (b"null", 422, "expected keys and values"),
    "another key": (b'{"text": ["a"]}', 422, "unknown key 'text'; did you mean 'texts'?"),
    "many keys": (json.dumps({f"k{i}": 1 for i in range(50_000)}).encode(), 422, "unknown key 'k0'"),
    "no texts": (b"{}", 422, "texts is missing"),
    "one text": (b'{"texts": "the cat"}', 422, "texts: expected a list"),
    "a number": (b'{"texts": [1]}', 422, "expected a text"),
    "many numbers": (b'{"texts": [' + b"1," * 200_000 + b"1]}", 422, "expected a text"),
    "truth": (b'{"texts": ["a"], "threshold": true}', 422, "threshold: expected a number"),
    "a text for a number": (b'{"texts": ["a"], "threshold": "0.5"}', 422, "threshold: expected a number"),
    "too much": (b'{"texts": ["a"], "threshold": 2}', 422, "threshold: expected a number less than or equal to 1"),
    "a huge number": (b'{"texts": ["a"], "threshold": 1' + b"0" * 5_000 + b"}", 400, "number out of range"),
    "yes": (b'{"texts": ["a"], "scores": "yes"}', 422, "scores: expected true or false"),
    "no model's name": (b'{"texts": ["a"], "model": 3}', 422, "model: expected a text"),
    "no language": (b'{"texts": ["a"], "language": "klingonese!"}', 422, "language"),
    "an empty text": (b'{"texts": [""], "model": "topics"}', 422, "text 1"),
    "white space": (b'{"texts": ["a", " \\t "], "model": "topics"}', 422, "text 2"),
    "a pair": (b'{"texts": [["a", "b"]], "model": "topics"}', 422, "text 1"),
    "a pair of nothing": (b'{"texts": [[]], "model": "topics"}', 422, "text 1"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_wrong_body_is_refused_in_a_line(served, case):
    body, status, said = BODIES[case]
    service, client = served()
    if b"model" not in body:
        body = body.replace(b'"texts"', b'"model": "topics", "texts"', 1) if case != "a list" else body
    answer = client.post("/predict", content=body, headers=JSON)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    error = answer.json()["error"]
    assert said in error
    assert "\n" not in error
    assert len(error) < 1000
    assert service.metrics.failed._value.get() == 0


@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "\ufeffcat",
        "\u202ecat",
        "\U0001f600",
        "\u200d\ufe0f",
        "\ue000\ufffe",
        "x" * 20_000,
        "cat\tdog",
        "\x1b[2J",
    ],
)
def test_odd_texts_are_texts(served, text):
    _, client = served()
    for name in ("topics", TAGS):
        answer = client.post("/predict", json={"texts": [text], "model": name})
        assert answer.status_code == 200
        assert len(answer.json()["answers"]) == 1


def test_what_is_not_said_to_be_json_is_not_read(served):
    _, client = served()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = client.post("/predict", content=json.dumps(EXAMPLE), headers={"Content-Type": kind})
        assert answer.status_code == 415
    good = {"texts": ["the cat"], "model": "topics"}
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        answer = client.post("/predict", content=json.dumps(good), headers={"Content-Type": kind})
        assert answer.status_code == 200


def test_limits_are_answered_with_their_status(served):
    _, client = served(body=2_000, texts=3, characters=50)
    large = json.dumps({"texts": ["a" * 3_000]}).encode()
    assert client.post("/predict", content=large, headers=JSON).status_code == 413
    assert client.post("/predict", content=b"{}", headers={**JSON, "Content-Length": "9" * 19}).status_code == 413
    for texts, said in {
        ("a",) * 4: "texts has 4 texts; expected at most 3", ("a" * 51,): "text 1 has 51 characters"
    }.items():  # fmt: skip
        answer = client.post("/predict", json={"texts": texts, "model": "topics"})
        assert answer.status_code == 422
        assert said in answer.json()["error"]


def test_there_are_no_other_paths_or_methods(served):
    _, client = served()
    for method, path, status in [
        ("GET", "/", 404), ("GET", "/predict", 405), ("POST", "/predict/", 404), ("POST", "/models", 405),
        ("DELETE", "/predict", 405), ("GET", "/../etc/passwd", 404),
    ]:  # fmt: skip
        answer = client.request(method, path)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_a_name_that_is_none_is_not_found(served):
    _, client = served()
    answer = client.post("/predict", json={"texts": ["a"], "model": "topics/linear-prob/0"})
    assert answer.status_code == 404
    assert "did you mean 'topics/linear-probe/0'?" in answer.json()["error"]


def test_a_token_is_asked_for(served):
    token = "0123456789abcdef-token"  # noqa: S105 - of this test
    _, client = served(token=token, host="0.0.0.0")  # noqa: S104
    for path in ("/health", "/docs", "/openapi.json"):
        assert client.get(path, headers={"Host": "service.example"}).status_code == 200
    for sent in (None, token, f"Basic {token}", f"Bearer {token}x", "Bearer", "Bearer \xff"):
        headers = {} if sent is None else {b"Authorization": sent.encode("latin-1")}
        for path in ("/models", "/metrics", "/nothing"):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    right = {"Authorization": f"bearer {token}", "Host": "service.example"}
    assert client.get("/models", headers=right).status_code == 200
    assert client.post("/predict", json={"texts": ["a"], "model": TAGS}, headers=right).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:80", 200), ("localhost", 200), ("[::1]:8000", 200), ("evil.example", 421), ("", 421), ("[", 421)],
)
def test_without_a_token_it_answers_under_its_own_name_alone(served, host, status):
    _, client = served()
    assert client.get("/models", headers={"Host": host}).status_code == status
