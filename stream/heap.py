"""Heap: nothing in, a process whose threads share one heap out.

In    nothing; before threads allocate
Out   whether the C library could be told
Not   Python's own objects, arrays in use

glibc gives each of up to eight threads per core a heap of its own, and memory that a thread has
freed stays there. A worker counts and judges in turns on half a dozen threads, so the same buffers
are kept several times over: 340 MiB instead of 328 MiB after a minute of 12,000 events per second
in windows of 5 s, growing four times as fast. Kernels, which run side by side, allocate nothing.
"""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8  # malloc.h


def share_one_heap() -> bool:
    """Let all threads to come allocate from one heap; False where the C library is another one."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(M_ARENA_MAX, 1) == 1
