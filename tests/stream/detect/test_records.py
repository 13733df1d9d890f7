"""Records: bytes and back, damage, other releases, and which of several counts."""

from __future__ import annotations

import zlib

import numpy as np
import orjson
import pytest

from stream.detect.judge.gather import Position, Seen
from stream.detect.judge.records import (
    CLAIM_KEY,
    LARGEST_BYTES,
    Earlier,
    HeadRecord,
    Ledger,
    Memory,
    Stored,
    StreamRecord,
    choose,
    head_key,
    pack_head,
    pack_stream,
    read_head,
    read_stream,
    stream_key,
)
from stream.detect.judge.sources import Heard
from stream.detect.partials import Marker
from stream.detect.states import CategoryState, FeatureState, Stream, WindowState
from stream.errors import FormatError, UsageError
from tests.builders import M

IDLE = Heard(Marker(source=0, sources=1, watermark_ms=5, is_idle=True, beat=4), 5, 3, 2, 1)
HEAD = HeadRecord(
    Position(7, 60_000, -60_000, {0: IDLE}),
    3,
    {"too_late": 2},
    "c0",
)


def record(told_to: int = 7, *, is_over: bool = False) -> StreamRecord:
    seen = Seen(told_to, 0, {(60_000, 120_000): 2}, (60_000, 120_000), True, 4)
    state = WindowState(events=3)
    state.features["feature.c"] = FeatureState(category=CategoryState({"a": 3}))
    earlier = [Earlier(60_000, 60_000, 5, state), Earlier(180_000, 0, 6)]
    return StreamRecord(seen, earlier, [{"fingerprint": "f"}], {"learnt_to": []}, is_over)


def stored(*rows: tuple[bytes, bytes | None]) -> list[Stored]:
    return [Stored(key, value, at) for at, (key, value) in enumerate(rows)]


def test_a_record_is_read_as_it_was_written() -> None:
    assert read_head(pack_head(HEAD)) == HEAD
    again = read_stream(pack_stream(M, record()))
    assert pack_stream(M, again) == pack_stream(M, record())
    assert again.earlier[0].state is not None
    assert again.earlier[0].state.features["feature.c"].category == CategoryState({"a": 3})


def test_no_flipped_bit_is_taken_for_a_record(rng: np.random.Generator) -> None:
    raw = pack_stream(M, record())
    for bit in rng.choice(8 * len(raw), 200, replace=False).tolist():
        broken = bytearray(raw)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises((FormatError, UsageError)):
            read_stream(bytes(broken))


@pytest.mark.parametrize("raw", [b"", b"DLJ", b"DLJ\x01", b"x" * 99, pack_head(HEAD)[:-1]])
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        read_head(raw)


def test_a_body_without_what_belongs_there_is_refused() -> None:
    body = zlib.compress(orjson.dumps({"told_to": 1}))
    raw = b"DLJ\x01" + zlib.crc32(body).to_bytes(4, "little") + body
    with pytest.raises(FormatError, match="cannot be read"):
        read_stream(raw)


def test_a_newer_release_is_refused_with_what_to_do() -> None:
    raw = bytearray(pack_head(HEAD))
    raw[3] = 2
    with pytest.raises(UsageError, match=r"newer release .version 2.*go back"):
        choose(stored((head_key(0), bytes(raw))))


def test_a_record_too_large_leaves_earlier_windows_out_and_keeps_alerts() -> None:
    noise = np.random.default_rng(1).bytes(2 * LARGEST_BYTES).hex()
    large = record()
    state = WindowState(events=3)
    state.features["feature.c"] = FeatureState(category=CategoryState({noise: 3}))
    large.earlier = [Earlier(60_000, 60_000, 5, state)]
    raw = pack_stream(M, large)
    assert len(raw) <= LARGEST_BYTES
    assert read_stream(raw).earlier == []
    assert read_stream(raw).alerts == large.alerts


def test_the_record_furthest_on_counts_whoever_wrote_it_and_the_head_of_the_last_owner() -> None:
    older = HeadRecord(Position(99), 50)
    rows = stored(
        (head_key(1), pack_head(older)),
        (head_key(2), pack_head(HEAD)),
        (stream_key(2, M), pack_stream(M, record(7))),
        (stream_key(1, M), pack_stream(M, record(9))),
        (CLAIM_KEY, b"me"),
    )
    memory, damaged = choose(rows)
    assert (memory.head, memory.streams[M].seen.told_to, damaged) == (HEAD, 9, [])
    assert memory.spare == (head_key(1), head_key(2), stream_key(2, M))


def test_a_damaged_record_is_told_and_its_stream_is_lost() -> None:
    other = Stream("n", "1")
    rows = stored(
        (stream_key(0, M), b"damaged"),
        (stream_key(0, other), pack_stream(other, record())),
        (b"what", b"is this"),
        (head_key(0), pack_head(HEAD)),
    )
    memory, damaged = choose(rows)
    assert memory.lost == (M,)
    assert list(memory.streams) == [other]
    assert [one.stored.offset for one in damaged] == [0, 2]


def test_what_was_taken_back_is_not_there() -> None:
    rows = stored((stream_key(0, M), pack_stream(M, record())), (stream_key(0, M), None))
    assert choose(rows)[0] == Memory()


def test_a_stream_that_is_over_stays_over_until_the_head_has_passed() -> None:
    over = pack_stream(M, record(7, is_over=True))
    passed, _ = choose(stored((head_key(0), pack_head(HEAD)), (stream_key(0, M), over)))
    assert (passed.streams, passed.spare[-1]) == ({}, stream_key(0, M))
    ahead, _ = choose(stored((stream_key(0, M), over)))
    assert ahead.streams[M].is_over


def test_a_ledger_writes_streams_before_the_head_and_deletes_what_they_replace() -> None:
    memory = Memory(keys={M: stream_key(1, M)}, spare=(head_key(1),))
    ledger = Ledger(5, memory)
    written = ledger.records({M: record()}, HEAD)
    assert [key for key, _ in written] == [stream_key(5, M), head_key(5)]
    assert ledger.spare() == [head_key(1), stream_key(1, M)]
    assert ledger.spare() == []
