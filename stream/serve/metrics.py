"""Metrics: counts and windows in, every Prometheus metric of this worker out.

In    what agents hand over: counted events, windows, alerts, positions
Out   one registry, exposed by pages.py
Not   values for people (the windows topic has them all)

Labels are bounded: beyond `MOST_SERIES` children a metric counts everything new under `_other`, so
that a flood of model or feature names cannot fill this worker's or Prometheus' memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

MOST_SERIES = 2_000  # children of one metric; 2 000 gauges scrape in some ten milliseconds
OTHER = "_other"
MEASURES = ("psi", "jensen_shannon", "ks", "wasserstein_normed", "l_infinity")
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CLOSE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
HELD_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 20)
STREAM = ("model", "version")


class LatencyHistogram(Collector):
    """Latencies of predictions, added by the batch; prometheus-client adds one value at a time."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], tuple[NDArray[np.int64], float]] = {}

    def add(self, stream: tuple[str, str], latencies_ms: NDArray[np.float64]) -> None:
        """Add latencies (n,) in milliseconds; NaN is no latency."""
        known = latencies_ms[~np.isnan(latencies_ms)] / 1000
        if stream not in self._series and len(self._series) >= MOST_SERIES:
            stream = (OTHER, OTHER)
        none = np.zeros(len(LATENCY_BUCKETS) + 1, np.int64)
        counts, total = self._series.get(stream, (none, 0.0))
        at = np.searchsorted(LATENCY_BUCKETS, known, side="left")
        added = np.bincount(at, minlength=len(none))
        self._series[stream] = (counts + added, total + float(known.sum()))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """All series."""
        family = HistogramMetricFamily(
            "driftline_latency_seconds", "Latency of predictions", labels=STREAM
        )
        bounds = [*map(str, LATENCY_BUCKETS), "+Inf"]
        for stream, (counts, total) in list(self._series.items()):  # another thread adds
            cumulative = np.cumsum(counts).tolist()
            buckets = [(b, float(c)) for b, c in zip(bounds, cumulative, strict=True)]
            family.add_metric(stream, buckets, total)
        yield family


class Metrics:
    """All metrics of a worker, declared once."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody reads
        self._children: dict[MetricWrapperBase, set[tuple[str, ...]]] = {}
        r = self.registry
        self.events = Counter("driftline_events", "Events counted", STREAM, registry=r)
        self.dead_letters = Counter(
            "driftline_dead_letters", "Events refused, by reason", ("reason",), registry=r
        )
        self.duplicates = Counter(
            "driftline_duplicate_events", "Events whose id was counted before", registry=r
        )
        self.late_events = Counter(
            "driftline_late_events", "Events that came after their pane was sent", registry=r
        )
        self.windows_closed = Counter(
            "driftline_windows_closed", "Windows judged, revisions among them", registry=r
        )
        self.measure = Gauge(
            "driftline_measure",
            "Distance of the last window from a reference",
            (*STREAM, "feature", "measure", "reference"),
            registry=r,
        )
        self.missing_ratio = Gauge(
            "driftline_missing_ratio",
            "Share of missing values in the last window",
            (*STREAM, "feature"),
            registry=r,
        )
        self.latency = LatencyHistogram()
        r.register(self.latency)
        self.error_ratio = Gauge(
            "driftline_error_ratio",
            "Share of failed requests in the last window",
            STREAM,
            registry=r,
        )
        self._firing: set[str] = set()  # fingerprints of alerts that were told to fire
        self.alerts_firing = Gauge(
            "driftline_alerts_firing",
            "Alerts that fire now",
            ("model", "severity", "kind"),
            registry=r,
        )
        self.alerts_sent = Counter(
            "driftline_alerts_sent", "Alert events sent, by reason", ("reason",), registry=r
        )
        self.watermark = Gauge(
            "driftline_watermark_timestamp_seconds",
            "Event time up to which a source partition is complete",
            ("partition",),
            registry=r,
        )
        self.lag = Gauge(
            "driftline_consumer_lag", "Messages not read yet", ("partition",), registry=r
        )
        self.lost_messages = Counter(
            "driftline_lost_messages",
            "Messages deleted by the broker before they were read",
            registry=r,
        )
        self.loop_lag = Gauge(
            "driftline_loop_lag_seconds",
            "For how long the event loop was held up at most, in the last half second",
            registry=r,
        )
        self.loop_held = Histogram(
            "driftline_loop_held_seconds",
            "For how long the event loop was held up, looked at every 10 ms",
            buckets=HELD_BUCKETS,
            registry=r,
        )
        self.window_close = Histogram(
            "driftline_window_close_seconds",
            "From the watermark that completed a window, as the broker got it, to its alerts sent",
            buckets=CLOSE_BUCKETS,
            registry=r,
        )
        build = Gauge("driftline_build_info", "Version of Driftline", ("version",), registry=r)
        build.labels(_version()).set(1)

    def expose(self) -> bytes:
        """The text format that Prometheus scrapes."""
        return generate_latest(self.registry)

    def child(self, metric: Any, *labels: str) -> Any:
        """A metric's series; `_other` for every label once the metric has too many."""
        known = self._children.setdefault(metric, set())
        if labels not in known:
            if len(known) >= MOST_SERIES:
                return metric.labels(*(OTHER for _ in labels))
            known.add(labels)
        return metric.labels(*labels)

    def forget_partition(self, partition: int) -> None:
        """Show nothing more of a partition that another worker has now."""
        labels = (str(partition),)
        for metric in (self.watermark, self.lag):
            if labels in self._children.get(metric, ()):
                self._children[metric].discard(labels)
                metric.remove(*labels)

    def show_lags(self, lags: Mapping[int, int]) -> None:
        """Messages not read yet, by source partition."""
        for partition, lag in lags.items():
            self.child(self.lag, str(partition)).set(lag)

    def count_events(self, counted: Mapping[tuple[str, str], int], late: int) -> None:
        """Add events by (model, version)."""
        for stream, n in counted.items():
            self.child(self.events, *stream).inc(n)
        self.late_events.inc(late)

    def observe_windows(self, windows: Iterable[Mapping[str, Any]]) -> None:
        """Show the numbers of closed windows; segments are on the windows topic only."""
        for window in windows:
            self.windows_closed.inc()
            if window["segment"] is None and window["count"]:
                self._show(window)

    def _show(self, window: Mapping[str, Any]) -> None:
        stream = (window["model"], window["version"])
        service = window["service"]
        self.child(self.error_ratio, *stream).set(service["error_ratio"] or 0)
        features = dict(window["features"])
        if window["prediction"]:
            features["prediction"] = window["prediction"]
        for name, feature in features.items():
            ratio = feature["missing"] / window["count"]
            self.child(self.missing_ratio, *stream, name).set(ratio)
            for reference, measures in feature["measures"].items():
                for measure in MEASURES:
                    if (value := measures.get(measure)) is not None:
                        labels = (*stream, name, measure, reference)
                        self.child(self.measure, *labels).set(value)

    def observe_alerts(self, alerts: Iterable[Mapping[str, Any]]) -> None:
        """Follow alerts as they fire and resolve."""
        for alert in alerts:
            data = alert["data"]
            self.alerts_sent.labels(data["reason"]).inc()
            firing = self.child(self.alerts_firing, data["model"], data["severity"], data["kind"])
            # By its state and once: after a crash events are sent again, some without their first.
            if data["state"] == "firing" and data["fingerprint"] not in self._firing:
                self._firing.add(data["fingerprint"])
                firing.inc()
            elif data["state"] == "resolved" and data["fingerprint"] in self._firing:
                self._firing.remove(data["fingerprint"])
                firing.dec()


def _version() -> str:
    try:
        return version("driftline")
    except PackageNotFoundError:
        return "unknown"
