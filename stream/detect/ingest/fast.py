"""Fast: a block of messages in, the same `Decoded` out as from events.Reader, twenty times sooner.

In    the messages of one fetch of one partition
Out   `Decoded`, to the last bit what the slow path gives
Not   reading bytes (kernels/decode), memory (scanner.py), what is unusual (events.Reader)

A message that the kernel leaves alone is read by the slow path, which also gives the reason if it
is refused; its events then take their places among the others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kernels.decode import columns as kernel
from kernels.decode import tables as t
from kernels.decode import values as cell
from kernels.hashing import Key
from kernels.missing import ABSENT
from stream.detect.ingest import arrow_columns
from stream.detect.ingest.arrays import together
from stream.detect.ingest.blocks import Block, block_of
from stream.detect.ingest.codec import DeadLetter
from stream.detect.ingest.columns import ABSENT_CODE, Column, Columns, shortened
from stream.detect.ingest.events import Decoded, Messages, Reader
from stream.detect.ingest.scanner import OUTPUTS, PREFIXES, Scanned, Scanner
from stream.detect.specs import DEFAULT_KEY, LimitSpec

_NUMBER, _TEXT, _VECTOR = 1 << cell.NUMBER, 1 << cell.TEXT, 1 << cell.VECTOR
_APART = 8  # values between columns: arrays that begin at the same place of a page evict each other


class FastReader:
    """Reads the messages of one fetch after another into columns; one caller at a time."""

    def __init__(self, limits: LimitSpec, hash_key: Key = DEFAULT_KEY) -> None:
        self._limits, self._hash_key = limits, hash_key
        self._scanner = Scanner(limits, hash_key)
        self._places = np.empty(0, np.int64)
        self._plans = np.empty((0, 3), np.int64)
        self._known = np.empty(0, np.int32)

    def read(self, messages: Messages | Block) -> Decoded:
        """All events of the messages; refusals are in `dead`, in the order they were met."""
        block = messages if isinstance(messages, Block) else block_of(messages)
        if arrow_columns.is_all_arrow(block):
            found = arrow_columns.read(block, self._limits, self._hash_key)
            if found is not None:
                return found
        scanned = self._scanner.scan(block)
        left = np.flatnonzero(scanned.reasons)
        dead = self._read_slowly(block, scanned, left) if len(left) else []
        events, order = scanned.events, None
        if len(left):
            order = np.argsort(events[:, cell.MESSAGE // 8], kind="stable")
            events = events[order]
        n = len(events)
        times_ms, arrivals_ms, places = (np.empty(n, np.int64) for _ in range(3))
        hashes, failed = np.empty(n, np.uint64), np.empty(n, np.bool_)
        kernel.split(events, times_ms, arrivals_ms, places, hashes, failed)
        runs = list[Columns]()
        for pair, rows in _pairs(events):
            model, version = self._scanner.text(pair >> 32), self._scanner.text(pair & 0xFFFF_FFFF)
            columns, segments = self._columns(scanned, rows if order is None else order[rows])
            is_all = len(rows) == n
            of_run = (hashes, rows, failed) if is_all else (hashes[rows], rows, failed[rows])
            runs.append(Columns(model, version, *of_run, columns, segments))
        return Decoded(times_ms, arrivals_ms, block.offsets[places], runs, dead)

    def _read_slowly(
        self, block: Block, scanned: Scanned, left: NDArray[np.intp]
    ) -> list[DeadLetter]:
        read = Reader(self._limits, self._hash_key).read(block.chosen(left))
        self._scanner.absorb(scanned, read, np.searchsorted(block.offsets, read.offsets))
        return read.dead

    def _columns(
        self, scanned: Scanned, which: NDArray[np.intp]
    ) -> tuple[dict[str, Column], dict[str, Column]]:
        """Columns of the events whose records are `which`, by name, and those of segments."""
        self._make_room()
        scanner, base = self._scanner, scanned.events.ctypes.data
        found = np.empty((scanner.keys, 3), np.int64)
        count = kernel.survey(base, scanner.cells, which, self._places, found)
        keys, kinds, counts = found[:count].T.tolist()
        self._places[keys] = -1
        made, plans = self._empty_columns(len(which), kinds, counts)
        self._plans[keys] = np.array(plans, np.int64).reshape(-1, 3)
        kernel.fill(base, scanner.cells, which, self._plans)
        columns: dict[str, Column] = {}
        shares: dict[str, Column] = {}
        segments: dict[str, Column] = {}
        levels = {t.SEGMENT: segments, t.ATTRIBUTION: shares}
        names = {number: name for name, number in OUTPUTS.items()}
        for key, parts in zip(keys, made, strict=True):
            level, name = scanner.name(key)
            into = levels.get(level, columns)
            into[names.get(key) or PREFIXES.get(level, "") + name] = self._column(*parts)
        columns |= shares
        for name, pieces in scanned.arrays.items():
            if name in columns:
                columns[name].arrays = together(pieces, which)
        outputs = {name: columns.pop(name) for name in OUTPUTS if name in columns}
        return columns | outputs, segments

    def _empty_columns(
        self, n: int, kinds: list[int], counts: list[int]
    ) -> tuple[list[_Parts], list[tuple[int, int, int]]]:
        """Arrays for the columns of a run of n events, filled where not every event has a value;
        and their addresses, 0 for none.
        """
        numeric = [bool(kind & _NUMBER) or not kind & _TEXT for kind in kinds]
        table = np.empty((sum(numeric), n + _APART))
        rows, at = iter(table), table.ctypes.data
        made, plans = list[_Parts](), list[tuple[int, int, int]]()
        for kind, count, is_numeric in zip(kinds, counts, numeric, strict=True):
            numbers = next(rows)[:n] if is_numeric else None
            codes = np.empty(n, np.int32) if kind & _TEXT else None
            norms = np.empty(n) if kind & _VECTOR else None
            if count < n:
                for part, absent in ((numbers, ABSENT), (codes, ABSENT_CODE), (norms, ABSENT)):
                    if part is not None:
                        part.fill(absent)
            made.append((numbers, codes, norms))
            of_codes, of_norms = (0 if p is None else p.ctypes.data for p in (codes, norms))
            plans.append((at if is_numeric else 0, of_codes, of_norms))
            at += table.strides[0] if is_numeric else 0
        return made, plans

    def _column(
        self,
        numbers: NDArray[np.float64] | None,
        codes: NDArray[np.int32] | None,
        norms: NDArray[np.float64] | None,
    ) -> Column:
        texts: list[str] = []
        if codes is not None:
            new = np.empty(len(codes), np.int32)
            count = kernel.localize(codes, self._known, new)
            texts = [self._scanner.text(code) for code in new[:count].tolist()]
            if max(map(len, texts)) > self._limits.max_text or len(set(texts)) < count:
                codes, texts = shortened(codes, texts, self._limits.max_text)
        return Column(numbers, codes, texts, norms)

    def _make_room(self) -> None:
        scanner = self._scanner
        if scanner.keys > len(self._places):
            self._places = np.full(2 * scanner.keys, -1, np.int64)
            self._plans = np.zeros((2 * scanner.keys, 3), np.int64)
        if scanner.texts > len(self._known):
            self._known = np.full(2 * scanner.texts, -1, np.int32)


_Parts = tuple[NDArray[np.float64] | None, NDArray[np.int32] | None, NDArray[np.float64] | None]


def _pairs(events: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each pair of model and version with the rows of its events, in the order of the first."""
    pairs = events[:, cell.PAIR // 8]
    if not len(pairs):
        return
    if (pairs == pairs[0]).all():
        yield int(pairs[0]), np.arange(len(pairs))
        return
    distinct, first, index = np.unique(pairs, return_index=True, return_inverse=True)
    rows = np.argsort(index, kind="stable")
    parts = np.split(rows, np.cumsum(np.bincount(index))[:-1])
    for at in np.argsort(first).tolist():
        yield int(distinct[at]), parts[at]
