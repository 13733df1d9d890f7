"""Kernels: arrays in, arrays out. What every function marked `@kernel` keeps to:

1. Arguments are C-contiguous writable arrays of the declared types, numbers and states (NamedTuples
   of arrays). No text, bytes, dicts, lists or None: any other type would compile a second copy.
2. The leading axis of a state is the slot; slot -1 is "in no open window" and is skipped.
3. `update` and `merge` allocate nothing and change only the states and scratch they are given first
   and last.
4. The state of a slot depends on the order of its values alone, never on how they came in batches.
5. Missing values are NaN with a reason in the payload (missing.py): counted, never binned, never
   averaged. Infinities are counted apart. -0.0 is 0.0.
6. Merging an empty state changes nothing; counts merge exactly, power sums up to rounding.
7. No exceptions: arguments are checked outside. What is undefined is NaN, or -1 for an index.
8. No randomness, no clock, no threads; the GIL is released. No fastmath but for the least and the
   largest of numbers (jit.lesser), which are the same in any order.
9. Every kernel has a plain twin in tests/oracles, or a plain kernel that gives the same bytes, and
   an entry in warmup.py.
10. This package imports numpy and math; only jit.py and memory.py import numba.
11. `decode` works on addresses instead (memory.py says why): what is read there lies in a buffer
    with PADDING bytes behind it, and what is written there was made large enough before the call.
    So does features.py, on the addresses of whole arrays that the caller keeps.
"""
