"""Scanner: a block of messages in, records and cells of its events out, in memory of its own.

In    a `Block`; events that the slow path read instead
Out   `Scanned`: a record per event, its cells, and which messages the kernel left alone
Not   JSON (kernels/decode); columns (fast.py)

The scanner learns the names of features as they come and keeps the texts it has met, so the next
fetch finds them by one comparison. What it knows changes its speed, never its result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kernels.decode import events as kernel
from kernels.decode import tables as t
from kernels.decode import values as cell
from kernels.hashing import Key
from kernels.memory import PADDING
from kernels.missing import ABSENT_BITS, MISTYPED_BITS, NULL_BITS
from stream.detect.ingest import attributions
from stream.detect.ingest.arrays import Arrays
from stream.detect.ingest.blocks import Block
from stream.detect.ingest.columns import ABSENT_CODE, NULL_CODE, Column, Columns
from stream.detect.ingest.events import Decoded
from stream.detect.specs import LimitSpec

MOST_KEYS = 8_192  # names that are looked up by the kernel; others take the slow path
FIRST_TEXTS, FIRST_ARENA = 1 << 12, 1 << 18
KEPT_TEXTS = 1 << 16  # more than these are forgotten before the next fetch
_LEAST_EVENT, _LEAST_CELL = 6, 2  # bytes of the shortest there can be: those of a batch

OUTPUTS = {
    "prediction.score": t.SCORE,
    "prediction.label": t.LABEL,
    "service.latency_ms": t.LATENCY,
}
PREFIXES = {t.FEATURES: "feature.", t.ATTRIBUTION: attributions.PREFIX}  # of columns, by level


@dataclass(slots=True)
class Scanned:
    """Events of one block.

    events   (n, 8) int64, records as in kernels/decode/events.py, in no order if any were absorbed
    reasons  (messages,) int8, 0 for a message that was read
    arrays   of absorbed events, by column: which events (m,) and their arrays
    """

    events: NDArray[np.int64]
    reasons: NDArray[np.int8]
    arrays: dict[str, list[tuple[NDArray[np.int64], Arrays]]] = field(default_factory=dict)


class Scanner:
    """Tables and buffers that last; what it gives out is void with the next block."""

    def __init__(self, limits: LimitSpec, hash_key: Key) -> None:
        self._limits, self._hash_key = limits, hash_key
        self._cells = self._stage = np.empty((0, 2), np.int64)
        self._events = np.empty((0, 8), np.int64)
        self._forget()

    @property
    def cells(self) -> int:
        """The address of the first cell."""
        return self._cells.ctypes.data

    def name(self, key: int) -> tuple[int, str]:
        """Level and name of a key."""
        return self._names[key]

    @property
    def keys(self) -> int:
        """How many keys are known; their numbers are below."""
        return len(self._names)

    @property
    def texts(self) -> int:
        """How many texts are known; their codes are below."""
        return int(self._words[t.TEXT_COUNT // 8])

    def text(self, code: int) -> str:
        """The text of a code."""
        found = self._texts.get(code)
        if found is None:
            offset, size = self._tables.text_places[code].tolist()
            found = self._tables.arena[offset : offset + size].tobytes().decode()
            self._texts[code] = found
        return found

    def scan(self, block: Block) -> Scanned:
        """Read what the kernel can read."""
        if self.texts > KEPT_TEXTS or self.keys >= MOST_KEYS:
            self._forget()
        n = len(block.starts)
        total = int(np.maximum(block.ends - block.starts, 0).sum())
        self._make_room(total // _LEAST_CELL + 4 * n + 8, total // _LEAST_EVENT + n + 1)
        reasons = np.zeros(n, np.int8)
        base, at = block.data.ctypes.data, 0
        while at < n:
            at = kernel.scan(
                base, block.starts, block.ends, block.arrivals_ms, at, reasons, self._words
            )
            if at < n and reasons[at] == t.FULL:
                self._grow()
            elif at < n:
                at += not self._learn_unknown(block, base)
        return Scanned(self._events[: self._words[t.EVENT_COUNT // 8]], reasons)

    def absorb(self, scanned: Scanned, read: Decoded, messages: NDArray[np.intp]) -> None:
        """Add events that the slow path read; messages (n,) are those that they came from."""
        words = self._words
        first, n = len(scanned.events), len(read.times_ms)
        values = sum(len(run.rows) * (len(run.columns) + len(run.segments)) for run in read.runs)
        self._make_room(int(words[t.CELL_COUNT // 8]) + values, first + n, keep=True)
        records = self._events[first : first + n]
        records[:, cell.TIME // 8] = read.times_ms
        records[:, cell.ARRIVAL // 8] = read.arrivals_ms
        records[:, cell.MESSAGE // 8] = messages
        for run in read.runs:
            self._absorb_run(records, run)
            for name, column in run.columns.items():
                if column.arrays is not None:
                    events = first + run.rows[column.arrays.rows]
                    scanned.arrays.setdefault(name, []).append((events, column.arrays))
        words[t.EVENT_COUNT // 8] += n
        scanned.events = self._events[: first + n]

    def _absorb_run(self, records: NDArray[np.int64], run: Columns) -> None:
        pair = self._code(run.model) << 32 | self._code(run.version)
        records[run.rows, cell.PAIR // 8] = pair
        records[run.rows, cell.HASH // 8] = run.ids.view(np.int64)
        records[run.rows, cell.FAILED // 8] = run.errors
        columns = [(self._key_of(name), column) for name, column in run.columns.items()]
        columns += [(self.key(t.SEGMENT, name), c) for name, c in run.segments.items()]
        cells = np.empty((len(run.rows), len(columns), 2), np.int64)
        is_there = np.empty(cells.shape[:2], np.bool_)
        for at, (key, column) in enumerate(columns):
            bits, kinds = self._cells_of(column)
            cells[:, at, 0], cells[:, at, 1] = bits, key << cell.KIND_BITS | np.maximum(kinds, 0)
            is_there[:, at] = kinds >= 0
        ends = int(self._words[t.CELL_COUNT // 8]) + np.cumsum(is_there.sum(1))
        begins = np.concatenate([[self._words[t.CELL_COUNT // 8]], ends[:-1]])
        records[run.rows, cell.CELLS_BEGIN // 8] = begins
        records[run.rows, cell.CELLS_END // 8] = ends
        self._cells[begins[0] : ends[-1]] = cells[is_there]
        self._words[t.CELL_COUNT // 8] = ends[-1]

    def _cells_of(self, column: Column) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Bits and kinds (n,) of a column's values; kind -1 for a key that is not there."""
        numbers, codes, norms = column.numbers, column.codes, column.norms
        [n] = {len(part) for part in (numbers, codes, norms) if part is not None}
        bits = np.zeros(n, np.uint64) if norms is None else norms.view(np.uint64).copy()
        kinds = np.full(n, cell.OTHER if norms is None else cell.VECTOR, np.int64)
        if numbers is not None:
            given = numbers.view(np.uint64)
            is_number = ~np.isin(given, (NULL_BITS, ABSENT_BITS, MISTYPED_BITS))
            bits[is_number], kinds[is_number] = given[is_number], cell.NUMBER
            kinds[given == NULL_BITS], kinds[given == ABSENT_BITS] = cell.NULL, -1
        if codes is not None:
            known = np.array([self._code(text) for text in column.texts], np.uint64)
            is_text = codes >= 0
            bits[is_text], kinds[is_text] = known[codes[is_text]], cell.TEXT
            kinds[codes == NULL_CODE], kinds[codes == ABSENT_CODE] = cell.NULL, -1
        return bits.view(np.int64), kinds

    def _key_of(self, name: str) -> int:
        for level, prefix in PREFIXES.items():
            if name.startswith(prefix):
                return self.key(level, name.removeprefix(prefix))
        return OUTPUTS[name]

    def key(self, level: int, name: str) -> int:
        """The number of a key, made known if it is not."""
        found = self._numbers.get((level, name))
        if found is not None:
            return found
        number = len(self._names)
        self._names.append((level, name))
        self._numbers[level, name] = number
        pattern = b'"' + name.encode() + b'":'
        buffer = np.frombuffer(pattern + bytes(PADDING), np.uint8)
        if number < MOST_KEYS:
            self._patterns.append(buffer)
            t.add_key(buffer.ctypes.data, len(pattern), level, self._words.ctypes.data)
        return number

    def _code(self, text: str) -> int:
        """The code of a text; a new one if the kernel would not find it."""
        raw = text.encode()
        buffer = np.frombuffer(raw + bytes(PADDING), np.uint8)
        at, words = buffer.ctypes.data, self._words.ctypes.data
        code = t.intern_text(at, len(raw), words)
        while code < 0:
            if code == t.FULL:
                self._grow()
            code = t.place_text(at, len(raw), self._words.ctypes.data)
        return code

    def _learn_unknown(self, block: Block, base: int) -> bool:
        """Make the name known at which the kernel stopped; False if it is none."""
        words = self._words
        at = int(words[t.UNKNOWN_AT // 8]) - base + 1
        try:
            name = block.data[at : at + int(words[t.UNKNOWN_SIZE // 8])].tobytes().decode()
        except UnicodeDecodeError:
            return False
        self.key(int(words[t.UNKNOWN_LEVEL // 8]), name)
        return True

    def _make_room(self, cells: int, events: int, *, keep: bool = False) -> None:
        words = self._words
        if cells > len(self._cells):
            self._cells = _larger(self._cells, cells, keep)
            self._stage = np.empty_like(self._cells)
        if events > len(self._events):
            self._events = _larger(self._events, events, keep)
        words[t.CELLS // 8], words[t.EVENTS // 8] = self.cells, self._events.ctypes.data
        words[t.EVENTS_END // 8] = self._events.ctypes.data + cell.EVENT * len(self._events)
        words[t.STAGE // 8] = self._stage.ctypes.data
        if not keep:
            words[t.CELL_COUNT // 8] = words[t.EVENT_COUNT // 8] = 0

    def _forget(self) -> None:
        self._tables = t.empty(FIRST_TEXTS, FIRST_ARENA, MOST_KEYS, self._hash_key)
        self._words = self._tables.words
        self._texts: dict[int, str] = {}
        self._patterns: list[NDArray[np.uint8]] = []
        self._names: list[tuple[int, str]] = [(level, "") for level in range(t.ID)]
        self._numbers: dict[tuple[int, str], int] = {}
        for level, name in t.FIXED.values():
            self.key(level, name.decode())
        self._words[t.MAX_BYTES // 8] = self._limits.max_message_bytes
        self._words[t.MAX_TEXT // 8] = self._limits.max_text
        self._words[t.MAX_FEATURES // 8] = self._limits.max_features
        self._code("0")  # code 0: the version of an event that says none

    def _grow(self) -> None:
        """Twice the room for texts; their codes stay."""
        old = self._tables
        self._tables = t.with_room(old)
        self._words = self._tables.words


def _larger(array: NDArray[np.int64], rows: int, keep: bool) -> NDArray[np.int64]:
    larger = np.empty((rows + rows // 4, array.shape[1]), np.int64)
    if keep:
        larger[: len(array)] = array
    return larger
