"""Buffers: bytes in, an address at which kernels may read them out.

In    bytes; with `guarded` also memory that ends, to the byte, where PADDING ends
Out   addresses, and the array that must be kept as long as they are used
Not   what is read there
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from kernels.memory import PADDING


def padded(text: bytes) -> NDArray[np.uint8]:
    """A buffer that begins with the text and holds nothing else but NULs."""
    return np.frombuffer(text + bytes(PADDING), np.uint8)


@contextmanager
def guarded(pages: int) -> Iterator[NDArray[np.uint8]]:
    """So many pages of memory between two that nobody may touch: whoever does is killed."""
    page = mmap.PAGESIZE
    whole = mmap.mmap(-1, (pages + 2) * page)
    held = np.frombuffer(whole, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    fences = held.ctypes.data, held.ctypes.data + (pages + 1) * page
    for fence in fences:
        if libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    try:
        yield held[page : (pages + 1) * page]
    finally:
        for fence in fences:
            readable = mmap.PROT_READ | mmap.PROT_WRITE
            libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), readable)
