"""Is what a worker makes of a topic what replay makes of the same events?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from math import isclose
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.broker import EmbeddedBroker, free_port
from stream.bus.reference_store import to_bytes
from stream.detect.detector import Detector
from stream.detect.profiles import ProfileBuilder
from stream.detect.references import Reference
from stream.detect.specs import LimitSpec
from stream.replay.player import play
from stream.replay.sources import Message, open_source
from stream.replay.training import read_runs
from stream.settings import Settings, load
from tests.kafka_fixture import wait_until
from tests.worker_process import WorkerProcess, create_topics, publish, read, write_config

pytestmark = pytest.mark.kafka

FLIGHTS = Path("examples/flights/flights.parquet")
LATER_MS = 2**50  # an arrival time after every event
BODY: dict[str, Any] = {
    "window": {"length": "7d", "pane": "1d", "more": ["1d"], "grace": "1h", "idle_timeout": "3s"},
    "models": {
        "arrival-delay": {
            "owner": "team-flights",
            "reference": {"training": "arrival-delay.json"},
            "rules": [
                {"name": "feature-drift", "measure": "psi", "on": "features"},
                {"name": "missing", "measure": "missing_difference", "on": "features",
                 "window": "1d"},
                {"name": "unseen", "measure": "unseen_ratio", "on": "dest"},
            ],
        }
    },
}  # fmt: skip


def chunks(limit: int) -> Iterator[list[Message]]:
    """Flights in order."""
    messages = (m for chunk in open_source(FLIGHTS) for m in chunk)
    taken = islice(messages, limit)
    while chunk := list(islice(taken, 2_000)):
        yield chunk


@pytest.fixture(scope="module")
def reference() -> Reference:
    """January, which the model was trained on."""
    builder = ProfileBuilder("arrival-delay", "1")
    january = open_source(FLIGHTS, None, {"split": "reference"})
    for run, _ in read_runs([january], LimitSpec()):
        if run is not None:
            builder.add(run)
    return builder.build()


@pytest.fixture
def config(tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str, reference: Reference) -> Path:
    """A configuration with its topics and reference in place."""
    (tmp_path / "arrival-delay.json").write_bytes(to_bytes(reference))
    path = write_config(tmp_path, broker.bootstrap, topic_prefix, BODY)
    create_topics(load(path))
    return path


def replayed(settings: Settings, reference: Reference, limit: int) -> tuple[list[Any], list[Any]]:
    """Windows and alerts of replay."""
    detector = Detector(settings.detector, lambda model, version: reference)
    topic = settings.bus.topics["predictions"]
    steps = list(play(chunks(limit), detector, topic=topic, now_ms=lambda: LATER_MS))
    windows = [window for step in steps for window in step.windows]
    return windows, [alert for step in steps for alert in step.alerts]


def keyed(items: list[Any], last_end: str) -> dict[str, Any]:
    """Last revision by id, of what ends by last_end.

    Offsets differ by design, and so do samples, of which each source partition has its own: what
    rows are in them, and what follows from those, is left out.
    """
    found = {}
    for item in items:
        body = item.get("data", item)
        if item.get("end", item.get("time")) <= last_end:
            kept = {k: v for k, v in body.items() if k != "source_offsets"}
            if kept.get("joint"):
                kept["joint"] = {k: kept["joint"][k] for k in ("features", "events", "apart")}
            found[item.get("window_id") or item["id"]] = kept
    return found


def assert_same(one: Any, other: Any, place: str = "") -> None:
    """Equal; floats to nine digits, since sums over partitions run in another order."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            assert_same(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), place
        for i, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{place}[{i}]")
    elif isinstance(one, float) and isinstance(other, float):
        # Fourth powers lose some digits to the order they are added in.
        lost = 1e-6 if place.endswith((".skewness", ".kurtosis")) else 1e-12
        assert isclose(one, other, rel_tol=1e-9, abs_tol=lost), (place, one, other)
    else:
        assert one == other, place


def last_closed(windows: list[Any]) -> str:
    """The end of the last window of the first length that a worker can close from the log."""
    return sorted(w["end"] for w in windows)[-3]


def run_until(worker: WorkerProcess, events: int, end: str, others: int = 0) -> None:
    """Wait until the worker has counted the events and judged what ends by `end`."""
    settings = worker.settings

    def is_through() -> bool:
        counted = worker.metric("driftline_events_total") + others
        return counted >= events and any(w["end"] >= end for w in read(settings, "windows"))

    assert wait_until(is_through, 120), worker.log()


@pytest.mark.slow
def test_a_worker_on_kafka_gives_the_windows_and_alerts_of_replay(
    config: Path, reference: Reference, port: int
) -> None:
    settings, limit = load(config), 400_000  # all flights
    windows, alerts = replayed(settings, reference, limit)
    end = "2013-12-31T00:00:00Z"
    events = publish(settings, chunks(limit))
    with WorkerProcess(config, port) as worker:
        run_until(worker.wait_ready(), events, end)
        assert worker.stop() == 0
    assert read(settings, "dead-letters") == []
    assert_same(keyed(windows, end), keyed(read(settings, "windows"), end))
    assert_same(keyed(alerts, end), keyed(read(settings, "alerts"), end))
    assert len(keyed(alerts, end)) > 50


def test_two_workers_share_partitions_and_give_the_windows_of_one(
    config: Path, reference: Reference, port: int
) -> None:
    settings, limit = load(config), 40_000
    windows, _ = replayed(settings, reference, limit)
    end = "2013-03-10T00:00:00Z"
    with WorkerProcess(config, port, "one") as one:
        one.wait_ready()
        with WorkerProcess(config, free_port(), "two") as two:
            two.wait_ready()
            assert wait_until(lambda: _shares(one) == _shares(two) == 2, 30)
            events = publish(settings, chunks(limit))
            assert wait_until(
                lambda: (
                    one.metric("driftline_events_total") + two.metric("driftline_events_total")
                    >= events
                ),
                60,
            )
            assert one.metric("driftline_events_total") > 0
            assert two.metric("driftline_events_total") > 0
            run_until(one, 0, end)
    found = read(settings, "windows")
    assert Counter(w["revision"] for w in found) == {0: len(found)}
    assert_same(keyed(windows, end), keyed(found, end))


def _shares(worker: WorkerProcess) -> int:
    """How many partitions of predictions a worker has."""
    assigned = orjson.loads(worker.get("/ready") or '{"assigned":{}}')["assigned"]
    return len(assigned.get(worker.settings.bus.topics["predictions"], ()))


def test_a_worker_stopped_midway_is_continued_without_loss_or_double_count(
    config: Path, reference: Reference, port: int
) -> None:
    settings, limit = load(config), 40_000
    windows, alerts = replayed(settings, reference, limit)
    end = "2013-03-10T00:00:00Z"
    source = list(chunks(limit))
    publish(settings, source[:9])
    with WorkerProcess(config, port, "first") as first:
        run_until(first.wait_ready(), 10_000, "2013-02-05T00:00:00Z")
        assert first.stop() == 0
    publish(settings, source[9:])
    with WorkerProcess(config, port, "second") as second:
        run_until(second.wait_ready(), 0, end)
    assert_same(keyed(windows, end), keyed(read(settings, "windows"), end))
    assert keyed(alerts, end).keys() <= keyed(read(settings, "alerts"), end).keys()


def test_a_bad_message_is_kept_with_its_reason_and_slows_nobody(config: Path, port: int) -> None:
    settings = load(config)
    good = [m for chunk in chunks(100) for m in chunk]
    bad = [Message(v, None, b"x") for v in (b"{", b"", b"[1]", b'{"id":"a"}', b"[" * 5_000)]
    publish(settings, [good[:50] + bad + good[50:]])
    with WorkerProcess(config, port) as worker:
        worker.wait_ready()
        assert wait_until(lambda: worker.metric("driftline_events_total") >= 100, 30)
        assert wait_until(lambda: worker.metric("driftline_dead_letters_total") >= 5, 30)
    letters = read(settings, "dead-letters")
    reasons = Counter(letter["reason"] for letter in letters)
    assert reasons == {"not_json": 2, "not_object": 1, "missing_field": 1, "too_deep": 1}
    assert all(letter["topic"] == settings.bus.topics["predictions"] for letter in letters)
