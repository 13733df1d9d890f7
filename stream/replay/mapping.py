"""Mapping: a YAML file in, which column of a table plays which part in an event out.

In    the path of a YAML file such as `mapping.yaml` beside a Parquet file
Out   TableMapping, checked as far as that is possible without the table
Not   reading the table (tables.py)

    model: arrival-delay                        # required: the name every event carries
    version: "1"                                # default "0"
    id: event_id                                # required: column of the event's id
    ts: event_time                              # required: column of the event time
    features: {all_except: [split]}             # `all`, or a list of columns
    prediction: {score: y_score, label: y_pred} # or one column: a number or a class
    label: {value: y_true, ts: label_time}      # what turned out true, and when it was known
    where: {split: stream}                      # only these rows; a list means any of these values

Columns that have a part as id, ts, prediction or label are no features of `all` or `all_except`.
What kind a feature is follows from the type of its column.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stream.errors import UsageError

NEEDED = ("model", "id", "ts")
KEYS = (*NEEDED, "version", "features", "prediction", "label", "where")

Where = dict[str, tuple[str, ...]]  # column -> accepted values, as text


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMapping:
    """Which column is what; names only, nothing of the table's types."""

    path: Path
    model: str
    version: str
    id: str
    ts: str
    features: tuple[str, ...] | None  # None: all columns without another part
    without: frozenset[str]  # columns that are no features either
    prediction: str | None  # the column of a prediction that is one value
    score: str | None
    predicted_label: str | None
    label: str | None  # what turned out true
    label_ts: str | None
    where: Where

    def parts(self) -> set[str]:
        """Columns that are something else than a feature."""
        named = (self.id, self.ts, self.prediction, self.score, self.predicted_label)
        return {name for name in (*named, self.label, self.label_ts) if name is not None}


def read_mapping(path: Path) -> TableMapping:
    """Read a mapping; `UsageError` names file, key and what is accepted."""
    given = _load(path)
    for key in given:
        if key not in KEYS:
            raise UsageError(f"{path}: {unknown('key', str(key), KEYS)}")
    for key in NEEDED:
        if key not in given:
            raise UsageError(f"{path}: needs the key {key}")
    features, without = _features(path, given.get("features", "all"))
    score, label, whole = _prediction(path, given.get("prediction"))
    truth = _columns(path, "label", given.get("label"), ("value", "ts"))
    if truth and len(truth) < 2:
        raise UsageError(f"{path}: label: needs value and ts, each a column")
    return TableMapping(
        path=path,
        model=_text(path, "model", given["model"]),
        version=_text(path, "version", given.get("version", "0")),
        id=_text(path, "id", given["id"]),
        ts=_text(path, "ts", given["ts"]),
        features=features,
        without=without,
        prediction=whole,
        score=score,
        predicted_label=label,
        label=truth.get("value"),
        label_ts=truth.get("ts"),
        where=_where(path, given.get("where")),
    )


def unknown(what: str, name: str, accepted: Iterable[str]) -> str:
    """The words for a name that does not exist, with the nearest one that does."""
    names = list(accepted)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"nearest is {near[0]!r}" if near else f"accepted: {', '.join(names)}"
    return f"unknown {what} {name!r}; {hint}"


def _load(path: Path) -> dict[Any, Any]:
    try:
        given = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or "is no text"
        raise UsageError(f"{path}:{line} not YAML: {problem}") from None
    if not isinstance(given, dict):
        raise UsageError(f"{path}: must be a mapping with the keys {', '.join(KEYS)}")
    return given


def _text(path: Path, key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise UsageError(f"{path}: {key}: must be a text, got {value!r}")
    return str(value)


def _texts(path: Path, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise UsageError(f"{path}: {key}: must be a list of columns, got {value!r}")
    return tuple(_text(path, key, one) for one in value)


def _features(path: Path, value: Any) -> tuple[tuple[str, ...] | None, frozenset[str]]:
    """The features named, or None for all; and the columns left out of all."""
    if value == "all":
        return None, frozenset()
    if isinstance(value, list):
        return _texts(path, "features", value), frozenset()
    if isinstance(value, dict) and list(value) == ["all_except"]:
        return None, frozenset(_texts(path, "features: all_except", value["all_except"]))
    raise UsageError(
        f"{path}: features: accepted are all, a list of columns, or "
        f"{{all_except: [columns]}}, got {value!r}"
    )


def _prediction(path: Path, value: Any) -> tuple[str | None, str | None, str | None]:
    """Columns of score, label, or of the whole prediction."""
    if isinstance(value, str):
        return None, None, value
    columns = _columns(path, "prediction", value, ("score", "label"))
    return columns.get("score"), columns.get("label"), None


def _columns(path: Path, key: str, value: Any, accepted: tuple[str, ...]) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not value:
        shape = ", ".join(f"{name}: column" for name in accepted)
        raise UsageError(f"{path}: {key}: accepted is {{{shape}}}, got {value!r}")
    for name in value:
        if name not in accepted:
            raise UsageError(f"{path}: {key}: {unknown('key', str(name), accepted)}")
    return {name: _text(path, f"{key}: {name}", column) for name, column in value.items()}


def _where(path: Path, value: Any) -> Where:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{path}: where: accepted is {{column: value}}, got {value!r}")
    return {
        str(column): tuple(
            _value(path, str(column), one)
            for one in (wanted if isinstance(wanted, list) else [wanted])
        )
        for column, wanted in value.items()
    }


def _value(path: Path, column: str, value: Any) -> str:
    """A value to compare with, as the table writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return _text(path, f"where: {column}", value)
