"""Profiles: training data in, a `Reference` out; and a reference as JSON, and back.

In    runs of columns of training events, or a JSON document of schema driftline.reference/2 or /1
Out   `Reference` with grids, vocabularies and exact deciles
Not   reading files of events (replay/sources.py), where profiles are kept (bus/reference_store.py)

The grid of a number is anchored at its median, in units of its interquartile range / 1.349, which
is the standard deviation where values are normal. Columns are kept in memory until `build`: eight
bytes per number.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from kernels.missing import MISTYPED_BITS, NULL_BITS
from kernels.sketches import covariance, logbins, moments, rows, vectors
from kernels.sketches.moments import Moments
from stream.detect import slices
from stream.detect.contributions import Attribution
from stream.detect.grids import Grid, grid_of
from stream.detect.hashes import ONE_ROW
from stream.detect.ingest import attributions
from stream.detect.ingest.arrays import ArraySketch
from stream.detect.ingest.attributions import AttributionSketch
from stream.detect.ingest.columns import (
    MISTYPED_CODE,
    NULL_CODE,
    Column,
    Columns,
    numbers_of,
    texts_of,
)
from stream.detect.ingest.joint import joint_sketch
from stream.detect.ingest.slices import SliceSketch
from stream.detect.joint import WINDOW_ROWS, JointState
from stream.detect.references import DECILES, VOCABULARY_SIZE, Reference, inner_edges
from stream.detect.specs import FeatureSpec, ModelSpec
from stream.detect.states import (
    CategoryState,
    FeatureState,
    NumberState,
    WindowState,
)
from stream.errors import FormatError

SCHEMA = "driftline.reference/2"
FIRST_SCHEMA = "driftline.reference/1"  # without arrays, attributions and features side by side


@dataclass(slots=True)
class _Feature:
    """What was seen of a feature so far."""

    numbers: list[NDArray[np.float64]] = field(default_factory=list)  # one per event of a run
    texts: Counter[str] = field(default_factory=Counter)
    nulls: int = 0
    mistyped: int = 0
    norms: int = 0
    arrays: ArraySketch | None = None
    slices: SliceSketch | None = None


class ProfileBuilder:
    """Collects training events of one (model, version).

    features  what the configuration says of kinds; else a feature is what most of its values are
    """

    def __init__(
        self, model: str, version: str, features: Mapping[str, FeatureSpec] | None = None
    ) -> None:
        self._model, self._version = model, version
        specs = (features or {}).values()
        self._kinds = {f"feature.{spec.name}": spec.kind for spec in specs}
        self._events = 0
        self._features: dict[str, _Feature] = {}
        self._attributions = AttributionSketch(1)
        self._runs: list[Columns] = []  # of numbers alone, with the ids of their events

    def add(self, run: Columns) -> None:
        """Add a run of events."""
        self._events += len(run.rows)
        slots, beside = np.zeros(len(run.rows), np.int32), dict[str, Column]()
        for name, column in run.columns.items():
            if name.startswith(attributions.PREFIX):
                self._attributions.update(name, slots, numbers_of(column))
            elif not name.startswith("service."):
                feature = self._features.setdefault(name, _Feature())
                if self._kinds.get(name) == "category":
                    _add_categories(feature, column)
                else:
                    _add(feature, column, run.ids)
                    beside[name] = Column(feature.numbers[-1], None, [], None)
        self._runs.append(replace(run, columns=beside))

    def build(self) -> Reference:
        """The reference of all events added. Raises FormatError if there are none."""
        if not self._events:
            raise FormatError(f"no events of {self._model}/{self._version} to build from")
        state = WindowState(events=self._events)
        edges = {}
        for name, feature in sorted(self._features.items()):
            numbers = np.concatenate([*feature.numbers, np.empty(0)])
            numbers = numbers[~np.isnan(numbers)]
            is_number = len(numbers) >= feature.texts.total()
            if (kind := self._kinds.get(name)) is not None:
                is_number = kind != "category"
            known = FeatureState(nulls=feature.nulls, mistyped=feature.mistyped)
            known.is_vector = feature.norms > 0
            known.arrays = feature.arrays.state(0) if feature.arrays else None
            known.slices = feature.slices.state(0) if feature.slices else None
            if is_number:
                known.number, edges[name] = _number(numbers)
                known.mistyped += feature.texts.total()
            else:
                known.category = CategoryState(dict(sorted(feature.texts.items())))
                known.mistyped += len(numbers)
            state.features[name] = known
        state.attributions = self._attributions.state(0)
        reference = Reference("", self._model, self._version, state, edges)
        state.joint = self._joint(reference)
        reference.id = content_id(reference)
        return reference

    def _joint(self, reference: Reference) -> JointState | None:
        sketch = joint_sketch(1, ModelSpec(name=self._model), reference, WINDOW_ROWS)
        if sketch is None:
            return None
        for run in self._runs:
            sketch.update(np.zeros(len(run.rows), np.int32), run, {})
        return sketch.state(0)


def _add_categories(feature: _Feature, column: Column) -> None:
    codes, texts = texts_of(column)
    _count_texts(feature, codes, texts)
    feature.nulls += int((codes == NULL_CODE).sum())
    feature.mistyped += int((codes == MISTYPED_CODE).sum())


def _count_texts(feature: _Feature, codes: NDArray[np.int32], texts: list[str]) -> int:
    counts = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
    feature.texts.update(dict(zip(texts, counts, strict=True)))
    return sum(counts)


def _add(feature: _Feature, column: Column, ids: NDArray[np.uint64]) -> None:
    if column.codes is not None:  # texts are no numbers, but they are counted beside them
        feature.mistyped -= _count_texts(feature, column.codes, column.texts)
    numbers = numbers_of(column)
    if column.norms is not None:
        is_norm = column.norms.view(np.uint64) != MISTYPED_BITS
        numbers = np.where(is_norm, column.norms, numbers)
        feature.norms += int(np.count_nonzero(~np.isnan(column.norms)))
    if column.arrays is not None:
        feature.arrays = feature.arrays or ArraySketch(1, np.empty(0))
        slots = np.zeros(len(column.arrays.rows), np.int32)
        feature.arrays.update(slots, column.arrays)
        if feature.slices is None and (length := feature.arrays.length(0)):
            feature.slices = SliceSketch(1, length, slices.SLICE_ROWS)
        if feature.slices is not None:
            feature.slices.update(slots, ids[column.arrays.rows], column.arrays)
    bits = numbers.view(np.uint64)
    feature.nulls += int((bits == NULL_BITS).sum())
    feature.mistyped += int((bits == MISTYPED_BITS).sum())
    feature.numbers.append(numbers)


@np.errstate(over="ignore", divide="ignore", invalid="ignore")  # near the largest and least float
def _number(numbers: NDArray[np.float64]) -> tuple[NumberState, NDArray[np.float64]]:
    """All numbers of a feature (infinities among them) as a state, and its inner edges."""
    finite = numbers[np.isfinite(numbers)]
    grid = grid_of(finite)
    state = NumberState.empty(grid)
    slots = np.zeros(len(numbers), np.int32)
    cells = logbins.empty(1, np.int64)
    moments.update(state.moments, slots, numbers, grid.shift, grid.unit)
    logbins.update(cells, slots, numbers, grid.anchor, grid.inverse_scale)
    logbins.merge(logbins.LogBins(state.cells[None], np.zeros(1, np.int64)), ONE_ROW, cells)
    state.clamped = int(cells.clamped[0])
    values, counts = np.unique(finite + 0.0, return_counts=True)
    if not len(finite):
        return state, np.empty(0)
    if len(values) <= VOCABULARY_SIZE:
        state.values = dict(zip(values.tolist(), counts.tolist(), strict=True))
        edges = np.unique(np.quantile(finite, DECILES))
        return state, edges[np.isfinite(edges)]
    return state, inner_edges(state)


def content_id(reference: Reference, schema: str = SCHEMA) -> str:
    """A short id of what the reference says."""
    body = to_document(reference, schema)
    del body["id"]
    return blake2b(orjson.dumps(body), digest_size=8).hexdigest()


def to_document(reference: Reference, schema: str = SCHEMA) -> dict[str, Any]:
    """The reference as a JSON document."""
    body = {
        "schema": schema,
        "id": reference.id,
        "model": reference.model,
        "version": reference.version,
        "events": reference.state.events,
        "features": {
            name: _feature_document(feature, reference.edges_of(name))
            for name, feature in sorted(reference.state.features.items())
        },
    }
    if schema != FIRST_SCHEMA:
        known = sorted(reference.state.attributions.items())
        body["attributions"] = {name: attribution.listed() for name, attribution in known}
        joint = reference.state.joint
        body["joint"] = _joint_document(joint) if joint else None
    return body


def _joint_document(joint: JointState) -> dict[str, Any]:
    return {
        "names": list(joint.names),
        "scales": joint.scales.tolist(),
        "events": joint.events,
        "rows": b64encode(rows.pack(joint.sample, 0)).decode(),
        "covariance": b64encode(covariance.pack(joint.pairs, 0)).decode(),
    }


def _read_joint(body: dict[str, Any]) -> JointState:
    sample = rows.unpack(b64decode(body["rows"]))
    pairs = covariance.unpack(b64decode(body["covariance"]))
    scales = np.array(body["scales"], np.float64)
    d = len(body["names"])
    if scales.shape != (d, 2) or sample.values.shape[2] != d or pairs.sums.shape[1] != d:
        raise ValueError(f"{d} names stand beside other numbers of values")
    return JointState(tuple(body["names"]), scales, sample, pairs, body["events"])


def _feature_document(feature: FeatureState, edges: NDArray[np.float64]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "kind": feature.kind,
        "nulls": feature.nulls,
        "mistyped": feature.mistyped,
    }
    if feature.number is not None:
        number = feature.number
        cells = np.flatnonzero(number.cells)
        body["number"] = {
            "grid": list(number.grid),
            "edges": edges.tolist(),
            "moments": {
                name: array[0].tolist() for name, array in _flat(number.moments)._asdict().items()
            },
            "cells": [cells.tolist(), number.cells[cells].tolist()],
            "clamped": number.clamped,
            "values": [list(number.values), list(number.values.values())],
        }
    if feature.category is not None:
        body["category"] = feature.category.counts
    if feature.arrays is not None:
        body["arrays"] = b64encode(vectors.pack(feature.arrays, 0)).decode()
    if feature.slices is not None:
        body["slices"] = b64encode(rows.pack(feature.slices, 0)).decode()
    return body


def from_document(document: Any) -> Reference:
    """The reference in a JSON document. Raises FormatError naming what is wrong."""
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema not in (SCHEMA, FIRST_SCHEMA):
        raise FormatError(f"not a reference: schema is {schema!r}, {SCHEMA} is read")
    try:
        state, edges = WindowState(events=document["events"]), {}
        for name, body in document["features"].items():
            feature = FeatureState(nulls=body["nulls"], mistyped=body["mistyped"])
            feature.is_vector = body["kind"] == "vector"
            if "number" in body:
                feature.number = _read_number(body["number"])
                edges[name] = np.array(body["number"]["edges"], np.float64)
            if "category" in body:
                feature.category = CategoryState(dict(body["category"]))
            if "arrays" in body:
                feature.arrays = vectors.unpack(b64decode(body["arrays"]))
            if "slices" in body:
                feature.slices = slices.read(b64decode(body["slices"]))
            state.features[name] = feature
        attributed = document.get("attributions", {})
        state.attributions = {n: Attribution.read(*row) for n, row in attributed.items()}
        state.joint = _read_joint(document["joint"]) if document.get("joint") else None
        reference = Reference(document["id"], document["model"], document["version"], state, edges)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FormatError(f"reference cannot be read: {type(error).__name__} {error}") from None
    if content_id(reference, schema) != reference.id:
        raise FormatError(f"reference {reference.id} is damaged: its content has another id")
    return reference


def _flat(state: Moments) -> Moments:
    return state._replace(sums=moments.folded(state))


def _read_number(body: dict[str, Any]) -> NumberState:
    cells = np.zeros(logbins.CELLS, np.int64)
    index, counts = body["cells"]
    cells[np.array(index, np.int64)] = counts
    blank = _flat(moments.empty(1))._asdict()
    read = {
        # JSON has no infinity: an empty row's null range stays as it is in an empty row.
        name: np.array([[*body["moments"][name]] if array.ndim == 2 else body["moments"][name]])
        .reshape(array.shape).astype(array.dtype)
        if body["moments"][name] is not None else array
        for name, array in blank.items()
    }  # fmt: skip
    values, value_counts = body["values"]
    flat = Moments(**read)
    return NumberState(
        flat._replace(sums=moments.unfolded(flat.sums)),
        Grid(*body["grid"]),
        cells,
        body["clamped"],
        dict(zip(values, value_counts, strict=True)),
    )
