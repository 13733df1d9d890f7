"""Missing: why a value is not a number, written into the value itself.

In    nothing
Out   NULL, ABSENT, MISTYPED: quiet NaN as float64, each with its own payload, and their bits
Not   counting them (sketches/moments.py); telling them apart in JSON (stream/detect/codec.py)

Every NaN with other bits is a NaN that really came. What keeps a payload (the tests show each): a
Python float, `np.array` of a list of them, `np.full`, `np.fromiter`, slicing, copying, pickle.
What loses it and leaves a plain NaN: JSON, float32, a minus sign before it, arithmetic on two
NaNs.
"""

from __future__ import annotations

import numpy as np

NULL_BITS = np.uint64(0x7FF8_0000_0000_0D01)  # the key is there, its value is JSON null
ABSENT_BITS = np.uint64(0x7FF8_0000_0000_0D02)  # the event has no such key
MISTYPED_BITS = np.uint64(0x7FF8_0000_0000_0D03)  # the value is of another type than the feature

NULL = NULL_BITS.view(np.float64)
ABSENT = ABSENT_BITS.view(np.float64)
MISTYPED = MISTYPED_BITS.view(np.float64)

MAGNITUDE_BITS = np.uint64(0x7FFF_FFFF_FFFF_FFFF)  # all but the sign
INFINITY_BITS = np.uint64(0x7FF0_0000_0000_0000)  # a magnitude below is finite, above is NaN
