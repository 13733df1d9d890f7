"""Sources: files of events in, messages ready for a topic or the detector out.

In    the path of a file: JSON lines, plain or gzip, or Parquet with a mapping
Out   chunks of Message(value, arrival_ms, key), in the file's order
Not   reading Parquet (tables.py) and its mapping (mapping.py); judging what a line says (detect)

What a file is, is told by its first bytes, never by its name. A line is passed on as it is: if it
is no event, the detector says so. Only the arrival time, the id and, for merging, the event time
are looked up, in the text.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from datetime import datetime
from heapq import merge
from io import BufferedIOBase
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from stream.errors import UsageError
from stream.replay.mapping import Where, read_mapping

if TYPE_CHECKING:
    from stream.replay import tables  # needs pyarrow

BLOCK_BYTES = 1 << 20  # read at once: some hundred to some thousand events
LONGEST_LINE = 16 << 20  # bytes; longer lines are taken for another kind of file
MERGED_MESSAGES = 4096  # in a chunk of merged sources
MAPPING_NAME = "mapping.yaml"
ANY = "*"  # in a filter: every value
ACCEPTED = "accepted: JSON lines, plain or gzip, or Parquet"
GZIP, PARQUET, BYTE_ORDER_MARK = b"\x1f\x8b", b"PAR1", b"\xef\xbb\xbf"
FOREIGN = {b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}

Kind = Literal["predictions", "labels"]


class Message(NamedTuple):
    """What one Kafka message would hold."""

    value: bytes
    arrival_ms: int | None  # epoch ms, from the event's own `arrival_time`; None: it has none
    key: bytes  # the id of the (first) event; the number of the line if it has none


class Source(ABC):
    """An iterable of chunks of messages; iterate as often as needed.

    size  how much there is, in `unit`; None: not known
    done  how much of it the running iteration has read, in `unit`
    """

    def __init__(self, name: str, size: int | None, unit: str) -> None:
        self.name = name
        self.size = size
        self.unit = unit  # events, bytes
        self.done = 0

    @abstractmethod
    def __iter__(self) -> Iterator[list[Message]]:
        """The messages in order, some thousand at a time."""


def open_source(
    path: str | Path,
    mapping: str | Path | None = None,
    where: MappingOf[str, str] | None = None,
    *,
    kind: Kind = "predictions",
) -> Source:
    """Open a file of events, in whichever format it is.

    mapping  for Parquet; None: the file mapping.yaml beside it
    where    for Parquet: column -> value, in place of the mapping's filter on that column; "*"
             stands for every value
    kind     which events to make of the rows of a Parquet file

    Raises `UsageError` that names file, key and what is accepted; damage further inside a file
    is raised while iterating.
    """
    path = Path(path)
    head = _read_head(path)
    if head.startswith(PARQUET):
        return _open_table(path, Path(mapping) if mapping else None, where or {}, kind)
    if path.suffix == ".parquet":
        raise UsageError(f"{path}: is no Parquet file, although its name says so")
    if where:
        raise UsageError(f"{path}: only rows of Parquet can be filtered, not JSON lines")
    for magic, name in FOREIGN.items():
        if head.startswith(magic):
            raise UsageError(f"{path}: is a {name} file; {ACCEPTED}")
    return _JsonLines(path, is_gzip=head.startswith(GZIP))


def parse_where(pairs: Sequence[str]) -> dict[str, str]:
    """`["split=reference"]` as a filter; `UsageError` if there is no `=`."""
    where = {}
    for pair in pairs:
        column, equals, value = pair.partition("=")
        if not (column and equals):
            raise UsageError(f"where {pair!r}: accepted is column=value, such as split=reference")
        where[column] = value
    return where


def merge_by_time(sources: Sequence[Source]) -> Source:
    """Several sources as one, side by side in time.

    By arrival time where a message has one, else by event time. A message with neither stays
    behind the one before it in its source; within a source the order never changes.
    """
    return sources[0] if len(sources) == 1 else _Merged(sources)


def _read_head(path: Path) -> bytes:
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; {ACCEPTED}")
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if not head:
        raise UsageError(f"{path}: is empty; {ACCEPTED}")
    return head


def _open_table(path: Path, mapping: Path | None, where: MappingOf[str, str], kind: Kind) -> Source:
    beside = path.parent / MAPPING_NAME
    if mapping is None and not beside.is_file():
        raise UsageError(f"{path}: Parquet needs a mapping, named or {MAPPING_NAME} beside it")
    columns = read_mapping(mapping or beside)
    try:
        from stream.replay import tables
    except ImportError:
        raise UsageError(
            f"{path}: reading Parquet needs pyarrow: pip install 'driftline[parquet]'"
        ) from None
    wanted: Where = columns.where | {name: (value,) for name, value in where.items()}
    kept = {name: values for name, values in wanted.items() if values != (ANY,)}
    reader = tables.Predictions if kind == "predictions" else tables.Labels
    return _TableRows(path, reader(path, columns, kept))


class _TableRows(Source):
    def __init__(self, path: Path, rows: tables.Predictions | tables.Labels) -> None:
        if not rows.size:
            raise UsageError(f"{path}: holds no event")
        super().__init__(path.name, rows.size, "events")
        self._rows = rows

    def __iter__(self) -> Iterator[list[Message]]:
        self.done = 0
        for values, keys in self._rows:
            self.done += len(values)
            yield list(map(Message, values, repeat(None), keys))


class _JsonLines(Source):
    def __init__(self, path: Path, *, is_gzip: bool) -> None:
        super().__init__(path.name, path.stat().st_size, "bytes")
        self._path, self._is_gzip = path, is_gzip

    def __iter__(self) -> Iterator[list[Message]]:
        number, is_empty = 0, True
        for lines in self._blocks():
            messages = [
                Message(line, _arrival_ms(line), _key(line, number + i))
                for i, line in enumerate(lines, 1)
                if line and not line.isspace()
            ]
            number += len(lines)
            if messages:
                is_empty = False
                yield messages
        if is_empty:
            raise UsageError(f"{self._path}: holds no event; {ACCEPTED}")

    def _blocks(self) -> Iterator[list[bytes]]:
        """Whole lines, a block's worth at a time."""
        self.done = 0
        with self._path.open("rb") as raw:
            stream: BufferedIOBase = gzip.GzipFile(fileobj=raw) if self._is_gzip else raw
            rest = self._read(stream).removeprefix(BYTE_ORDER_MARK)
            while block := self._read(stream):
                *lines, rest = rest.split(b"\n")
                self.done = raw.tell()  # of a gzip file, compressed bytes, like `size`
                yield lines
                if len(rest) > LONGEST_LINE:
                    raise UsageError(f"{self._path}: has a line above 16 MiB; {ACCEPTED}")
                rest += block
            self.done = raw.tell()
        yield rest.split(b"\n")

    def _read(self, stream: BufferedIOBase) -> bytes:
        try:
            return stream.read(BLOCK_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(f"{self._path}: damaged gzip file ({error})") from None
        except OSError as error:
            raise UsageError(f"{self._path}: {error.strerror}") from None


# A field of an event as text: what a string holds, or a number.
ID = re.compile(rb'"id"\s*:\s*"([^"\\]*)"')
TIME = rb'"%b"\s*:\s*(?:"([^"\\]*)"|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))'
TS, ARRIVAL = re.compile(TIME % b"ts"), re.compile(TIME % b"arrival_time")


def _key(line: bytes, number: int) -> bytes:
    value = _field(line, ID, "id")
    return value.encode() if isinstance(value, str) and value else b"%d" % number


def _arrival_ms(line: bytes) -> int | None:
    if b'"arrival_time"' not in line:
        return None
    return _to_ms(_field(line, ARRIVAL, "arrival_time"))


def _time_ms(message: Message) -> int | None:
    if message.arrival_ms is not None:
        return message.arrival_ms
    return _to_ms(_field(message.value, TS, "ts"))


def _field(line: bytes, pattern: re.Pattern[bytes], name: str) -> Any:
    """A field of the event, or of the first event of a batch; None if there is none.

    Found in the text if only one object opens before it, which is true of most events; else the
    line is parsed, which takes several times as long.
    """
    found = pattern.search(line)
    if found and found.lastindex and line.count(b"{", 0, found.start()) == 1:
        text = found[found.lastindex].decode(errors="replace")
        return float(text) if found.lastindex == 2 else text
    event = _parse(line)
    if isinstance(event, list) and event:
        event = event[0]
    if not isinstance(event, dict):
        return None
    if isinstance(event.get("columns"), dict):
        event = event["columns"]
    value = event.get(name)
    return value[0] if isinstance(value, list) and value else value


def _parse(line: bytes) -> Any:
    """The JSON of a line, with the bare words NaN and Infinity; None if it is none."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _to_ms(value: Any) -> int | None:
    """RFC 3339 text or epoch milliseconds; None for anything else, which others judge."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return round(time.timestamp() * 1000) if time.tzinfo else None
        return int(value) if isinstance(value, int | float) else None
    except (ValueError, OverflowError):
        return None


class _Merged(Source):
    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        units = {source.unit for source in sources}
        sizes = [source.size for source in sources if source.size is not None]
        is_known = len(units) == 1 and len(sizes) == len(sources)
        name = ", ".join(source.name for source in sources)
        super().__init__(name, sum(sizes) if is_known else None, "/".join(sorted(units)))

    def __iter__(self) -> Iterator[list[Message]]:
        streams = [_timed(source) for source in self._sources]
        merged = (message for _, message in merge(*streams, key=lambda timed: timed[0]))
        while chunk := list(islice(merged, MERGED_MESSAGES)):
            self.done = sum(source.done for source in self._sources)
            yield chunk


def _timed(source: Iterable[list[Message]]) -> Iterator[tuple[int, Message]]:
    """Messages with their time, or that of the one before."""
    before_ms = 0
    for chunk in source:
        for message in chunk:
            time_ms = _time_ms(message)
            before_ms = before_ms if time_ms is None else time_ms
            yield before_ms, message
