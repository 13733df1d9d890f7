"""Formats: partials and references that earlier releases wrote are read, and say the same.

All were made of the same training data and of the same forty events, by the release that brought
the version (tests/data/formats_golden.json).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.sketches import moments, vectors
from stream.detect.partials import VERSION, Partial, pack, read
from stream.detect.profiles import SCHEMA, from_document, to_document
from stream.detect.specs import DEFAULT_KEY

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "formats_golden.json").read_text(encoding="utf-8")
)
VERSIONS = (1, 2)


def partial(version: int) -> Partial:
    found = read(bytes.fromhex(GOLDEN[f"partial/{version}"]))
    assert isinstance(found, Partial)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_a_partial_says_what_it_said(version: int) -> None:
    part = partial(version)
    assert (part.stream, part.first_offset, part.last_offset) == (("m", "1", ""), 0, 39)
    assert part.state.events == 40
    x = part.state.features["feature.x"].number
    assert x is not None
    assert x.count == x.cells.sum() == 40
    assert moments.mean(x.moments, 0, x.grid.unit) == pytest.approx(np.mean(np.arange(40) / 3))
    category = part.state.features["feature.c"].category
    assert category is not None
    assert category.counts == {"a": 8, "b": 8, "c": 8, "d": 8, "e": 8}
    assert part.state.features["feature.v"].is_vector
    assert part.state.features["feature.z"].nulls == 8


def test_the_newest_partial_is_packed_as_it_was() -> None:
    raw = bytes.fromhex(GOLDEN[f"partial/{VERSION}"])
    assert pack(partial(VERSION)) == raw


def test_the_second_version_says_more() -> None:
    state = partial(2).state
    attributed = {name: known[:2] for name, known in state.attributions.items()}
    assert attributed == {"x": (40, sum(abs(i / 8 - 2) for i in range(40))), "y": (40, 20)}
    assert state.joint is not None
    assert (state.joint.names, state.joint.events) == (("feature.x", "feature.y", "feature.z"), 40)
    x, y, _ = state.joint.values().T
    assert sorted(x.tolist()) == (np.arange(40) / 3).tolist()
    assert (y == np.round(x * 3) % 9).all()
    arrays = state.features["feature.v"].arrays
    assert arrays is not None
    assert vectors.means(arrays, 0).tolist() == [1.0, 1.5, 0.25]
    cosine = state.features["feature.v"].cosine
    assert cosine is not None
    assert cosine.count == 40
    number = state.features["feature.x"].number
    assert number is not None
    assert number.distinct(DEFAULT_KEY) == 40


def test_the_first_version_says_nothing_of_that() -> None:
    state = partial(1).state
    assert (state.joint, state.attributions) == (None, {})
    assert state.features["feature.v"].arrays is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reference_says_what_it_said(version: int) -> None:
    known = from_document(GOLDEN[f"reference/{version}"])
    assert known.state.events == 60
    assert known.numbers("feature.y").tolist() == list(range(7))
    assert known.categories("feature.c") == ["a", "b", "c"]
    assert (known.state.joint is None) == (version == 1)
    if version == 2:
        assert known.mean_array("feature.v").tolist() == [1.0, 1.0, 0.5]


def test_the_newest_reference_is_written_as_it_was() -> None:
    document = GOLDEN[SCHEMA.removeprefix("driftline.")]
    assert json.loads(json.dumps(to_document(from_document(document)))) == document
