"""Checks: content that contradicts itself is seen under a right checksum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from stream.detect.checks import problem
from stream.detect.partials import Marker, Partial, pack, read
from tests.builders import event, ingestor, marker, messages

PANE_MS = 60_000


def made() -> Partial:
    """What a worker sends: numbers, categories, missing values, latencies."""
    rows = [
        event(i / 2, {"x": i * 1.5, "c": "ab"[i % 2], "n": None, "v": [1.0, 2.0]}, latency_ms=i)
        for i in range(100)
    ]
    worker = ingestor()
    worker.add(messages(*rows))
    [partial] = worker.finish().partials
    again = read(pack(partial))
    assert isinstance(again, Partial)
    return again


def test_nothing_is_wrong_with_what_workers_send() -> None:
    assert problem(made(), PANE_MS) is None
    assert problem(marker(10), PANE_MS) is None
    assert problem(replace(marker(10), watermark_ms=2**62), PANE_MS) is None


def set_count(partial: Partial) -> None:
    number = partial.state.features["feature.x"].number
    assert number is not None
    number.moments.count[0] += 1


def set_category(partial: Partial) -> None:
    category = partial.state.features["feature.c"].category
    assert category is not None
    category.counts["a"] = -1


def set_nulls(partial: Partial) -> None:
    partial.state.features["feature.n"].nulls = 101


def set_events(partial: Partial) -> None:
    partial.state.events = 3


def set_errors(partial: Partial) -> None:
    partial.state.errors = -1


def set_pane(partial: Partial) -> None:
    partial.pane = 2**60


def set_offsets(partial: Partial) -> None:
    partial.last_offset = -5


def set_range(partial: Partial) -> None:
    number = partial.state.features["feature.x"].number
    assert number is not None
    number.moments.low[0] = 1e9


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (set_count, "feature.x: 100 values in cells, 101 counted"),
        (set_category, "feature.c: counts of values"),
        (set_nulls, "feature.n: values"),
        (set_events, "in 3 events"),
        (set_errors, "counts"),
        (set_pane, "source, pane and part"),
        (set_offsets, "offsets 0 to -5"),
        (set_range, "feature.x: values from"),
    ],
)
def test_counts_that_do_not_add_up_are_said(spoil: Callable[[Partial], None], said: str) -> None:
    partial = made()
    spoil(partial)
    assert said in (problem(partial, PANE_MS) or "")


@pytest.mark.parametrize(
    "bad",
    [
        Marker(source=3, sources=3, watermark_ms=0, is_idle=False),
        Marker(source=-1, sources=3, watermark_ms=0, is_idle=False),
        Marker(source=0, sources=1, watermark_ms=2**61, is_idle=False),
    ],
)
def test_a_marker_of_nowhere_or_never_is_said(bad: Marker) -> None:
    assert problem(bad, PANE_MS) is not None
