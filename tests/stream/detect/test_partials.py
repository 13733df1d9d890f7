"""Partials: what is packed is read again, and damaged bytes are refused by name."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.detect import partials
from stream.detect.ingest.windows import NEVER_MS
from stream.detect.judge.parts import Held
from stream.detect.partials import Marker, Partial, pack, pack_marker, read
from stream.detect.states import FeatureState, Stream, WindowState
from stream.errors import FormatError
from tests import builders
from tests.builders import event, ingestor, messages, reference
from tests.laws import assert_same_bytes

VALUES = [1, 2.5, -0.0, 1e300, -1e-300, float("nan"), float("inf"), None, "a", "ü€😀", True, [3, 4],
          {}, 2**63]  # fmt: skip
HASHES_BOUND = 2_200  # of a number with thousands of different values
EMPTY_BOUND = 400  # bytes of a part with one event and one number


def packed(values: list[Any], **more: Any) -> tuple[Partial, bytes]:
    """The part of events with these values of x, and its bytes."""
    trained = reference([event(0, {"x": v, "y": v}) for v in (1, 2, 2.5, 3)])
    worker = ingestor(references={("m", "1"): trained})
    worker.add(messages(*[event(1, {"x": v, "z": v}, **more) for v in values], first_offset=5))
    [part] = worker.finish().partials
    return part, pack(part)


def plain(item: Partial | Marker) -> str:
    """Everything a partial says, as text; there NaN equals itself."""
    assert isinstance(item, Partial)
    state = item.state
    features = {name: _plain(feature) for name, feature in sorted(state.features.items())}
    told = [item.stream, item.source, item.pane, item.part, item.first_offset, item.last_offset,
            item.reference_id, item.config_hash,
            state.events, state.errors, state.late]  # fmt: skip
    return repr([told, features])


def _plain(feature: FeatureState) -> list[Any]:
    number, category = feature.number, feature.category
    return [
        feature.nulls,
        feature.mistyped,
        feature.is_vector,
        number and [array.tolist() for array in number.moments],
        number
        and [number.grid, number.cells.tolist(), number.clamped, sorted(number.values.items())],
        category and [sorted(category.counts.items()), category.uncertain],
    ]


@given(st.lists(st.sampled_from(VALUES), min_size=1, max_size=12))
def test_a_partial_is_read_as_it_was_packed(values: list[Any]) -> None:
    part, raw = packed(values, prediction={"score": 0.5, "label": "x"}, latency_ms=3)
    again = read(raw)
    assert plain(again) == plain(part)
    assert isinstance(again, Partial)
    assert pack(again) == raw


def test_a_partial_without_features_is_read_too() -> None:
    part = builders.partial(0, n=7, stream=Stream("m", "1", "origin=JFK"), offsets=(3, 9))
    assert plain(read(pack(part))) == plain(part)


def test_a_partial_of_categories_alone_is_read_too() -> None:
    worker = ingestor()
    worker.add(messages(event(1, {"c": "a"})))
    [part] = worker.finish().partials
    assert plain(read(pack(part))) == plain(part)


@pytest.mark.parametrize("watermark_ms", [NEVER_MS, 0, builders.START_MS, -NEVER_MS])
def test_a_marker_is_read_as_it_was_packed(watermark_ms: int) -> None:
    times = {"watermark_ms": watermark_ms, "sent_ms": watermark_ms, "sent_to": 7}
    marker = Marker(source=3, sources=8, is_idle=True, beat=2**52, **times)
    assert read(pack_marker(marker)) == marker


def test_what_is_read_can_be_merged_without_touching_the_bytes() -> None:
    _, raw = packed([1, 2, 3])
    one, two = read(raw), read(raw)
    assert isinstance(one, Partial)
    assert isinstance(two, Partial)
    one.state.merge(two.state)
    assert one.state.features["feature.x"].number.count == 6  # type: ignore[union-attr]
    assert pack(two) == raw


def test_an_almost_empty_part_is_small() -> None:
    worker = ingestor()
    worker.add(messages(event(1, {"x": 1.5})))
    [part] = worker.finish().partials
    assert len(pack(part)) < EMPTY_BOUND


def test_a_part_grows_with_what_is_in_it_not_with_the_sketches(rng: np.random.Generator) -> None:
    worker = ingestor(
        references={("m", "1"): reference([event(0, {"x": v}) for v in rng.normal(size=999)])}
    )
    worker.add(messages(*[event(1, {"x": v}) for v in rng.normal(size=5_000)]))
    [part] = worker.finish().partials
    assert len(pack(part)) < 1_500 + HASHES_BOUND


@pytest.mark.parametrize("raw", [b"", b"DLP", b"DLP\x01", b"DLQ\x01" + bytes(20), b"{}", bytes(99)])
def test_foreign_bytes_are_no_partial(raw: bytes) -> None:
    with pytest.raises(FormatError, match="not a partial"):
        read(raw)


def test_another_version_is_named() -> None:
    raw = pack(builders.partial(0))
    with pytest.raises(FormatError, match="version 9; this release reads 1 to 2"):
        read(raw[:3] + b"\x09" + raw[4:])


def test_a_truncated_partial_is_refused_at_every_length() -> None:
    _, raw = packed([1, "a", None])
    for length in range(len(raw)):
        with pytest.raises(FormatError):
            read(raw[:length])


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_is_noticed(at: int, bit: int) -> None:
    _, raw = packed([1, 2.5, "a", None])
    damaged = bytearray(raw)
    damaged[at % len(raw)] ^= 1 << bit
    with pytest.raises(FormatError):
        read(bytes(damaged))


def sealed(head: Any, blob: bytes = b"") -> bytes:
    """Any head as a partial whose checksum holds."""
    text = head if isinstance(head, bytes) else orjson.dumps(head)
    body = len(text).to_bytes(4, "little") + text + blob
    return partials.MAGIC + bytes([partials.VERSION]) + crc32(body).to_bytes(4, "little") + body


HEAD = {"stream": ["m", "1", ""], "at": [0, 1, 0], "offsets": [0, 1], "reference": None,
        "config": "", "events": [1, 0, 0]}  # fmt: skip
MOMENTS = bytes(partials.MOMENTS_BYTES)
NO_CELLS = b"\x00"


def with_feature(blob: bytes = b"", **row: Any) -> bytes:
    """A partial of one feature."""
    return sealed({**HEAD, "features": [{"name": "x", "rest": [0, 0], **row}]}, blob)


@pytest.mark.parametrize(
    "raw",
    [
        sealed(b"{"),
        sealed([]),
        sealed(7),
        sealed(None),
        sealed("marker"),
        sealed({}),
        sealed({"marker": 7}),
        sealed({"marker": [1, 2]}),
        sealed({**HEAD, "stream": ["m"], "features": []}),
        sealed({**HEAD, "features": 7}),
        sealed({**HEAD, "features": ["x"]}),
        sealed({**HEAD, "features": [[1]]}),
        with_feature(rest=[0]),
        with_feature(category=7),
        with_feature(number=[[0.0, 1.0], 0, [], [], 1]),
        with_feature(MOMENTS, number=[[0.0, 1.0], 0, [], [], 1]),
        with_feature(MOMENTS + NO_CELLS, number=[[], 0, [], [], 1]),
        with_feature(MOMENTS + NO_CELLS, number=[[0.0, 1.0], 0, [1.0], [], 1]),
        b"DLP\x01" + crc32(b"\xff\xff\xff\xff{}").to_bytes(4, "little") + b"\xff\xff\xff\xff{}",
    ],
)
def test_a_wrong_content_under_a_right_checksum_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        read(raw)


@given(st.binary(max_size=300))
def test_any_bytes_under_a_right_checksum_are_read_or_refused(body: bytes) -> None:
    raw = partials.MAGIC + bytes([partials.VERSION]) + crc32(body).to_bytes(4, "little") + body
    with pytest.raises(FormatError):
        read(raw)


@pytest.mark.parametrize("is_read", [True, False], ids=["read", "made here"])
def test_a_partial_that_was_put_away_is_the_same_to_the_byte(is_read: bool) -> None:
    part, raw = packed(VALUES)
    item = read(raw) if is_read else part
    assert isinstance(item, Partial)
    held = Held(item, 7)
    held.put_away()
    held.put_away()
    assert (pack(held.partial), held.offset) == (raw, 7)
    assert held.partial is not item


def test_what_is_read_merges_in_one_piece_as_it_does_feature_by_feature(
    rng: np.random.Generator,
) -> None:
    parts = []
    for n, names in ((700, "ab"), (900, "abc"), (40, "ba"), (1_500, "ca")):
        worker = ingestor()
        rows = rng.normal(10.0, 3.0, (n, len(names))).tolist()
        worker.add(messages(*[event(1, dict(zip(names, row, strict=True))) for row in rows]))
        parts += [read(pack(part)) for part in worker.finish().partials]
    together, singly = WindowState(), WindowState()
    for part in parts:
        assert isinstance(part, Partial)
        together.merge(part.state)
    for part in parts:
        assert isinstance(part, Partial)
        part.state.stack = None
        singly.merge(part.state)
    assert list(together.features) == list(singly.features)
    for name, feature in together.features.items():
        one, other = feature.number, singly.features[name].number
        assert one is not None
        assert other is not None
        assert_same_bytes(one.moments, other.moments)
        assert one.cells.tobytes() == other.cells.tobytes()
        assert one.unlisted is not None
        assert other.unlisted is not None
        assert_same_bytes(one.unlisted, other.unlisted)
        assert (one.values, one.clamped) == (other.values, other.clamped)
