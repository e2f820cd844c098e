"""A queue of requests, and the one thread that answers them: together, where their models share a forward pass.

Torch works in this thread alone. Whoever asks is never kept from others meanwhile, for all that is done outside of it
is to put a request into the queue and to wait for its future.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from isogloss.errors import IsoglossError
from isogloss.interop.serve.limits import Limits
from isogloss.interop.serve.metrics import Metrics
from isogloss.interop.serve.models import ServedModel
from isogloss.interop.serve.refusal import FAULT, RefusedError, busy
from isogloss.interop.serve.shared_pass import SharedPass, Texts

TOGETHER = 512  # texts that are taken from the queue at one time, at most


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers to a request.

    Args:
        answers: one for each text.
        cut: how many texts were longer than the model takes.
    """

    answers: list[dict[str, Any]]
    cut: int


@dataclass(eq=False)
class Pending:
    """A request that waits for its answer.

    Args:
        served: the model that it asks for.
        parts: its texts, each in its parts, checked.
        language: of the texts, in the canonical form.
        scores: whether the scores of all classes are wanted.
        threshold: the least score with which a text is labelled.
        until: when nobody waits any more, by `time.monotonic`.
    """

    served: ServedModel
    parts: Sequence[Sequence[str]]
    language: str | None = None
    scores: bool = False
    threshold: float | None = None
    until: float = math.inf
    since: float = field(default_factory=time.monotonic)
    future: Future[Answers] = field(default_factory=Future)
    left: bool = False

    def wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not self.left and time.monotonic() < self.until

    def failed(self, error: BaseException) -> None:
        """It has no answer."""
        with suppress(InvalidStateError):  # whoever asked has cancelled it meanwhile
            self.future.set_exception(error)


class Batcher:
    """See the module.

    Args:
        limits: of the queue, and how long a request waits for others.
        metrics: where passes and texts are counted.
        fault: told of what is no mistake of a request's.
    """

    def __init__(self, limits: Limits, metrics: Metrics, fault: Callable[[BaseException], None]) -> None:
        self.limits, self.metrics, self.fault = limits, metrics, fault
        self._waiting: deque[Pending] = deque()
        self._texts = 0  # of all that wait
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Answer what waits, take nothing more, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def put(self, pending: Pending) -> None:
        """Let a request wait for its answer.

        Raises:
            RefusedError: too many wait already, or the service ends.
        """
        with self._changed:
            if self._closed:
                raise busy("the service is ending", 1)
            if self._texts + len(pending.parts) > self.limits.queue:
                oldest = time.monotonic() - self._waiting[0].since if self._waiting else 0.0
                raise busy(
                    f"{self._texts:,} texts wait, and there is room for {self.limits.queue:,}", math.ceil(oldest)
                )
            self._waiting.append(pending)
            self._count(len(pending.parts))
            self._changed.notify()

    def leave(self, pending: Pending) -> None:
        """Nobody waits for a request any more: where it has not begun, it is not computed."""
        pending.left = True
        with self._changed:
            if pending in self._waiting:
                self._waiting.remove(pending)
                self._count(-len(pending.parts))
                pending.future.cancel()
                self.metrics.dropped.inc()

    def _count(self, texts: int) -> None:
        self._texts += texts
        self.metrics.waiting.set(self._texts)

    def _work(self) -> None:
        while batch := self._next():
            groups: dict[SharedPass, list[Pending]] = {}
            for pending in batch:
                groups.setdefault(pending.served.shared, []).append(pending)
            for shared, some in groups.items():
                try:
                    self._answer(shared, some)
                except BaseException as error:  # noqa: BLE001 - libraries in Rust panic; the others' answers go on
                    self._fail(some, error)
            del batch, groups, pending, shared, some  # or the last texts would stay until others come

    def _next(self) -> list[Pending]:
        """What is answered next: all that waits once the first has waited long enough; nothing at the end."""
        with self._changed:
            while not self._closed:
                self._gather()
                if self._waiting:  # the only one may have left meanwhile
                    break
            return self._taken()

    def _gather(self) -> None:
        """Wait for a request, and then for others that may share its pass."""
        while not self._waiting and not self._closed:
            self._changed.wait()
        ready = self._waiting[0].since + self.limits.wait / 1000 if self._waiting else 0.0
        while self._waiting and self._texts < TOGETHER and not self._closed:
            if (left := ready - time.monotonic()) <= 0:
                return
            self._changed.wait(left)

    def _taken(self) -> list[Pending]:
        """Those that have waited the longest, out of the queue: as many as are answered at one time."""
        batch: list[Pending] = []
        texts = 0
        while self._waiting and (not batch or texts + len(self._waiting[0].parts) <= TOGETHER):
            batch.append(self._waiting.popleft())
            texts += len(batch[-1].parts)
        self._count(-texts)
        return batch

    def _answer(self, shared: SharedPass, some: Sequence[Pending]) -> None:
        """Answer requests whose models share a pass; where that fails, each alone, so that one cannot sink others."""
        begun = [pending for pending in some if self._begun(pending)]
        ready: list[tuple[Pending, Texts]] = []
        for pending in begun:
            number = pending.served.number
            try:
                features = shared.fitted(number, pending.served.model.features(pending.parts, pending.language))
                ready.append((pending, Texts(number, features, pending.wanted)))
            except BaseException as error:  # noqa: BLE001 - as above
                self._fail([pending], error)
        for portion in self._portions(shared, ready):
            try:
                self._predict(shared, portion)
            except BaseException as error:  # noqa: BLE001 - as above
                if len(portion) == 1:
                    self._fail([portion[0][0]], error)
                    continue
                for one in portion:
                    try:
                        self._predict(shared, [one])
                    except BaseException as of_one:  # noqa: BLE001 - as above
                        self._fail([one[0]], of_one)

    def _portions(
        self, shared: SharedPass, ready: Sequence[tuple[Pending, Texts]]
    ) -> Iterator[list[tuple[Pending, Texts]]]:
        """Requests in the order in which they came, as many as make a pass: the first need not wait for the last."""
        portion: list[tuple[Pending, Texts]] = []
        tokens = 0
        for pending, texts in ready:
            more = shared.tokens(texts)
            if portion and tokens + more > shared.budget:
                yield portion
                portion, tokens = [], 0
            portion.append((pending, texts))
            tokens += more
        if portion:
            yield portion

    def _begun(self, pending: Pending) -> bool:
        """Whether somebody waits for a request, which is then under way."""
        if pending.wanted() and pending.future.set_running_or_notify_cancel():
            return True
        self.metrics.dropped.inc()
        return False

    def _predict(self, shared: SharedPass, ready: Sequence[tuple[Pending, Texts]]) -> None:
        """The answers of requests that are tokenised."""
        unanswered = [(pending, texts) for pending, texts in ready if not pending.future.done()]
        if not unanswered:
            return
        found = shared.predicted([texts for _, texts in unanswered], passed=self.metrics.passed)
        for (pending, texts), predicted in zip(unanswered, found, strict=True):
            if predicted is None:
                pending.failed(TimeoutError())  # nobody reads it
                continue
            answers = pending.served.model.shown(
                pending.parts, predicted, pending.language, scores=pending.scores, threshold=pending.threshold
            )
            self.metrics.labelled(pending.served.name, len(answers), texts.features.cut)
            pending.future.set_result(Answers(answers, texts.features.cut))

    def _fail(self, some: Sequence[Pending], error: BaseException) -> None:
        """These requests have no answer: a mistake of theirs, or a fault."""
        if not isinstance(error, IsoglossError):
            self.fault(error)
            error = RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, FAULT)
        for pending in some:
            pending.failed(error)
