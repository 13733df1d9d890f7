"""Jit: bits of floats, and that compiled and plain kernels agree to the byte."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import jit
from kernels.jit import IS_COMPILED, bits_float, float_bits, signed
from kernels.sketches import moments

ROOT = Path(__file__).parents[2]
DIGEST = """
import hashlib
import numpy as np
from tests.laws import SLOTS
from tests.registry import SKETCHES
digest = hashlib.sha256()
for sketch in SKETCHES:
    rng = np.random.default_rng(7)
    state = sketch.fed(rng.integers(-1, SLOTS, 500).astype(np.int32), sketch.draw(rng, 500))
    other = sketch.fed(rng.integers(-1, SLOTS, 500).astype(np.int32), sketch.draw(rng, 500))
    sketch.merge(state, np.arange(SLOTS, dtype=np.int32), other)
    for array in state:
        digest.update(array.tobytes())
print(digest.hexdigest())
"""


NUMBERS_DIGEST = """
import hashlib
import numpy as np
from tests import fused
from tests.registry import numbers
digest, rng = hashlib.sha256(), np.random.default_rng(7)
for anchor, inverse_scale in ((10.0, 1.0 / 3.0), (0.0, 1e8), (0.0, 0.0)):
    state = fused.numbers_empty(4)
    for slots in (rng.integers(-1, 4, 3000), np.zeros(3000)):
        x = numbers(rng, 3000)
        fused.numbers_update(state, slots.astype(np.int32), x, anchor, inverse_scale)
    for array in state:
        digest.update(array.tobytes())
print(digest.hexdigest())
"""


@given(st.integers(0, 2**64 - 1))
def test_bits_survive_the_way_through_a_float(bits: int) -> None:
    assert int(float_bits(bits_float(np.uint64(bits)))) == bits


def test_signed_leaves_the_largest_int64_as_it_is() -> None:
    assert signed(np.uint64(2**63 - 1)) == 2**63 - 1


def test_plain_kernels_give_the_same_bytes_as_compiled_ones() -> None:
    plain = dict(os.environ, NUMBA_DISABLE_JIT="1")
    compiled = dict(os.environ, NUMBA_DISABLE_JIT="0")
    assert _digest(plain) == _digest(compiled)


@pytest.mark.slow
@pytest.mark.skipif(not IS_COMPILED, reason="nothing is compiled")
def test_vector_code_of_another_width_gives_the_same_bytes(tmp_path: Path) -> None:
    here = dict(os.environ)
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("a processor of another kind")
    other = here | {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    assert _digest(other, NUMBERS_DIGEST) == _digest(here, NUMBERS_DIGEST)


@pytest.mark.skipif(IS_COMPILED, reason="compiled code never warns")
def test_plain_kernels_overflow_silently_as_compiled_ones_do() -> None:
    state = moments.empty(1)
    moments.update(state, np.zeros(2, np.int32), np.array([1e308, -1e308]), 0.0, 1.0)
    assert np.isinf(moments.folded(state)[0, 1])


CALL = "import numpy as np; from kernels.jit import signed; print(signed(np.uint64(3)))"
NO_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"


@pytest.mark.skipif(not IS_COMPILED, reason="nothing is compiled")
def test_a_kernel_whose_code_cannot_be_kept_is_compiled_all_the_same(tmp_path: Path) -> None:
    place = dict(os.environ, NUMBA_CACHE_DIR=str(tmp_path))
    assert _digest(place, NO_ROOM + CALL) == "3\n"
    assert list(tmp_path.rglob("*.nb?")) == []
    nowhere = place | {
        "NUMBA_CACHE_DIR": "/proc/none",
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
    }
    assert _digest(nowhere, CALL) == "3\n"


@pytest.mark.skipif(not IS_COMPILED, reason="nothing is compiled")
@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
def test_a_kernel_whose_kept_code_is_cut_short_is_compiled_again(
    tmp_path: Path, ending: str
) -> None:
    place = dict(os.environ, NUMBA_CACHE_DIR=str(tmp_path))
    assert _digest(place, CALL) == "3\n"
    kept = list(tmp_path.rglob(f"*{ending}"))
    assert kept
    for file in kept:
        file.write_bytes(file.read_bytes()[:20])
    assert _digest(place, CALL) == "3\n"


@pytest.mark.skipif(not IS_COMPILED, reason="nothing is compiled")
def test_a_kernel_is_compiled_again_when_another_file_of_the_kernels_changes() -> None:
    files = sorted(path.name for path in (ROOT / "kernels").rglob("*.py"))
    assert sorted(name for name, _, _ in jit._SOURCES) == files
    assert float_bits._cache._cache_file._source_stamp == jit._SOURCES


def _digest(environment: dict[str, str], program: str = DIGEST) -> str:
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout
