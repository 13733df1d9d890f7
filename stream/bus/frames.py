"""Frames: what a broker's socket says in, whole responses out, each in memory of its own.

In    aiokafka's connections, after `install()`
Out   the same responses; of a fetch, the record batches are views of what the socket wrote
Not   what is in the batches (raw.py), when to fetch (lane.py)

aiokafka reads through asyncio's StreamReader, which copies every byte three times and stops the
socket each 64 KiB. Here the socket writes into the response's own memory. Names of `aiokafka.conn`
that this needs: `AIOKafkaProtocol(closed, reader, loop=)`, and of `AIOKafkaConnection` `_protocol`,
`_read` (a coroutine of a weak reference that loops over `_handle_frame`), `_handle_frame` and
`_requests`; `tests/broker/test_frames.py` fails when a release moves them.
"""

from __future__ import annotations

import asyncio
import io
import struct
from collections import deque
from types import SimpleNamespace
from typing import Any

from aiokafka import conn

from kernels.memory import PADDING
from stream.bus.spares import Spares

_HEAD_BYTES = 1 << 16  # what is read at once while the size of the next response is not known
_SIZE = struct.Struct(">i")
_FETCH = 1  # the request's number in the protocol
_KEPT_BYTES = 48 << 20  # one response is filled, one is read, one waits for its turn
_SMALL = 4_096  # bytes that are copied rather than viewed: names, numbers, sizes


def install() -> None:
    """Make all connections from now on read in this way."""
    conn.AIOKafkaProtocol, conn.AIOKafkaConnection = _Protocol, _Connection
    conn.io = SimpleNamespace(BytesIO=_opened)


class View:
    """A response that is read without a copy of its large parts."""

    def __init__(self, frame: memoryview) -> None:
        self._frame, self._at = frame, 0

    def read(self, n: int = -1) -> bytes | memoryview:
        """The next n bytes, or what there is; a view if there are many."""
        end = min(self._at + n, len(self._frame)) if n >= 0 else len(self._frame)
        part = self._frame[self._at : end]
        self._at = end
        return part if len(part) > _SMALL else part.tobytes()


def _opened(frame: bytes | memoryview) -> io.BytesIO | View:
    return View(frame) if isinstance(frame, memoryview) else io.BytesIO(frame)


class _Protocol(conn.AIOKafkaProtocol, asyncio.BufferedProtocol):  # type: ignore[misc]
    """Cuts what arrives into frames: a size of four bytes, and as many bytes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = memoryview(bytearray(_HEAD_BYTES))
        self._held = 0  # bytes in the head that belong to no frame yet
        self._frame: memoryview | None = None  # the one that is being filled
        self._filled = 0
        self._frames: deque[memoryview] = deque()
        self._spares = Spares(_KEPT_BYTES)
        self._waiter: asyncio.Future[None] | None = None
        self._ended: BaseException | None = None

    async def next_frame(self) -> memoryview:
        """The next response. Raises OSError or EOFError when there will be none."""
        while not self._frames:
            if self._ended is not None:
                raise self._ended
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._frames.popleft()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the socket is to write."""
        if self._frame is not None:
            return self._frame[self._filled :]
        return self._head[self._held :]

    def buffer_updated(self, nbytes: int) -> None:
        """The socket has written. Raises ConnectionError if a size is negative."""
        if self._frame is not None:
            self._filled += nbytes
            self._close_frame()
            return
        self._held += nbytes
        at = 0
        while self._frame is None and self._held - at >= _SIZE.size:
            at = self._open_frame(at)
        self._head[: self._held - at] = bytes(self._head[at : self._held])
        self._held -= at

    def _open_frame(self, at: int) -> int:
        """Begin the frame whose size stands in the head; where the head goes on behind it."""
        [size] = _SIZE.unpack_from(self._head, at)
        if size < 0:
            raise ConnectionError(f"a response of {size} bytes")
        # What lies behind the last record may be read by kernels, and is never used.
        self._frame = self._spares.room(size + PADDING).data[:size]
        begin, end = at + _SIZE.size, min(at + _SIZE.size + size, self._held)
        self._filled = end - begin
        self._frame[: self._filled] = self._head[begin:end]
        self._close_frame()
        return int(end)

    def _close_frame(self) -> None:
        if self._frame is not None and self._filled == len(self._frame):
            self._frames.append(self._frame)
            self._frame = None
            self._wake()

    def eof_received(self) -> bool:
        """The broker says no more."""
        self._end(EOFError("the broker closed the connection"))
        return bool(super().eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing can be read any more."""
        self._end(exc or EOFError("the connection was closed"))
        super().connection_lost(exc)

    def _end(self, why: BaseException) -> None:
        self._ended = self._ended or why
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Connection(conn.AIOKafkaConnection):  # type: ignore[misc]
    """A connection that takes frames as they are."""

    @staticmethod
    async def _read(self_ref: Any) -> None:
        one = self_ref()
        if one is None:
            return
        protocol = one._protocol
        del one  # a connection that nobody holds any more is closed
        while True:
            frame = await protocol.next_frame()
            one = self_ref()
            if one is None:
                return
            one._handle_frame(frame)
            del one

    def _handle_frame(self, frame: memoryview) -> None:
        request = self._requests[0][1]
        is_fetch = request is not None and request.RESPONSE_TYPE.API_KEY == _FETCH
        super()._handle_frame(frame if is_fetch else frame.tobytes())
