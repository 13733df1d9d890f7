"""Frames: responses come out as they were sent, however the socket cuts them."""

from __future__ import annotations

import asyncio
import inspect
import random

import numpy as np
import pytest
from aiokafka import conn

from kernels.memory import PADDING
from stream.bus import frames

SIZES = (0, 1, 3, 4, 5, 60, 65_531, 65_532, 65_536, 70_000, 300_000, 2, 0, 8)


async def protocol() -> frames._Protocol:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    return frames._Protocol(loop.create_future(), reader, loop=loop)


def write(to: frames._Protocol, data: bytes, pieces: random.Random) -> None:
    """What a socket does that has some of the data at a time."""
    at = 0
    while at < len(data):
        room = to.get_buffer(-1)
        n = min(len(room), len(data) - at, pieces.choice((1, 3, 1_000, 1 << 20)))
        room[:n] = data[at : at + n]
        to.buffer_updated(n)
        at += n


@pytest.mark.parametrize("seed", range(20))
def test_frames_do_not_depend_on_how_they_come(seed: int) -> None:
    pieces = random.Random(seed)
    sent = [pieces.randbytes(size) for size in pieces.sample(SIZES, len(SIZES))]

    async def work() -> list[bytes]:
        one = await protocol()
        write(one, b"".join(len(f).to_bytes(4, "big") + f for f in sent), pieces)
        return [(await one.next_frame()).tobytes() for _ in sent]

    assert asyncio.run(work()) == sent


def test_there_is_room_behind_a_frame() -> None:
    async def work() -> None:
        one = await protocol()
        write(one, b"\0\0\0\3abc", random.Random(0))
        frame = await one.next_frame()
        assert frame.tobytes() == b"abc"
        assert len(frame.obj) == 3 + PADDING

    asyncio.run(work())


def test_memory_is_used_again_when_nobody_looks_at_it() -> None:
    async def work() -> None:
        one = await protocol()

        async def frame(fill: bytes) -> memoryview:
            write(one, (100_000).to_bytes(4, "big") + fill * 100_000, random.Random(0))
            return await one.next_frame()

        first, part = await frame(b"a"), None
        part = np.frombuffer(first[5:9], np.uint8)
        second = await frame(b"b")
        assert second.obj is not first.obj
        assert part.tobytes() == b"aaaa"
        memory = id(second.obj)
        del second
        third = await frame(b"c")
        assert id(third.obj) == memory
        assert part.tobytes() == b"aaaa"
        assert third.tobytes() == b"c" * 100_000

    asyncio.run(work())


def test_a_reader_that_waits_is_told() -> None:
    async def work() -> bytes:
        one = await protocol()
        waiting = asyncio.ensure_future(one.next_frame())
        await asyncio.sleep(0)
        write(one, b"\0\0\0\1x", random.Random(0))
        return (await waiting).tobytes()

    assert asyncio.run(work()) == b"x"


def test_a_size_that_is_none_ends_the_connection() -> None:
    async def work() -> None:
        with pytest.raises(ConnectionError, match="a response of -2 bytes"):
            write(await protocol(), b"\xff\xff\xff\xfe", random.Random(1))

    asyncio.run(work())


@pytest.mark.parametrize(("lost", "error"), [(None, EOFError), (OSError("gone"), OSError)])
def test_what_came_is_read_before_the_end(lost: OSError | None, error: type[Exception]) -> None:
    async def work() -> None:
        one = await protocol()
        write(one, b"\0\0\0\1x\0\0\0\5half", random.Random(2))
        one.connection_lost(lost)
        assert (await one.next_frame()).tobytes() == b"x"
        with pytest.raises(error):
            await one.next_frame()

    asyncio.run(work())


def test_the_end_is_told_to_who_waits() -> None:
    async def work() -> None:
        one = await protocol()
        waiting = asyncio.ensure_future(one.next_frame())
        await asyncio.sleep(0)
        one.eof_received()
        with pytest.raises(EOFError, match="the broker closed the connection"):
            await waiting

    asyncio.run(work())


def test_a_view_gives_large_parts_without_a_copy() -> None:
    frame = memoryview(bytearray(b"ab" + b"x" * 5_000 + b"yz"))
    view = frames.View(frame)
    assert view.read(2) == b"ab"
    large = view.read(5_000)
    assert isinstance(large, memoryview)
    assert large.obj is frame.obj
    assert view.read() == b"yz"
    assert view.read(1) == b""


def test_the_names_of_aiokafka_that_frames_need_are_there() -> None:
    own = frames._Connection.__mro__[1]
    assert list(inspect.signature(frames._Protocol.__mro__[1].__init__).parameters) == [
        "self", "closed_fut", "args", "loop", "kw",
    ]  # fmt: skip
    assert inspect.iscoroutinefunction(own._read)
    assert list(inspect.signature(own._handle_frame).parameters) == ["self", "resp"]
    source = inspect.getsource(own)
    needed = (
        "AIOKafkaProtocol(",
        "io.BytesIO(resp)",
        "self._handle_frame(resp)",
        "correlation_id, request, fut = self._requests[0]",
        "self._protocol =",
    )
    for name in needed:
        assert name in source, name
    assert conn.create_conn.__globals__["AIOKafkaConnection"] in (own, frames._Connection)
