"""The counters as Prometheus wants them: its text format 0.0.4, which prometheus_client writes.

Not OpenMetrics, in which `submission_connections` and `submission_connections_total` would be one name for two things.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from submission.metrics.counters import Counters
from submission.metrics.counting import RELAY, RELAY_SUM

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

CONNECTIONS = "submission_connections"
GRANTS = "submission_pop_grants"
EXPIRY = "submission_certificate_expiry_seconds"
_TEXTS = {
    CONNECTIONS: "Clients that are connected now.",
    GRANTS: "Grants of POP before SMTP that are good now.",
    EXPIRY: "Seconds until the first of the certificates expires; below zero once it has.",
}


def expose(counters: Counters, gauges: Mapping[str, float]) -> bytes:
    """The page for Prometheus. `gauges` has values by name, those that can't be told left out."""
    registry = CollectorRegistry()
    registry.register(_Numbers(counters, gauges))
    return generate_latest(registry)


class _Numbers(Collector):
    def __init__(self, counters: Counters, gauges: Mapping[str, float]) -> None:
        self._counters = counters
        self._gauges = gauges

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: each page is made anew."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """All families with their values."""
        for name, value in self._gauges.items():
            yield GaugeMetricFamily(name, _TEXTS[name], value)
        counters = self._counters
        for family in counters.families:
            if family.name == RELAY:
                yield self._histogram(family.text, [values[0] for values in family.values])
            elif family.name != RELAY_SUM:
                metric = CounterMetricFamily(family.name, family.text, labels=family.labels)
                for values in family.values:
                    metric.add_metric(values, counters.total(family.name, values))
                yield metric

    def _histogram(self, text: str, ends: list[str]) -> HistogramMetricFamily:
        buckets, count = [], 0.0
        for end in ends:
            count += self._counters.total(RELAY, (end,))
            buckets.append((end, count))
        return HistogramMetricFamily(RELAY, text, buckets, self._counters.total(RELAY_SUM))
