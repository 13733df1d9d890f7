"""The gauge of firing alerts: by state, whatever is sent twice or without its first."""

from __future__ import annotations

from typing import Any

from stream.serve.metrics import Metrics

LABELS = {"model": "m", "severity": "warning", "kind": "drift"}


def alert(name: str, state: str, reason: str) -> dict[str, Any]:
    return {"data": {"fingerprint": name, "state": state, "reason": reason, **LABELS}}


def firing(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("driftline_alerts_firing", LABELS)


def test_what_is_sent_twice_fires_once_and_what_began_elsewhere_ends_at_zero() -> None:
    metrics = Metrics()
    metrics.observe_alerts([alert("a", "firing", "first"), alert("a", "firing", "first")])
    assert firing(metrics) == 1
    metrics.observe_alerts([alert("b", "firing", "corrected"), alert("c", "resolved", "resolved")])
    assert firing(metrics) == 2
    metrics.observe_alerts(
        [alert("a", "resolved", "resolved"), alert("b", "resolved", "retracted")]
    )
    assert firing(metrics) == 0
