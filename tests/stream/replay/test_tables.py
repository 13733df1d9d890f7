"""Tables: every value of a row arrives in its event as it is stored; mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.errors import UsageError
from stream.replay import tables
from stream.replay.sources import Source, merge_by_time, open_source

EXAMPLES = Path(__file__).parents[3] / "examples"
FLIGHTS = EXAMPLES / "flights/flights.parquet"
CARLOAN = EXAMPLES / "carloan"
NAN, INF = float("nan"), float("inf")
MAPPING = """
model: "m\\"%d"
version: 2
id: key
ts: at
features: {all_except: [split]}
prediction: {score: p, label: c}
label: {value: y, ts: known}
"""
COLUMNS: dict[str, Any] = {
    "key": pa.array([10, 11, 12, 13], pa.int32()),
    "at": pa.array([0, 1, 1_740_960_001_250, None], pa.timestamp("ms", "UTC")),
    "split": pa.array(["a", "b", "b", None]),
    "real": pa.array([0.1, NAN, None, -0.0], pa.float32()),
    "wide, 100%": pa.array([1e300, INF, -INF, 5.0], pa.float64()),
    "whole": pa.array([1, None, -3, 2**40], pa.int64()),
    "yes": pa.array([True, None, False, True]),
    "text": pa.array(['q"é', "", None, "a\nb"]),
    "coded": pa.array(["x", None, "x", "y"]).dictionary_encode(),
    "many": pa.array([[1.5, NAN], [], None, [2.0]], pa.list_(pa.float32())),
    "p": pa.array([0.25, 0.5, None, 1.0]),
    "c": pa.array([0, 1, None, 1], pa.int8()),
    "y": pa.array([1, 0, None, 1], pa.int8()),
    "known": pa.array([9000, 5000, 7000, None], pa.timestamp("us")),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(pa.table(COLUMNS), tmp_path / "rows.parquet", row_group_size=3)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return tmp_path / "rows.parquet"


def texts(source: Source) -> list[bytes]:
    return [message.value for chunk in source for message in chunk]


def events(source: Source) -> list[dict[str, Any]]:
    return [json.loads(text) for text in texts(source)]


def test_a_row_becomes_one_event_with_every_type_kept(path: Path) -> None:
    first = texts(open_source(path))[0].decode()
    assert first == (
        '{"id":"10","model":"m\\"%d","version":"2","ts":"1970-01-01T00:00:00.000Z","features":{'
        '"real":0.10000000149011612,"wide, 100%":1e+300,"whole":1,"yes":true,"text":"q\\"é",'
        '"coded":"x","many":[1.5,null]},"prediction":{"score":0.25,"label":0}}'
    )


def test_missing_values_are_null_and_infinities_have_their_names(path: Path) -> None:
    _, second, third, fourth = texts(open_source(path))
    assert b'"real":null,"wide, 100%":Infinity,"whole":null,"yes":null,"text":""' in second
    assert b'"real":null,"wide, 100%":-Infinity,"whole":-3,"yes":false,"text":null' in third
    assert b'"coded":"x","many":null},"prediction":{"score":null,"label":null}}' in third
    assert b'"ts":"2025-03-03T00:00:01.250Z"' in third
    assert b'"ts":null,"features":{"real":-0.0,"wide, 100%":5.0,"whole":1099511627776' in fourth


def test_the_key_is_the_id_and_progress_counts_events(path: Path) -> None:
    source = open_source(path)
    assert (source.size, source.unit) == (4, "events")
    assert [m.key for chunk in source for m in chunk] == [b"10", b"11", b"12", b"13"]
    assert {m.arrival_ms for chunk in source for m in chunk} == {None}
    assert source.done == 4


def test_labels_come_in_order_of_their_time_without_rows_that_have_none(path: Path) -> None:
    source = open_source(path, kind="labels")
    assert source.size == 2
    assert texts(source) == [
        b'{"id":"11","model":"m\\"%d","label":0,"ts":"1970-01-01T00:00:00.005Z"}',
        b'{"id":"10","model":"m\\"%d","label":1,"ts":"1970-01-01T00:00:00.009Z"}',
    ]


def test_an_argument_replaces_the_filter_of_the_mapping_on_that_column(path: Path) -> None:
    (path.parent / "mapping.yaml").write_text(MAPPING + "where: {split: b, whole: -3}")
    assert [e["id"] for e in events(open_source(path))] == ["12"]
    assert [e["id"] for e in events(open_source(path, where={"whole": "*"}))] == ["11", "12"]
    everything = open_source(path, where={"whole": "*", "split": "*"})
    assert (everything.size, len(events(everything))) == (4, 4)


def test_a_filter_that_keeps_nothing_says_what_there_is(path: Path) -> None:
    with pytest.raises(UsageError, match="no row where split=c; split is None, a, b"):
        open_source(path, where={"split": "c"})


@pytest.mark.parametrize(
    ("prediction", "end"),
    [
        ("prediction: p", b'"whole":1},"prediction":0.25}'),
        ("prediction: text", b'"whole":1},"prediction":"q\\"\xc3\xa9"}'),
        ("prediction: {label: c}", b'"whole":1},"prediction":{"label":0}}'),
        ("", b'"whole":1}}'),
    ],
)
def test_a_prediction_may_be_one_column_or_missing(path: Path, prediction: str, end: bytes) -> None:
    (path.parent / "short.yaml").write_text(
        f"model: m\nid: text\nts: key\nfeatures: [whole]\n{prediction}"
    )
    first = texts(open_source(path, path.parent / "short.yaml"))[0]
    assert first.endswith(end)
    assert first.startswith('{"id":"q\\"é","model":"m","version":"0","ts":"1970-01-01T00'.encode())


def test_rows_of_several_blocks_and_groups_keep_their_order(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = texts(open_source(path))
    monkeypatch.setattr(tables, "BLOCK_ROWS", 1)
    assert texts(open_source(path)) == whole


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("model: m\nid: keys\nts: at", "mapping.yaml: unknown column 'keys'; nearest is 'key'"),
        ("model: m\nid: key\nts: at\nfeatures: [reel]", "unknown column 'reel'; nearest is 'real'"),
        ("model: m\nid: real\nts: at", "column 'real' is float; an id is an integer or text"),
        ("model: m\nid: key\nts: yes", "column 'yes' is bool; a time is a timestamp"),
        ("model: m\nid: key\nts: at", "column 'known' is timestamp[us]; a feature is a number"),
    ],
)
def test_a_mapping_that_does_not_fit_the_table_is_refused(
    path: Path, mapping: str, words: str
) -> None:
    (path.parent / "mapping.yaml").write_text(mapping.replace("ts: yes", 'ts: "yes"'))
    with pytest.raises(UsageError) as error:
        open_source(path)
    assert words in str(error.value)


def test_a_table_without_mapping_or_label_is_refused(path: Path) -> None:
    (path.parent / "mapping.yaml").write_text("{model: m, id: key, ts: at}")
    with pytest.raises(UsageError, match="needs the key label"):
        open_source(path, kind="labels")
    (path.parent / "mapping.yaml").unlink()
    with pytest.raises(UsageError, match=r"needs a mapping, named or mapping\.yaml beside it"):
        open_source(path)


def test_a_filter_on_an_unknown_column_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match=r"rows\.parquet: unknown column 'spilt'; nearest"):
        open_source(path, where={"spilt": "a"})


def test_a_damaged_parquet_file_is_refused_in_one_line(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UsageError, match="not a readable Parquet file") as error:
        open_source(path)
    assert "\n" not in str(error.value)


def test_a_table_without_rows_is_refused(path: Path) -> None:
    pq.write_table(pa.table(COLUMNS).slice(0, 0), path)
    with pytest.raises(UsageError, match="holds no event"):
        open_source(path)


def test_predictions_and_labels_of_a_table_merge_in_time(path: Path) -> None:
    both = [open_source(path, where={"key": "11"}), open_source(path, kind="labels")]
    assert ["features" in event for event in events(merge_by_time(both))] == [True, False, False]


# -- the examples -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "split", "rows", "labelled"),
    [
        (FLIGHTS, "reference", 26_921, 26_322),
        (FLIGHTS, "stream", 309_855, 301_024),
        (CARLOAN / "carloan.parquet", "stream", 50_000, 50_000),
        (CARLOAN / "carloan_dq.parquet", "reference", 50_000, 50_000),
    ],
)
def test_the_examples_have_the_rows_their_readme_says(
    path: Path, split: str, rows: int, labelled: int
) -> None:
    where = {"split": split}
    assert open_source(path, where=where).size == rows
    assert open_source(path, where=where, kind="labels").size == labelled


@pytest.mark.parametrize("path", [FLIGHTS, CARLOAN / "carloan_dq.parquet"])
def test_every_value_of_an_example_arrives_as_it_is_stored(path: Path) -> None:
    stored = pq.read_table(path).filter(pa.compute.field("split") == "reference").slice(0, 5000)
    sent = []
    for chunk in open_source(path, where={"split": "reference"}):
        sent += [orjson.loads(message.value) for message in chunk]
        if len(sent) >= len(stored):
            break
    for name in sent[0]["features"]:
        column = stored[name].to_pylist()
        got = [event["features"][name] for event in sent[: len(stored)]]
        assert got == [None if v != v else v for v in column]
