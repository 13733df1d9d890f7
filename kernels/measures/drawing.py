"""Drawing: the number of a draw and a key in, a random number out, the same every time.

In    number  any, one per draw; key of the series
Out   numbers evenly or normally distributed
Not   hashing (kernels/hashing.py)
"""

from __future__ import annotations

import math

import numpy as np

from kernels.hashing import Key, hash_word
from kernels.jit import kernel


@kernel
def even(number: int, key: Key) -> float:
    """A number in (0, 1]."""
    drawn = float(hash_word(np.uint64(number), key) >> np.uint64(11))
    return (drawn + 1.0) * 2.0**-53


@kernel
def normal(number: int, key: Key) -> float:
    """A normal number of variance 1 (Box and Muller 1958)."""
    radius = math.sqrt(-2.0 * math.log(even(2 * number, key)))
    return radius * math.cos(2.0 * math.pi * even(2 * number + 1, key))
