"""Requests wait for one another and for the model, for as long as somebody waits for them."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from isogloss.interop.serve import faults
from isogloss.interop.serve.access import Access
from isogloss.interop.serve.app import application
from isogloss.interop.serve.batcher import Batcher, Pending
from isogloss.interop.serve.limits import Limits
from isogloss.interop.serve.metrics import Metrics
from isogloss.interop.serve.refusal import RefusedError
from isogloss.interop.serve.service import Service
from isogloss.interop.serve.shared_pass import SharedPass
from models import WORDS

SECRET = "swordfish"  # noqa: S105 - a text


@pytest.fixture
def held(monkeypatch):
    """The model computes only while it is let, and says when it has begun."""
    begun, let = threading.Event(), threading.Event()
    predicted = SharedPass.predicted

    def waiting(self, *arguments, **options):
        begun.set()
        assert let.wait(20)
        return predicted(self, *arguments, **options)

    monkeypatch.setattr(SharedPass, "predicted", waiting)
    yield begun, let
    let.set()


def pending(models, name="topics", texts=("the cat",), **options):
    served = models.find(name)
    return Pending(served, [served.model.parts(text, 1) for text in texts], **options)


def batcher(limits, told=None):
    return Batcher(limits, Metrics(), told.append if told is not None else lambda error: pytest.fail(repr(error)))


def test_what_waits_together_goes_through_one_pass(models):
    waiting = batcher(Limits(wait=0))
    requests = [pending(models, f"topics/soft-prompt[length={length}]/{seed}") for length in (2, 5) for seed in (0, 1)]
    requests += [pending(models, "topics/linear-probe/0"), pending(models, "topics/linear-probe/1")]
    for one in requests:
        waiting.put(one)
    waiting.start()
    answers = [one.future.result(20) for one in requests]
    waiting.close()
    for one, found in zip(requests, answers, strict=True):
        (alone,) = one.served.model.predict(["the cat"])
        assert found.answers[0]["label"] == alone["label"]
    assert waiting.metrics.passes._value.get() == 2  # of prompts, and of probes
    assert waiting.metrics.waiting._value.get() == 0


def test_the_first_need_not_wait_for_the_last(models, monkeypatch):
    """Each pass's answers are given when it is over."""
    waiting = batcher(Limits(wait=0))
    requests = [pending(models, "topics/linear-probe/0", ["the cat sat"] * 4) for _ in range(3)]
    monkeypatch.setattr(requests[0].served.shared, "budget", 2 * 4 * 5)  # of two requests
    done = []
    predicted = SharedPass.predicted

    def noted(self, *arguments, **options):
        done.append([one.future.done() for one in requests])
        return predicted(self, *arguments, **options)

    monkeypatch.setattr(SharedPass, "predicted", noted)
    for one in requests:
        waiting.put(one)
    waiting.start()
    assert all(len(one.future.result(20).answers) == 4 for one in requests)
    waiting.close()
    assert done == [[False, False, False], [True, True, False]]


def test_a_request_waits_for_others_but_not_for_long(models):
    waiting = batcher(Limits(wait=300))
    waiting.start()
    first = pending(models, "topics/linear-probe/0")
    waiting.put(first)
    time.sleep(0.05)
    second = pending(models, "topics/linear-probe/1")
    waiting.put(second)
    for one in (first, second):
        one.future.result(20)
    assert waiting.metrics.passes._value.get() == 1
    waiting.close()
    with pytest.raises(RefusedError, match="the service is ending; try again later"):
        waiting.put(first)


def test_a_full_queue_takes_nothing_more(models):
    waiting = batcher(Limits(texts=2, queue=3))
    waiting.put(pending(models, texts=("a", "b")))
    with pytest.raises(RefusedError, match="2 texts wait, and there is room for 3") as caught:
        waiting.put(pending(models, texts=("a", "b")))
    assert caught.value.status == 503
    assert int(caught.value.headers["Retry-After"]) >= 1
    last = pending(models)
    waiting.put(last)
    waiting.leave(last)
    assert last.future.cancelled()
    waiting.put(pending(models))  # there is room again
    waiting.start()
    waiting.close()


def test_closing_answers_what_waits(models):
    waiting = batcher(Limits(wait=1000, texts=400))
    many = [pending(models, texts=["the cat"] * 200) for _ in range(4)]  # more than are answered at one time
    for one in many:
        waiting.put(one)
    waiting.start()
    waiting.close()
    assert all(len(one.future.result(0).answers) == 200 for one in many)
    assert not waiting.alive


def test_what_nobody_waits_for_is_not_begun(models, held):
    begun, let = held
    waiting = batcher(Limits(wait=0))
    waiting.start()
    first, late, gone = pending(models), pending(models, until=time.monotonic() + 0.05), pending(models)
    waiting.put(first)
    assert begun.wait(20)
    waiting.put(late)
    waiting.put(gone)
    waiting.leave(gone)
    time.sleep(0.1)
    let.set()
    first.future.result(20)
    waiting.close()
    assert gone.future.cancelled()
    assert not late.future.done()
    assert waiting.metrics.dropped._value.get() == 2
    assert waiting.metrics.texts.labels(first.served.name)._value.get() == 1


def test_a_fault_of_one_request_is_not_the_others(models, monkeypatch):
    told = []
    waiting = batcher(Limits(wait=0), told)
    good, bad = pending(models, "topics/linear-probe/0"), pending(models, "topics/linear-probe/1")
    model = type(bad.served.model)
    shown = model.shown

    def broken(self, *arguments, **options):
        if self.record.seed == 1:
            raise ValueError(SECRET)
        return shown(self, *arguments, **options)

    monkeypatch.setattr(model, "shown", broken)
    for one in (bad, good):
        waiting.put(one)
    waiting.start()
    assert good.future.result(20).answers
    with pytest.raises(RefusedError, match="this is a fault of the service"):
        bad.future.result(20)
    waiting.close()
    assert [type(error) for error in told] == [ValueError]


def test_there_is_an_answer_in_time_or_a_504(served, held):
    begun, let = held
    service, client = served(seconds=0.4)
    with ThreadPoolExecutor(2) as pool:
        answers = [
            pool.submit(client.post, "/predict", json={"texts": ["the cat"], "model": "topics"}) for _ in range(2)
        ]
        assert begun.wait(20)
        assert [one.result(20).status_code for one in answers] == [504, 504]
    let.set()
    assert "within 0.4 seconds" in answers[0].result().json()["error"]
    service.batcher.close()
    assert service.metrics.texts.labels(service.models.find("topics").name)._value.get() == 0


def test_there_is_room_for_so_many_requests(served, held):
    begun, let = held
    _, client = served(requests=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/predict", json={"texts": ["the cat"], "model": "topics"})
        assert begun.wait(20)
        second = client.post("/predict", json={"texts": ["the cat"], "model": "topics"})
        assert second.status_code == 503
        assert second.headers["Retry-After"]
        assert client.get("/health").status_code == 200  # others are answered while the model works
        let.set()
        assert first.result(20).status_code == 200


async def asked(app, messages, body):
    """A request, message by message, of a client that does what `messages` says; its status."""
    sent = []
    scope = {
        "type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")], "http_version": "1.1",
        "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 9), "root_path": "",
    }  # fmt: skip

    async def receive():
        return await messages(body)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"]


def run(models, talk, **limits):
    """A conversation with a service."""

    async def whole():
        service = Service(models, Limits(**limits), Access("127.0.0.1"))
        app = application(service)
        service.batcher.start()
        try:
            return service, await talk(app)
        finally:
            await asyncio.to_thread(service.batcher.close)

    return asyncio.run(whole())


def test_a_body_in_pieces_is_one_body_and_no_more_is_read_than_it_may_have(models):
    whole = json.dumps({"texts": ["the cat"], "model": "topics"}).encode()

    async def talk(app):
        pieces = [{"type": "http.request", "body": bytes([byte]), "more_body": True} for byte in whole]
        small = [*pieces, {"type": "http.request"}]
        large = iter([{"type": "http.request", "body": b"a" * 500, "more_body": True}] * 100)

        async def in_pieces(_):
            return small.pop(0) if small else await asyncio.sleep(30)

        async def without_end(_):
            return next(large)

        statuses = [await asked(app, in_pieces, whole), await asked(app, without_end, b"")]
        return statuses, len(list(large))

    _, (statuses, left) = run(models, talk, body=2_000)
    assert statuses == [200, 413]
    assert left == 95


def test_whoever_hangs_up_is_not_answered(models, held):
    begun, let = held
    body = json.dumps({"texts": ["the cat"], "model": "topics"}).encode()

    async def talk(app):
        came = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])

        async def messages(_):
            return next(came)

        status = await asked(app, messages, body)
        let.set()
        return status

    service, status = run(models, talk, wait=200)
    assert status == 499
    assert service.metrics.dropped._value.get() == 1
    assert not begun.is_set()


def test_a_body_that_does_not_come_is_not_waited_for(models):
    async def talk(app):
        async def messages(_):
            await asyncio.sleep(5)

        return await asked(app, messages, b"")

    began = time.monotonic()
    _, status = run(models, talk, seconds=0.2)
    assert status == 408
    assert time.monotonic() - began < 4


def test_nothing_of_a_text_is_in_logs_or_figures(served, models, monkeypatch, capsys, caplog):
    _, client = served(log=True)

    def broken(*_, **__):
        raise ValueError(SECRET)

    calls = [
        ("POST", "/predict", {"json": {"texts": [SECRET], "model": "topics", "language": "sw"}}),
        ("POST", "/predict", {"json": {"texts": [[SECRET]], "model": SECRET}}),
        ("POST", "/predict", {"json": {"texts": [1], SECRET: SECRET}}),
        ("POST", "/predict", {"content": SECRET, "headers": {"Content-Type": "application/json"}}),
        ("GET", f"/{SECRET}?text={SECRET}", {"headers": {SECRET: SECRET}}),
        (SECRET.upper(), "/predict", {}),
    ]
    for method, path, options in calls:
        client.request(method, path, **options)
    monkeypatch.setattr(type(models.find("topics").model), "shown", broken)
    answer = client.post("/predict", json={"texts": [SECRET], "model": "topics"})
    assert answer.status_code == 500
    assert SECRET not in answer.text
    monkeypatch.setattr(Service, "answered", broken)
    assert client.post("/predict", json={"texts": [SECRET], "model": "topics"}).status_code == 500
    figures = client.get("/metrics").text
    captured = capsys.readouterr()
    for text in (figures, captured.out, captured.err, caplog.text):
        assert SECRET not in text.lower()
    assert "POST /predict 200" in captured.err
    assert "ValueError at" in captured.err
    assert 'path="other",status="404"' in figures


def test_a_fault_is_named_by_its_place():
    def broken():
        raise ValueError(SECRET)

    try:
        broken()
    except ValueError as error:
        said = faults.place(error)
    assert said.startswith("ValueError at")
    assert "test_waiting.py:" in said


def test_fifty_clients_get_their_own_answers_in_few_passes(models, alike):
    """The load test of `benchmarks/serving.py` in small: mixed models, numbers of texts and lengths."""
    names = sorted(models.by_name)
    requests = [
        (
            names[i % len(names)],
            [" ".join(WORDS[(i + j + k) % 20] for k in range(1 + (7 * i + j) % 13)) for j in range(1 + i % 3)],
        )
        for i in range(60)
    ]
    expected = [models.find(name).model.predict(texts) for name, texts in requests]

    async def talk(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:

            async def of_client(number):
                answers = []
                for name, texts in requests[number::50]:
                    answers.append(await client.post("/predict", json={"texts": texts, "model": name}))
                return answers

            return await asyncio.gather(*map(of_client, range(50)))

    service, answers = run(models, talk, wait=20)
    for number in range(50):
        for answer, right in zip(answers[number], expected[number::50], strict=True):
            assert answer.status_code == 200
            assert alike(answer.json()["answers"], right)
    assert service.metrics.passes._value.get() < 50
