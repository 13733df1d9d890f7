"""The fast path: to the last bit what the slow path gives, whatever is sent."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.memory import PADDING
from stream.detect.ingest import scanner
from stream.detect.ingest.blocks import Block, block_of
from stream.detect.ingest.events import Decoded, Messages, Reader
from stream.detect.ingest.fast import FastReader
from stream.detect.specs import LimitSpec
from tests.buffers import guarded
from tests.builders import columnar, event, messages
from tests.stream.detect.mutations import Author

ROOT = Path(__file__).parents[3]
LIMITS = LimitSpec(max_message_bytes=4_000, max_features=12, max_text=40)
A_FETCH = 200


def parts_of(decoded: Decoded) -> Any:
    """All of it as plain values; arrays as their type and bytes. No segment is an array."""

    def plain(array: Any) -> Any:
        return None if array is None else (array.dtype.str, array.shape, array.tobytes())

    def columns(named: Any) -> Any:
        return [
            (name, plain(c.numbers), plain(c.codes), c.texts, plain(c.norms),
             c.arrays and list(map(plain, c.arrays)))
            for name, c in named.items()
        ]  # fmt: skip

    arrays = [plain(getattr(decoded, name)) for name in ("times_ms", "arrivals_ms", "offsets")]
    runs = [
        (r.model, r.version, plain(r.ids), plain(r.rows), plain(r.errors), columns(r.columns),
         [column[:-1] for column in columns(r.segments)])
        for r in decoded.runs
    ]  # fmt: skip
    return arrays, runs, decoded.dead


def same(fast: FastReader, sent: Messages | Block, slow: Messages | None = None) -> bool:
    given = slow or sent
    assert isinstance(given, Messages)
    return bool(parts_of(fast.read(sent)) == parts_of(Reader(LIMITS).read(given)))


def culprits(fast: FastReader, sent: Messages) -> list[bytes | None]:
    """The messages that alone are read differently; all of them if no single one is."""
    alone = (messages(value or b"") for value in sent.values)
    return [m.values[0] for m in alone if not same(fast, m)] or list(sent.values)


def test_a_plain_event_is_read_by_the_kernel_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the slow path was asked")

    plain = (
        event(1, {"x": 1.5, "c": "é", "n": None, "t": True, "bad": float("nan"), "o": {"a": [1]}}),
        event(2, {"c": "UA", "x": -3}, prediction={"score": 0.5, "label": 1, "scores": {"0": 0.5}}),
        event(3, segment={"origin": "é"}, status="error", latency_ms=3, arrival_time=7, x=[[]]),
        [event(4, prediction=True), event(5, prediction="b"), event(6, prediction=1.0), event(7)],
        [],
        columnar(
            [8, 9],
            {
                "features": {"x": [1.5, None], "c": ["UA", "é"], "n": None},
                "score": [0.5, 1], "label": [1, "a"], "latency_ms": [3, None],
                "status": ["ok", "error"], "arrival_time": [5, "2024-10-04T14:40:00Z"], "z": [[]],
            },
        ),
    )  # fmt: skip
    sent = messages(*(json.dumps(value, ensure_ascii=False).encode() for value in plain))
    expected = parts_of(Reader(LIMITS).read(sent))
    monkeypatch.setattr("stream.detect.ingest.fast.Reader", never)
    assert parts_of(FastReader(LIMITS).read(sent)) == expected


@pytest.mark.parametrize("seed", range(10))
def test_changed_messages_are_read_as_the_slow_path_reads_them(seed: int) -> None:
    author, fast = Author(np.random.default_rng(seed)), FastReader(LIMITS)
    for _ in range(2_000 // A_FETCH):
        sent = messages(*author.messages(A_FETCH))
        assert same(fast, sent) or culprits(fast, sent) == []


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_million_changed_messages_are_read_as_the_slow_path_reads_them(seed: int) -> None:
    author, fast = Author(np.random.default_rng(seed)), FastReader(LIMITS)
    for _ in range(1_000_000 // 20 // A_FETCH):
        sent = messages(*author.messages(A_FETCH))
        assert same(fast, sent) or culprits(fast, sent) == []


def test_an_event_that_is_cut_anywhere() -> None:
    body = event(1, {"x": 1.25e-3, "c": "é", "n": None}, prediction={"score": 1, "label": "a"})
    text = json.dumps(body, ensure_ascii=False).encode()
    sent = messages(*(text[:cut] for cut in range(len(text) + 1)))
    assert same(FastReader(LIMITS), sent)


def test_a_batch_that_is_cut_anywhere() -> None:
    body = columnar([1, 2], {"features": {"x": [1.5, None], "c": ["a", "b"]}, "label": [1, 2]})
    text = json.dumps(body).encode()
    sent = messages(*(text[:cut] for cut in range(len(text) + 1)))
    assert same(FastReader(LIMITS), sent)


@pytest.mark.parametrize("longer", ["id", "ts", "score", "status", "arrival_time", "features"])
def test_a_column_that_is_too_long_harms_nobody(longer: str) -> None:
    values = {"id": '"a"', "ts": "1", "score": "1", "status": '"ok"', "arrival_time": "1"}
    arrays = {name: [value] * (900 if name == longer else 2) for name, value in values.items()}
    texts = [f'"{name}":[{",".join(v)}]' for name, v in arrays.items()]
    many = ",".join("1" * (900 if longer == "features" else 2))
    texts.append(f'"features":{{"x":[1,2],"y":[{many}]}}')
    for parts in (texts, texts[::-1]):
        batch = f'{{"model":"m","columns":{{{",".join(parts)}}}}}'.encode()
        assert same(FastReader(LIMITS), messages(batch, event(1), batch))


def test_white_space_and_nul_anywhere() -> None:
    text = json.dumps(event(1, {"x": 1.5, "c": "a"}, prediction=1), separators=(",", ":")).encode()
    for mark in (b" ", b"\n\t\r ", b"\0", b"\x0b"):
        sent = messages(*(text[:at] + mark + text[at:] for at in range(len(text) + 1)))
        assert same(FastReader(LIMITS), sent)


def test_a_message_never_borrows_from_its_neighbour() -> None:
    whole = b'{"id":"a","model":"m","ts":1,"features":{"x":12,"y":"ab"}}'
    for cut in range(len(whole)):
        assert same(FastReader(LIMITS), messages(whole[:cut], whole[cut:], whole))


def test_keys_in_every_order(rng: np.random.Generator) -> None:
    body = event(1, {f"f{i}": i for i in range(8)}, status="ok", latency_ms=2, prediction="a")
    shuffler, sent = random.Random(7), []
    for _ in range(50):
        keys, names = list(body), list(body["features"])
        shuffler.shuffle(keys)
        shuffler.shuffle(names)
        sent.append({k: body[k] for k in keys} | {"features": {n: 1 for n in names}})
    assert same(FastReader(LIMITS), messages(*sent))


def test_what_is_known_from_earlier_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "MOST_KEYS", 40)
    monkeypatch.setattr(scanner, "KEPT_TEXTS", 50)
    monkeypatch.setattr(scanner, "FIRST_TEXTS", 4)
    monkeypatch.setattr(scanner, "FIRST_ARENA", 16)
    fast = FastReader(LIMITS)
    for fetch in range(12):
        first = 7 * fetch
        sent = [
            event(
                i, {f"f{first + i}": i, "c": f"text {first} {i}", f"g{i}": "x"}, model=f"m{i % 3}"
            )
            for i in range(30)
        ]
        assert same(fast, messages(*sent))


def test_values_may_lie_anywhere_in_one_buffer() -> None:
    values = [json.dumps(event(i, {"x": i})).encode() for i in range(4)]
    between = b'}},"x":1,{"id":"no"' * 3
    buffer, starts = b"", []
    for value in reversed(values):
        buffer += between
        starts.insert(0, len(buffer))
        buffer += value
    data = np.frombuffer(buffer + between + bytes(PADDING), np.uint8)
    plain = messages(*values, None)
    ends = [start + len(value) for start, value in zip(starts, values, strict=True)]
    block = block_of(plain)._replace(
        data=data, starts=np.array([*starts, 5]), ends=np.array([*ends, 4])
    )
    assert same(FastReader(LIMITS), block, plain._replace(values=[*values, None]))


def test_halves_and_what_comes_since_an_offset() -> None:
    block = block_of(messages(*(event(i) for i in range(5)), first_offset=10))
    first, second = block.halves()
    assert (first.offsets.tolist(), second.offsets.tolist()) == ([10, 11], [12, 13, 14])
    assert block.since(13).offsets.tolist() == [13, 14]
    assert block.since(13).value(0) == block.value(3)
    assert block.since(0) is block
    assert len(block.since(99).offsets) == 0


def test_nothing_is_read_outside_of_a_buffer() -> None:
    """In a process of its own, which is killed by the first byte that is touched outside."""
    command = [
        sys.executable,
        "-c",
        f"from {__name__} import read_at_fences; read_at_fences(4_000)",
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "4000 read\n"), run.stderr[-2_000:]


def read_at_fences(count: int) -> None:
    """Read messages that begin and end where memory does."""
    author, fast = Author(np.random.default_rng(5)), FastReader(LIMITS)
    one = block_of(messages(b""))
    with guarded(2) as memory:
        for text in author.messages(count):
            size, room = len(text), len(memory) - PADDING
            for start in (0, room - size):
                memory[:] = ord("7")
                memory[start : start + size] = np.frombuffer(text, np.uint8)
                memory[start + size : start + size + PADDING] = 0 if start else ord("7")
                fast.read(
                    one._replace(
                        data=memory, starts=np.array([start]), ends=np.array([start + size])
                    )
                )
    print(f"{count} read")  # noqa: T201
