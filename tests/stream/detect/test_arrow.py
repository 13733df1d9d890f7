"""Arrow IPC streams: the fourth form of a message."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream.detect.ingest import arrow_columns
from stream.detect.ingest.blocks import block_of
from stream.detect.ingest.events import Decoded, Reader
from stream.detect.ingest.fast import FastReader
from stream.detect.specs import DEFAULT_KEY, LimitSpec
from stream.detect.times import rfc3339
from tests.builders import at, columnar, decode, event, messages
from tests.stream.detect.test_fast import parts_of

LIMITS = LimitSpec()
IDS, TIMES = ["c-1", "c-2", "c-3"], [at(1), at(2), at(3)]


def stream(columns: dict[str, Any], codec: str | None = None, **metadata: str) -> bytes:
    """Columns as an Arrow stream; model and version as metadata of its schema."""
    given = {"model": "m", "version": "1"} | metadata
    table = pa.table({"id": IDS, "ts": TIMES} | columns)
    table = table.replace_schema_metadata({k: v for k, v in given.items() if v})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=2)
    return bytes(sink.getvalue().to_pybytes())


def read(value: bytes, limits: LimitSpec = LIMITS) -> Decoded:
    """What both readers say; they say the same."""
    sent = messages(value)
    found = FastReader(limits).read(sent)
    assert parts_of(found) == parts_of(Reader(limits).read(sent))
    return found


def is_read_fast(*values: bytes) -> bool:
    """Whether the streams became columns without an object per event; both ways agree anyway."""
    sent = messages(*values)
    found = arrow_columns.read(block_of(sent), LIMITS, DEFAULT_KEY)
    expected = parts_of(Reader(LIMITS).read(sent))
    assert found is None or parts_of(found) == expected
    assert parts_of(FastReader(LIMITS).read(sent)) == expected
    return found is not None


def refusal(value: bytes, limits: LimitSpec = LIMITS) -> tuple[str, str | None]:
    [letter] = read(value, limits).dead
    assert letter.detail
    return letter.reason, letter.field


FEATURES: dict[str, list[Any]] = {
    "x": [1.5, None, -2.0],
    "n": [1, 2, 3],
    "c": ["UA", None, "AA"],
    "b": [True, False, None],
    "v": [[3.0, 4.0], None, []],
    "empty": [None, None, None],
}
MORE: dict[str, list[Any]] = {
    "score": [0.5, 1.0, None],
    "label": ["a", None, "b"],
    "latency_ms": [1.0, 2.5, None],
    "status": ["ok", "error", None],
}


def test_a_stream_says_what_the_same_columnar_batch_says() -> None:
    batch = columnar([1, 2, 3], {"id": IDS, "features": FEATURES, **MORE})
    expected = parts_of(decode(batch))
    flat = {f"features.{name}": values for name, values in FEATURES.items()}
    assert parts_of(read(stream(flat | MORE))) == expected
    rows = pa.array(
        [dict(zip(FEATURES, row, strict=True)) for row in zip(*FEATURES.values(), strict=True)]
    )
    assert parts_of(read(stream({"features": rows} | MORE))) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([1, 2, None], pa.int8()), [1, 2, None]),
        (pa.array([2**63, 2, 3], pa.uint64()), [2**63, 2, 3]),
        (pa.array([0.5, 1.5, float("nan")], pa.float32()), [0.5, 1.5, float("nan")]),
        (pa.array(["a", "b", "é" * 300], pa.large_string()), ["a", "b", "é" * 300]),
        (pa.array([TIMES[0], None, 1], pa.timestamp("ms")), [TIMES[0], None, 1]),
        (pa.array([b"a", None, b"c"], pa.binary()), [{}, None, {}]),
        (pa.array([[1, 2], None, [3]], pa.list_(pa.int32())), [[1, 2], None, [3]]),
        (pa.array([["a"], None, []], pa.list_(pa.string())), [{}, None, {}]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)  # fmt: skip
def test_a_feature_of_any_type(given: Any, said: list[Any]) -> None:
    expected = decode(columnar([1, 2, 3], {"id": IDS, "features": {"f": said}}))
    assert parts_of(read(stream({"features.f": given}))) == parts_of(expected)


PLAIN: dict[str, list[Any]] = {
    "features.x": [1.5, None, -2.0],
    "features.n": [3, 2, 1],
    "features.c": ["UA", None, "AA"],
    "features.long": ["é" * 300, "é" * 299, "b"],
    "features.b": [None, False, True],
    "features.empty": [None, None, None],
    "label": [1, None, 0],
    "status": ["error", None, "ok"],
    "score": [0.5, float("nan"), None],
}


def test_plain_streams_take_the_fast_way() -> None:
    numbers = {"label": ["a", "b", "c"], "latency_ms": [1, 2, 3]}
    categories = {"features.c": pa.array(["b", None, "b"]).dictionary_encode()}
    assert is_read_fast(stream(PLAIN))
    assert is_read_fast(stream(numbers), stream(numbers), stream(numbers))
    assert is_read_fast(stream(PLAIN), stream(PLAIN | {"features.c": ["b", "AA", "UA"]}))
    assert is_read_fast(stream(categories), stream({"features.c": ["c", "b", None]}))
    assert is_read_fast(stream({"ts": pa.array(TIMES, pa.timestamp("ms"))}, version=""))


@pytest.mark.parametrize(
    "others",
    [
        [{"features.x": ["a", "b", "c"]}], [{"features.y": [1, 2, 3]}], [{"id": ["", "b", "c"]}],
        [{"id": ["a" * 300, "b", "c"]}], [{"ts": [-1, 2, 3]}], [{"features.x": [[1.0], [], None]}],
        [{"status": ["x", "ok", "ok"]}], [{"score": ["a", "b", "c"]}], [{"model": ["m", "m", "o"]}],
        [{"arrival_time": [1, 2, 3]}], [{"features.x": [None] * 3}, {"features.x": ["a", "b",
        None]}],
        [{"label": [0.0, -0.0, 1.5]}],
    ],
    ids=str,
)  # fmt: skip
def test_what_is_unusual_is_left_to_the_slow_path(others: list[dict[str, Any]]) -> None:
    sent = [stream({"features.x": [1.0, 2.0, 3.0]}), *(stream(other) for other in others)]
    assert not is_read_fast(*sent)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([t * 1_000_000 + 999_999 for t in TIMES], pa.timestamp("ns", "UTC")),
        pa.array([t * 1_000 for t in TIMES], pa.timestamp("us", "Europe/Berlin")),
        pa.array([t // 1_000 for t in TIMES], pa.timestamp("s")),
        pa.array([rfc3339(t) for t in TIMES]),
        pa.array([t + 0.75 for t in TIMES]),
    ],
    ids=lambda value: str(value.type),
)
def test_a_time_of_any_type(times: Any) -> None:
    assert read(stream({"ts": times, "arrival_time": times})).times_ms.tolist() == TIMES


@pytest.mark.parametrize(
    "labels", [[1, 0, 1], [1.0, 0.5, None], [True, False, None], ["a", "b", "a"]]
)
def test_a_label_of_any_type(labels: list[Any]) -> None:
    expected = decode(columnar([1, 2, 3], {"id": IDS, "label": labels}))
    assert parts_of(read(stream({"label": labels}))) == parts_of(expected)


def test_models_and_versions_may_be_columns() -> None:
    sent = stream({"model": ["m", "o", "m"], "version": ["1", None, "2"]}, model="", version="")
    assert [(run.model, run.version) for run in read(sent).runs] == [
        ("m", "1"),
        ("o", "0"),
        ("m", "2"),
    ]


def test_other_messages_stand_beside_a_stream() -> None:
    sent = messages(
        event(0, {"x": 1}), stream({"features.x": [1, 2, 3]}), event(4, {"x": "a"}), b"{"
    )
    found = FastReader(LIMITS).read(sent)
    assert parts_of(found) == parts_of(Reader(LIMITS).read(sent))
    assert found.offsets.tolist() == [0, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("columns", "reason", "field"),
    [
        ({"id": [None, None, None]}, "missing_field", "id"),
        ({"id": [7, 8, 9]}, "wrong_type", "id"),
        ({"ts": [None, None, None]}, "bad_timestamp", "ts"),
        ({"ts": pa.array([-1, -2, -3], pa.timestamp("ms"))}, "bad_timestamp", "ts"),
        ({"score": ["a", "b", "c"]}, "wrong_type", "prediction.score"),
        ({"status": ["x", "x", "x"]}, "wrong_type", "status"),
        ({"model": [None, None, None]}, "missing_field", "model"),
    ],
)
def test_bad_rows_are_refused_with_reason_and_field(
    columns: dict[str, Any], reason: str, field: str
) -> None:
    assert refusal(stream(columns)) == (reason, field)


def test_a_bad_row_is_refused_alone() -> None:
    found = read(stream({"id": ["a", None, "c"], "ts": [at(1), at(2), 2**62]}))
    assert [letter.field for letter in found.dead] == ["id", "ts"]
    assert found.times_ms.tolist() == [at(1)]


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_buffers_are_refused_unread(codec: str) -> None:
    assert refusal(stream({"score": [0.0] * 3}, codec)) == ("not_arrow", None)


def test_a_stream_that_is_cut_or_changed_is_refused_or_read_alike(rng: np.random.Generator) -> None:
    whole = stream({"features.c": ["a", "b", "c"], "features.x": [1.0, None, 3.0]})
    for cut in range(4, len(whole), 7):
        read(whole[:cut])
    for _ in range(400):
        changed = np.frombuffer(whole, np.uint8).copy()
        changed[rng.integers(4, len(changed))] = rng.integers(256)
        read(changed.tobytes())


def test_changed_texts_are_refused_or_read_alike(rng: np.random.Generator) -> None:
    columns = {
        "features.c": ["ä", None, "a text longer than a word"],
        "status": ["ok", None, "error"],
    }
    columns |= {
        "note": ["é", "x", "y"],
        "features.d": pa.array(["p", "q", "p"]).dictionary_encode(),
    }
    whole = stream(columns | {"label": [1, None, 7], "features.x": [1.5, None, 3.0]})
    outcomes = set()
    for _ in range(100):
        changed = np.frombuffer(whole, np.uint8).copy()
        for place in rng.integers(len(whole) // 3, len(whole), rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        outcomes.add(is_read_fast(changed.tobytes(), whole))
    assert outcomes == {True, False}


def test_more_rows_than_bytes_are_refused() -> None:
    sink, schema = pa.BufferOutputStream(), pa.schema([("id", pa.null())])
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([pa.nulls(10_000_000)], schema))
    assert refusal(sink.getvalue().to_pybytes()) == ("too_large", None)


def test_a_large_stream_is_refused() -> None:
    assert refusal(stream({}), LimitSpec(max_message_bytes=100)) == ("too_large", None)


def test_without_pyarrow_a_stream_is_refused_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = stream({})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    [letter] = read(value).dead
    assert letter.reason == "arrow_not_installed"
    assert "driftline[arrow]" in letter.detail
