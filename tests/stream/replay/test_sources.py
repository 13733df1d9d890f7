"""Sources: lines pass through untouched, times and ids are found, other files are refused."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import orjson
import pytest

import stream.replay
from stream.errors import UsageError
from stream.replay import sources
from stream.replay.sources import Message, Source, merge_by_time, open_source, parse_where

LINES = [
    b'{"id":"a","ts":"2025-03-03T00:00:01Z","arrival_time":"2025-03-03T00:00:01.250Z"}',
    b'{"features": {"id": "x"}, "id": "b", "ts": 1740960002000, "arrival_time": 1740960002500}',
    b"not json at all",
    b'[{"id":"c","ts":"2025-03-03T01:00:03+01:00"},{"id":"d"}]',
    b'{"model":"m","columns":{"id":["e","f"],"ts":[1740960004000,1740960005000]}}',
]


def messages(source: Source) -> list[Message]:
    return [message for chunk in source for message in chunk]


def write(path: Path, lines: list[bytes], *, packed: bool = False) -> Path:
    text = b"\n".join(lines) + b"\n"
    path.write_bytes(gzip.compress(text) if packed else text)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_lines_pass_through_untouched_whatever_they_say(tmp_path: Path, packed: bool) -> None:
    source = open_source(write(tmp_path / "any.name", LINES, packed=packed))
    assert [message.value for message in messages(source)] == LINES


def test_the_id_is_the_key_and_a_line_without_one_is_keyed_by_its_number(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "e.jsonl", [*LINES, b'{"id":7}', b'{"id":""}']))
    keys = [message.key for message in messages(source)]
    assert keys == [b"a", b"b", b"3", b"c", b"e", b"6", b"7"]


def test_bare_words_for_numbers_do_not_hide_the_id(tmp_path: Path) -> None:
    lines = [b'{"features":{"a":NaN,"b":{"c":-Infinity}},"id":"a"}', b"[" * 9_999]
    source = open_source(write(tmp_path / "e.jsonl", lines))
    assert [message.key for message in messages(source)] == [b"a", b"2"]


def test_the_arrival_time_is_that_of_the_event_itself(tmp_path: Path) -> None:
    nested = b'{"features":{"arrival_time":1},"id":"g"}'
    words = [b'{"arrival_time":"soon"}', b'{"arrival_time":"2025-03-03T00:00:01"}']
    source = open_source(write(tmp_path / "e.jsonl", [*LINES[:3], nested, *words]))
    found = [message.arrival_ms for message in messages(source)]
    assert found == [1740960001250, 1740960002500, None, None, None, None]


def test_blank_lines_and_a_byte_order_mark_are_no_events(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id":"a"}\r\n\n  \n{"id":"b"}')
    assert [(m.value, m.key) for m in messages(open_source(path))] == [
        (b'{"id":"a"}\r', b"a"),
        (b'{"id":"b"}', b"b"),
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_lines_longer_than_a_block_are_whole_and_progress_ends_at_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(sources, "BLOCK_BYTES", 7)
    source = open_source(write(tmp_path / "e.jsonl", LINES, packed=packed))
    assert [message.value for message in messages(source)] == LINES
    assert (source.done, source.unit) == (source.size, "bytes")


def test_a_source_can_be_read_again(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "e.jsonl", LINES))
    assert messages(source) == messages(source)


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK_BYTES", 16)
    monkeypatch.setattr(sources, "LONGEST_LINE", 64)
    source = open_source(write(tmp_path / "e.jsonl", [b"x" * 1000]))
    with pytest.raises(UsageError, match="line above 16 MiB"):
        messages(source)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.jsonl", b"", "is empty"),
        ("fake.parquet", b'{"id":"a"}\n', "is no Parquet file, although its name says so"),
        ("a.zip", b"PK\x03\x04....", "is a zip file; accepted: JSON lines"),
        ("a.zst", b"\x28\xb5\x2f\xfd....", "is a zstd file"),
    ],
)
def test_another_file_is_refused_when_opened(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as error:
        open_source(tmp_path / name)
    assert words in str(error.value)
    assert name in str(error.value)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.jsonl: no such file"):
        open_source(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="is a directory; accepted: JSON lines"):
        open_source(tmp_path)


def test_a_filter_on_json_lines_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", LINES)
    with pytest.raises(UsageError, match="only rows of Parquet can be filtered"):
        open_source(path, where={"split": "stream"})


@pytest.mark.parametrize("cut", [slice(0, -9), slice(0, 5)])
def test_a_cut_gzip_file_gives_its_lines_up_to_there_then_one_error(
    tmp_path: Path, cut: slice
) -> None:
    path = write(tmp_path / "e.gz", LINES * 100, packed=True)
    path.write_bytes(path.read_bytes()[cut])
    with pytest.raises(UsageError, match=r"e\.gz: damaged gzip file") as error:
        messages(open_source(path))
    assert "\n" not in str(error.value)


def test_a_gzip_file_of_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e.gz", [], packed=True)
    with pytest.raises(UsageError, match="holds no event"):
        messages(open_source(path))


def test_a_filter_is_written_as_column_and_value() -> None:
    assert parse_where(["split=reference", "a=b=c"]) == {"split": "reference", "a": "b=c"}
    with pytest.raises(UsageError, match="accepted is column=value"):
        parse_where(["split"])


def test_merged_sources_come_side_by_side_in_time(tmp_path: Path) -> None:
    def lines(name: str, seconds: list[int]) -> Source:
        texts = [f'{{"id":"{name}{s}","ts":"2025-03-03T00:00:0{s}Z"}}'.encode() for s in seconds]
        return open_source(write(tmp_path / name, texts))

    merged = merge_by_time([lines("a", [1, 4, 5]), lines("b", [0, 4, 9])])
    keys = [message.key for message in messages(merged)]
    assert keys == [b"b0", b"a1", b"a4", b"b4", b"a5", b"b9"]
    assert (merged.done, merged.unit) == (merged.size, "bytes")


def test_a_line_without_time_stays_behind_the_one_before_it(tmp_path: Path) -> None:
    other = [orjson.dumps({"id": f"o{s}", "ts": 1740960000000 + 1000 * s}) for s in (0, 2, 4, 6)]
    merged = merge_by_time(
        [open_source(write(tmp_path / "a", LINES)), open_source(write(tmp_path / "b", other))]
    )
    order = [message.key for message in messages(merged)]
    assert order == [b"o0", b"a", b"o2", b"b", b"3", b"c", b"e", b"o4", b"o6"]


def test_one_source_needs_no_merging(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "a", LINES))
    assert merge_by_time([source]) is source


def test_json_lines_need_no_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "stream.replay.tables", raising=False)
    monkeypatch.delattr(stream.replay, "tables", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert messages(open_source(write(tmp_path / "e.jsonl", LINES)))
    (tmp_path / "e.parquet").write_bytes(b"PAR1....PAR1")
    (tmp_path / "mapping.yaml").write_text("{model: m, id: i, ts: t}")
    with pytest.raises(UsageError, match=r"needs pyarrow: pip install 'driftline\[parquet\]'"):
        open_source(tmp_path / "e.parquet")
