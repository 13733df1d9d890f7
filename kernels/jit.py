"""Jit: a plain function in, a compiled one out. Beside memory.py the only file that imports numba.

In    a function that keeps the kernel contract (`kernels/__init__.py`)
Out   the same function, compiled at its first call per argument types and kept in numba's cache
Not   the list of kernels and of their argument types (warmup.py); raw memory (memory.py)

With NUMBA_DISABLE_JIT=1 kernels run as plain Python on numpy scalars and give the same bytes. Where
the cache cannot be kept (disk full or read-only) or read (damaged), a kernel is compiled again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core.caching import FunctionCache
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])

IS_COMPILED = not vars(config)["DISABLE_JIT"]  # numba sets it from the environment


def _sources() -> tuple[tuple[str, float, int], ...]:
    """What changes with any file of the kernels."""
    facts = ((path, path.stat()) for path in sorted(Path(__file__).parent.rglob("*.py")))
    return tuple((path.name, fact.st_mtime, fact.st_size) for path, fact in facts)


_SOURCES = _sources()


class _Cache:
    """numba's cache; without it a start takes longer, so nothing about it may prevent one."""

    def __init__(self, kept: Any) -> None:
        self._kept = kept
        # numba looks at the kernel's own file; what is inlined into it stands in others.
        kept._cache_file._source_stamp = _SOURCES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept, name)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return self._kept.load_overload(sig, target_context)
        except Exception:  # a file cut short by a power failure ends in any error of unpickling
            with suppress(OSError):
                self._kept.flush()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            self._kept.save_overload(sig, data)


def kernel(function: Function) -> Function:
    """Compile, GIL released, no fastmath (the same bytes on every machine), cached on disk."""
    if not IS_COMPILED:
        # Compiled code neither warns nor raises on overflow or 0/0; plain numpy scalars would warn.
        return np.errstate(all="ignore")(function)
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    cache: Any = FunctionCache
    with suppress(RuntimeError):  # no folder that can be written to
        compiled._cache = _Cache(cache(function))
    return cast(Function, compiled)


def piece(function: Function) -> Function:
    """A part of kernels that is inlined into them; called from Python by tests alone."""
    if not IS_COMPILED:
        return np.errstate(all="ignore")(function)
    compiled = njit(nogil=True, forceinline=True, error_model="numpy", boundscheck=False)
    return cast(Function, compiled(function))


def routine(function: Function) -> Function:
    """A part of kernels that they call; compiled with the first of them."""
    return kernel(function)


@kernel
def float_bits(value: float) -> np.uint64:
    """The 64 bits of a float64; NaN payloads come through unchanged."""
    return np.float64(value).view(np.uint64)


@kernel
def signed(number: np.integer) -> int:
    """An integer below 2^63 as int64.

    numba's int() would keep it unsigned, and uint64 - int64 is a float64 there.
    """
    return int(np.int64(number))


@kernel
def bits_float(bits: np.uint64) -> np.float64:
    """The float64 that has these 64 bits."""
    return np.uint64(bits).view(np.float64)


def _of_two(plain: Function, llvm_name: str) -> Function:
    """An operation on two float64 as one instruction that loops over arrays are vectorised with.

    Python's min and max are a comparison and a branch, which LLVM does not reorder. Told that there
    is no NaN and that zeros are equal, it may: the result is then the same in any order.
    """
    if not IS_COMPILED:
        return plain

    def generate(_context: Any, one: Any, other: Any) -> Any:
        def emit(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            double = arguments[0].type
            called = builder.module.declare_intrinsic(
                llvm_name, [double], ir.FunctionType(double, [double, double])
            )
            return builder.call(called, arguments, fastmath=("nnan", "nsz"))

        return one(one, other), emit

    return cast(Function, intrinsic(generate))


def _least(one: float, other: float) -> float:
    return min(one, other)


def _most(one: float, other: float) -> float:
    return max(one, other)


# Of two numbers, neither NaN; of 0.0 and -0.0 either may come out.
lesser = _of_two(_least, "llvm.minnum")
greater = _of_two(_most, "llvm.maxnum")


def _hint(_array: NDArray[Any], _at: int) -> None:
    """Nothing."""


def _prefetching() -> Callable[[NDArray[Any], int], None]:
    """A hint to load what stands at a place of an array, which may lie beyond its end.

    A core loads ahead by itself while it reads on, but not while it works on what it has read.
    """
    if not IS_COMPILED:
        return _hint

    def generate(_context: Any, array: Any, at: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            struct: Any = make_array
            data = struct(signature.args[0])(context, builder, arguments[0]).data
            place = builder.bitcast(builder.gep(data, arguments[1:]), ir.IntType(8).as_pointer())
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
            called = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
            builder.call(called, [place, number(0), number(3), number(1)])  # to read, often, data
            return context.get_dummy_value()

        return types.void(array, at), emit

    return cast("Callable[[NDArray[Any], int], None]", intrinsic(generate))


prefetch = _prefetching()
