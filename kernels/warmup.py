"""Warmup: nothing in, every kernel compiled for its declared types out.

In    nothing
Out   the number of kernels, after one call each (two where a second type is declared)
Not   when: a worker calls this before it joins its consumer group, for compiling takes seconds

The arguments below are the declaration: int32 slots and codes, float64 values, int64 counts (uint32
for the cells of a pane), writable C-contiguous arrays; bytes to unpack may be read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kernels import hashing, ids, jit, placing, sparse
from kernels.decode import columns, events, records, strings, tables
from kernels.measures import (
    attributions,
    cells,
    correlation,
    distances,
    divergences,
    drawing,
    embeddings,
    histograms,
    shuffling,
    significance,
    slices,
    twosample,
)
from kernels.sketches import (
    confusion,
    covariance,
    features,
    heavy,
    hyperloglog,
    logbins,
    magnitudes,
    moments,
    numbers,
    residuals,
    rows,
    runs,
    scores,
    values,
    vectors,
)

Entry = tuple[Callable[..., Any], tuple[Any, ...]]


def compile_all() -> int:
    """Call every kernel once per declared type; returns how many kernels there are."""
    kernels = set()
    for function, arguments in entries():
        function(*arguments)
        kernels.add(function)
    return len(kernels)


def entries() -> Iterator[Entry]:
    """Every kernel with arguments of its declared types."""
    yield jit.float_bits, (1.0,)
    yield jit.bits_float, (np.uint64(0),)
    yield jit.signed, (np.uint64(0),)
    yield from _hashing()
    yield from _ids()
    yield from _placing()
    yield from _records()
    yield from _scanner()
    yield from _columns()
    yield from _strings()
    yield from _sparse()
    yield from _moments()
    for dtype in (np.uint32, np.int64):
        yield from _logbins(dtype)
    yield from _values()
    yield from _hyperloglog()
    yield from _rows()
    yield from _covariance()
    yield from _heavy()
    yield from _outcomes()
    yield from _vectors()
    yield from _measures()
    yield from _joint_measures()


def _hashing() -> Iterator[Entry]:
    key, word = (np.uint64(1), np.uint64(2)), np.uint64(1)
    texts, ends = np.ones(9, np.uint8), np.array([9], np.int64)
    yield hashing.hash_bytes, (texts, 0, 9, key)
    yield hashing.hash_bytes, (np.frombuffer(texts.tobytes(), np.uint8), 0, 9, key)
    yield hashing.hash_word, (word, key)
    yield hashing.hash_texts, (texts, ends, key, np.zeros(1, np.uint64))
    yield hashing.hash_texts, (np.frombuffer(b"1" * 9, np.uint8), ends, key, np.zeros(1, np.uint64))
    yield hashing.hash_floats, (np.ones(1), key, np.zeros(1, np.uint64))
    yield hashing.hash_some, (np.ones(1), 0, 1, key, np.zeros(1, np.uint64))


def _ids() -> Iterator[Entry]:
    known = ids.empty()
    yield ids.add, (known, 1, np.ones(1, np.uint64), np.zeros(1, np.int64), np.zeros(1, np.int8))
    yield ids.move, (known, ids.empty())


def _placing() -> Iterator[Entry]:
    out = np.zeros((3, 1), np.int64)
    times, verdicts = np.ones(1, np.int64), np.zeros(1, np.int8)
    yield placing.place, (times, times, 0, 0, (1, 1, 1, 1), *out, verdicts)


def _records() -> Iterator[Entry]:
    data, found = np.frombuffer(bytes(9), np.uint8), np.zeros(1, np.int64)
    yield records.varint, (data, 0, 9)
    yield records.walk, (data, np.zeros((1, 6), np.int64), found, found, found, found)


def _scanner() -> Iterator[Entry]:
    known = tables.empty(2, 64, 8, (np.uint64(1), np.uint64(2)))
    text, none = np.zeros(72, np.uint8), np.zeros(0, np.int64)
    at, words = text.ctypes.data, known.words.ctypes.data
    yield tables.place_text, (at, 1, words)
    yield tables.intern_text, (at, 1, words)
    yield tables.find_again, (words,)
    yield tables.add_key, (at, 4, tables.TOP, words)
    yield events.scan, (at, none, none, none, 0, np.zeros(0, np.int8), known.words)


def _columns() -> Iterator[Entry]:
    none, three = np.zeros(0, np.int64), np.zeros((0, 3), np.int64)
    codes = np.zeros(1, np.int32)
    yield columns.survey, (0, 0, none, none, three)
    yield columns.fill, (0, 0, none, three)
    one, events = np.zeros(1, np.int64), np.zeros((1, 8), np.int64)
    found = one, one.copy(), one.copy(), np.zeros(1, np.uint64), np.zeros(1, np.bool_)
    yield columns.split, (events, *found)
    yield columns.localize, (codes, np.full(1, -1, np.int32), codes.copy())


def _strings() -> Iterator[Entry]:
    key, codes = (np.uint64(1), np.uint64(2)), np.zeros(1, np.int32)
    data, bounds = np.zeros(8, np.uint8), np.array([0, 8], np.int32)
    text = strings.Text(data.ctypes.data, bounds.ctypes.data, len(data))
    yield strings.encode_texts, (text, 0, 0, key, codes, codes.copy())
    yield strings.encode_integers, (data.ctypes.data, 0, 0, key, codes, codes.copy())
    yield strings.hash_strings, (text, 8, key, np.zeros(1, np.uint64))


def _sparse() -> Iterator[Entry]:
    buffer = np.zeros(sparse.packed_bound(2), np.uint8)
    yield sparse.packed_bound, (2,)
    yield sparse.pack_counts, (np.ones(2, np.int64), buffer)
    yield sparse.pack_counts, (np.ones(2, np.uint32), buffer)
    yield sparse.unpack_counts, (buffer, np.zeros(2, np.int64))
    sent = np.frombuffer(buffer.tobytes(), np.uint8)
    yield sparse.unpack_counts, (sent, np.zeros(2, np.int64))
    ends, row = np.array([0, sent.size], np.int64), np.zeros(1, np.int32)
    yield sparse.unpack_rows, (sent, ends, row, np.zeros((1, 2), np.int64))
    yield sparse.totals, (sent, ends, 2, np.zeros(1, np.int64))


def _moments() -> Iterator[Entry]:
    slots, column = np.zeros(1, np.int32), np.ones(1)
    state, other = moments.empty(1), moments.empty(1)
    yield moments.update, (state, slots, column, 0.0, 1.0)
    yield moments.merge, (state, slots, other, 1.0)
    yield moments.merge_each, (state, slots, other, np.ones(1))
    yield moments.describe, (state, np.ones(1), np.zeros((1, 5)))
    yield runs.is_one, (slots,)
    yield runs.arrange, (slots, np.zeros(1, np.int32), np.zeros(2, np.int64))
    arranged, scratch = runs.runs_of(slots, state.count), numbers.scratch()
    yield numbers.update, (state, logbins.empty(1), arranged, column, 0.0, 1.0, scratch)
    yield numbers.gather, (column, slots, 0, 1, np.zeros(1))
    yield from _features(arranged, slots, column)
    yield moments.take, (state, 0, other)
    yield moments.mean, (state, 0, 1.0)
    yield moments.variance, (state, 0, 1.0, 1)
    yield moments.skewness, (state, 0)
    yield moments.kurtosis, (state, 0)
    yield moments.reset, (state, 0)


def _features(arranged: runs.Runs, slots: Any, column: Any) -> Iterator[Entry]:
    """Of one number, every sketch there is, and one category."""
    shape, binned, listed = moments.empty(1), logbins.empty(1), values.empty(1, 1)
    hashed, table = hyperloglog.empty(1), values.build_table(column)
    key, found, grid = (np.uint64(1), np.uint64(2)), np.zeros(1, np.int64), np.ones((1, 2))
    row = np.array([features.number_row(shape, binned, hashed, table, listed)])
    numbered = (row, grid, np.array([column.ctypes.data]), 1, 1, arranged, key, features.work())
    yield features.update_numbers, (*numbered, found)
    codes, apart = np.zeros(1, np.int32), np.zeros((1, 3), np.int64)
    row = np.array([features.category_row(listed, apart)])
    coded = (row, np.array([codes.ctypes.data]), codes, np.ones(1, np.int64), slots, 1, (-1, -3))
    yield features.beside, (np.array([column.ctypes.data]), 1, np.zeros(1, np.int64), grid)
    yield features.update_categories, (*coded, found)


def _logbins(dtype: type[np.uint32] | type[np.int64]) -> Iterator[Entry]:
    slots, numbers = np.zeros(1, np.int32), np.ones(1)
    state, pane = logbins.empty(1, dtype), logbins.empty(1)
    edges = logbins.cell_edges(0.0, 1.0)
    counts = np.zeros(logbins.CELLS, np.int64)
    yield logbins.cell_of, (1.0, 0.0, 1.0)
    yield logbins.offset_of, (1.0, 0.0, 1.0)
    yield logbins.cell_edges, (0.0, 1.0)
    yield logbins.update, (state, slots, numbers, 0.0, 1.0)
    yield logbins.merge, (state, slots, pane)
    yield logbins.merge, (state, slots, logbins.empty(1, dtype))
    yield logbins.quantiles, (state.counts[0], edges, 0.0, 1.0, np.array([0.5]), np.zeros(1))
    rows, ends, found = state.counts, edges[None], np.zeros((1, 1))
    each = (rows, ends, np.zeros(1), np.ones(1), np.array([0.5]), found)
    yield logbins.quantiles_each, each
    yield logbins.snapped, (rows[0], edges, np.array([0.5]), found[0])
    yield logbins.snapped_each, (rows, ends, np.array([0.5]), found, np.zeros(1, np.int64))
    yield logbins.regrid, (state.counts[0], edges, edges, counts)
    yield logbins.reset, (state, 0)


def _values() -> Iterator[Entry]:
    slots, codes = np.zeros(1, np.int32), np.zeros(1, np.int32)
    state, other = values.empty(1, 1), values.empty(1, 1)
    table = values.build_table(np.ones(1))
    yield values.build_table, (np.ones(1),)
    yield values.lookup, (table, np.ones(1), codes)
    yield values.place_of, (table, 1.0)
    yield values.update, (state, slots, codes)
    yield values.merge, (state, slots, other)
    yield values.reset, (state, 0)


def _hyperloglog() -> Iterator[Entry]:
    slots, state = np.zeros(1, np.int32), hyperloglog.empty(1)
    yield hyperloglog.update, (state, slots, np.ones(1, np.uint64))
    yield hyperloglog.note, (state, 0, np.ones(1, np.uint64), 0, 1, np.zeros(1, np.uint8))
    yield hyperloglog.merge, (state, slots, hyperloglog.empty(1))
    yield hyperloglog.distinct, (state, 0)
    packed = np.frombuffer(hyperloglog.pack(state, 0), np.uint8)
    spans = np.array([[0, packed.size]], np.int64)
    yield hyperloglog.unpack_each, (packed, spans, hyperloglog.empty(1).registers)
    yield hyperloglog.reset, (state, 0)


def _rows() -> Iterator[Entry]:
    slots, ids, columns = np.zeros(1, np.int32), np.ones(1, np.uint64), np.ones((2, 1))
    state = rows.empty(1, 1, 2)
    yield rows.candidates, (state, slots, ids, np.zeros(1, np.int64))
    yield rows.update, (state, slots, ids, columns)
    yield rows.merge, (state, slots, rows.empty(1, 1, 2))
    yield rows.reset, (state, 0)


def _covariance() -> Iterator[Entry]:
    slots, columns, state = np.zeros(1, np.int32), np.ones((2, 1)), covariance.empty(1, 2)
    counts, found = np.zeros((2, 2), np.int64), np.zeros((2, 2))
    update = (state, slots, columns, np.zeros(2), np.ones(2), covariance.scratch())
    yield covariance.thinned, (np.zeros(1, np.int64), slots, np.zeros(1, np.int64))
    yield covariance.update, update
    yield covariance.merge, (state, slots, covariance.empty(1, 2))
    yield covariance.covariances, (state, 0, counts, found)
    yield covariance.correlations, (state, 0, counts, found)
    yield covariance.reset, (state, 0)


def _heavy() -> Iterator[Entry]:
    slots, state = np.zeros(1, np.int32), heavy.empty(1, 2)
    keys = np.ones(1, np.uint64)
    yield heavy.update, (state, slots, keys)
    yield heavy.update_coded, (state, slots, slots, keys, np.zeros(1, np.int64))
    yield heavy.merge, (state, slots, heavy.empty(1, 2))
    yield heavy.reset, (state, 0)


def _outcomes() -> Iterator[Entry]:
    """Sketches of predictions beside what came true."""
    slots, codes, numbers = np.zeros(1, np.int32), np.zeros(1, np.int32), np.ones(1)
    classes = confusion.empty(1, 2)
    yield confusion.update, (classes, slots, codes, codes)
    yield confusion.merge, (classes, slots, confusion.empty(1, 2))
    yield confusion.accuracy, (classes, 0)
    for of_class in (confusion.precision, confusion.recall, confusion.f1):
        yield of_class, (classes, 0, 0)
    yield confusion.macro_f1, (classes, 0)
    yield confusion.reset, (classes, 0)
    errors = residuals.empty(1)
    yield residuals.update, (errors, slots, numbers, numbers)
    yield residuals.merge, (errors, slots, residuals.empty(1))
    for mean in (residuals.bias, residuals.mae, residuals.rmse, residuals.mape):
        yield mean, (errors, 0)
    yield residuals.reset, (errors, 0)
    ranked = scores.empty(1)
    yield scores.update, (ranked, slots, numbers, codes)
    yield scores.merge, (ranked, slots, scores.empty(1))
    for read in (scores.auc, scores.log_loss, scores.brier, scores.rig):
        yield read, (ranked, 0)
    yield scores.calibration, (ranked, 0, np.zeros((10, 3)))
    yield scores.reset, (ranked, 0)


def _vectors() -> Iterator[Entry]:
    slots, flat, ends = np.zeros(1, np.int32), np.ones(2), np.full(1, 2, np.int64)
    state, sizes = vectors.empty(1, 2), magnitudes.empty(1)
    yield vectors.update, (state, slots, flat, ends)
    yield vectors.merge, (state, slots, vectors.empty(1, 2))
    yield vectors.norms, (flat, ends, np.zeros(1))
    yield vectors.cosines, (flat, ends, np.ones(2), np.zeros(1))
    yield vectors.reset, (state, 0)
    yield magnitudes.update, (sizes, slots, np.ones(1))
    yield magnitudes.merge, (sizes, slots, magnitudes.empty(1))
    yield magnitudes.mean, (sizes, 0)
    yield magnitudes.root_mean_square, (sizes, 0)
    yield magnitudes.reset, (sizes, 0)


def _measures() -> Iterator[Entry]:
    counts, edges = np.ones(2), np.arange(3.0)
    yield divergences.psi, (counts, counts)
    yield divergences.kl, (counts, counts)
    yield divergences.jensen_shannon, (counts, counts)
    yield divergences.hellinger, (counts, counts)
    yield divergences.total_variation, (counts, counts)
    yield divergences.l_infinity, (counts, counts)
    yield divergences.culprit, (counts, counts)
    yield histograms.measured, (counts, counts)
    every = (counts, counts, np.array([2]), np.ones(1, np.bool_), 5.0, np.zeros((1, 17)))
    yield histograms.measured_each, every
    yield from _cells()
    yield distances.ks, (counts, counts)
    yield distances.ks_at, (counts, counts)
    yield distances.wasserstein, (counts, counts, counts)
    yield distances.wasserstein_cells, (edges, counts, counts)
    yield distances.energy, (counts, counts, counts)
    yield distances.energy_cells, (edges, counts, counts)
    yield significance.chi_square, (counts, counts)
    yield significance.pooled, (counts, counts, counts, 5.0)
    yield significance.believed, (counts, counts)
    yield significance.groups, (counts, 1.0, 5.0)
    yield significance.benjamini_hochberg, (counts,)


def _cells() -> Iterator[Entry]:
    counts, borders = np.ones((1, logbins.CELLS), np.int64), logbins.cell_edges(0.0, 1.0)[None]
    infinite, span = np.zeros((1, 2), np.int64), np.array([[0.0, 1.0]])
    binned = (np.zeros(1), np.array([1]), infinite, 1, np.zeros(3))
    yield cells.histograms_each, (counts, borders, *binned)
    yield cells.outside_each, (counts, infinite, borders, span, np.zeros((1, 2), np.int64))
    yield cells.distances_each, (counts, counts, borders, span, np.zeros((1, 4)))


def _joint_measures() -> Iterator[Entry]:
    rows, square = np.ones((3, 2)), np.ones((2, 2))
    yield correlation.ranks, (rows,)
    yield correlation.correlations, (rows,)
    yield correlation.changes, (square, square, square, square, square, square)
    yield correlation.largest_change, (square,)
    yield twosample.scores, (rows, rows)
    yield twosample.dissimilarities, (rows,)
    yield twosample.shuffled, (np.ones((20, 20)), 10, (np.uint64(1), np.uint64(2)))
    yield slices.shuffled, (np.ones((20, 2)), np.ones((20, 2)), 1.0, (np.uint64(1), np.uint64(2)))
    yield shuffling.goes_on, (np.zeros(6),)
    yield shuffling.take, (np.zeros(6), 1.0)
    yield shuffling.told, (np.zeros(6),)
    yield shuffling.unknown, ()
    yield shuffling.put_first, (np.arange(2), 1, 0, (np.uint64(1), np.uint64(2)))
    yield embeddings.cosine, (np.ones(2), np.ones(2))
    yield embeddings.mean_shift, (np.ones(2), np.ones(2), 1.0)
    yield embeddings.directions, (1, 2, (np.uint64(1), np.uint64(2)))
    flat, ends = np.ones(2), np.array([2], np.int64)
    yield embeddings.project, (flat, ends, square, np.zeros((2, 1)))
    yield embeddings.sliced_wasserstein, (rows, rows, square)
    yield attributions.ndcg, (np.ones(2), np.ones(2))
    yield (
        attributions.simulated,
        (np.ones(2), np.ones(2), np.ones(2), 0.1, (np.uint64(1), np.uint64(2))),
    )
    yield drawing.even, (1, (np.uint64(1), np.uint64(2)))
    yield drawing.normal, (1, (np.uint64(1), np.uint64(2)))
