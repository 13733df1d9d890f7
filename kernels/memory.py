"""Memory: an address in, the bytes that stand there out; and what else one instruction does.

In    addresses as int64, words as uint64
Out   loads and stores that need no alignment, counts of zero bits, products, masks of bytes, arrays
Not   bounds: who reads at an address knows that it lies in a buffer with PADDING behind it

numba counts references whenever an array is passed to a function, which made the scanner of
`kernels/decode` three times as slow; on addresses nothing is counted. Beside jit.py the only file
that imports numba. With NUMBA_DISABLE_JIT=1 ctypes reads and writes at the same addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import addressof, c_char, c_int32, c_int64, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.numpy_support import carray
from numpy.typing import NDArray

from kernels.jit import IS_COMPILED, piece

PADDING = 64  # bytes that must be readable behind a buffer: the widest load

Shape = int | tuple[int, int] | tuple[int, int, int]

_BYTE, _HALF, _WORD = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BLOCK, _WIDE_BLOCK = ir.VectorType(_BYTE, 32), ir.VectorType(_BYTE, 64)
_LONG = ir.IntType(128)
_QUOTE, _BACKSLASH, _SPACE = 0x22, 0x5C, 0x20

Emit = Callable[..., Any]
Function = TypeVar("Function", bound=Callable[..., object])


def _lowered(signature: Any, plain: Function) -> Callable[[Emit], Function]:
    """Mark of a function that emits what `plain` does, as LLVM instructions."""

    def mark(emit: Emit) -> Function:
        if not IS_COMPILED:
            return plain

        def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            return emit(builder, *values)

        def one(_typing: Any, _a: Any) -> Any:
            return signature, generate

        def two(_typing: Any, _a: Any, _b: Any) -> Any:
            return signature, generate

        return cast(Function, intrinsic(one if len(signature.args) == 1 else two))

    return mark


def _load(builder: Any, address: Any, kind: Any) -> Any:
    found = builder.load(builder.inttoptr(address, ir.PointerType(kind)))
    found.align = 1
    return found


def _store(builder: Any, address: Any, value: Any) -> Any:
    put = builder.store(value, builder.inttoptr(address, ir.PointerType(value.type)))
    put.align = 1
    return ir.Constant(ir.IntType(8).as_pointer(), None)


def _all(kind: Any, byte: int) -> Any:
    return ir.Constant(kind, [byte] * kind.count)


def _counted(builder: Any, name: str, word: Any) -> Any:
    flag = ir.IntType(1)
    shape = ir.FunctionType(_WORD, [_WORD, flag])
    function = builder.module.declare_intrinsic(f"llvm.{name}", [_WORD], shape)
    return builder.call(function, [word, ir.Constant(flag, 0)])


def _get_byte(at: int) -> int:
    return c_uint8.from_address(int(at)).value


def _get_four(at: int) -> int:
    return c_uint32.from_address(int(at)).value


def _get_word(at: int) -> np.uint64:
    return np.uint64(c_uint64.from_address(int(at)).value)


def _get_int(at: int) -> int:
    return c_int64.from_address(int(at)).value


@_lowered(types.int64(types.int64), _get_byte)
def load_byte(builder: Any, at: Any) -> Any:
    """The byte at an address, 0 to 255."""
    return builder.zext(_load(builder, at, _BYTE), _WORD)


@_lowered(types.int64(types.int64), _get_four)
def load_four(builder: Any, at: Any) -> Any:
    """Four bytes, the first the lowest."""
    return builder.zext(_load(builder, at, _HALF), _WORD)


@_lowered(types.uint64(types.int64), _get_word)
def load_word(builder: Any, at: Any) -> Any:
    """Eight bytes, the first the lowest."""
    return _load(builder, at, _WORD)


@_lowered(types.int64(types.int64), _get_int)
def load_int(builder: Any, at: Any) -> Any:
    """An int64."""
    return _load(builder, at, _WORD)


def _put_byte(at: int, value: int) -> None:
    c_uint8.from_address(int(at)).value = int(value)


def _put_code(at: int, value: int) -> None:
    c_int32.from_address(int(at)).value = int(value)


def _put_int(at: int, value: int) -> None:
    c_int64.from_address(int(at)).value = int(value)


def _put_word(at: int, value: np.uint64) -> None:
    c_uint64.from_address(int(at)).value = int(value)


@_lowered(types.void(types.int64, types.int64), _put_byte)
def store_byte(builder: Any, at: Any, value: Any) -> Any:
    """Write the lowest byte of a number."""
    return _store(builder, at, builder.trunc(value, _BYTE))


@_lowered(types.void(types.int64, types.int64), _put_code)
def store_code(builder: Any, at: Any, value: Any) -> Any:
    """Write an int32."""
    return _store(builder, at, builder.trunc(value, _HALF))


@_lowered(types.void(types.int64, types.int64), _put_int)
def store_int(builder: Any, at: Any, value: Any) -> Any:
    """Write an int64."""
    return _store(builder, at, value)


@_lowered(types.void(types.int64, types.uint64), _put_word)
def store_word(builder: Any, at: Any, value: Any) -> Any:
    """Write eight bytes."""
    return _store(builder, at, value)


def _trailing(word: np.uint64) -> int:
    number = int(word)
    return (number & -number).bit_length() - 1 if number else 64


@_lowered(types.int64(types.uint64), _trailing)
def zeros_below(builder: Any, word: Any) -> Any:
    """Zero bits below the lowest one; 64 of zero."""
    return _counted(builder, "cttz", word)


def _leading(word: np.uint64) -> int:
    return 64 - int(word).bit_length()


@_lowered(types.int64(types.uint64), _leading)
def zeros_above(builder: Any, word: Any) -> Any:
    """Zero bits above the highest one; 64 of zero."""
    return _counted(builder, "ctlz", word)


def _upper(a: np.uint64, b: np.uint64) -> np.uint64:
    return np.uint64((int(a) * int(b)) >> 64)


@_lowered(types.uint64(types.uint64, types.uint64), _upper)
def high_product(builder: Any, a: Any, b: Any) -> Any:
    """The upper 64 bits of a product."""
    product = builder.mul(builder.zext(a, _LONG), builder.zext(b, _LONG))
    return builder.trunc(builder.lshr(product, ir.Constant(_LONG, 64)), _WORD)


def _mask(at: int, count: int, is_meant: Callable[[int], bool]) -> np.uint64:
    there = bytes((c_uint8 * count).from_address(int(at)))
    return np.uint64(sum(1 << i for i, byte in enumerate(there) if is_meant(byte)))


def _stops(at: int) -> np.uint64:
    return _mask(at, 32, lambda byte: byte in (_QUOTE, _BACKSLASH) or byte < _SPACE)


@_lowered(types.uint64(types.int64), _stops)
def text_stops(builder: Any, at: Any) -> Any:
    """Which of 32 bytes end a JSON string or complicate it: quote, backslash, control."""
    block = _load(builder, at, _BLOCK)
    is_quote = builder.icmp_unsigned("==", block, _all(_BLOCK, _QUOTE))
    is_backslash = builder.icmp_unsigned("==", block, _all(_BLOCK, _BACKSLASH))
    is_control = builder.icmp_unsigned("<", block, _all(_BLOCK, _SPACE))
    stops = builder.or_(builder.or_(is_quote, is_backslash), is_control)
    return builder.zext(builder.bitcast(stops, _HALF), _WORD)


def _high(at: int) -> np.uint64:
    return _mask(at, 64, lambda byte: byte >= 0x80)


@_lowered(types.uint64(types.int64), _high)
def high_bytes(builder: Any, at: Any) -> Any:
    """Which of 64 bytes are not ASCII."""
    block = _load(builder, at, _WIDE_BLOCK)
    return builder.bitcast(builder.icmp_signed("<", block, _all(_WIDE_BLOCK, 0)), _WORD)


def address_of(array: NDArray[Any]) -> int:
    """Where a C-contiguous array begins; it has to be kept as long as the address is used.

    Raises ValueError for any other array.
    """
    try:
        return addressof(c_char.from_buffer(cast(Any, array)))  # several times as fast as .ctypes
    except (TypeError, ValueError):  # read-only, or empty
        if not array.flags.c_contiguous:
            raise ValueError("an array with gaps has no one address") from None
        return int(array.ctypes.data)


def _void(at: int) -> c_void_p:
    return c_void_p(int(at))


@_lowered(types.voidptr(types.int64), _void)
def _pointer(builder: Any, at: Any) -> Any:
    """An address as numba's own functions take it."""
    return builder.inttoptr(at, _BYTE.as_pointer())


@piece
def floats_at(at: int, shape: Shape) -> NDArray[np.float64]:
    """The float64 that stand at an address, as an array of this shape; it owns nothing."""
    found: NDArray[np.float64] = carray(_pointer(at), shape, np.float64)
    return found


@piece
def integers_at(at: int, shape: Shape) -> NDArray[np.int64]:
    """The same of int64."""
    found: NDArray[np.int64] = carray(_pointer(at), shape, np.int64)
    return found


@piece
def codes_at(at: int, shape: Shape) -> NDArray[np.int32]:
    """The same of int32."""
    found: NDArray[np.int32] = carray(_pointer(at), shape, np.int32)
    return found


@piece
def counts_at(at: int, shape: Shape) -> NDArray[np.uint32]:
    """The same of uint32."""
    found: NDArray[np.uint32] = carray(_pointer(at), shape, np.uint32)
    return found


@piece
def bytes_at(at: int, shape: Shape) -> NDArray[np.uint8]:
    """The same of bytes."""
    found: NDArray[np.uint8] = carray(_pointer(at), shape, np.uint8)
    return found
