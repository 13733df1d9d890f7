"""Proxy: connections to Kafka in, the same connections out, until a test spoils them.

In    the port it listens on, the broker's port behind it
Out   bytes both ways; `mode` says what happens to them from now on
Not   what the bytes mean: it cuts wherever it likes, in the middle of a frame too

ok          passes everything
blackhole   connections stay open, nothing passes in either direction; new ones hang as well
no_answers  requests reach the broker, what it answers never comes back
no_requests nothing reaches the broker
slow        a few bytes at a time
refuse      open connections end, new ones are refused
reset       open connections end by RST at once, new ones pass

The broker needs a listener of its own that is advertised at the proxy's port; clients would else
learn the way around it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

MODES = ("ok", "blackhole", "no_answers", "no_requests", "slow", "refuse", "reset")
CHUNK, SLOW_CHUNK, SLOW_PAUSE_S = 65_536, 64, 0.02
LINGER_0 = struct.pack("ii", 1, 0)  # close() sends RST


class Proxy:
    """One listening port before one port of this machine; a context manager with its own thread."""

    def __init__(self, port: int, behind: int) -> None:
        self.port, self._behind = port, behind
        self._mode = "ok"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()  # set: nothing is held back

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, mode: str) -> None:
        """Do this to all connections from now on."""
        assert mode in MODES, mode
        self._run(self._set(mode))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _set(self, mode: str) -> None:
        self._mode = mode
        self._flowing.set()  # whoever waits looks at the mode again
        self._flowing = asyncio.Event()
        if mode in ("refuse", "reset"):
            self._cut(by_reset=mode == "reset")
        if mode == "refuse":
            await self._deafen()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, reuse_address=True
        )

    async def _deafen(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.close()

    async def _close(self) -> None:
        await self._deafen()
        self._cut(by_reset=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut(self, *, by_reset: bool) -> None:
        for writer in list(self._open):
            if by_reset:
                link: socket.socket = writer.get_extra_info("socket")
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        there_writer = None
        try:
            await self._until_allowed(("no_requests", "blackhole"))
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._behind)
            self._open.add(there_writer)
            held_back = ("blackhole", "no_requests"), ("blackhole", "no_answers")
            await asyncio.gather(
                self._pass(reader, there_writer, held_back[0]),
                self._pass(there_reader, writer, held_back[1]),
            )
        except (OSError, asyncio.IncompleteReadError):
            pass  # one side is gone; the other is told below
        finally:
            for one in (writer, there_writer):
                if one is not None:
                    self._open.discard(one)
                    one.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: tuple[str, ...]
    ) -> None:
        while data := await reader.read(SLOW_CHUNK if self._mode == "slow" else CHUNK):
            await self._until_allowed(held)
            if self._mode == "slow":
                await asyncio.sleep(SLOW_PAUSE_S)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError  # ends the other direction too

    async def _until_allowed(self, held: tuple[str, ...]) -> None:
        while self._mode in held:
            await self._flowing.wait()
