"""Every law over every sketch (tests/laws.py, tests/registry.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.laws import LAWS, Sketch
from tests.registry import SKETCHES


@pytest.mark.parametrize("sketch", SKETCHES, ids=lambda sketch: sketch.name)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_holds(
    law: Callable[[Sketch, np.random.Generator], None], sketch: Sketch, rng: np.random.Generator
) -> None:
    law(sketch, rng)
