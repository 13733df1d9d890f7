"""Sketches: bounded summaries of a stream, one row per slot, that merge.

module    summarises                          guarantee                              bytes per slot
moments   count, mean, shape, range, missing  counts exact, the rest rounding        120
logbins   quantiles and shape of any number   a quantile's cell is exact, its width  6152
                                              1/32 of (scale + distance to anchor)
values    counts of a known vocabulary        exact                                  8 per code

All have `empty(n_slots)`, `grow(state, n_slots)`, `reset(state, slot)`, `update(state, slots, …)`
and `merge(into, slots, other)`. The bytes are those of the arrays; for sending, counts are packed
to two or three bytes per cell that is not empty (kernels/sparse.py).
"""
