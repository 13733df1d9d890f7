"""Sketches: bounded summaries of a stream, one row per slot, that merge.

module    summarises                          guarantee                              bytes per slot
moments   count, mean, shape, range, missing  counts exact, the rest rounding        600
logbins   quantiles and shape of any number   a quantile's cell is exact, its width  6152
                                              1/32 of (scale + distance to anchor)
values    counts of a known vocabulary        exact                                  8 per code
hyperloglog
          how many values are different       4.9 %, three standard errors           4096
rows      k events, features side by side     a uniform sample, exact up to k        8 per value
covariance
          how pairs of features vary          rounding; complete cases by pair       40 d²
heavy     most frequent unknown values        too large by at most n / capacity      24 per key
scores    AUC, log loss, RIG, calibration     log loss 0.0005 nats, AUC as it says   30768
confusion classes, true and predicted         exact                                  8 per pair
residuals RMSE, MAE, bias, MAPE               rounding                               56
vectors   mean, variance of each dimension    rounding                               16 d
magnitudes
          mean of |x|                         rounding                               16

numbers   feeds moments and logbins in one pass, from rows sorted by slot (runs)

All have `empty(n_slots)`, `grow(state, n_slots)`, `reset(state, slot)`, `update(state, slots, …)`
and `merge(into, slots, other)`. The bytes are those of the arrays; for sending, counts are packed
to two or three bytes per cell that is not empty (kernels/sparse.py), and those below `values` have
`pack(state, slot)` and `unpack(raw)` of their own, with a version (kernels/packing.py).
"""
