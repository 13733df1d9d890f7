"""Benchmarks: their rows, their page and their input; no benchmark is run."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest
from aiokafka.record.memory_records import MemoryRecords

from benchmarks import measuring, report, run, stamped, turns, worker, workloads
from stream.detect.ingest.events import Decoded, Messages, Reader
from stream.detect.specs import LimitSpec
from stream.errors import BusError, FormatError, SetupError

PAGE = Path(report.__file__).with_name("README.md")
PAGE_TEXT = "before\n<!-- a -->\nold\n<!-- /a -->\nafter\n"


def decode(values: list[bytes]) -> Decoded:
    never_ms = [2**62] * len(values)
    messages = Messages("bench", 0, values, range(len(values)), never_ms)
    return Reader(LimitSpec()).read(messages)


def test_a_ratio_is_taken_run_by_run() -> None:
    row = measuring.compared("name", [(10.0, 1.0), (40.0, 2.0), (90.0, 3.0)], "unit")
    assert (row["ours"], row["peer"], row["ratio"]) == (40.0, 2.0, 20.0)
    assert (row["spread"], row["runs"]) == ([10.0, 30.0], 3)


def test_a_row_without_a_peer_has_no_ratio() -> None:
    row = measuring.alone("name", [3.0, 1.0, 2.0], "seconds")
    assert (row["ours"], row["peer"], row["ratio"], row["spread"]) == (2.0, None, None, [1.0, 3.0])


def test_a_row_that_could_not_be_measured_says_why() -> None:
    row = measuring.not_measured("name", "no net")
    assert report.table([row]).splitlines()[-1] == (
        "| name | – | – | not measured: no net | – | – – – | 0 |"
    )


def test_a_peer_that_ends_says_its_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.python", lambda: sys.executable)
    with (
        turns.peer("no_such_peer") as peer,
        pytest.raises(SetupError, match=r"whylogs ended: .*no_such_peer"),
    ):
        peer.take("whylogs")


def test_cpu_time_is_read_behind_a_name_with_spaces_and_parentheses() -> None:
    assert measuring.cpu_ticks("7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 120 30 0 0 20 0") == 150


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    expected = "before\n<!-- a -->\nnew\n<!-- /a -->\nafter\n"
    assert report.replaced(PAGE_TEXT, "a", "new") == expected


@pytest.mark.parametrize("text", ["", PAGE_TEXT + PAGE_TEXT, "<!-- a -->"])
def test_markers_that_are_missing_or_doubled_are_refused(text: str) -> None:
    with pytest.raises(FormatError, match="once each"):
        report.replaced(text, "a", "new")


@pytest.mark.parametrize("name", [report.MACHINE, *run.names()])
def test_the_page_has_room_for_every_table(name: str) -> None:
    report.replaced(PAGE.read_text(encoding="utf-8"), name, "new")


@pytest.mark.parametrize("name", run.names())
def test_every_benchmark_has_a_quick_way(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert inspect.signature(module.rows).parameters["quick"].default is False


def test_benchmarks_are_chosen_with_or_without_their_prefix() -> None:
    assert run.choose(["update", "bench_bus"]) == ["bench_bus", "bench_update"]
    assert run.choose(None) == run.names()


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no benchmark bench_tea; there are bench_bus"):
        run.choose(["tea"])


def test_one_benchmark_that_fails_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(_quick: bool) -> list[measuring.Row]:
        raise BusError("no broker")

    monkeypatch.setattr("benchmarks.bench_update.rows", rows)
    assert run.run_one("bench_update", quick=True) is None
    assert "bench_update failed: no broker" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_events() -> None:
    assert list(workloads.chunks(50, seed=3)) == list(workloads.chunks(50, seed=3))


@pytest.mark.parametrize("shape", [workloads.arrays, workloads.batches])
def test_every_shape_holds_the_same_events(
    shape: Callable[[Sequence[workloads.Event], int], list[bytes]],
) -> None:
    [events] = workloads.chunks(70)
    one_by_one, packed = decode(workloads.singles(events)), decode(shape(events, 32))
    assert packed.dead == []
    assert packed.times_ms.tolist() == one_by_one.times_ms.tolist()
    assert packed.runs[0].ids.tolist() == one_by_one.runs[0].ids.tolist()
    assert packed.runs[0].columns.keys() == one_by_one.runs[0].columns.keys()


@pytest.mark.parametrize(
    ("events", "windows"), [(0, 0), (1_500_000, 0), (1_700_000, 1), (4_000_000, 3)]
)
def test_a_window_is_waited_for_only_if_its_grace_has_passed(events: int, windows: int) -> None:
    # 100,000 events a second, windows of ten seconds, five of grace, two of slack
    assert worker.windows_of(events) == windows
    assert worker.windows_of(events // 10, worker.backlog.SPARSE) == windows


@pytest.mark.parametrize("n", [1, 400])
def test_a_stamped_batch_is_one_that_aiokafka_reads(n: int) -> None:
    mark = stamped.ID_MARK.decode(), stamped.TS_MARK.decode()
    events = [b'{"id":"e-%b","ts":%b,"at":%d}' % (*map(str.encode, mark), i) for i in range(800)]
    batches = stamped.Batches(events)
    for begin, first in ((0, 999_999_999_998 - n), (400, 5), (0, 0)):
        batch = MemoryRecords(batches.take(first, n, 1_790_000_000_123 + first)).next_batch()
        assert batch.validate_crc()
        found = [(record.offset, orjson.loads(record.value)) for record in batch]
        assert found == [
            (i, {"id": f"e-{first + i:012d}", "ts": 1_790_000_000_123 + first, "at": begin + i})
            for i in range(n)
        ]


def test_what_cannot_be_stamped_is_refused() -> None:
    with pytest.raises(ValueError, match="each event needs one id with ID_MARK"):
        stamped.Batches([b'{"id":"e","ts":1}'] * 400)
