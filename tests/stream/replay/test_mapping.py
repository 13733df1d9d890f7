"""Mapping: what a YAML file may say, and how a mistake in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.errors import UsageError
from stream.replay.mapping import TableMapping, read_mapping

SHORTEST = "model: m\nid: i\nts: t\n"


def read(tmp_path: Path, text: str) -> TableMapping:
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    return read_mapping(path)


def test_three_keys_are_enough(tmp_path: Path) -> None:
    mapping = read(tmp_path, SHORTEST)
    assert (mapping.model, mapping.version, mapping.id, mapping.ts) == ("m", "0", "i", "t")
    assert (mapping.features, mapping.without, mapping.where) == (None, frozenset(), {})
    assert mapping.parts() == {"i", "t"}


def test_a_version_may_be_written_as_a_number(tmp_path: Path) -> None:
    assert read(tmp_path, SHORTEST + "version: 3").version == "3"


def test_features_are_all_or_a_list_or_all_but_some(tmp_path: Path) -> None:
    assert read(tmp_path, SHORTEST + "features: all").features is None
    assert read(tmp_path, SHORTEST + "features: [b, a]").features == ("b", "a")
    assert read(tmp_path, SHORTEST + "features: {all_except: [a]}").without == {"a"}


def test_a_prediction_is_one_column_or_score_and_label(tmp_path: Path) -> None:
    assert read(tmp_path, SHORTEST + "prediction: p").prediction == "p"
    parts = read(tmp_path, SHORTEST + "prediction: {score: s, label: l}")
    assert (parts.score, parts.predicted_label, parts.prediction) == ("s", "l", None)


def test_a_filter_is_compared_as_text(tmp_path: Path) -> None:
    where = read(tmp_path, SHORTEST + "where: {split: [a, b], year: 2013, ok: true}").where
    assert where == {"split": ("a", "b"), "year": ("2013",), "ok": ("true",)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: m\nid: [i\nts: t", "line 3: not YAML"),
        ("", "must be a mapping with the keys model, id, ts"),
        ("- a", "must be a mapping"),
        ("model: m\nid: i\n", "needs the key ts"),
        (SHORTEST + "feature: all", "unknown key 'feature'; nearest is 'features'"),
        (SHORTEST + "features: none", "features: accepted are all, a list of columns"),
        (SHORTEST + "features: []", "features: must be a list of columns"),
        (SHORTEST + "prediction: {scores: s}", "prediction: unknown key 'scores'; nearest"),
        (SHORTEST + "prediction: [s]", "prediction: accepted is {score: column, label: column}"),
        (SHORTEST + "label: {value: y}", "label: needs value and ts"),
        (SHORTEST + "where: split", "where: accepted is {column: value}"),
        ("model: m\nid: {}\nts: t", "id: must be a text, got {}"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'mapping.yaml'}:")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_mapping_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: No such file"):
        read_mapping(tmp_path / "none.yaml")
