"""Records: what the judge knows beside partials in, bytes of the topic `judge-state` out, and back.

In    a `StreamRecord` per stream, and one `HeadRecord` per partition of the partials topic
Out   one message each; `read` gives back what was packed or raises FormatError
Not   when they are written (agents), which of several counts (`choose` says by their offsets)

    bytes    0-2  "DLJ"     3  version     4-7  CRC-32 of all that follows, little endian
             8…   JSON, deflated
    key      ["claim"], ["head", owner], ["stream", owner, model, version, segment], JSON

Partition i of the topic belongs to partition i of the partials. An owner is the offset of the claim
by which a worker took the partition: it only keeps apart the keys of workers that own it one after
the other, so that compaction never lets a zombie's record replace a newer one.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from stream.detect import partials
from stream.detect.judge.gather import Position, Seen
from stream.detect.judge.sources import Heard
from stream.detect.partials import Partial
from stream.detect.states import Stream, WindowState
from stream.detect.times import NEVER_MS
from stream.errors import FormatError, UsageError

MAGIC = b"DLJ"
VERSION = 1
BODY_AT = 8
LARGEST_BYTES = 4 * 1024 * 1024  # of a record; half of what the topic takes
CLAIM_KEY = orjson.dumps(["claim"])


@dataclass(frozen=True, slots=True)
class Earlier:
    """The window that the next one is compared with.

    told_to  it is made of partials below this offset
    state    its sketches, once its partials will not be read again
    """

    length_ms: int
    start_ms: int
    told_to: int
    state: WindowState | None = None


@dataclass(frozen=True, slots=True)
class First:
    """The first windows of one length, of which a reference is made (adaptive.py).

    windows      how many are in it
    taken_to_ms  the end of the last of them
    """

    length_ms: int
    windows: int = 0
    taken_to_ms: int = NEVER_MS
    state: WindowState = field(default_factory=WindowState)


@dataclass(slots=True)
class StreamRecord:
    """What must outlive the partials of a stream.

    alerts   as AlertBook.to_json gives them
    past     as Past.to_json gives it
    is_over  nothing came for so long that the stream is forgotten
    """

    seen: Seen
    earlier: list[Earlier] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    past: dict[str, Any] = field(default_factory=dict)
    is_over: bool = False
    first: list[First] = field(default_factory=list)


@dataclass(slots=True)
class HeadRecord:
    """Where a partition stands; all streams' changes below `position.told_to` are in their records.

    safe_offset  partials below it are not needed any more
    refused      late events and messages that could not be used, by reason
    """

    position: Position
    safe_offset: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    config_hash: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a judge goes on from.

    head    None if there is none, or none can be read
    lost    streams with a record that cannot be read
    keys    of the records taken
    spare   keys of all others, to be deleted in this order
    """

    head: HeadRecord | None = None
    streams: dict[Stream, StreamRecord] = field(default_factory=dict)
    lost: tuple[Stream, ...] = ()
    keys: dict[Stream, bytes] = field(default_factory=dict)
    spare: tuple[bytes, ...] = ()


class Stored(NamedTuple):
    """A message of the topic: its key, its value (None: taken back) and its offset."""

    key: bytes
    value: bytes | None
    offset: int


class Damaged(NamedTuple):
    """A message that cannot be used, and why."""

    stored: Stored
    why: str


def head_key(owner: int) -> bytes:
    """The key of an owner's head."""
    return orjson.dumps(["head", owner])


def stream_key(owner: int, stream: Stream) -> bytes:
    """The key of an owner's record of a stream."""
    return orjson.dumps(["stream", owner, *stream])


def pack_head(head: HeadRecord) -> bytes:
    """A head as bytes."""
    at = head.position
    sources = [heard.to_json() for _, heard in sorted(at.sources.items())]
    return _seal(
        {
            "told_to": at.told_to,
            "watermark_ms": at.watermark_ms,
            "final_ms": at.final_ms,
            "sources": sources,
            "safe_offset": head.safe_offset,
            "refused": dict(sorted(head.refused.items())),
            "config": head.config_hash,
        }
    )


def pack_stream(stream: Stream, record: StreamRecord) -> bytes:
    """A stream's record as bytes.

    If it would be too large, it is without earlier windows, then without first ones and what
    alerts would need for corrections; that an alert fires always stays.
    """
    seen = record.seen
    body = {
        "told_to": seen.told_to,
        "final_ms": seen.final_ms,
        "revisions": [[*window, seen.revisions[window]] for window in sorted(seen.revisions)],
        "last": seen.last,
        "quiet": seen.is_quiet,
        "born_at": seen.born_at,
        "earlier": [_pack_earlier(stream, one) for one in record.earlier],
        "alerts": record.alerts,
        "past": record.past,
        "over": record.is_over,
        "first": [_pack_first(stream, one) for one in record.first],
    }
    packed = _seal(body)
    if len(packed) > LARGEST_BYTES:
        packed = _seal(body | {"earlier": []})
    if len(packed) > LARGEST_BYTES:
        bare = [row | {"letters": None, "sent": []} for row in record.alerts]
        packed = _seal(body | {"earlier": [], "first": [], "alerts": bare})
    return packed


def read_head(raw: bytes) -> HeadRecord:
    """The head in a message. Raises FormatError naming what is wrong with it."""
    body = _open(raw)
    try:
        heard = [Heard.from_json(*row) for row in body["sources"]]
        position = Position(
            int(body["told_to"]),
            int(body["watermark_ms"]),
            int(body["final_ms"]),
            {one.marker.source: one for one in heard},
        )
        return HeadRecord(position, int(body["safe_offset"]), body["refused"], body["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"judge state cannot be read: {error!r}") from None


def read_stream(raw: bytes) -> StreamRecord:
    """The record in a message. Raises FormatError naming what is wrong with it."""
    body = _open(raw)
    try:
        seen = Seen(
            int(body["told_to"]),
            int(body["final_ms"]),
            {
                (length_ms, start_ms): revision
                for length_ms, start_ms, revision in body["revisions"]
            },
            None if body["last"] is None else (int(body["last"][0]), int(body["last"][1])),
            bool(body["quiet"]),
            int(body["born_at"]),
        )
        earlier = [_read_earlier(row) for row in body["earlier"]]
        first = [one for row in body.get("first", ()) if (one := _read_first(row))]
        alerts, is_over = list(body["alerts"]), bool(body["over"])
        return StreamRecord(seen, earlier, alerts, body["past"], is_over, first)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise FormatError(f"judge state cannot be read: {error!r}") from None


def choose(messages: Iterable[Stored]) -> tuple[Memory, list[Damaged]]:
    """What to go on from, of all messages of a partition, and what could not be used.

    The head of the latest owner counts: of what others wrote after it took over it knows nothing.
    Records of streams are functions of the log whoever wrote them: the one furthest on counts.

    Raises UsageError if a newer release wrote here: going on would lose what it knew.
    """
    latest = {stored.key: stored for stored in messages}
    heads: dict[int, HeadRecord] = {}
    found: dict[Stream, list[tuple[int, bytes, StreamRecord]]] = {}
    damaged, lost = list[Damaged](), set[Stream]()
    for stored in latest.values():
        raw, stream = stored.value, None
        if raw is None:
            continue
        try:
            kind, owner, stream = _read_key(stored.key)
            if kind == "head":
                heads[owner] = read_head(raw)
            elif stream is not None:
                record = read_stream(raw)
                found.setdefault(stream, []).append((record.seen.told_to, stored.key, record))
        except FormatError as error:
            damaged.append(Damaged(stored, str(error)))
            if stream is not None:
                lost.add(stream)
    head = heads[max(heads)] if heads else None
    keys, streams, over = {}, {}, []
    for stream, records in found.items():
        records.sort(key=lambda row: row[:2])
        told_to, key, record = records[-1]
        if record.is_over and head is not None and told_to <= head.position.told_to:
            over.append(key)  # after those that it overrules
        elif stream not in lost:  # an older record may be without what the damaged one said
            keys[stream], streams[stream] = key, record
    used = {CLAIM_KEY, *keys.values(), *over}
    spare = [stored.key for stored in latest.values() if stored.value and stored.key not in used]
    return Memory(head, streams, tuple(sorted(lost)), keys, (*spare, *over)), damaged


class Ledger:
    """What an owner writes: changes in, messages in the order that makes a crash harmless out.

    Records, then the head; then what they replace is deleted, so that at any moment the messages
    there give a state of the log that is not older than what was committed.
    """

    def __init__(self, owner: int, memory: Memory) -> None:
        self._owner = owner
        self._theirs = dict(memory.keys)
        self._spare = list(memory.spare)

    def records(
        self, streams: Mapping[Stream, StreamRecord], head: HeadRecord
    ) -> list[tuple[bytes, bytes]]:
        """Keys and values; each must be acknowledged before the next one if it is a head."""
        written = []
        for stream, record in streams.items():
            key = stream_key(self._owner, stream)
            written.append((key, pack_stream(stream, record)))
            if (theirs := self._theirs.pop(stream, None)) is not None:
                self._spare.append(theirs)
            if record.is_over:
                self._spare.append(key)
        return [*written, (head_key(self._owner), pack_head(head))]

    def spare(self) -> list[bytes]:
        """Keys to delete, in this order, once what `records` gave is acknowledged."""
        spare, self._spare = self._spare, []
        return spare


def _read_key(key: bytes) -> tuple[str, int, Stream | None]:
    try:
        kind, *rest = orjson.loads(key)
        if kind == "claim":
            return kind, -1, None
        owner = int(rest[0])
        if kind == "head":
            return kind, owner, None
        if kind == "stream":
            model, version, segment = rest[1:]
            return kind, owner, Stream(model, version, segment)
    except (ValueError, TypeError, IndexError):
        pass
    raise FormatError(f"not a key of the judge's state: {key[:200]!r}")


def _pack_earlier(stream: Stream, one: Earlier) -> list[Any]:
    packed = None if one.state is None else _pack_state(stream, one.state)
    return [one.length_ms, one.start_ms, one.told_to, packed]


def _read_earlier(row: list[Any]) -> Earlier:
    length_ms, start_ms, told_to, packed = row
    state = None if packed is None else _read_state(packed)  # else: compared with nothing
    return Earlier(int(length_ms), int(start_ms), int(told_to), state)


def _pack_first(stream: Stream, one: First) -> list[Any]:
    return [one.length_ms, one.windows, one.taken_to_ms, _pack_state(stream, one.state)]


def _read_first(row: list[Any]) -> First | None:
    length_ms, windows, taken_to_ms, packed = row
    state = _read_state(packed)
    return First(int(length_ms), int(windows), int(taken_to_ms), state) if state else None


def _pack_state(stream: Stream, state: WindowState) -> str:
    return base64.b85encode(partials.pack_state(stream, state)).decode()


def _read_state(packed: str) -> WindowState | None:
    """The sketches; None if another release packed them."""
    try:
        whole = partials.read(base64.b85decode(packed))
    except FormatError:
        return None
    return whole.state if isinstance(whole, Partial) else None


def _seal(body: dict[str, Any]) -> bytes:
    raw = zlib.compress(orjson.dumps(body), 1)
    return MAGIC + bytes([VERSION]) + zlib.crc32(raw).to_bytes(4, "little") + raw


def _open(raw: bytes) -> dict[str, Any]:
    if raw[:3] != MAGIC or len(raw) < BODY_AT:
        raise FormatError(f"not a judge's record: {len(raw)} bytes beginning with {raw[:3]!r}")
    if zlib.crc32(raw[BODY_AT:]) != int.from_bytes(raw[4:8], "little"):
        raise FormatError("judge's record is damaged: its checksum does not match")
    if raw[3] > VERSION:
        raise UsageError(
            f"the judge's state was written by a newer release (version {raw[3]}, this one reads "
            f"{VERSION}): go back to that release, or empty the topic judge-state and accept that "
            "alerts which fire now are told again"
        )
    if raw[3] < VERSION:
        raise FormatError(f"judge's record of version {raw[3]}; this release reads {VERSION}")
    try:
        body = orjson.loads(zlib.decompress(raw[BODY_AT:]))
    except (zlib.error, ValueError) as error:
        raise FormatError(f"judge's record cannot be read: {error}") from None
    if not isinstance(body, dict):
        raise FormatError("judge's record is no object")
    return body
