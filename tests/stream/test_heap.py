"""Heap: do threads of a process share one?"""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, sys, threading
from stream.heap import keep_one_heap

if sys.argv[1] == "shared":
    assert keep_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.fdopen.restype = ctypes.c_void_p
every = threading.Barrier(4)

def allocate():
    libc.malloc(100_000)
    every.wait()

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has many heaps")
@pytest.mark.parametrize(("how", "heaps"), [("shared", 1), ("apart", 5)])
def test_threads_allocate_from_one_heap_when_told_to(how: str, heaps: int) -> None:
    words = [sys.executable, "-c", PROGRAM, how]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert told.count("<heap nr=") == heaps


def test_objects_of_before_are_not_collected_again() -> None:
    program = """
import gc
from stream.heap import keep_what_there_is
from stream import errors
keep_what_there_is()
assert not any(one is errors.__dict__ for one in gc.get_objects())
"""
    subprocess.run([sys.executable, "-c", program], check=True)
