"""Figures of a service, as Prometheus reads them. Their labels are the service's own words, never a client's."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

# Seconds: from a short text on a GPU to the longest that anybody waits.
TIMES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
COUNTS = tuple(float(1 << power) for power in range(11))
OTHER = "other"  # every path that is none of the service's: a client may have put anything in it


class Metrics:
    """What is counted and measured."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("requests", "Requests by path and status.", "path", "status")
        self.seconds = self._histogram("request_seconds", "From a request's arrival to its answer.", TIMES, "path")
        self.texts = self._counter("texts", "Texts that were labelled, by model.", "model")
        self.cut = self._counter("cut_texts", "Texts of which the beginning alone was read, by model.", "model")
        self.dropped = self._counter(
            "dropped_requests", "Requests that were not computed, as nobody waited for them any more."
        )
        self.failed = self._counter("failed_requests", "Requests that met a fault.")
        self.passes = self._counter("passes", "Forward passes.")
        self.models_of_pass = self._histogram("pass_models", "Models that shared a forward pass.", COUNTS)
        self.rows_of_pass = self._histogram("pass_rows", "Rows of a forward pass.", COUNTS)
        self.tokens = self._counter("tokens", "Tokens of texts that went through the backbone.")
        self.waiting = Gauge("isogloss_waiting_texts", "Texts that wait for the model.", registry=self.registry)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request has its answer.

        Args:
            path: one of the service's own, or `OTHER`.
            status: of HTTP.
            seconds: since it came.
        """
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def passed(self, models: int, rows: int, tokens: int) -> None:
        """A forward pass is over."""
        self.passes.inc()
        self.models_of_pass.observe(models)
        self.rows_of_pass.observe(rows)
        self.tokens.inc(tokens)

    def labelled(self, model: str, texts: int, cut: int) -> None:
        """A request's texts have their labels."""
        self.texts.labels(model).inc(texts)
        self.cut.labels(model).inc(cut)

    def page(self) -> bytes:
        """All of it, in Prometheus's text form."""
        return generate_latest(self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"isogloss_{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"isogloss_{name}", documentation, labels, registry=self.registry, buckets=buckets)
